// SPDX-License-Identifier: Apache-2.0
//
// What a process at the other end can do: die at any moment, stop, and be a stranger.
#include <atomic>
#include <cstdlib>
#include <sys/wait.h>

#include "conformance/conformance.hpp"

namespace bulkhead::conformance {
namespace {

class processes : public Conformance {};
INSTANTIATE_TEST_SUITE_P(mechanisms, processes, testing::ValuesIn(rows_where(between_processes)),
                         row_name);

TEST_P(processes, exchange_messages_through_a_pair) {
  auto [channel, child] = start_peer("echo");
  for (std::uint64_t i = 0; i < 300; ++i) {
    const auto bytes = content(i, i * i);
    std::jthread sender{[&, &to = channel] { ASSERT_TRUE(ok(to.send(bytes, 20s))); }};
    auto got = channel.receive(20s);
    ASSERT_TRUE(ok(got));
    ASSERT_TRUE(has_content(got->bytes(), i, i * i));
  }
  channel.close();
  EXPECT_EQ(child.wait(), 0) << "the child sees an orderly end";
}

TEST_P(processes, that_are_strangers_find_each_other_by_name) {
  const std::string at = address();
  auto listener = or_throw(listen_at(at));
  auto child = test::Child::start("channel_peer", {"echo", at});
  auto channel = or_throw(listener.accept(20s));
  EXPECT_EQ(channel.peer().pid, child.pid());
  EXPECT_EQ(channel.peer().uid, ::geteuid());
  for (std::uint64_t i = 0; i < 50; ++i) {
    ASSERT_TRUE(ok(channel.send(content(i, 100 * i), 20s)));
    auto got = channel.receive(20s);
    ASSERT_TRUE(ok(got));
    ASSERT_TRUE(has_content(got->bytes(), i, 100 * i));
  }
  channel.close();
  EXPECT_EQ(child.wait(), 0);
}

TEST_P(processes, that_end_in_good_order_are_closed_after_their_messages) {
  auto [channel, child] = start_peer("say_three");
  EXPECT_EQ(child.wait(), 0);
  for (const char* text : {"one", "two", "three"}) {
    auto got = channel.receive(20s);
    ASSERT_TRUE(ok(got));
    EXPECT_EQ(got->text(), text);
  }
  EXPECT_TRUE(fails(channel.receive(20s), ErrorKind::closed));
}

TEST_P(processes, that_die_are_dead_after_their_messages) {
  auto [channel, child] = start_peer("die_after_three");
  EXPECT_EQ(WEXITSTATUS(child.wait()), 7);
  for (const char* text : {"one", "two", "three"}) {
    auto got = channel.receive(20s);
    ASSERT_TRUE(ok(got));
    EXPECT_EQ(got->text(), text);
  }
  auto ended = channel.receive(20s);
  EXPECT_TRUE(fails(ended, ErrorKind::peer_died));
  EXPECT_THAT(ended.error().sentence(), testing::HasSubstr("died"));
  EXPECT_TRUE(fails(channel.try_receive(), ErrorKind::peer_died));
}

TEST_P(processes, that_die_while_nobody_reads_are_told_to_the_sender) {
  auto [channel, child] = start_peer("die_after_three");
  child.wait();
  Result<void> sent;
  for (int i = 0; i < 1'000'000 && sent; ++i) sent = channel.send(as_bytes("anybody?"), 20s);
  EXPECT_TRUE(fails(sent, ErrorKind::peer_died));
  auto got = channel.receive(20s);
  ASSERT_TRUE(ok(got)) << "its messages are still there";
  EXPECT_EQ(got->text(), "one");
}

/// Exchanges with a peer that is killed at a moment that nobody chose, until that is noticed.
void outlive(Channel& channel, const std::string& what, Random& random) {
  const test::Waiting waiting{"the death of a peer that was to " + what};
  Message message;
  Result<void> last;
  const auto bytes = content(1, 20'000);
  while (last) {
    if (what == "receive") {
      last = channel.send(Bytes{bytes}.first(random.below(bytes.size())), never);
    } else if (what == "echo") {
      last = channel.send(Bytes{bytes}.first(random.below(500)), never);
      if (last) last = channel.receive(message, never);
    } else {
      last = channel.receive(message, never);
    }
  }
  ASSERT_TRUE(fails(last, ErrorKind::peer_died)) << what;
}

TEST_P(processes, that_are_killed_at_any_moment_never_hang_the_survivor) {
  Random random{4711};
  const int kills = sanitized(300, 40);
  for (int i = 0; i < kills && !HasFailure(); ++i) {
    const std::string what = std::vector<std::string>{"send", "receive", "echo", "stay"}[i % 4];
    auto [channel, child] = start_peer(what);
    std::jthread killer{[&, &victim = child, wait = random.below(2'500)] {
      // Not synchronisation: any moment of the victim's life will do, from before its exec on.
      std::this_thread::sleep_for(std::chrono::microseconds{wait});
      victim.kill();
    }};
    outlive(channel, what, random);
  }
}

TEST_P(processes, that_are_stopped_do_not_stop_a_deadline) {
  auto [channel, child] = start_peer("echo");
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(ok(channel.send(as_bytes("hello"), 20s)));
    ASSERT_TRUE(ok(channel.receive(20s)));
    child.kill(SIGSTOP);
    siginfo_t info{};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WSTOPPED), 0);
    EXPECT_TRUE(fails(channel.receive(10ms), ErrorKind::timed_out));
    Result<void> sent;
    std::size_t count = 0;
    while ((sent = channel.send(content(1, 30'000), 10ms))) ++count;
    EXPECT_TRUE(fails(sent, ErrorKind::timed_out));
    child.kill(SIGCONT);
    for (; count > 0; --count) ASSERT_TRUE(ok(channel.receive(20s)));
  }
}

TEST_P(processes, that_fork_leave_the_channel_to_the_parent) {
  auto ends = make_pair();
  expect_works(ends.here, ends.there);
  const pid_t child = ::fork();
  if (child == 0) {
    // What a child does that exits through its statics: the copies are destroyed.
    {
      const Ends copies = std::move(ends);
    }
    ::_exit(0);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  expect_works(ends.here, ends.there);
}

TEST_P(processes, made_by_fork_can_take_over_an_unused_end) {
  auto ends = make_pair();
  const pid_t child = ::fork();
  if (child == 0) {
    {
      const Channel gone = std::move(ends.here);
    }
    const bool fine = ends.there.send(as_bytes("from the child"), 20s) && ends.there.receive(20s);
    ends.there.close();
    ::_exit(fine ? 0 : 1);
  }
  {
    const auto given_up = std::move(ends.there).into_handle();
  }
  auto got = ends.here.receive(20s);
  EXPECT_TRUE(ok(got));
  EXPECT_TRUE(got && got->text() == "from the child");
  EXPECT_TRUE(ok(ends.here.send(as_bytes("to the child"), 20s)));
  EXPECT_TRUE(fails(ends.here.receive(20s), ErrorKind::closed));
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

class names : public Conformance {};
INSTANTIATE_TEST_SUITE_P(mechanisms, names, testing::ValuesIn(rows_where(between_processes)),
                         row_name);

TEST_P(names, of_a_live_process_are_refused_with_its_pid) {
  const std::string at = address();
  auto holder = test::Child::start("channel_peer", {"hold_a_name", at});
  ASSERT_EQ(holder.read_line(), "ready");
  auto second = listen_at(at);
  EXPECT_TRUE(fails(second, ErrorKind::exists));
  EXPECT_THAT(second.error().sentence(), testing::HasSubstr(std::to_string(holder.pid())));
  EXPECT_TRUE(ok(connect_to(at))) << "and the owner keeps it";
  holder.close_input();
  EXPECT_EQ(holder.wait(), 0);
}

TEST_P(names, of_a_dead_process_are_taken_over) {
  const std::string at = address();
  for (int i = 0; i < 20; ++i) {
    auto holder = test::Child::start("channel_peer", {"hold_a_name", at});
    ASSERT_EQ(holder.read_line(), "ready") << i;
    holder.kill();
    holder.wait();
    EXPECT_TRUE(fails(connect_to(at, 1s), ErrorKind::not_found));
  }
  auto listener = listen_at(at);
  ASSERT_TRUE(ok(listener));
  auto client = connect_to(at);
  ASSERT_TRUE(ok(client));
  auto server = listener->accept(20s);
  ASSERT_TRUE(ok(server));
  expect_works(*client, *server);
}

TEST_P(names, let_no_other_user_in) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  const std::string at = address();
  auto listener = or_throw(listen_at(at));
  auto stranger = test::Child::start("channel_peer", {"come_as_nobody", at});
  std::atomic<bool> over{false};
  std::jthread server{[&] {
    while (!over) EXPECT_TRUE(fails(listener.accept(10ms), ErrorKind::timed_out));
  }};
  const std::string said = stranger.read_line();
  over = true;
  // By file modes, by the missing name in its own runtime directory, or by the listener's word.
  EXPECT_THAT(said, testing::AnyOf("denied", "not_found"));
  EXPECT_EQ(stranger.wait(), 0);
}

}  // namespace
}  // namespace bulkhead::conformance
