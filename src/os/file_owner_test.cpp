// SPDX-License-Identifier: Apache-2.0
#include "os/file_owner.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/file.hpp"
#include "os/file_watch.hpp"
#include "os/poll.hpp"
#include "support/census.hpp"

namespace bulkhead::os {
namespace {

using std::chrono_literals::operator""s;

class file_owner : public testing::Test {
 protected:
  const std::string path_ = (test::temporary_folder() / "owned").string();

  Fd open() const { return or_throw(open_file(path_, O_RDWR | O_CREAT)); }
  Result<FileOwner> take() const { return FileOwner::take(open(), 0, path_); }
};

TEST_F(file_owner, is_one_and_is_named_to_the_second) {
  auto first = or_throw(take());
  auto second = take();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error(), ErrorKind::exists);
  EXPECT_THAT(second.error().sentence(), testing::HasSubstr(std::to_string(::getpid())));
}

TEST_F(file_owner, is_seen_to_come_to_close_and_to_come_again) {
  const Fd file = open();
  OwnerSight sight{file, 0, path_};
  ASSERT_TRUE(sight.look());
  EXPECT_FALSE(sight.is_open() || sight.has_died() || sight.is_held());
  for (std::uint64_t session = 1; session < 4; ++session) {
    auto owner = or_throw(take());
    ASSERT_TRUE(sight.look());
    EXPECT_TRUE(sight.is_held() && !sight.is_open());
    ASSERT_TRUE(owner.open());
    ASSERT_TRUE(sight.look());
    EXPECT_TRUE(sight.is_open());
    EXPECT_EQ(sight.record().session, session);
    owner.close(session * 10);
    ASSERT_TRUE(sight.look());
    EXPECT_TRUE(!sight.is_open() && !sight.has_died());
    EXPECT_EQ(sight.record().end, session * 10);
  }
}

TEST_F(file_owner, that_dies_is_told_by_a_pidfd_even_when_a_child_of_it_has_its_lock) {
  int ready[2];
  int lives[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(lives, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    auto owner = take();
    if (!owner || !owner->open()) ::_exit(1);
    if (::fork() == 0) {  // shares the lock, and lives until the test closes its pipe
      ::close(lives[1]);
      char byte = 0;
      static_cast<void>(::read(lives[0], &byte, 1));
      ::_exit(0);
    }
    static_cast<void>(::write(ready[1], "x", 1));
    ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  const Fd file = open();
  OwnerSight sight{file, 0, path_};
  ASSERT_TRUE(sight.look());
  ASSERT_TRUE(sight.is_open());
  ASSERT_TRUE(sight.pidfd());
  EXPECT_EQ(sight.record().pid, static_cast<std::uint32_t>(child));
  ::kill(child, SIGKILL);
  EXPECT_NE(or_throw(poll_one(sight.pidfd(), POLLIN, 20s)), 0);
  ASSERT_TRUE(sight.look());
  EXPECT_TRUE(sight.has_died());
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  for (const int fd : {ready[0], ready[1], lives[0], lives[1]}) ::close(fd);
}

TEST_F(file_owner, with_a_flipped_bit_in_its_record_is_not_believed) {
  {
    auto owner = or_throw(take());
    ASSERT_TRUE(owner.open());
    owner.close(7);
  }
  const Fd file = open();
  for (std::size_t bit = 0; bit < sizeof(OwnerRecord) * 8; ++bit) {
    std::byte byte{};
    or_throw(read_at(file, bit / 8, {&byte, 1}, path_));
    const std::byte damaged = byte ^ std::byte{1} << (bit % 8);
    or_throw(write_at(file, bit / 8, Bytes{&damaged, 1}, path_));
    EXPECT_FALSE(OwnerRecord::read(file, 0, path_)) << bit;
    or_throw(write_at(file, bit / 8, Bytes{&byte, 1}, path_));
  }
  EXPECT_TRUE(OwnerRecord::read(file, 0, path_));
}

TEST(file_watch, tells_of_writing_and_of_names_and_is_quiet_after_that) {
  const std::string folder = test::temporary_folder().string();
  auto watch = or_throw(FileWatch::create());
  ASSERT_TRUE(watch.add(folder));
  ASSERT_FALSE(watch.is_timer());
  EXPECT_EQ(watch.drain("named"), FileWatch::Stir::none);
  const Fd file = or_throw(open_file(folder + "/other", O_RDWR | O_CREAT));
  ASSERT_TRUE(write_at(file, 0, as_bytes("x"), "other"));
  EXPECT_NE(or_throw(poll_one(watch.fd(), POLLIN, 20s)), 0);
  EXPECT_EQ(watch.drain("named"), FileWatch::Stir::other);
  EXPECT_EQ(or_throw(poll_one(watch.fd(), POLLIN, no_wait)), 0);
  ASSERT_TRUE(replace_file(folder + "/named", as_bytes("y"), Durable::yes));
  EXPECT_EQ(watch.drain("named"), FileWatch::Stir::named);
}

TEST(file_watch, by_a_timer_says_so_every_period) {
  auto watch = or_throw(FileWatch::create(std::chrono::milliseconds{1}));
  EXPECT_TRUE(watch.is_timer());
  ASSERT_TRUE(watch.add("/nowhere"));
  for (int i = 0; i < 3; ++i) {
    EXPECT_NE(or_throw(poll_one(watch.fd(), POLLIN, 20s)), 0);
    EXPECT_EQ(watch.drain("x"), FileWatch::Stir::named);
  }
}

}  // namespace
}  // namespace bulkhead::os
