// SPDX-License-Identifier: Apache-2.0
//
// What Channel adds to a link: words for its errors, how a peer died, and the state behind it. What
// all mechanisms do alike is in tests/conformance/.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sstream>
#include <unistd.h>

#include <bulkhead/address.hpp>
#include <bulkhead/channel.hpp>
#include <bulkhead/wait_set.hpp>

#include "channel/channel_state.hpp"

namespace bulkhead {
namespace {

using namespace std::chrono_literals;
using detail::ChannelState;
using testing::HasSubstr;

/// A link whose every call fails as it is told.
class FailingLink final : public transport::Link {
 public:
  explicit FailingLink(Error error) : error_(std::move(error)) {}
  Result<void> send(Bytes, std::span<Handle>, Deadline) override { return fail(error_); }
  Result<void> receive(Message&, Deadline) override { return fail(error_); }
  Result<MutableBytes> loan(std::size_t, Deadline) override { return fail(error_); }
  Result<void> commit() override { return fail(error_); }
  void abandon() noexcept override {}
  Result<FdView> readable() override { return fail(error_); }
  Result<FdView> writable() override { return fail(error_); }
  Mechanism mechanism() const noexcept override { return Mechanism::shm; }
  Capabilities capabilities() const noexcept override { return {}; }
  Peer peer() const noexcept override { return {.pid = 4711}; }
  void close() noexcept override {}
  Result<Handle> detach() override { return fail(error_); }

