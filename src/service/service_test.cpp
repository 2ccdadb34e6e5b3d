// SPDX-License-Identifier: Apache-2.0
//
// Calls, one-way calls, streams, cancellation and both directions, over a channel in this process.
#include <condition_variable>
#include <gtest/gtest.h>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include <bulkhead/channel.hpp>
#include <bulkhead/service.hpp>

#include "service/frame.hpp"

namespace shop {

struct Size {
  int width = 0;
  int height = 0;
  bool operator==(const Size&) const = default;
};

struct Image {
  Size size;
  std::vector<std::uint8_t> pixels;
  bool operator==(const Image&) const = default;
};

struct Decoder {
  bulkhead::Result<Image> decode(std::string png, Size limit);
  int add(int a, int b) const noexcept;
  void forget(std::string name);
  bulkhead::Result<void> check(bool good);
  bulkhead::Result<bulkhead::Stream<int>> count(int from, int to);
  std::int64_t budget_ms();
  bool wait_for_cancel();
  bulkhead::Result<std::string> talk(bulkhead::Channel channel);
  std::string what_throws();
};
BULKHEAD_INTERFACE(Decoder, decode, add, forget, check, count, budget_ms, wait_for_cancel, talk,
                   what_throws)

struct Encoder {
  bulkhead::Result<std::string> encode(Image image);
};
BULKHEAD_INTERFACE(Encoder, encode)

struct Liar {
  void forget(int what);
};
BULKHEAD_INTERFACE(Liar, forget)

struct Host {
  int answer(int question);
};
BULKHEAD_INTERFACE(Host, answer)

}  // namespace shop

namespace {

using namespace bulkhead;
using namespace std::chrono_literals;
using shop::Image;
using shop::Size;

struct PngDecoder {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> forgotten;
  std::atomic<bool> seen_cancel{false};
  std::atomic<bool> may_end{false};
  void let_end() {
    may_end = true;
    may_end.notify_all();
  }
  std::atomic<int> produced{0};

  Result<Image> decode(const std::string& png, Size limit) {
    if (png.empty())
      return fail(ErrorKind::invalid,
                  {.operation = "read", .object = "header", .cause = "it is empty"});
    return Image{limit, std::vector<std::uint8_t>(png.begin(), png.end())};
  }
  int add(int a, int b) const noexcept { return a + b; }
  void forget(std::string name) {
    const std::lock_guard guard(mutex);
    forgotten.push_back(std::move(name));
    changed.notify_all();
  }
  Result<void> check(bool good) {
    if (good) return {};
    return fail(ErrorKind::denied);
  }
  Result<Stream<int>> count(int from, int to) {
    if (to < from) return fail(ErrorKind::invalid);
    return Stream<int>::from([this, from, to]() mutable -> Result<std::optional<int>> {
      if (from == to) return std::optional<int>{};
      if (from == 666) return fail(ErrorKind::poisoned);
      ++produced;
      return std::optional{from++};
    });
  }
  std::int64_t budget_ms() {
    if (this_call::deadline().is_never()) return -1;
    return std::chrono::duration_cast<std::chrono::milliseconds>(this_call::deadline().remaining())
        .count();
  }
  /// Does not end before the test lets it, whatever its caller wants.
  bool wait_for_cancel() {
    while (!this_call::cancelled()) std::this_thread::yield();
    seen_cancel = true;
    seen_cancel.notify_all();
    may_end.wait(false);
    return true;
  }
  Result<std::string> talk(Channel channel) {
    auto message = channel.receive(5s);
    if (!message) return fail(std::move(message).error());
    return std::string(message->text());
  }
  std::string what_throws() { throw std::runtime_error("out of paper"); }
};

/// A server in a thread at the far end of a channel.
class Served {
 public:
  explicit Served(Mechanism mechanism = Mechanism::inproc, int threads = 1) {
    auto ends = or_throw(pair(mechanism));
    near.emplace(std::move(ends.first));
    far.emplace(std::move(ends.second));
    for (int i = 0; i < threads; ++i) {
      servers.emplace_back([this] { outcome = serve<shop::Decoder>(*far, decoder); });
    }
  }
  ~Served() {
    near.reset();
    for (auto& server : servers) server.join();
  }

