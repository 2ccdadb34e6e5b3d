// SPDX-License-Identifier: Apache-2.0
//
// Every wait ends: by its deadline, by the close of this end, by the close of the other; and what a
// deadline cut short has left nothing behind.
#include "conformance/conformance.hpp"

namespace bulkhead::conformance {
namespace {

class deadlines : public Conformance {};
INSTANTIATE_TEST_SUITE_P(mechanisms, deadlines, testing::ValuesIn(rows()), row_name);

class deadlines_in_order : public Conformance {};
INSTANTIATE_TEST_SUITE_P(mechanisms, deadlines_in_order, testing::ValuesIn(rows_where(reliable)),
                         row_name);

class deadlines_held_back : public Conformance {};
INSTANTIATE_TEST_SUITE_P(mechanisms, deadlines_held_back,
                         testing::ValuesIn(rows_where(reliable, that_hold_back)), row_name);

TEST_P(deadlines, end_a_receive_that_nobody_answers) {
  auto [here, there] = make_pair();
  const auto before = Deadline::Clock::now();
  auto got = there.receive(30ms);
  EXPECT_TRUE(fails(got, ErrorKind::timed_out));
  EXPECT_GE(Deadline::Clock::now() - before, 30ms);
  EXPECT_THAT(got.error().sentence(), testing::StartsWith("receive "));
  EXPECT_TRUE(fails(there.receive_view(1ms), ErrorKind::timed_out));
  EXPECT_TRUE(fails(there.receive(-1s), ErrorKind::timed_out));
  expect_works(here, there);
}

TEST_P(deadlines_held_back, end_a_send_that_finds_no_room_and_nothing_of_it_is_seen) {
  auto [here, there] = make_pair_of(64 * 1024);
  std::uint64_t sent = 0;
  while (here.send(content(sent, 3000), 20ms)) ++sent;
  EXPECT_TRUE(fails(here.send(content(sent, 3000), 5ms), ErrorKind::timed_out));
  EXPECT_TRUE(fails(here.loan(30'000, 5ms), ErrorKind::timed_out));
  for (std::uint64_t i = 0; i < sent; ++i) {
    auto got = there.receive(20s);
    ASSERT_TRUE(ok(got));
    ASSERT_TRUE(has_content(got->bytes(), i, 3000));
  }
  EXPECT_TRUE(fails(there.try_receive(), ErrorKind::empty));
  expect_works(here, there);
}

TEST_P(deadlines_held_back, in_the_middle_of_a_large_message_take_it_back_whole) {
  auto [here, there] = make_pair_of(64 * 1024);
  const auto large = content(1, 3'000'000);
  ASSERT_TRUE(ok(here.send(as_bytes("before"), 20s)));
  EXPECT_TRUE(fails(here.send(large, 30ms), ErrorKind::timed_out));
  EXPECT_TRUE(fails(here.send(large, 30ms), ErrorKind::timed_out));
  std::jthread sender{[&, &from = here] {
    EXPECT_TRUE(ok(from.send(as_bytes("after"), 20s)));
    EXPECT_TRUE(ok(from.send(large, 20s)));
    EXPECT_TRUE(ok(from.send(as_bytes("last"), 20s)));
  }};
  auto before = there.receive(20s);
  ASSERT_TRUE(ok(before));
  EXPECT_EQ(before->text(), "before");
  auto after = there.receive(20s);
  ASSERT_TRUE(ok(after));
  EXPECT_EQ(after->text(), "after");
  auto whole = there.receive(20s);
  ASSERT_TRUE(ok(whole));
  EXPECT_TRUE(has_content(whole->bytes(), 1, large.size()));
  auto last = there.receive(20s);
  ASSERT_TRUE(ok(last));
  EXPECT_EQ(last->text(), "last");
}

TEST_P(deadlines_in_order, of_the_receiver_in_the_middle_of_a_large_message_lose_nothing) {
  auto [here, there] = make_pair_of(64 * 1024);
  const auto large = content(1, 2'000'000);
  std::jthread sender{[&, &from = here] {
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(ok(from.send(large, 20s)));
  }};
  for (int i = 0; i < 5; ++i) {
    for (;;) {
      auto got = there.receive(10us);
      if (!got && got.error() == ErrorKind::timed_out) continue;
      ASSERT_TRUE(ok(got));
      EXPECT_TRUE(has_content(got->bytes(), 1, large.size()));
      break;
    }
  }
}

TEST_P(deadlines, do_not_stop_what_is_there_already) {
  auto [here, there] = make_pair();
  ASSERT_TRUE(ok(here.send(as_bytes("there"), -1s)));
  auto got = there.receive(-1s);
  ASSERT_TRUE(ok(got));
  EXPECT_EQ(got->text(), "there");
}

class endings : public Conformance {};
INSTANTIATE_TEST_SUITE_P(mechanisms, endings, testing::ValuesIn(rows()), row_name);

class endings_that_are_told : public Conformance {};
INSTANTIATE_TEST_SUITE_P(mechanisms, endings_that_are_told,
                         testing::ValuesIn(rows_where(reliable, that_tell_close)), row_name);

TEST_P(endings_that_are_told, deliver_all_messages_and_then_say_closed) {
  for (std::size_t way = 0; way < way_count(); ++way) {
    auto ends = make_pair();
    auto [sending, receiving] = ways(ends)[way];
    const auto count = std::min<std::uint64_t>(30, GetParam().unread_messages);
    for (std::uint64_t i = 0; i < count; ++i)
      ASSERT_TRUE(ok(sending.send(content(i, 50 * i), 20s)));
    sending.close();
    sending.close();
    for (std::uint64_t i = 0; i < count; ++i) {
      auto got = receiving.receive(20s);
      ASSERT_TRUE(ok(got));
      EXPECT_TRUE(has_content(got->bytes(), i, 50 * i));
    }
    auto ended = receiving.receive(20s);
    EXPECT_TRUE(fails(ended, ErrorKind::closed));
    EXPECT_THAT(ended.error().sentence(), testing::HasSubstr("the peer has closed"));
    EXPECT_TRUE(fails(receiving.try_receive(), ErrorKind::closed));
    EXPECT_TRUE(fails(receiving.receive_view(20s), ErrorKind::closed));
  }
}

TEST_P(endings_that_are_told, of_a_full_channel_are_orderly_too) {
  auto [here, there] = make_pair_of(64 * 1024);
  std::uint64_t sent = 0;
  while (sent < 5'000 && here.try_send(content(sent, 500))) ++sent;
  here.close();
  for (std::uint64_t i = 0; i < sent; ++i) {
    auto got = there.receive(20s);
    ASSERT_TRUE(ok(got));
    ASSERT_TRUE(has_content(got->bytes(), i, 500));
  }
  EXPECT_TRUE(fails(there.receive(20s), ErrorKind::closed));
}

TEST_P(endings_that_are_told, by_destruction_are_orderly) {
  auto ends = make_pair();
  {
    const Channel gone = std::move(ends.here);
    const Channel moved_to_and_back = Channel{std::move(const_cast<Channel&>(gone))};
  }
  EXPECT_TRUE(fails(ends.there.receive(20s), ErrorKind::closed));
  if (GetParam().both_ways()) {
    EXPECT_TRUE(fails(ends.there.send(as_bytes("late"), 20s), ErrorKind::closed));
  }
}

TEST_P(endings_that_are_told, wake_a_receive) {
  for (int i = 0; i < sanitized(100, 25); ++i) {
    auto ends = make_pair();
    std::jthread receiver{
        [&] { EXPECT_TRUE(fails(ends.there.receive(never), ErrorKind::closed)); }};
    if (i % 2 == 0) std::this_thread::yield();
    ends.here.close();
  }
}

TEST_P(endings_that_are_told, of_an_end_that_was_never_used_are_orderly) {
  for (int use = 0; use < 2; ++use) {
    auto ends = make_pair();
    if (use == 1) {
      EXPECT_TRUE(fails(ends.there.try_receive(), ErrorKind::empty));
    }
    ends.here.close();
    EXPECT_TRUE(fails(ends.there.receive(20s), ErrorKind::closed));
  }
  const auto unused = make_pair();
}

class endings_of_the_reader : public Conformance {};
INSTANTIATE_TEST_SUITE_P(mechanisms, endings_of_the_reader,
                         testing::ValuesIn(rows_where(reliable, that_tell_no_reader)), row_name);

TEST_P(endings_of_the_reader, reach_a_sender_whose_messages_nobody_will_read) {
  auto ends = make_pair();
  const bool answers = GetParam().both_ways();
  if (answers) {
    ASSERT_TRUE(ok(ends.there.send(as_bytes("unread"), 20s)));
  }
  ASSERT_TRUE(ok(ends.here.send(as_bytes("answer"), 20s)));
  ends.there.close();
  // A mechanism with room may take some more before it looks; then it says so, and for ever.
  Result<void> sent;
  for (int i = 0; i < 1'000'000 && sent; ++i) sent = ends.here.send(as_bytes("more"), 20s);
  EXPECT_TRUE(fails(sent, ErrorKind::closed));
  EXPECT_TRUE(fails(ends.here.send(as_bytes("more"), 20s), ErrorKind::closed));
  if (!answers) return;
  auto kept = ends.here.receive(20s);
  ASSERT_TRUE(ok(kept)) << "what the peer had sent before it closed is still there";
  EXPECT_EQ(kept->text(), "unread");
  EXPECT_TRUE(fails(ends.here.receive(20s), ErrorKind::closed));
}

TEST_P(endings_of_the_reader, wake_a_send_and_a_receive) {
  if (!GetParam().holds_back) return;  // then no send waits
  for (int i = 0; i < sanitized(100, 25); ++i) {
    auto ends = make_pair_of(64 * 1024);
    while (ends.here.try_send(content(1, 3000))) {
    }
    std::jthread receiver;
    if (GetParam().both_ways()) {
      receiver =
          std::jthread{[&] { EXPECT_TRUE(fails(ends.here.receive(never), ErrorKind::closed)); }};
    }
    std::jthread sender{
        [&] { EXPECT_TRUE(fails(ends.here.send(content(1, 500'000), never), ErrorKind::closed)); }};
    if (i % 2 == 0) std::this_thread::yield();
    ends.there.close();
  }
}

TEST_P(endings, of_this_end_refuse_every_call_here) {
  auto ends = make_pair();
  for (Channel* end : {&ends.here, &ends.there}) {
    const bool sends = GetParam().both_ways() || end == &ends.here;
    const bool receives = GetParam().both_ways() || end == &ends.there;
    if (sends) {
      ASSERT_TRUE(ok(end->send(as_bytes("not read by us"), 20s)));
    }
    end->close();
    if (sends) {
      EXPECT_TRUE(fails(end->send(as_bytes("x"), 20s), ErrorKind::closed));
      EXPECT_TRUE(fails(end->try_send(as_bytes("x")), ErrorKind::closed));
      EXPECT_TRUE(fails(end->loan(8, 20s), ErrorKind::closed));
    }
    if (receives) {
      EXPECT_TRUE(fails(end->receive(20s), ErrorKind::closed));
      EXPECT_TRUE(fails(end->try_receive(), ErrorKind::closed));
      EXPECT_THAT(end->receive(20s).error().sentence(), testing::HasSubstr("this end"));
    }
    if (GetParam().hands_over) {
      EXPECT_TRUE(fails(std::move(*end).into_handle(), ErrorKind::closed));
    }
    ends = make_pair();
  }
}

TEST_P(endings, by_another_thread_wake_a_receive) {
  for (int i = 0; i < sanitized(200, 50); ++i) {
    auto ends = make_pair();
    std::jthread receiver{[&] {
      const test::Waiting waiting{"the close of the own end"};
      EXPECT_TRUE(fails(ends.there.receive(never), ErrorKind::closed));
    }};
    if (i % 2 == 0) std::this_thread::yield();
    ends.there.close();
  }
}

TEST_P(deadlines_held_back, are_not_needed_when_another_thread_closes_during_a_send) {
  for (int i = 0; i < sanitized(100, 25); ++i) {
    auto ends = make_pair_of(64 * 1024);
    while (ends.here.try_send(content(1, 3000))) {
    }
    std::jthread sender{[&] {
      const test::Waiting waiting{"the close of the own end"};
      EXPECT_TRUE(fails(ends.here.send(content(1, 500'000), never), ErrorKind::closed));
    }};
    if (i % 2 == 0) std::this_thread::yield();
    ends.here.close();
  }
}

}  // namespace
}  // namespace bulkhead::conformance
