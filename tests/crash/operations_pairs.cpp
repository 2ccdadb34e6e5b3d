// SPDX-License-Identifier: Apache-2.0
//
// F2: sender and receiver, both victims. One stands still at a place of its own call while the other
// is killed at a place of its; then the one that stood goes on: its call must come to an end, what it
// gets is whole and in order, and it is told. The ring in files (mmap) outlives both: then it is
// killed as well, and an heir finds what had been published.
#include <array>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include <bulkhead/channel.hpp>

#include "crash/deaths.hpp"
#include "crash/survivors.hpp"

namespace bulkhead::crash {
namespace {

constexpr std::size_t size = 100;

struct Case {
  Mechanism mechanism;
  std::uint64_t sent = 3;      ///< before the sender's call
  std::uint64_t received = 1;  ///< before the receiver's
  bool full = false;           ///< and then the sender sends until there is no room
};

ChannelOptions options_of(const Case& the) {
  return {.capacity_bytes = the.mechanism == Mechanism::mmap ? std::size_t{16 * 1024} : 4096};
}

std::string folder() { return std::string{::getenv("XDG_RUNTIME_DIR")} + "/crash.pair"; }

Channel open_ring(const Case& the, int end) {
  return or_throw(connect(Address{"mmap://" + folder() + (end == 0 ? "?seat=listen" : "")}, never,
                          options_of(the)));
}

/// In a victim.
Channel my_end(const Case& the, int end) {
  if (the.mechanism == Mechanism::mmap) return open_ring(the, end);
  return or_throw(Channel::from_handle(
      Handle{Fd::adopt(3), Handle::Kind::channel, static_cast<std::uint8_t>(the.mechanism)},
      options_of(the)));
}

bool told(const Error& error) { return error == ErrorKind::peer_died; }

void sender(const Case& the) {
  Channel channel = my_end(the, 0);
  std::uint64_t next = 0;
  for (; next < the.sent; ++next) or_throw(channel.send(content(next, size), never));
  while (the.full && channel.try_send(content(next, size))) ++next;
  mark(Mark::cooperate);
  const auto body = content(next, size);
  mark(Mark::begin);
  auto sent = channel.send(body, never);
  mark(Mark::end);
  // It goes on until it is told; more than fits is never taken.
  for (int i = 0; sent && i < 1'000; ++i) {
    sent = channel.send(content(++next, size), Deadline{patience});
  }
  tell_count(!sent && told(sent.error()), 0);
}

void receiver(const Case& the) {
  mark(Mark::cooperate);
  Channel channel = my_end(the, 1);
  std::uint64_t next = 0;
  bool whole = true;
  const auto take = [&](const Message& message) {
    whole = whole && has_content(message.bytes(), next, size);
    ++next;
  };
  for (; next < the.received;) take(or_throw(channel.receive(never)));
  Message message;
  mark(Mark::begin);
  auto got = channel.receive(message, never);
  mark(Mark::end);
  while (got) {
    take(message);
    got = channel.receive(message, Deadline{patience});
  }
  tell_count(whole && told(got.error()), next);
}

class BothEnds final : public PairStage {
 public:
  explicit BothEnds(const Case& the) : the_(the) {
    std::filesystem::remove_all(folder());
    if (the_.mechanism == Mechanism::mmap) return;
    auto ends = or_throw(pair(the_.mechanism, options_of(the_)));
    handles_[0].emplace(or_throw(std::move(ends.first).into_handle()));
    handles_[1].emplace(or_throw(std::move(ends.second).into_handle()));
  }
  ~BothEnds() override { std::filesystem::remove_all(folder()); }

  std::vector<FdView> inherited_by(int end) override {
    if (the_.mechanism == Mechanism::mmap) return {};
    return {handles_[static_cast<std::size_t>(end)]->fd()};
  }
  void started() override { handles_ = {}; }

  void judge(int survivor, bool finished, std::uint64_t count, Verdict& verdict) override {
    // A send that returned is a message that is received.
    const auto most = the_.sent + 1;
    if (survivor == 1) {
      verdict.expect(count >= the_.sent + (finished ? 1 : 0), "committed, and lost");
      verdict.expect(count <= most, "a message that was never sent");
    }
    if (the_.mechanism == Mechanism::mmap) judge_heir(verdict);
  }

 private:
  /// Whoever died: what is left in the files is messages, one after the other.
  void judge_heir(Verdict& verdict) {
    auto heir = open_ring(the_, 1);
    std::optional<std::uint64_t> next;
    for (;;) {
      const auto message = heir.try_receive();
      if (!message) {
        verdict.expect(message.error() != ErrorKind::corrupt, "an heir finds damage");
        return;
      }
      for (std::uint64_t i = 0; !next && i < 1'000; ++i) {
        if (has_content(message->bytes(), i, size)) next = i;
      }
      if (!next || !has_content(message->bytes(), *next, size)) {
        return verdict.violation("an heir finds a torn message, or one out of order");
      }
      ++*next;
    }
  }

  Case the_;
  std::array<std::optional<Handle>, 2> handles_;
};

/// For the trace of the one that will stand: the other end does what its victim half does before its
/// own call.
class Alone final : public Scene {
 public:
  Alone(const Case& the, int end) : the_(the), end_(end), ends_(the) {
    if (end_ == 0) return;
    if (the_.mechanism == Mechanism::mmap) {
      other_.emplace(open_ring(the_, 0));
    } else {
      const int copy = ::fcntl(ends_.inherited_by(0)[0].native(), F_DUPFD_CLOEXEC, 3);
      other_.emplace(or_throw(Channel::from_handle(
          Handle{Fd::adopt(copy), Handle::Kind::channel, static_cast<std::uint8_t>(the_.mechanism)},
          options_of(the_))));
    }
    for (std::uint64_t i = 0; i < the_.sent; ++i) or_throw(other_->send(content(i, size), never));
  }

  std::vector<FdView> inherited() override { return ends_.inherited_by(end_); }
  void after_death(bool, Verdict&) override {}

 private:
  Case the_;
  int end_;
  BothEnds ends_;
  std::optional<Channel> other_;
};

Operation half(const std::string& name, const Case& the, int end) {
  return {.name = name,
          .stage = [the, end] { return std::make_unique<Alone>(the, end); },
          .victim = [the, end] { end == 0 ? sender(the) : receiver(the); }};
}

Pairing pairing(const std::string& name, const Case& the, int stands) {
  const std::string part = "pair, " + name;
  return {.name = name + (stands == 0 ? ", the receiver dies" : ", the sender dies"),
          .stands = stands,
          .halves = {half(part + ": send", the, 0), half(part + ": receive", the, 1)},
          .stage = [the] { return std::make_unique<BothEnds>(the); }};
}

}  // namespace

std::vector<Pairing> pairings() {
  std::vector<Pairing> all;
  for (const auto& [scheme, mechanism] :
       {std::pair{"shm", Mechanism::shm}, std::pair{"mmap", Mechanism::mmap}}) {
    const std::string name = scheme;
    const Case some{.mechanism = mechanism};
    const Case empty{.mechanism = mechanism, .sent = 1, .received = 1};
    const Case full{.mechanism = mechanism, .full = true};
    for (const int stands : {0, 1}) {
      all.push_back(pairing(name + ": send x receive, some waiting", some, stands));
      all.push_back(pairing(name + ": send x receive, empty", empty, stands));
    }
    all.push_back(pairing(name + ": send x receive, full", full, 0));
  }
  return all;
}

}  // namespace bulkhead::crash