  PngDecoder decoder;
  std::optional<Channel> near;
  std::optional<Channel> far;
  Result<void> outcome;
  std::vector<std::thread> servers;
};

class service_threaded : public testing::TestWithParam<Mechanism> {};
INSTANTIATE_TEST_SUITE_P(mechanisms, service_threaded,
                         testing::Values(Mechanism::inproc, Mechanism::unix_socket, Mechanism::shm),
                         [](const auto& chosen) { return std::string(to_string(chosen.param)); });

TEST_P(service_threaded, a_call_returns_the_value_of_the_function) {
  Served served{GetParam()};
  const Remote<shop::Decoder> remote{*served.near};
  const auto image = remote.decode("png", {3, 4});
  ASSERT_TRUE(image) << image.error();
  EXPECT_EQ(*image, (Image{{3, 4}, {'p', 'n', 'g'}}));
  EXPECT_EQ(*remote.add(2, 3), 5);
  EXPECT_TRUE(remote.check(true));
}

TEST_P(service_threaded, an_error_of_the_function_travels_with_its_words) {
  Served served{GetParam()};
  const Remote<shop::Decoder> remote{*served.near};
  const auto image = remote.decode("", {});
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error(), ErrorKind::invalid);
  EXPECT_EQ(image.error().cause(), "it is empty");
  EXPECT_EQ(remote.check(false).error(), ErrorKind::denied);
}

TEST_P(service_threaded, what_the_function_throws_is_an_error_in_words) {
  Served served{GetParam()};
  const auto outcome = Remote<shop::Decoder>{*served.near}.what_throws();
  ASSERT_FALSE(outcome);
  EXPECT_NE(outcome.error().sentence().find("out of paper"), std::string::npos);
}

TEST_P(service_threaded, a_one_way_call_is_not_waited_for_and_arrives_in_order) {
  Served served{GetParam()};
  const Remote<shop::Decoder> remote{*served.near};
  ASSERT_TRUE(remote.forget("a"));
  ASSERT_TRUE(remote.forget("b"));
  ASSERT_TRUE(remote.add(0, 0));  // behind them in the same channel
  // Over two mappings of one memory file ThreadSanitizer does not see that the answer came after.
  const std::lock_guard guard(served.decoder.mutex);
  EXPECT_EQ(served.decoder.forgotten, (std::vector<std::string>{"a", "b"}));
}

TEST_P(service_threaded, large_arguments_and_results_arrive_whole) {
  Served served{GetParam()};
  const Remote<shop::Decoder> remote{*served.near};
  const std::string large(3'000'000, 'x');
  const auto image = remote.decode(large, {1, 1});
  ASSERT_TRUE(image) << image.error();
  EXPECT_EQ(image->pixels.size(), large.size());
}

TEST_P(service_threaded, a_stream_yields_all_values_and_then_nothing) {
  Served served{GetParam()};
  const Remote<shop::Decoder> remote{*served.near};
  auto stream = remote.count(0, 200);
  ASSERT_TRUE(stream) << stream.error();
  for (int expected = 0; expected < 200; ++expected) {
    const auto value = stream->next(20s);
    ASSERT_TRUE(value) << value.error();
    ASSERT_TRUE(*value);
    ASSERT_EQ(**value, expected);
  }
  const auto after = stream->next(20s);
  ASSERT_TRUE(after) << after.error();
  EXPECT_FALSE(*after);
}

TEST_P(service_threaded, a_stream_that_fails_tells_the_error_after_its_values) {
  Served served{GetParam()};
  auto stream = Remote<shop::Decoder>{*served.near}.count(664, 700);
  ASSERT_TRUE(stream);
  EXPECT_EQ(**stream->next(20s), 664);
  EXPECT_EQ(**stream->next(20s), 665);
  EXPECT_EQ(stream->next(20s).error(), ErrorKind::poisoned);
  auto refused = Remote<shop::Decoder>{*served.near}.count(2, 1);
  ASSERT_TRUE(refused);  // it opens without waiting; the refusal comes with the first value
  EXPECT_EQ(refused->next(20s).error(), ErrorKind::invalid);
}

TEST_P(service_threaded, a_slow_consumer_stops_the_producer_and_others_get_on) {
  Served served{GetParam()};
  const Remote<shop::Decoder> remote{*served.near};
  auto stream = remote.count(0, 1'000'000);
  ASSERT_TRUE(stream);
  ASSERT_TRUE(stream->next(20s));
  for (int i = 0; i < 200; ++i) ASSERT_EQ(*remote.add(i, 1), i + 1);
  EXPECT_LE(served.decoder.produced, 40);
}

