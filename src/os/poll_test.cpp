// SPDX-License-Identifier: Apache-2.0
#include "os/poll.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <thread>
#include <unistd.h>

namespace bulkhead::os {
namespace {

using namespace std::chrono_literals;

Fd bell(unsigned rings = 0) { return Fd::adopt(::eventfd(rings, EFD_CLOEXEC | EFD_NONBLOCK)); }

TEST(poll, tells_what_is_ready_at_once) {
  const Fd silent = bell();
  const Fd ringing = bell(1);
  std::array<pollfd, 2> fds{pollfd{silent.native(), POLLIN, 0},
                            pollfd{ringing.native(), POLLIN, 0}};
  const auto ready = poll(fds, never);
  ASSERT_TRUE(ready);
  EXPECT_EQ(*ready, 1);
  EXPECT_EQ(fds[0].revents, 0);
  EXPECT_EQ(fds[1].revents, POLLIN);
}

TEST(poll, does_not_wait_when_told_so) {
  const Fd silent = bell();
  EXPECT_EQ(*poll_one(silent, POLLIN, no_wait), 0);
  EXPECT_EQ(*poll_one(silent, POLLIN, Deadline{-1s}), 0);
  const Fd ringing = bell(1);
  EXPECT_EQ(*poll_one(ringing, POLLIN, no_wait), POLLIN);
}

TEST(poll, waits_until_its_deadline_and_not_shorter) {
  const Fd silent = bell();
  const auto start = Deadline::Clock::now();
  EXPECT_EQ(*poll_one(silent, POLLIN, 30ms), 0);
  EXPECT_GE(Deadline::Clock::now() - start, 30ms);
}

TEST(poll, tells_a_closed_number_as_an_event) {
  const int closed = bell().release();
  ::close(closed);
  EXPECT_EQ(*poll_one(FdView{closed}, POLLIN, never), POLLNVAL);
}

TEST(poll_threaded, ends_by_an_event_from_elsewhere) {
  const Fd fd = bell();
  std::thread ringer{[&] { ::eventfd_write(fd.native(), 1); }};
  EXPECT_EQ(*poll_one(fd, POLLIN, never), POLLIN);
  ringer.join();
}

std::atomic<unsigned> alarms{0};

TEST(poll, keeps_its_deadline_in_a_storm_of_signals) {
  // F13: each signal interrupts the call; the time left is computed anew each time.
  struct sigaction count{};
  count.sa_handler = [](int) { ++alarms; };
  struct sigaction before{};
  ASSERT_EQ(::sigaction(SIGALRM, &count, &before), 0);
  const itimerval every{.it_interval = {0, 500}, .it_value = {0, 500}};
  ASSERT_EQ(::setitimer(ITIMER_REAL, &every, nullptr), 0);
  const Fd silent = bell();
  const auto start = Deadline::Clock::now();
  const auto ready = poll_one(silent, POLLIN, 60ms);
  const auto took = Deadline::Clock::now() - start;
  const itimerval off{};
  ::setitimer(ITIMER_REAL, &off, nullptr);
  ::sigaction(SIGALRM, &before, nullptr);
  ASSERT_TRUE(ready);
  EXPECT_EQ(*ready, 0);
  EXPECT_GE(took, 60ms);
  EXPECT_GT(alarms.load(), 1U);
}

}  // namespace
}  // namespace bulkhead::os
