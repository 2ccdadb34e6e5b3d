// SPDX-License-Identifier: Apache-2.0
//
// The ring in files (mmap:), which outlives both ends. The victim is end 1; end 0 lives on, or is
// not there at all and comes later: then both were dead, and nothing that was published may be lost.
// Whoever opens an end again has recovered it, and opening is killed too.
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

#include <bulkhead/channel.hpp>

#include "crash/operation.hpp"
#include "crash/survivors.hpp"

namespace bulkhead::crash {
namespace {

constexpr std::size_t ring = 16 * 1024;
const ChannelOptions small{.capacity_bytes = ring};
constexpr std::uint64_t batch = 3;

enum class How : std::uint8_t { opening, transfer, many, closing };

struct Case {
  std::string name;
  How how = How::transfer;
  std::size_t size = 100;
  std::uint64_t passed = 0;   ///< sent and received before
  std::uint64_t waiting = 0;  ///< sent before and not received
  bool alone = false;         ///< no other end while the victim lives
  bool other_waits = false;   ///< it sleeps in its own call
  bool died_before = false;   ///< the end was opened before, and killed
  std::string parameters = {};
};

constexpr std::uint64_t ringful = ring / 136;  // records of 100 bytes

std::string folder() { return std::string{::getenv("XDG_RUNTIME_DIR")} + "/crash.ring"; }

Address address(int end, std::string parameters = {}) {
  if (end == 0) parameters += parameters.empty() ? "?seat=listen" : "&seat=listen";
  return Address{"mmap://" + folder() + parameters};
}

Result<Channel> open_end(int end) { return connect(address(end), patience, small); }

std::uint64_t in_flight(const Case& the) {
  if (the.how == How::transfer) return 1;
  return the.how == How::many ? batch : 0;
}

class RingScene : public Scene {
 public:
  explicit RingScene(Case the) : the_(std::move(the)) {
    std::filesystem::remove_all(folder());
    stream_.size_of = [this](std::uint64_t) { return the_.size; };
    if (!the_.alone) mine_.emplace(or_throw(open_end(0)));
    if (!the_.died_before) return;
    const pid_t first = ::fork();
    if (first == 0) {
      const auto end = open_end(1);
      ::raise(SIGKILL);
    }
    ::waitpid(first, nullptr, 0);
  }
  ~RingScene() override {
    waiter_.join();
    mine_.reset();
    std::filesystem::remove_all(folder());
  }

 protected:
  Farewell farewell() const {
    return the_.how == How::closing ? Farewell::perhaps : Farewell::never;
  }
  bool opens() const { return the_.how == How::opening; }

  /// End 0, anew: the one before has been told of the end, and told nothing more.
  bool reopen_mine(Verdict& verdict) {
    mine_.reset();
    auto again = open_end(0);
    if (!again) verdict.violation("end 0 opened anew: " + again.error().sentence());
    if (again) mine_.emplace(*std::move(again));
    return mine_.has_value();
  }

  Case the_;
  Stream stream_;
  std::optional<Channel> mine_;
  Verdict waited_;
  Waiter waiter_;
};

class RingSenderDies final : public RingScene {
 public:
  using RingScene::RingScene;

  void cooperate(int) override {
    while (stream_.next < the_.passed) take();
    static_cast<void>(mine_->try_receive());
  }

  void begin() override {
    if (!the_.other_waits) return;
    waiter_.start([this] {
      receive_to_the_end(*mine_, stream_, least(false), least(true), farewell(), waited_);
    });
  }

  bool awaken() override {
    if (the_.other_waits || !mine_) return false;
    while (const auto message = mine_->try_receive()) {
      if (!has_content(message->bytes(), stream_.next, the_.size)) return false;
      ++stream_.next;
    }
    return true;
  }