TEST_P(service_threaded, a_dropped_stream_is_cancelled_at_its_producer) {
  Served served{GetParam()};
  const Remote<shop::Decoder> remote{*served.near};
  {
    auto stream = remote.count(0, 1'000'000'000);
  }
  ASSERT_EQ(*remote.add(1, 1), 2);
  const int produced = served.decoder.produced;
  for (int i = 0; i < 50; ++i) ASSERT_EQ(*remote.add(1, 1), 2);
  EXPECT_EQ(served.decoder.produced, produced);
}

TEST_P(service_threaded, a_call_that_takes_too_long_times_out_and_is_cancelled) {
  Served served{GetParam()};
  const Remote<shop::Decoder> remote{*served.near, {.deadline = 20ms}};
  const auto outcome = remote.wait_for_cancel();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error(), ErrorKind::timed_out);
  EXPECT_EQ(outcome.error().operation(), "wait_for_cancel");
  served.decoder.seen_cancel.wait(false);
  served.decoder.let_end();
  EXPECT_EQ(*within(20s, remote).add(1, 2), 3);  // the late result disturbs nobody
}

TEST_P(service_threaded, within_sets_the_deadline_of_one_call) {
  Served served{GetParam()};
  const Remote<shop::Decoder> remote{*served.near, {.deadline = 1h}};
  const auto outcome = within(10ms, remote).wait_for_cancel();
  served.decoder.let_end();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error(), ErrorKind::timed_out);
}

TEST_P(service_threaded, a_server_knows_what_is_left_of_its_callers_deadline) {
  Served served{GetParam()};
  const Remote<shop::Decoder> remote{*served.near, {.deadline = 60s}};
  const auto left = remote.budget_ms();
  ASSERT_TRUE(left);
  EXPECT_GT(*left, 0);
  EXPECT_LE(*left, 60'000);
  EXPECT_LE(*within(10s, remote).budget_ms(), 10'000);
  EXPECT_EQ(*within(never, remote).budget_ms(), -1);
}

TEST_P(service_threaded, many_threads_share_one_remote) {
  Served served{GetParam(), 2};
  const Remote<shop::Decoder> remote{*served.near, {.deadline = 50s}};
  std::vector<std::thread> callers;
  std::atomic<int> right{0};
  for (int thread = 0; thread < 4; ++thread) {
    callers.emplace_back([&, thread] {
      for (int i = 0; i < 250; ++i) right += remote.add(thread, i).value_or(-1) == thread + i;
    });
  }
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(right, 1000);
}

TEST_P(service_threaded, an_untrusted_peers_one_way_call_that_does_not_exist_ends_the_session) {
  auto ends = or_throw(pair(GetParam(), {.trust = Trust::untrusted}));
  ASSERT_TRUE(Remote<shop::Liar>{ends.first}.forget(7));
  PngDecoder decoder;
  const auto outcome = serve<shop::Decoder>(ends.second, decoder, 20s);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error(), ErrorKind::incompatible);
}

TEST_P(service_threaded, an_equal_peers_one_way_call_that_does_not_exist_harms_nobody) {
  Served served{GetParam()};
  ASSERT_TRUE(Remote<shop::Liar>{*served.near}.forget(7));
  EXPECT_EQ(*Remote<shop::Decoder>{*served.near}.add(1, 1), 2);
}

TEST_P(service_threaded, a_missing_method_fails_that_call_alone_and_says_what_the_peer_serves) {
  Served served{GetParam()};
  const Remote<shop::Encoder> wrong{*served.near};
  const auto outcome = wrong.encode({});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error(), ErrorKind::incompatible);
  EXPECT_NE(outcome.error().sentence().find("Decoder"), std::string::npos);
  EXPECT_EQ(*Remote<shop::Decoder>{*served.near}.add(1, 1), 2);
}

TEST_P(service_threaded, the_end_of_the_peer_fails_every_call_under_way) {
  auto ends = or_throw(pair(GetParam()));
  const Remote<shop::Decoder> remote{ends.first, {.deadline = 50s}};
  std::vector<std::thread> callers;
  std::atomic<int> failed{0};
  for (int thread = 0; thread < 3; ++thread) {
    callers.emplace_back([&] {
      const auto outcome = remote.add(1, 1);
      failed += !outcome &&
                (outcome.error() == ErrorKind::closed || outcome.error() == ErrorKind::peer_died);
    });
  }
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(ends.second.receive(20s));
  ends.second.close();
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(failed, 3);
  EXPECT_FALSE(remote.add(1, 1));
}

