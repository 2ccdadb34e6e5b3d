// SPDX-License-Identifier: Apache-2.0
//
// What a process at the other end can do: die at any moment, stop, and be a stranger.
#include <atomic>
#include <cstdlib>
#include <sys/wait.h>

#include <bulkhead/names.hpp>

#include "conformance/conformance.hpp"
#include "support/soak.hpp"

namespace bulkhead::conformance {
namespace {

class processes : public Conformance {};
INSTANTIATE_TEST_SUITE_P(mechanisms, processes, testing::ValuesIn(rows_where(between_processes)),
                         row_name);

class processes_both_ways : public Conformance {};
INSTANTIATE_TEST_SUITE_P(mechanisms, processes_both_ways,
                         testing::ValuesIn(rows_where(between_processes, both_ways)), row_name);

class processes_with_a_name : public Conformance {};
INSTANTIATE_TEST_SUITE_P(mechanisms, processes_with_a_name,
                         testing::ValuesIn(rows_where(between_processes, with_listener)), row_name);

class processes_that_end : public Conformance {};
INSTANTIATE_TEST_SUITE_P(mechanisms, processes_that_end,
                         testing::ValuesIn(rows_where(between_processes, reliable,
                                                      that_tell_close)),
                         row_name);

class processes_that_die : public Conformance {};
INSTANTIATE_TEST_SUITE_P(mechanisms, processes_that_die,
                         testing::ValuesIn(rows_where(between_processes, that_tell_death)),
                         row_name);

/// Where a sender, too, hears of it, and who comes never is missed.
class processes_that_die_and_are_missed : public Conformance {
  /// The name of a listener that was killed is stale until somebody wants or removes it.
  void TearDown() override { EXPECT_TRUE(ok(remove_stale_names())); }
};
INSTANTIATE_TEST_SUITE_P(mechanisms, processes_that_die_and_are_missed,
                         testing::ValuesIn(rows_where(between_processes, that_tell_death,
                                                      that_tell_no_reader)),
                         row_name);

TEST_P(processes_both_ways, exchange_messages_through_a_pair) {
  auto [channel, child] = start_peer("echo");
  for (std::uint64_t i = 0; i < 300; ++i) {
    const std::size_t size = GetParam().at_most(i * i);
    const auto bytes = content(i, size);
    std::jthread sender{[&, &to = channel] { ASSERT_TRUE(ok(to.send(bytes, 20s))); }};
    auto got = channel.receive(20s);
    ASSERT_TRUE(ok(got));
    ASSERT_TRUE(has_content(got->bytes(), i, size));
  }
  channel.close();
  if (!GetParam().tells_close) child.kill();
  const int status = child.wait();
  if (GetParam().tells_close) {
    EXPECT_EQ(status, 0) << "the child sees an orderly end";
  }
}

TEST_P(processes_with_a_name, find_each_other) {
  const Row& row = GetParam();
  const std::string at = address();
  auto listener = or_throw(listen_at(at));
  const auto direction = std::to_string(static_cast<int>(row.direction));
  auto child = test::Child::start("channel_peer", {"say_one_and_stay", at, direction});
  auto channel = or_throw(listener.accept(20s));
  auto got = channel.receive(20s);
  ASSERT_TRUE(ok(got));
  EXPECT_EQ(got->text(), "here");
  if (row.tells_pid) {
    EXPECT_EQ(channel.peer().pid, child.pid());
    EXPECT_EQ(channel.peer().uid, ::geteuid());
  }
  child.close_input();
  EXPECT_EQ(child.wait(), 0);
  if (row.tells_close && !row.lossy()) {
    EXPECT_TRUE(fails(channel.receive(20s), ErrorKind::closed));
  }
}

TEST_P(processes_that_end, in_good_order_are_closed_after_their_messages) {
  auto [channel, child] = start_peer("say_three");
  child.close_input();
  EXPECT_EQ(child.wait(), 0);
  for (const char* text : {"one", "two", "three"}) {
    auto got = channel.receive(20s);
    ASSERT_TRUE(ok(got));
    EXPECT_EQ(got->text(), text);
  }
  EXPECT_TRUE(fails(channel.receive(20s), ErrorKind::closed));
}

TEST_P(processes_that_die, are_dead_after_their_messages) {
  auto [channel, child] = start_peer("die_after_three");
  child.close_input();
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

TEST_P(processes_that_die_and_are_missed, are_told_to_the_sender_while_nobody_reads) {
  const bool answers = GetParam().both_ways();
  auto [channel, child] = start_peer(answers ? "die_after_three" : "stay");
  child.close_input();
  if (!answers) child.kill();
  child.wait();
  Result<void> sent;
  for (int i = 0; i < 1'000'000 && sent; ++i) sent = channel.send(as_bytes("anybody?"), 20s);
  EXPECT_TRUE(fails(sent, ErrorKind::peer_died));
  if (!answers) return;
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

/// Kills it at a moment that nobody chose, from before its exec on.
std::jthread kill_soon(test::Child& victim, Random& random) {
  return std::jthread{[&victim, wait = random.below(2'500)] {
    // Not synchronisation: any moment of the victim's life will do.
    std::this_thread::sleep_for(std::chrono::microseconds{wait});
    victim.kill();
  }};
}

TEST_P(processes_that_die_and_are_missed, at_any_moment_never_hang_the_survivor) {
  Random random{4711};
  std::vector<std::string> tasks{"send", "receive"};
  if (GetParam().both_ways()) tasks.insert(tasks.end(), {"echo", "stay"});
  // A name has to be met first: then the peer is killed while it meets, too, and nobody comes.
  const bool through_a_pair = GetParam().joining == Joining::pair && GetParam().hands_over;
  const int kills = test::soaked(through_a_pair ? sanitized(100, 20) : sanitized(60, 12));
  for (int i = 0; i < kills && !HasFailure(); ++i) {
    const std::string& what = tasks[static_cast<std::size_t>(i) % tasks.size()];
    auto [channel, child] = start_peer(what);
    std::jthread killer = kill_soon(child, random);
    outlive(channel, what, random);
  }
}

TEST_P(processes_with_a_name, that_die_while_they_meet_do_no_harm) {
  const Row& row = GetParam();
  Random random{4712};
  const std::string at = address();
  auto listener = or_throw(listen_at(at));
  const auto direction = std::to_string(static_cast<int>(row.direction));
  const int kills = test::soaked(sanitized(40, 10));
  for (int i = 0; i < kills && !HasFailure(); ++i) {
    auto child = test::Child::start("channel_peer", {"send_small", at, direction});
    {
      std::jthread killer = kill_soon(child, random);
    }
    child.wait();
    // It came, or it did not, or it sent something: in no case does that hurt the listener.
    while (auto channel = listener.try_accept()) {
      while (channel->receive(0ms)) {
      }
    }
  }
  auto client = connect_to(at);
  ASSERT_TRUE(ok(client));
  // Where messages outlive their senders, those of the dead may fill the channel until somebody reads.
  std::jthread sender{[&] { EXPECT_TRUE(ok(client->send(as_bytes("still there"), 20s))); }};
  for (;;) {
    auto server = listener.accept(20s);
    ASSERT_TRUE(ok(server));
    Result<Message> got = server->receive(20s);
    while (got && got->text() != "still there") got = server->receive(20s);
    if (got) break;
    EXPECT_THAT(got.error().kind(), testing::AnyOf(ErrorKind::closed, ErrorKind::peer_died));
  }
}

TEST_P(processes_both_ways, that_are_stopped_do_not_stop_a_deadline) {
  auto [channel, child] = start_peer("echo");
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(ok(channel.send(as_bytes("hello"), 20s)));
    ASSERT_TRUE(ok(channel.receive(20s)));
    child.kill(SIGSTOP);
    siginfo_t info{};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WSTOPPED), 0);
    EXPECT_TRUE(fails(channel.receive(10ms), ErrorKind::timed_out));
    std::size_t count = 0;
    if (GetParam().holds_back) {
      Result<void> sent;
      while ((sent = channel.send(content(1, 30'000), 10ms))) ++count;
      EXPECT_TRUE(fails(sent, ErrorKind::timed_out));
    }
    child.kill(SIGCONT);
    for (; count > 0; --count) ASSERT_TRUE(ok(channel.receive(20s)));
  }
  child.kill();
}

TEST_P(processes, that_receive_and_are_stopped_do_not_stop_a_deadline) {
  if (GetParam().both_ways()) return;  // the body above
  auto [channel, child] = start_peer("receive");
  child.kill(SIGSTOP);
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WSTOPPED), 0);
  Result<void> sent;
  for (int i = 0; i < 2'000 && sent; ++i) sent = channel.send(content(1, 30'000), 10ms);
  EXPECT_EQ(!sent, GetParam().holds_back);
  if (!sent) {
    EXPECT_TRUE(fails(sent, ErrorKind::timed_out));
  }
  child.kill(SIGCONT);
  EXPECT_TRUE(ok(channel.send(as_bytes("go on"), 20s)));
  child.kill();
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

TEST_P(processes_both_ways, made_by_fork_can_take_over_an_unused_end) {
  if (!GetParam().hands_over) return;  // see refusals_test.cpp
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

class names : public Conformance {
 protected:
  bool listens() const { return GetParam().has_listener; }
  /// Another process that has the name.
  test::Child start_holder(const std::string& at) {
    const Direction own = listens() ? other_options().direction : options().direction;
    auto holder = test::Child::start("channel_peer", {listens() ? "hold_a_name" : "hold_an_end", at,
                                                      std::to_string(static_cast<int>(own))});
    EXPECT_EQ(holder.read_line(), "ready");
    return holder;
  }
  /// Takes it here.
  Result<void> take(const std::string& at) {
    if (listens()) {
      BULKHEAD_TRY(listen_at(at));
    } else {
      BULKHEAD_TRY(connect_to(at));
    }
    return {};
  }
};
INSTANTIATE_TEST_SUITE_P(mechanisms, names,
                         testing::ValuesIn(rows_where(between_processes, with_addresses)),
                         row_name);

class names_of_others : public names {};
INSTANTIATE_TEST_SUITE_P(mechanisms, names_of_others,
                         testing::ValuesIn(rows_where(between_processes, with_listener,
                                                      that_keep_others_out)),
                         row_name);

TEST_P(names, of_a_live_process_are_refused_with_its_pid) {
  const std::string at = address();
  auto holder = start_holder(at);
  auto second = take(at);
  ASSERT_TRUE(fails(second, ErrorKind::exists));
  if (GetParam().tells_owner) {
    EXPECT_THAT(second.error().sentence(), testing::HasSubstr(std::to_string(holder.pid())));
  }
  if (listens()) {
    EXPECT_TRUE(ok(connect_to(at))) << "and the owner keeps it";
  }
  holder.close_input();
  EXPECT_EQ(holder.wait(), 0);
}

TEST_P(names, of_a_dead_process_are_taken_over) {
  const std::string at = address();
  for (int i = 0; i < 20; ++i) {
    auto holder = start_holder(at);
    holder.kill();
    holder.wait();
    if (listens() && GetParam().tells_nobody_there) {
      EXPECT_TRUE(fails(connect_to(at, 1s), ErrorKind::not_found));
    }
  }
  if (!listens()) {
    EXPECT_TRUE(ok(take(at)));
    return;
  }
  auto listener = listen_at(at);
  ASSERT_TRUE(ok(listener));
  auto client = connect_to(at);
  ASSERT_TRUE(ok(client));
  auto server = listener->accept(20s);
  ASSERT_TRUE(ok(server));
  expect_works(*client, *server);
}

TEST_P(names_of_others, let_no_other_user_in) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  const std::string at = address();
  auto listener = or_throw(listen_at(at));
  auto stranger = test::Child::start(
      "channel_peer",
      {"come_as_nobody", at, std::to_string(static_cast<int>(options().direction))});
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
