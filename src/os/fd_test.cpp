// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>
#include <utility>

#include <bulkhead/fd.hpp>

namespace bulkhead {
namespace {

Fd null() { return Fd::adopt(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }
bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

TEST(fd, closes_what_it_owns) {
  int number = -1;
  {
    const Fd fd = null();
    number = fd.native();
    EXPECT_TRUE(fd);
    EXPECT_TRUE(is_open(number));
  }
  EXPECT_FALSE(is_open(number));
}

TEST(fd, moves_and_closes_what_it_held_before) {
  Fd one = null();
  Fd other = null();
  const int kept = other.native();
  const int closed = one.native();
  one = std::move(other);
  EXPECT_EQ(one.native(), kept);
  EXPECT_FALSE(is_open(closed));
  EXPECT_FALSE(other);  // NOLINT(bugprone-use-after-move): that is the test
  Fd& itself = one;
  one = std::move(itself);
  EXPECT_TRUE(is_open(kept));
  const Fd moved{std::move(one)};
  EXPECT_EQ(moved.native(), kept);
}

TEST(fd, that_was_released_stays_open) {
  int number = -1;
  {
    Fd fd = null();
    number = fd.release();
    EXPECT_FALSE(fd);
  }
  EXPECT_TRUE(is_open(number));
  ::close(number);
}

TEST(fd, closed_twice_closes_once) {
  Fd fd = null();
  fd.close();
  EXPECT_FALSE(fd);
  const Fd next = null();  // most likely the same number
  fd.close();
  EXPECT_TRUE(is_open(next.native()));
}

TEST(fd, duplicate_is_another_descriptor_and_close_on_exec) {
  const Fd fd = null();
  const auto copy = Fd::duplicate(fd);
  ASSERT_TRUE(copy);
  EXPECT_NE(copy->native(), fd.native());
  EXPECT_EQ(::fcntl(copy->native(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

TEST(fd, duplicate_of_nothing_is_an_error) {
  EXPECT_EQ(Fd::duplicate(FdView{}).error(), ErrorKind::invalid);
}

TEST(fd, duplicate_without_a_free_number_is_exhausted) {
  const Fd fd = null();
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto refused = Fd::duplicate(fd);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  // The kernel says EINVAL when even number 0 is beyond the limit.
  EXPECT_FALSE(refused);
  const rlimit few{.rlim_cur = 3, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  const auto none_free = Fd::duplicate(fd);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_FALSE(none_free);
  EXPECT_EQ(none_free.error(), ErrorKind::exhausted);
}

TEST(fd_view, borrows) {
  const Fd fd = null();
  const FdView view = fd;
  EXPECT_TRUE(view);
  EXPECT_EQ(view.native(), fd.native());
  EXPECT_FALSE(FdView{});
}

}  // namespace
}  // namespace bulkhead
