// SPDX-License-Identifier: Apache-2.0
#include "transport/shm/bell.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <limits>
#include <poll.h>
#include <string>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "os/poll.hpp"

namespace bulkhead::transport::shm {
namespace {

BellWatch watch(Bell& bell) {
  auto fd = Fd::duplicate(bell.passing());
  bell.passed();
  auto adopted = BellWatch::adopt(std::move(*fd));
  EXPECT_TRUE(adopted.has_value());
  return std::move(*adopted);
}

bool is_rung(const BellWatch& watch) {
  const auto events = os::poll_one(watch.fd(), POLLIN, os::no_wait);
  return events && (*events & POLLIN) != 0;
}

class shm_bell : public testing::TestWithParam<Trust> {};
INSTANTIATE_TEST_SUITE_P(kinds, shm_bell, testing::Values(Trust::equal, Trust::untrusted),
                         [](const auto& row) {
                           return row.param == Trust::equal ? "equal" : "untrusted";
                         });

TEST_P(shm_bell, is_readable_from_the_ring_until_it_is_drained) {
  auto bell = Bell::create(GetParam());
  ASSERT_TRUE(bell.has_value());
  const auto ear = watch(*bell);
  EXPECT_FALSE(is_rung(ear));
  bell->ring();
  EXPECT_TRUE(is_rung(ear));
  ear.drain();
  EXPECT_FALSE(is_rung(ear));
  ear.drain();  // nothing there: returns all the same
}

TEST_P(shm_bell, rings_a_full_bell_without_blocking) {
  auto bell = Bell::create(GetParam());
  ASSERT_TRUE(bell.has_value());
  const auto ear = watch(*bell);
  for (int i = 0; i < 10'000; ++i) bell->ring();
  EXPECT_TRUE(is_rung(ear));
}

TEST_P(shm_bell, rings_for_a_sleeper_that_is_gone) {
  auto bell = Bell::create(GetParam());
  ASSERT_TRUE(bell.has_value());
  {
    const auto ear = watch(*bell);
  }
  bell->ring();  // no SIGPIPE
}

TEST(shm_bell, of_an_untrusted_sleeper_cannot_be_made_to_block_the_ringer) {
  auto bell = Bell::create(Trust::untrusted);
  ASSERT_TRUE(bell.has_value());
  auto theirs = Fd::duplicate(bell->passing());
  bell->passed();
  // All that the other end of a socket can set, and never reading.
  ASSERT_EQ(::fcntl(theirs->native(), F_SETFL, 0), 0);
  for (int i = 0; i < 100'000; ++i) bell->ring();
}

TEST(shm_bell, is_drained_without_blocking_when_the_ringer_made_it_blocking) {
  const Fd event = Fd::adopt(::eventfd(0, EFD_CLOEXEC));
  auto ear = BellWatch::adopt(std::move(*Fd::duplicate(event)));
  ASSERT_TRUE(ear.has_value());
  ear->drain();
  ASSERT_EQ(::fcntl(event.native(), F_SETFL, 0), 0);
  ear->drain();
  const std::uint64_t most = std::numeric_limits<std::uint64_t>::max() - 1;
  ASSERT_EQ(::write(event.native(), &most, sizeof most), 8);
  ear->drain();
  EXPECT_FALSE(is_rung(*ear));
}

TEST(shm_bell, is_not_made_of_any_other_descriptor) {
  // A18: what a hostile peer could pass instead.
  std::vector<std::pair<std::string, Fd>> others;
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  others.emplace_back("pipe's reading end", Fd::adopt(ends[0]));
  others.emplace_back("pipe's writing end", Fd::adopt(ends[1]));
  others.emplace_back("device", Fd::adopt(::open("/dev/zero", O_RDWR | O_CLOEXEC)));
  others.emplace_back("folder", Fd::adopt(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
  others.emplace_back("file", Fd::adopt(::open("/proc/self/status", O_RDONLY | O_CLOEXEC)));
  others.emplace_back("path", Fd::adopt(::open("/", O_PATH | O_CLOEXEC)));
  others.emplace_back("memory file", Fd::adopt(::memfd_create("test", MFD_CLOEXEC)));
  others.emplace_back("TCP socket", Fd::adopt(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)));
  others.emplace_back("stream", Fd::adopt(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)));
  others.emplace_back("datagrams", Fd::adopt(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)));
  others.emplace_back("epoll", Fd::adopt(::epoll_create1(EPOLL_CLOEXEC)));
  others.emplace_back("inotify", Fd::adopt(::inotify_init1(IN_CLOEXEC)));
  sigset_t none;
  ::sigemptyset(&none);
  others.emplace_back("signals", Fd::adopt(::signalfd(-1, &none, SFD_CLOEXEC)));
  const auto self = static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0));
  if (self >= 0) others.emplace_back("process", Fd::adopt(self));
  others.emplace_back("closed descriptor", Fd{});
  for (auto& [what, fd] : others) {
    auto ear = BellWatch::adopt(std::move(fd));
    ASSERT_FALSE(ear.has_value()) << what;
    EXPECT_EQ(ear.error(), ErrorKind::corrupt) << what;
  }
}

}  // namespace
}  // namespace bulkhead::transport::shm