  void after_death(bool finished, Verdict& verdict) override {
    waiter_.join();
    for (const auto& what : waited_.violations()) verdict.violation(what);
    if (!the_.alone && !the_.other_waits && !opens()) {
      receive_to_the_end(*mine_, stream_, least(finished), least(true), farewell(), verdict);
    }
    // Both ends anew; what was not received yet, and what an heir sends behind it.
    auto heir = open_end(1);
    if (!heir) return verdict.violation("end 1 opened anew: " + heir.error().sentence());
    if (!reopen_mine(verdict)) return;
    const auto sent = heir->send(content(survivors, survivors_size), Deadline{patience});
    if (!sent) return verdict.violation("the heir sends: " + sent.error().sentence());
    for (;;) {
      const auto message = mine_->receive(patience);
      if (!message) return verdict.violation("end 0 is told: " + message.error().sentence());
      if (has_content(message->bytes(), survivors, survivors_size)) break;
      if (!has_content(message->bytes(), stream_.next, the_.size)) {
        return verdict.violation("message " + std::to_string(stream_.next) + " is torn");
      }
      ++stream_.next;
    }
    verdict.expect(stream_.next >= least(finished), "committed, and lost");
    verdict.expect(stream_.next <= least(true), "a message that was never sent");
  }

 private:
  static constexpr std::uint64_t survivors = 1'000'000;
  static constexpr std::size_t survivors_size = 64;

  std::uint64_t least(bool all) const {
    return the_.passed + the_.waiting + (all ? in_flight(the_) : 0);
  }
  void take() {
    const auto message = or_throw(mine_->receive(patience));
    if (has_content(message.bytes(), stream_.next, the_.size)) ++stream_.next;
  }
};

void ring_sender(const Case& the) {
  std::optional<Channel> channel;
  const Address here = address(1, the.parameters);
  if (the.how != How::opening) channel.emplace(or_throw(connect(here, never, small)));
  std::uint64_t next = 0;
  const auto send = [&] {
    or_throw(channel->send(content(next, the.size), Deadline{patience}));
    ++next;
  };
  while (next < the.passed) send();
  if (the.passed != 0) mark(Mark::cooperate);
  while (next < the.passed + the.waiting) send();
  std::vector<std::vector<std::byte>> bodies;
  std::vector<Bytes> bytes;
  for (std::uint64_t i = 0; i < batch; ++i) bodies.push_back(content(next + i, the.size));
  for (const auto& body : bodies) bytes.emplace_back(body);
  Result<void> done;
  mark(Mark::begin);
  switch (the.how) {
    case How::opening: {
      auto opened = connect(here, never, small);
      if (opened) {
        channel.emplace(*std::move(opened));
      } else {
        done = fail(opened.error());
      }
      break;
    }
    case How::transfer:
      done = channel->send(bytes[0], never);
      break;
    case How::many: {
      const auto sent = channel->send_many(bytes, never);
      if (!sent) done = fail(sent.error());
      break;
    }
    case How::closing:
      channel->close();
      break;
  }
  mark(Mark::end);
  or_throw(done);
}

/// More than fits at once: the second part is sent when the first was received.
bool in_two(const Case& the) { return the.passed + the.waiting > ringful; }

class RingReceiverDies final : public RingScene {
 public:
  explicit RingReceiverDies(Case the) : RingScene(std::move(the)) {
    send(the_.passed + (in_two(the_) ? 0 : the_.waiting));
  }

  void cooperate(int) override { send(the_.waiting); }

  void begin() override {
    if (!the_.other_waits) return;
    waiter_.start([this] { send_to_the_end(*mine_, stream_, farewell(), waited_); });
  }

  bool awaken() override {
    if (the_.other_waits) return false;
    send(1);
    return true;
  }

  void after_death(bool finished, Verdict& verdict) override {
    waiter_.join();
    for (const auto& what : waited_.violations()) verdict.violation(what);
    if (!the_.other_waits) send_to_the_end(*mine_, stream_, farewell(), verdict);
    auto heir = open_end(1);
    if (!heir) return verdict.violation("end 1 opened anew: " + heir.error().sentence());
    // At least once, and what was in hand once more at most.
    const auto handed_out = the_.passed + (finished ? in_flight(the_) : 0);
    const auto oldest = the_.passed == 0 ? 0 : the_.passed - 1;
    std::optional<std::uint64_t> place;
    while (!place || *place < stream_.next) {
      const auto message = heir->receive(patience);
      if (!message) return verdict.violation("the heir is told: " + message.error().sentence());
      for (auto i = oldest; !place && i <= handed_out; ++i) {
        if (has_content(message->bytes(), i, the_.size)) place = i;
      }
      if (!place) return verdict.violation("skipped, or more comes again than promised");
      if (!has_content(message->bytes(), *place, the_.size)) {
        return verdict.violation("message " + std::to_string(*place) + " is torn or out of order");
      }
      ++*place;
    }
  }