TEST_P(service_threaded, both_ends_serve_and_call_over_one_channel) {
  struct HostSide {
    int answer(int question) { return question * 2; }
  };
  struct Both {
    Remote<shop::Host>* host = nullptr;
    int add(int a, int b) { return *host->answer(a) + *host->answer(b); }
  };
  auto ends = or_throw(pair(GetParam()));
  Remote<shop::Host> host{ends.second, {.deadline = 50s}};
  PngDecoder rest;
  HostSide host_side;
  std::thread host_server([&] { EXPECT_TRUE(serve<shop::Host>(ends.first, host_side)); });
  struct Mixed : PngDecoder {
    Remote<shop::Host>* host = nullptr;
    int add(int a, int b) { return *host->answer(a) + *host->answer(b); }
  } mixed;
  mixed.host = &host;
  std::thread decoder_server([&] { EXPECT_TRUE(serve<shop::Decoder>(ends.second, mixed)); });
  const Remote<shop::Decoder> remote{ends.first, {.deadline = 50s}};
  EXPECT_EQ(*remote.add(10, 11), 42);
  ends.first.close();
  host_server.join();
  decoder_server.join();
}

TEST_P(service_threaded, nested_calls_inherit_what_is_left_of_the_deadline) {
  // The middle asks the far end with its own default of an hour; the caller's 60 s win.
  Served far{GetParam()};
  struct Middle : PngDecoder {
    std::optional<Remote<shop::Decoder>> next;
    std::int64_t budget_ms() { return *next->budget_ms(); }
  } middle;
  middle.next.emplace(*far.near, RemoteOptions{.deadline = 1h});
  auto ends = or_throw(pair(GetParam()));
  std::thread server([&] { EXPECT_TRUE(serve<shop::Decoder>(ends.second, middle)); });
  const auto left = Remote<shop::Decoder>{ends.first, {.deadline = 60s}}.budget_ms();
  ASSERT_TRUE(left) << left.error();
  EXPECT_GT(*left, 0);
  EXPECT_LE(*left, 60'000);
  ends.first.close();
  server.join();
}

TEST_P(service_threaded, a_channel_travels_as_an_argument) {
  Served served{GetParam()};
  auto ends = or_throw(pair(GetParam()));
  const Remote<shop::Decoder> remote{*served.near, {.deadline = 20s}};
  ASSERT_TRUE(ends.first.send(as_bytes("through the other channel"), 5s));
  const auto heard = remote.talk(std::move(ends.second));
  ASSERT_TRUE(heard) << heard.error();
  EXPECT_EQ(*heard, "through the other channel");
}

TEST_P(service_threaded, two_sides_that_flood_each_other_both_get_on) {
  auto ends = or_throw(pair(GetParam(), {.capacity_bytes = 16 * 1024}));
  PngDecoder here;
  PngDecoder there;
  std::thread server_here([&] { EXPECT_TRUE(serve<shop::Decoder>(ends.first, here)); });
  std::thread server_there([&] { EXPECT_TRUE(serve<shop::Decoder>(ends.second, there)); });
  const auto flood = [](Channel& end) {
    const Remote<shop::Decoder> remote{end, {.deadline = 50s}};
    for (int i = 0; i < 300; ++i) EXPECT_TRUE(remote.decode(std::string(3000, 'x'), {1, 1}));
  };
  std::thread other([&] { flood(ends.second); });
  flood(ends.first);
  other.join();
  ends.first.close();
  server_here.join();
  server_there.join();
}

TEST(service, a_peer_that_sends_no_frame_loses_the_session_as_corrupt) {
  auto ends = or_throw(pair(Mechanism::inproc));
  const Remote<shop::Decoder> remote{ends.first, {.deadline = 20s}};
  ASSERT_TRUE(ends.second.send(as_bytes("not a frame"), 5s));
  const auto outcome = remote.add(1, 1);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error(), ErrorKind::corrupt);
}

TEST(service, a_frame_of_another_version_is_incompatible) {
  auto ends = or_throw(pair(Mechanism::inproc));
  const Remote<shop::Decoder> remote{ends.first, {.deadline = 20s}};
  service::FrameHeader header{.kind = 3};
  header.version = 77;
  ASSERT_TRUE(ends.second.send(std::as_bytes(std::span{&header, 1}), 5s));
  EXPECT_EQ(remote.add(1, 1).error(), ErrorKind::incompatible);
}

TEST(service, method_identities_differ_by_name_and_by_shape) {
  std::set<std::uint64_t> ids;
  for (const auto& served : detail::InterfaceOf<shop::Decoder>::Served<PngDecoder>::table) {
    ids.insert(served.method.id);
  }
  EXPECT_EQ(ids.size(), 9U);
}

}  // namespace