 private:
  Error error_;
};

Channel failing(Error error, std::string address = {}) {
  return ChannelState::make(std::make_unique<FailingLink>(std::move(error)), Trust::equal,
                            std::move(address));
}

TEST(channel_errors, name_the_operation_and_the_channel) {
  Channel named = failing(Error{ErrorKind::timed_out}, "shm:camera");
  EXPECT_EQ(named.receive(1s).error().sentence(), "receive shm:camera: timed out");
  EXPECT_EQ(named.send(as_bytes("x"), 1s).error().sentence(), "send shm:camera: timed out");
  Channel nameless = failing(Error{ErrorKind::closed});
  EXPECT_EQ(nameless.receive(1s).error().sentence(),
            "receive shm channel to pid 4711: the peer has closed");
  Channel refused = failing({ErrorKind::too_large, {.cause = "9 is too many", .remedy = "send 8"}});
  EXPECT_EQ(refused.try_send(as_bytes("x")).error().sentence(),
            "send shm channel to pid 4711: 9 is too many; send 8");
}

TEST(channel_errors, that_are_no_failures_allocate_nothing) {
  for (const auto kind : {ErrorKind::full, ErrorKind::empty}) {
    Channel channel = failing(Error{kind});
    EXPECT_EQ(channel.try_receive().error().operation(), "");
  }
}

TEST(channel_errors, of_a_dead_peer_say_its_pid_when_nobody_knows_more) {
  Channel channel = failing(Error{ErrorKind::peer_died});
  const auto error = channel.receive(1s).error();
  EXPECT_EQ(error.kind(), ErrorKind::peer_died);
  EXPECT_THAT(error.sentence(), HasSubstr("the peer (pid 4711) died"));
  EXPECT_EQ(error.exit(), nullptr);
}

TEST(channel_errors, of_a_dead_process_of_ours_say_how_it_died_and_ask_once) {
  Channel channel = failing(Error{ErrorKind::peer_died});
  int asked = 0;
  ChannelState::of(channel).watch_process(
      {.pid = 12, .uid = 3}, [&](Deadline) -> std::optional<std::pair<std::string, Exit>> {
        ++asked;
        return std::pair{std::string{"decoder (12)"}, Exit::killed(11, 0x10)};
      });
  EXPECT_EQ(channel.peer().pid, 12);
  const auto error = channel.receive(1s).error();
  EXPECT_EQ(error.sentence(), "receive: decoder (12) died: SIGSEGV at 0x10");
  ASSERT_NE(error.exit(), nullptr);
  EXPECT_EQ(error.exit()->signal, 11);
  EXPECT_EQ(channel.try_send(as_bytes("x")).error().who(), "decoder (12)");
  EXPECT_EQ(asked, 1);
}

TEST(channel_errors, of_a_process_that_lives_on_do_not_invent_a_death) {
  Channel channel = failing(Error{ErrorKind::peer_died});
  ChannelState::of(channel).watch_process({.pid = 12}, [](Deadline) { return std::nullopt; });
  EXPECT_THAT(channel.receive(1s).error().sentence(), HasSubstr("the peer (pid 12) died"));
}

TEST(channel, refuses_a_loan_of_another) {
  auto one = or_throw(pair(Mechanism::inproc));
  auto other = or_throw(pair(Mechanism::inproc));
  auto loan = or_throw(one.first.loan(10, 1s));
  EXPECT_EQ(other.first.send(std::move(loan)).error().kind(), ErrorKind::invalid);
  EXPECT_TRUE(one.first.loan(10, 1s)) << "it was given back";
}

TEST(channel, lends_one_loan_at_a_time) {
  auto ends = or_throw(pair(Mechanism::inproc));
  const auto loan = or_throw(ends.first.loan(10, 1s));
  EXPECT_EQ(ends.first.loan(10, 1s).error().kind(), ErrorKind::invalid);
}

TEST(channel, closes_when_another_is_assigned_to_it) {
  auto one = or_throw(pair(Mechanism::inproc));
  auto other = or_throw(pair(Mechanism::inproc));
  one.first = std::move(other.first);
  EXPECT_EQ(one.second.receive(1s).error().kind(), ErrorKind::closed);
  EXPECT_TRUE(one.first.send(as_bytes("x"), 1s));
  EXPECT_EQ(other.second.receive(1s)->text(), "x");
}

TEST(channel, closes_though_somebody_shares_its_state) {
  auto ends = or_throw(pair(Mechanism::inproc));
  auto shared = std::make_unique<Channel>(std::move(ends.first));
  const auto state = ChannelState::share(*shared);
  shared.reset();
  EXPECT_EQ(ends.second.receive(1s).error().kind(), ErrorKind::closed);
  Message message;
  EXPECT_EQ(state->receive(message, 1s).error().kind(), ErrorKind::closed);
}

TEST(address, is_a_scheme_and_a_name) {
  EXPECT_EQ(*Address{"shm:camera"}.mechanism(), Mechanism::shm);
  EXPECT_EQ(Address{"shm:camera"}.name(), "camera");
  EXPECT_EQ(*Address{"unix:///run/x.sock"}.mechanism(), Mechanism::unix_socket);
  EXPECT_EQ(Address{"unix:///run/x.sock"}.name(), "/run/x.sock");
  EXPECT_EQ(Address{"unix:@abstract"}.name(), "@abstract");
  EXPECT_EQ(*Address{"inproc:a:b"}.mechanism(), Mechanism::inproc);
  EXPECT_EQ(Address{"inproc:a:b"}.name(), "a:b");
  for (const char* bad : {"", "camera", ":camera", "shm:", "shm://"}) {
    EXPECT_EQ(Address{bad}.mechanism().error().kind(), ErrorKind::invalid) << bad;
  }
  for (const char* unknown : {"SHM:x", "http://x", "shm2:x"}) {
    EXPECT_EQ(Address{unknown}.mechanism().error().kind(), ErrorKind::unsupported) << unknown;
  }
}

TEST(message, keeps_short_content_inside_and_long_content_outside) {
  for (const std::size_t size : {0u, 1u, 207u, 208u, 209u, 5000u}) {
    const std::string text(size, 'x');
    Message message{as_bytes(text)};
    EXPECT_EQ(message.text(), text);
    const auto* inside = reinterpret_cast<const std::byte*>(&message);
    const bool is_inside =
        message.bytes().data() >= inside && message.bytes().data() < inside + sizeof message;
    EXPECT_EQ(is_inside, size <= Message::inline_bytes);
    Message moved = std::move(message);
    EXPECT_EQ(moved.text(), text);
    message = std::move(moved);
    EXPECT_EQ(message.text(), text);
    EXPECT_TRUE(moved.empty());  // NOLINT: what is left behind is an empty message
  }
}

TEST(message, grows_and_shrinks_with_its_content_and_keeps_its_memory) {
  Message message;
  std::string expected;
  for (std::size_t size = 0; size < 3000; size += 97) {
    const auto bytes = message.resize(size);
    EXPECT_EQ(as_text(bytes.first(expected.size())), expected);
    std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(expected.size()), bytes.end(),
              std::byte{'a'});
    expected.resize(size, 'a');
  }
  const auto* memory = message.bytes().data();
  message.clear();
  EXPECT_EQ(message.resize(2000).data(), memory);
}

TEST(message, copes_with_assignment_to_itself) {
  Message message{as_bytes("text")};
  Message& same = message;
  message = std::move(same);
  EXPECT_EQ(message.text(), "text");
}

TEST(wait_set, watches_any_descriptor) {
  auto set = or_throw(WaitSet::create());
  int fds[2];
  ASSERT_EQ(::pipe(fds), 0);
  const Fd in = Fd::adopt(fds[0]);
  const Fd out = Fd::adopt(fds[1]);
  ASSERT_TRUE(set.add(in, 1));
  EXPECT_EQ(set.wait(1ms).error().kind(), ErrorKind::timed_out);
  ASSERT_EQ(::write(out.native(), "x", 1), 1);
  EXPECT_THAT(*set.wait(1s), testing::ElementsAre(1u));
  EXPECT_THAT(*set.wait(1s), testing::ElementsAre(1u)) << "level-triggered";
  EXPECT_FALSE(set.add(FdView{}, 2));
}

}  // namespace
}  // namespace bulkhead
