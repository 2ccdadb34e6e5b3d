// SPDX-License-Identifier: Apache-2.0
//
// Pipes: the host's SIGPIPE is left alone, and a full pipe still tells a close from a death.
#include "transport/pipe.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <csignal>
#include <gtest/gtest.h>
#include <thread>
#include <vector>

#include <bulkhead/channel.hpp>

namespace bulkhead {
namespace {

using namespace std::chrono_literals;

std::atomic<int> signals{0};

/// Counts SIGPIPE for as long as it lives.
struct CountSignals {
  CountSignals() {
    signals = 0;
    struct sigaction count{};
    count.sa_handler = [](int) { ++signals; };
    ::sigaction(SIGPIPE, &count, &before);
  }
  ~CountSignals() { ::sigaction(SIGPIPE, &before, nullptr); }
  struct sigaction before{};
};

iovec part_of(const char* text) { return {const_cast<char*>(text), 1}; }

TEST(pipe_signals, never_reach_the_program_whichever_way_it_is_kept_from_it) {
  const CountSignals counting;
  for (const bool with_flag : {true, false}) {
    auto pipe = or_throw(os::make_pipe());
    pipe.read_end.close();
    os::PipeWriter writer;
    if (!with_flag) writer.forgo_flag();
    const iovec parts = part_of("x");
    EXPECT_EQ(writer.write(pipe.write_end, {&parts, 1}), -1);
    EXPECT_EQ(errno, EPIPE);
    EXPECT_EQ(signals, 0) << with_flag;
    sigset_t pending;
    ::sigpending(&pending);
    EXPECT_EQ(::sigismember(&pending, SIGPIPE), 0);
  }
}

TEST(pipe_signals, that_were_pending_before_stay_so) {
  const CountSignals counting;
  sigset_t only;
  sigset_t before;
  ::sigemptyset(&only);
  ::sigaddset(&only, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &only, &before);
  ::raise(SIGPIPE);
  auto pipe = or_throw(os::make_pipe());
  pipe.read_end.close();
  os::PipeWriter writer;
  writer.forgo_flag();
  const iovec parts = part_of("x");
  EXPECT_EQ(writer.write(pipe.write_end, {&parts, 1}), -1);
  EXPECT_EQ(signals, 0);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  EXPECT_EQ(signals, 1) << "the program's own";
}

TEST(pipe_signals, of_a_peer_that_has_gone_never_come) {
  const CountSignals counting;
  auto ends = or_throw(pair(Mechanism::pipe));
  ends.second.close();
  EXPECT_EQ(ends.first.send(as_bytes("x"), 20s).error().kind(), ErrorKind::closed);
  EXPECT_EQ(signals, 0);
}

TEST(pipe_room, is_what_was_asked_for_or_what_there_may_be) {
  for (const std::size_t wanted : {std::size_t{4096}, std::size_t{100'000}, std::size_t{1} << 20}) {
    auto pipe = or_throw(os::make_pipe());
    os::set_pipe_room(pipe.write_end, wanted);
    const std::size_t got = os::pipe_room(pipe.read_end);
    EXPECT_GE(got, 4096u);
    EXPECT_LE(got, std::bit_ceil(wanted));
  }
}

TEST(pipe_room, beyond_every_limit_is_no_error) {
  auto pipe = or_throw(os::make_pipe());
  const std::size_t before = os::pipe_room(pipe.write_end);
  os::set_pipe_room(pipe.write_end, std::size_t{1} << 40);
  EXPECT_GE(os::pipe_room(pipe.write_end), before);
}

TEST(pipe_frames, stream_through_a_single_page) {
  auto ends = or_throw(pair(Mechanism::pipe, {.capacity_bytes = 1}));
  const std::vector<std::byte> large(300'000, std::byte{7});
  std::jthread sender{[&] { EXPECT_TRUE(ends.first.send(large, 20s)); }};
  const auto got = ends.second.receive(20s);
  ASSERT_TRUE(got);
  EXPECT_TRUE(std::ranges::equal(got->bytes(), large));
}

TEST(pipe_ends, of_one_way_tell_a_close_from_a_death_at_both_ends) {
  for (const bool fill : {false, true}) {
    auto ends = or_throw(pair(Mechanism::pipe, {.direction = Direction::send}));
    while (fill && ends.first.try_send(as_bytes("some"))) {
    }
    ends.first.close();
    Result<Message> got = ends.second.receive(20s);
    while (got) got = ends.second.receive(20s);
    EXPECT_EQ(got.error().kind(), ErrorKind::closed) << fill;
  }
  auto ends = or_throw(pair(Mechanism::pipe, {.direction = Direction::send}));
  ends.second.close();
  EXPECT_EQ(ends.first.send(as_bytes("x"), 20s).error().kind(), ErrorKind::closed);
}

TEST(pipe_addresses, are_refused_in_words) {
  const auto refused = connect("pipe:anything", 1s);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::unsupported);
  EXPECT_NE(refused.error().sentence().find("related processes only; use pair()"),
            std::string::npos);
}

}  // namespace
}  // namespace bulkhead
