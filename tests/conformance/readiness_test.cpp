// SPDX-License-Identifier: Apache-2.0
//
// Waiting from outside: the descriptors of a channel in poll, in a WaitSet, and in Asio's loop.
#pragma GCC diagnostic ignored "-Wpragmas"
// GCC 12 takes a coroutine frame's own operator new and delete for a mismatched pair (bug 109224).
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#include <atomic>

#include <bulkhead/asio.hpp>
#include <bulkhead/wait_set.hpp>

#include "conformance/conformance.hpp"
#include "os/poll.hpp"

namespace bulkhead::conformance {
namespace {

class readiness : public Conformance {
 protected:
  static bool is_ready(FdView fd) { return *os::poll_one(fd, POLLIN, os::no_wait) != 0; }
  static bool becomes_ready(FdView fd) { return *os::poll_one(fd, POLLIN, 20s) != 0; }

  /// Reads until there is nothing: what the rules ask for before one waits.
  static int drain(Channel& channel) {
    int count = 0;
    while (channel.try_receive()) ++count;
    return count;
  }
};
INSTANTIATE_TEST_SUITE_P(mechanisms, readiness, testing::ValuesIn(rows()), row_name);

class readiness_held_back : public readiness {};
INSTANTIATE_TEST_SUITE_P(mechanisms, readiness_held_back,
                         testing::ValuesIn(rows_where(reliable, that_hold_back)), row_name);

TEST_P(readiness, to_receive_follows_the_messages) {
  auto [here, there] = make_pair();
  ASSERT_TRUE(ok(here.send(as_bytes("before anybody looked"), 20s)));
  const FdView fd = or_throw(there.readable());
  EXPECT_TRUE(becomes_ready(fd));
  EXPECT_EQ(drain(there), 1);
  for (int i = 0; i < 100; ++i) {
    // A stale bell may ring once more; then it is quiet.
    for (int tries = 0; is_ready(fd) && tries < 5; ++tries) drain(there);
    EXPECT_FALSE(is_ready(fd));
    ASSERT_TRUE(ok(here.send(as_bytes("one"), 20s)));
    ASSERT_TRUE(ok(here.send(as_bytes("two"), 20s)));
    EXPECT_TRUE(becomes_ready(fd));
    EXPECT_EQ(drain(there), 2);
  }
  if (!GetParam().tells_close) return;
  here.close();
  EXPECT_TRUE(becomes_ready(fd)) << "an end is something to say";
  EXPECT_TRUE(fails(there.try_receive(), ErrorKind::closed));
}

TEST_P(readiness_held_back, to_send_follows_the_room) {
  auto [here, there] = make_pair_of(64 * 1024);
  const FdView fd = or_throw(here.writable());
  for (int i = 0; i < 20; ++i) {
    int sent = 0;
    for (;;) {
      auto result = here.try_send(content(1, 5000));
      if (result) {
        ++sent;
        continue;
      }
      ASSERT_TRUE(fails(result, ErrorKind::full));
      if (!is_ready(fd)) break;
    }
    for (; sent > 0; --sent) ASSERT_TRUE(ok(there.receive(20s)));
    EXPECT_TRUE(becomes_ready(fd));
  }
  if (!GetParam().tells_no_reader) return;
  there.close();
  EXPECT_TRUE(becomes_ready(fd));
}

TEST_P(readiness, wakes_a_thread_that_polls) {
  auto ends = make_pair();
  const int count = sanitized(3'000, 500);
  std::atomic<int> received{0};
  std::jthread sender{[&] {
    for (int i = 0; i < count; ++i) {
      ASSERT_TRUE(ok(ends.here.send(as_bytes("x"), 20s)));
      if (i % 7 == 0) std::this_thread::yield();
      while (GetParam().lossy() && i - received > 20 && !HasFailure()) std::this_thread::yield();
    }
  }};
  const FdView fd = or_throw(ends.there.readable());
  while (received < count) {
    received += drain(ends.there);
    if (received < count) {
      ASSERT_TRUE(becomes_ready(fd)) << received;
    }
  }
}

TEST_P(readiness, of_many_channels_comes_with_their_keys) {
  auto set = or_throw(WaitSet::create());
  std::vector<Ends> ends;
  for (std::uint64_t i = 0; i < 10; ++i) {
    ends.push_back(make_pair());
    ASSERT_TRUE(ok(set.add(ends.back().there, i)));
    EXPECT_TRUE(fails(ends.back().there.try_receive(), ErrorKind::empty));
  }
  for (int tries = 0; tries < 5 && set.wait(os::no_wait); ++tries) {
    for (auto& end : ends) drain(end.there);
  }
  EXPECT_TRUE(fails(set.wait(1ms), ErrorKind::timed_out));
  EXPECT_TRUE(fails(set.add(ends[0].there, 3), ErrorKind::exists));
  for (std::uint64_t i = 0; i < 10; ++i) {
    ASSERT_TRUE(ok(ends[i].here.send(as_bytes("x"), 20s)));
    auto ready = set.wait(20s);
    ASSERT_TRUE(ok(ready));
    EXPECT_THAT(*ready, testing::ElementsAre(i));
    EXPECT_EQ(drain(ends[i].there), 1);
    for (int tries = 0; tries < 5 && set.wait(os::no_wait); ++tries) drain(ends[i].there);
  }
  ASSERT_TRUE(ok(set.remove(4)));
  EXPECT_TRUE(fails(set.remove(4), ErrorKind::not_found));
  ends[4].here.close();
  EXPECT_TRUE(fails(set.wait(1ms), ErrorKind::timed_out));
  if (!GetParam().tells_close) return;
  ends[5].here.close();
  EXPECT_THAT(*set.wait(20s), testing::ElementsAre(5u));
}

class coroutines : public Conformance {};
INSTANTIATE_TEST_SUITE_P(mechanisms, coroutines, testing::ValuesIn(rows()), row_name);

bool that_serve(const Row& row) { return with_listener(row) && many_clients(row); }

class coroutines_at_a_listener : public Conformance {};
INSTANTIATE_TEST_SUITE_P(mechanisms, coroutines_at_a_listener,
                         testing::ValuesIn(rows_where(reliable, both_ways, that_serve)), row_name);

class coroutines_in_order : public Conformance {};
INSTANTIATE_TEST_SUITE_P(mechanisms, coroutines_in_order, testing::ValuesIn(rows_where(reliable)),
                         row_name);

asio::awaitable<void> echo(Channel channel) {
  for (;;) {
    auto message = co_await channel.async_receive(never, asio::use_awaitable);
    if (!message) {
      EXPECT_TRUE(fails(message, ErrorKind::closed));
      co_return;
    }
    auto sent = co_await channel.async_send(*std::move(message), never, asio::use_awaitable);
    EXPECT_TRUE(ok(sent));
  }
}

asio::awaitable<void> serve(Listener& listener, int clients) {
  const auto executor = co_await asio::this_coro::executor;
  for (int i = 0; i < clients; ++i) {
    auto channel = co_await listener.async_accept(never, asio::use_awaitable);
    EXPECT_TRUE(ok(channel));
    if (channel) asio::co_spawn(executor, echo(*std::move(channel)), asio::detached);
  }
  const Deadline soon = 1ms;
  auto nobody = co_await listener.async_accept(soon, asio::use_awaitable);
  EXPECT_TRUE(fails(nobody, ErrorKind::timed_out));
}

asio::awaitable<void> ask(std::string at, std::uint64_t from, int& finished) {
  auto channel = or_throw(connect(at, 20s));
  for (std::uint64_t i = from; i < from + 20; ++i) {
    Message question(content(i, i * 100));
    auto sent = co_await channel.async_send(std::move(question), never, asio::use_awaitable);
    EXPECT_TRUE(ok(sent));
    auto answer = co_await channel.async_receive(never, asio::use_awaitable);
    EXPECT_TRUE(ok(answer));
    EXPECT_TRUE(answer && has_content(answer->bytes(), i, i * 100));
  }
  const Deadline soon = 2ms;
  auto nothing = co_await channel.async_receive(soon, asio::use_awaitable);
  EXPECT_TRUE(fails(nothing, ErrorKind::timed_out));
  ++finished;
}

TEST_P(coroutines_at_a_listener, serve_many_clients_in_one_thread) {
  asio::io_context io;
  const std::string at = address();
  auto listener = or_throw(listen_at(at));
  int finished = 0;
  asio::co_spawn(io, serve(listener, 8), asio::detached);
  for (std::uint64_t client = 0; client < 8; ++client) {
    asio::co_spawn(io, ask(at, client * 3, finished), asio::detached);
  }
  io.run();
  EXPECT_EQ(finished, 8);
}

asio::awaitable<void> send_large(Channel& channel, const std::vector<std::byte>& bytes) {
  for (int i = 0; i < 3; ++i) {
    Message message(bytes);
    auto sent = co_await channel.async_send(std::move(message), never, asio::use_awaitable);
    EXPECT_TRUE(ok(sent));
  }
}

asio::awaitable<void> receive_large(Channel& channel, const std::vector<std::byte>& bytes,
                                    int& count) {
  for (int i = 0; i < 3; ++i) {
    auto got = co_await channel.async_receive(never, asio::use_awaitable);
    EXPECT_TRUE(ok(got));
    if (!got) co_return;
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), got->bytes().begin(), got->bytes().end()));
    ++count;
  }
}

