// SPDX-License-Identifier: Apache-2.0
//
// Calls and services inside an Asio event loop.
#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>
#include <chrono>
#include <gtest/gtest.h>
#include <string>
#include <thread>

#include <bulkhead/asio.hpp>
#include <bulkhead/channel.hpp>
#include <bulkhead/service.hpp>

namespace garden {

struct Gardener {
  int water(int plants);
  bulkhead::Result<std::string> read(std::string book);
  int sleep();
  void note(std::string text);
};
BULKHEAD_INTERFACE(Gardener, water, read, sleep, note)

}  // namespace garden

namespace {

using namespace bulkhead;
using namespace std::chrono_literals;

struct Human {
  int water(int plants) { return plants + 1; }
  Result<std::string> read(const std::string& book) {
    if (book.empty()) return fail(ErrorKind::not_found);
    return "read " + book;
  }
  /// Until the test says so, whatever its caller wants; and until it has been cancelled.
  int sleep() {
    while (!this_call::cancelled()) std::this_thread::yield();
    may_wake->wait(false);
    return 0;
  }
  void note(const std::string& text) { notes += text; }
  std::atomic<bool>* may_wake = nullptr;
  std::string notes{};
};

class service_async_threaded : public testing::TestWithParam<Mechanism> {};
INSTANTIATE_TEST_SUITE_P(mechanisms, service_async_threaded,
                         testing::Values(Mechanism::inproc, Mechanism::unix_socket, Mechanism::shm),
                         [](const auto& chosen) { return std::string(to_string(chosen.param)); });

TEST_P(service_async_threaded, a_coroutine_awaits_calls_to_a_server_in_another_thread) {
  auto ends = or_throw(pair(GetParam()));
  std::thread server([&] { EXPECT_TRUE(serve<garden::Gardener>(ends.second, Human{})); });
  asio::io_context loop;
  int right = 0;
  const auto work = [&]() -> asio::awaitable<void> {
    const Remote<garden::Gardener> remote{ends.first, {.deadline = 50s}};
    for (int i = 0; i < 100; ++i) {
      const auto watered = co_await remote.async_water(i, asio::use_awaitable);
      right += watered && *watered == i + 1;
    }
    const std::string nothing;
    const auto missing = co_await remote.async_read(nothing, asio::use_awaitable);
    EXPECT_EQ(missing.error(), ErrorKind::not_found);
  };
  asio::co_spawn(loop, work, asio::detached);
  loop.run();
  EXPECT_EQ(right, 100);
  ends.first.close();
  server.join();
}

TEST_P(service_async_threaded, one_way_calls_to_a_peer_that_does_not_read_are_queued_in_order) {
  // Nobody reads: a call that waited would hang this thread, as nobody else runs the loop.
  auto ends = or_throw(pair(GetParam(), {.capacity_bytes = 4096}));
  asio::io_context loop;
  const Remote<garden::Gardener> remote{ends.first};
  std::string expected;
  int sent = 0;
  for (int i = 0; i < 500; ++i) {
    const std::string note(20 + i % 100, static_cast<char>('a' + i % 26));
    expected += note;
    remote.async_note(
        note, asio::bind_executor(loop, [&](const Result<void>& done) { sent += done ? 1 : 0; }));
  }
  loop.poll();
  EXPECT_EQ(sent, 500);
  Human human;
  std::thread server([&] { EXPECT_TRUE(serve<garden::Gardener>(ends.second, human)); });
  // The last one is followed by a call, so that all have arrived when that is answered.
  remote.async_water(1, asio::bind_executor(loop, [&](const Result<int>& watered) {
                       EXPECT_TRUE(watered) << watered.error();
                     }));
  loop.restart();
  loop.run();
  ends.first.close();
  server.join();
  EXPECT_EQ(human.notes, expected);
}

TEST_P(service_async_threaded, a_peer_that_never_reads_is_full_in_the_end) {
  auto ends = or_throw(pair(GetParam(), {.capacity_bytes = 4096}));
  asio::io_context loop;
  const Remote<garden::Gardener> remote{ends.first};
  const std::string note(8000, 'x');
  std::optional<Error> refused;
  for (int i = 0; i < 3000 && !refused; ++i) {
    remote.async_note(note, asio::bind_executor(loop, [&](const Result<void>& done) {
                        if (!done) refused = done.error();
                      }));
    loop.poll();
    loop.restart();
  }
  ASSERT_TRUE(refused);
  EXPECT_EQ(*refused, ErrorKind::full);
}

TEST_P(service_async_threaded,
       a_blocking_call_overtakes_a_half_sent_one_way_call_and_harms_it_not) {
  auto ends = or_throw(pair(GetParam(), {.capacity_bytes = 4096}));
  asio::io_context loop;
  const Remote<garden::Gardener> remote{ends.first, {.deadline = 50s}};
  const std::string large(300'000, 'l');
  remote.async_note(large, asio::bind_executor(loop, [](const Result<void>& done) {
                      EXPECT_TRUE(done) << done.error();
                    }));
  loop.poll();
  Human human;
  std::thread server([&] { EXPECT_TRUE(serve<garden::Gardener>(ends.second, human)); });
  EXPECT_EQ(or_throw(remote.water(1)), 2);
  remote.async_water(2, asio::bind_executor(loop, [&](const Result<int>& watered) {
                       EXPECT_TRUE(watered) << watered.error();
                     }));
  loop.restart();
  loop.run();
  ends.first.close();
  server.join();
  EXPECT_EQ(human.notes, large);
}

TEST_P(service_async_threaded, client_and_server_live_in_one_event_loop) {
  auto ends = or_throw(pair(GetParam()));
  asio::io_context loop;
  Human human;
  bool ended = false;
  int right = 0;
  async_serve<garden::Gardener>(ends.second, human,
                                asio::bind_executor(loop, [&](const Result<void>& outcome) {
                                  EXPECT_TRUE(outcome) << outcome.error();
                                  ended = true;
                                }));
  const auto work = [&]() -> asio::awaitable<void> {
    const Remote<garden::Gardener> remote{ends.first, {.deadline = 50s}};
    for (int i = 0; i < 300; ++i) {
      const auto watered = co_await remote.async_water(i, asio::use_awaitable);
      right += watered && *watered == i + 1;
    }
    ends.first.close();
  };
  asio::co_spawn(loop, work, asio::detached);
  loop.run();
  EXPECT_EQ(right, 300);
  EXPECT_TRUE(ended);
}

TEST_P(service_async_threaded, many_calls_are_in_flight_at_once) {
  auto ends = or_throw(pair(GetParam()));
  std::thread server([&] { EXPECT_TRUE(serve<garden::Gardener>(ends.second, Human{})); });
  asio::io_context loop;
  const Remote<garden::Gardener> remote{ends.first, {.deadline = 50s}};
  int right = 0;
  for (int i = 0; i < 500; ++i) {
    remote.async_water(i, asio::bind_executor(loop, [&, i](const Result<int>& watered) {
                         right += watered && *watered == i + 1;
                       }));
  }
  loop.run();
  EXPECT_EQ(right, 500);
  ends.first.close();
  server.join();
}

TEST_P(service_async_threaded, a_blocking_call_beside_the_event_loop_disturbs_nobody) {
  auto ends = or_throw(pair(GetParam()));
  std::thread server([&] { EXPECT_TRUE(serve<garden::Gardener>(ends.second, Human{})); });
  asio::io_context loop;
  const Remote<garden::Gardener> remote{ends.first, {.deadline = 50s}};
  int right = 0;
  const auto work = [&]() -> asio::awaitable<void> {
    for (int i = 0; i < 200; ++i) {
      const auto watered = co_await remote.async_water(i, asio::use_awaitable);
      right += watered && *watered == i + 1;
    }
  };
  asio::co_spawn(loop, work, asio::detached);
  std::thread runner([&] { loop.run(); });
  for (int i = 0; i < 200; ++i) EXPECT_EQ(*remote.water(i), i + 1);
  runner.join();
  EXPECT_EQ(right, 200);
  ends.first.close();
  server.join();
}

TEST_P(service_async_threaded, a_deadline_and_a_cancellation_end_an_asynchronous_call) {
  auto ends = or_throw(pair(GetParam()));
  std::atomic<bool> may_wake{false};
  std::thread server(
      [&] { EXPECT_TRUE(serve<garden::Gardener>(ends.second, Human{.may_wake = &may_wake})); });
  asio::io_context loop;
  const Remote<garden::Gardener> remote{ends.first, {.deadline = 50s}};
  std::optional<ErrorKind> late;
  within(10ms, remote).async_sleep(asio::bind_executor(loop, [&](const Result<int>& outcome) {
    late = outcome.error().kind();
  }));
  loop.run();
  EXPECT_EQ(late, ErrorKind::timed_out);
  may_wake = true;
  may_wake.notify_all();

  loop.restart();
  asio::cancellation_signal signal;
  std::optional<ErrorKind> cancelled;
  remote.async_sleep(asio::bind_executor(
      loop, asio::bind_cancellation_slot(signal.slot(), [&](const Result<int>& outcome) {
        cancelled = outcome.error().kind();
      })));
  asio::post(loop, [&] { signal.emit(asio::cancellation_type::terminal); });
  loop.run();
  EXPECT_EQ(cancelled, ErrorKind::cancelled);
  EXPECT_EQ(*remote.water(1), 2);
  ends.first.close();
  server.join();
}

TEST_P(service_async_threaded, the_end_of_the_peer_completes_what_is_under_way) {
  auto ends = or_throw(pair(GetParam()));
  asio::io_context loop;
  const Remote<garden::Gardener> remote{ends.first, {.deadline = 50s}};
  int failed = 0;
  for (int i = 0; i < 5; ++i) {
    remote.async_water(
        i, asio::bind_executor(loop, [&](const Result<int>& watered) { failed += !watered; }));
  }
  asio::post(loop, [&] { ends.second.close(); });
  loop.run();
  EXPECT_EQ(failed, 5);
}

TEST(service_async, a_future_is_a_completion_token_like_others) {
  auto ends = or_throw(pair(Mechanism::inproc));
  std::thread server([&] { EXPECT_TRUE(serve<garden::Gardener>(ends.second, Human{})); });
  asio::io_context loop;
  const Remote<garden::Gardener> remote{ends.first, {.deadline = 50s}};
  auto watered = remote.async_water(41, asio::bind_executor(loop, asio::use_future));
  loop.run();
  EXPECT_EQ(*watered.get(), 42);
  ends.first.close();
  server.join();
}

}  // namespace