 private:
  void send(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      or_throw(mine_->send(content(stream_.next, the_.size), Deadline{patience}));
      ++stream_.next;
    }
  }
};

void ring_receiver(const Case& the) {
  std::optional channel{or_throw(connect(address(1), never, small))};
  for (std::uint64_t i = 0; i < the.passed; ++i) {
    static_cast<void>(or_throw(channel->receive(never)));
  }
  if (in_two(the)) mark(Mark::cooperate);
  Message message;
  Result<void> done;
  mark(Mark::begin);
  if (the.how == How::closing) {
    channel->close();
  } else {
    done = channel->receive(message, never);
  }
  mark(Mark::end);
  or_throw(done);
}

const std::vector<Case>& senders() {
  static const std::vector<Case> all{
      {.name = "open, new", .how = How::opening, .alone = true},
      {.name = "open, the other is there", .how = How::opening},
      {.name = "open, this end was killed (recovery)", .how = How::opening, .died_before = true},
      {.name = "send, empty"},
      {.name = "send, 1 waiting", .waiting = 1},
      {.name = "send, half full", .waiting = ringful / 2},
      {.name = "send, room for one", .waiting = ringful - 1},
      {.name = "send, full: waits for room", .waiting = ringful},
      {.name = "send, wraps", .passed = ringful},
      {.name = "send, nobody else there", .waiting = 2, .alone = true},
      {.name = "send, receiver asleep", .other_waits = true},
      {.name = "send, synced each", .parameters = "?sync=each"},
      {.name = "send of 5,000 bytes, aside", .size = 5'000},
      {.name = "send of 5,000 bytes, aside, nobody else there", .size = 5'000, .alone = true},
      {.name = "send_many of 3", .how = How::many, .waiting = 1},
      {.name = "close of the sender", .how = How::closing, .waiting = 2},
      {.name = "close of the sender, receiver asleep", .how = How::closing, .other_waits = true},
  };
  return all;
}

const std::vector<Case>& receivers() {
  static const std::vector<Case> all{
      {.name = "receive, first", .waiting = 2},
      {.name = "receive, one in hand", .passed = 1, .waiting = 2},
      {.name = "receive, empty: waits", .passed = 1},
      {.name = "receive, half full", .passed = 1, .waiting = ringful / 2},
      {.name = "receive, room for one", .passed = 1, .waiting = ringful - 2},
      {.name = "receive, full", .passed = 1, .waiting = ringful - 1},
      {.name = "receive, wraps", .passed = ringful - 1, .waiting = 3},
      {.name = "receive of 5,000 bytes, aside", .size = 5'000, .waiting = 1},
      {.name = "receive, full, sender asleep",
       .passed = 1,
       .waiting = ringful - 1,
       .other_waits = true},
      {.name = "close of the receiver", .how = How::closing, .passed = 1, .waiting = 1},
  };
  return all;
}

}  // namespace

std::vector<Operation> mmap_operations() {
  std::vector<Operation> all;
  for (const Case& the : senders()) {
    all.push_back({.name = "mmap: " + the.name,
                   .stage = [the] { return std::make_unique<RingSenderDies>(the); },
                   .victim = [the] { ring_sender(the); }});
  }
  for (const Case& the : receivers()) {
    all.push_back({.name = "mmap: " + the.name,
                   .stage = [the] { return std::make_unique<RingReceiverDies>(the); },
                   .victim = [the] { ring_receiver(the); }});
  }
  return all;
}

}  // namespace bulkhead::crash