TEST_P(coroutines_in_order, stream_messages_larger_than_the_channel) {
  asio::io_context io;
  auto [here, there] = make_pair_of(64 * 1024);
  const auto bytes = content(1, 1'000'000);
  int count = 0;
  asio::co_spawn(io, send_large(here, bytes), asio::detached);
  asio::co_spawn(io, receive_large(there, bytes, count), asio::detached);
  io.run();
  EXPECT_EQ(count, 3);
}

TEST_P(coroutines, are_cancelled_by_their_slot_and_lose_nothing) {
  asio::io_context io;
  auto [here, there] = make_pair();
  asio::cancellation_signal cancel;
  bool cancelled = false;
  auto note = [&](Result<Message> got) {
    EXPECT_TRUE(fails(got, ErrorKind::cancelled));
    cancelled = true;
  };
  there.async_receive(
      never, asio::bind_cancellation_slot(cancel.slot(), asio::bind_executor(io, std::move(note))));
  io.poll();
  asio::post(io, [&] { cancel.emit(asio::cancellation_type::all); });
  io.run();
  EXPECT_TRUE(cancelled);
  expect_works(here, there);
}

TEST_P(coroutines, end_when_their_channel_is_destroyed) {
  asio::io_context io;
  auto ends = make_pair();
  auto gone = std::make_unique<Channel>(std::move(ends.there));
  ErrorKind kind{};
  gone->async_receive(never, asio::bind_executor(io, [&](Result<Message> got) {
                        if (!got) kind = got.error().kind();
                      }));
  io.poll();
  asio::post(io, [&] { gone.reset(); });
  io.run();
  EXPECT_EQ(kind, ErrorKind::closed);
}

TEST_P(coroutines_at_a_listener, run_on_a_pool_of_threads_threaded) {
  asio::io_context io;
  const std::string at = address();
  auto listener = or_throw(listen_at(at));
  int finished[4] = {};
  asio::co_spawn(asio::make_strand(io), serve(listener, 4), asio::detached);
  for (std::uint64_t client = 0; client < 4; ++client) {
    asio::co_spawn(asio::make_strand(io), ask(at, client * 3, finished[client]), asio::detached);
  }
  std::vector<std::jthread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back([&] { io.run(); });
  threads.clear();
  for (const int one : finished) EXPECT_EQ(one, 1);
}

}  // namespace
}  // namespace bulkhead::conformance
