// SPDX-License-Identifier: Apache-2.0
//
// The shm channel: send and receive in every phase of the ring, the first use of an end, the move from
// the socket to memory, staying on the socket, and close.
// (Listening and connecting, which all mechanisms with a meeting place share: operations_meeting.)
//
// The ring is as small as can be, 4 KiB. Message k of a stream has the size of its case; the
// victim is the sender of the one kind and the receiver of the other.
#include <cstring>
#include <optional>
#include <string>
#include <sys/resource.h>
#include <utility>

#include <bulkhead/channel.hpp>
#include <bulkhead/region.hpp>

#include "crash/operation.hpp"
#include "crash/survivors.hpp"

namespace bulkhead::crash {
namespace {

constexpr std::size_t ring = 4096;
const ChannelOptions small{.capacity_bytes = ring};

/// How the one message, or the batch, goes.
enum class How : std::uint8_t { plain, trying, loan, many, handle, closing, dropping };

/// Where the messages go when the operation begins.
enum class At : std::uint8_t {
  memory,  ///< both ways lead through it
  socket,  ///< the ends have met, and the survivor has not mapped the victim's memory yet
  moving,  ///< both have mapped it; the next message moves
  stays,   ///< the victim may not make memory
};

struct Case {
  std::string name;
  At at = At::memory;
  std::size_t size = 104;  ///< of each message; 112 bytes of the ring
  How how = How::plain;
  std::uint64_t passed = 0;   ///< sent and received before
  std::uint64_t waiting = 0;  ///< sent before and not received
  bool other_waits = false;   ///< the survivor sleeps in its own call
  bool first_use = false;     ///< the victim's end is not bound yet
  std::size_t large = 0;      ///< size of the one in flight where it differs
};

constexpr std::uint64_t batch = 5;
constexpr std::uint64_t ringful = ring / 112;  // 36, and 64 bytes are left

std::size_t size_of(const Case& the, std::uint64_t number) {
  return the.large != 0 && number == the.passed + the.waiting ? the.large : the.size;
}

std::uint64_t in_flight(const Case& the) {
  if (the.how == How::closing || the.how == How::dropping) return 0;
  return the.how == How::many ? batch : 1;
}

int marks_before(const Case& the) {
  if (the.first_use || the.at == At::socket) return 0;
  return the.at == At::memory ? 2 : 1;
}

/// The victim's part of getting to where its operation begins.
void go_to(const Case& the, Channel& channel) {
  if (the.first_use) return;
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  rlimit lower = before;
  if (the.at == At::stays) lower.rlim_cur = 0;
  ::setrlimit(RLIMIT_FSIZE, &lower);
  static_cast<void>(channel.try_receive());
  ::setrlimit(RLIMIT_FSIZE, &before);
  if (the.at == At::socket) return;
  mark(Mark::cooperate);
  if (the.at != At::memory) return;
  static_cast<void>(or_throw(channel.receive(never)));
  static_cast<void>(channel.try_receive());
  or_throw(channel.send(Bytes{}, never));
  mark(Mark::cooperate);
}

Channel adopt_inherited() {
  return or_throw(Channel::from_handle(
      Handle{Fd::adopt(3), Handle::Kind::channel, static_cast<std::uint8_t>(Mechanism::shm)},
      small));
}

/// The survivor's end, and the victim's until it has started.
class ShmScene : public Scene {
 public:
  explicit ShmScene(Case the) : the_(std::move(the)) {
    auto ends = or_throw(pair(Mechanism::shm, small));
    mine_.emplace(std::move(ends.first));
    theirs_.emplace(or_throw(std::move(ends.second).into_handle()));
    stream_.size_of = [this](std::uint64_t number) { return size_of(the_, number); };
    // Our hello, so that theirs finds it.
    static_cast<void>(mine_->try_receive());
  }

  void cooperate(int n) final {
    const int first = marks_before(the_);
    if (n >= first) return prepare(n - first);
    // To map the victim's memory, or hear that it has none, is enough; else one message each way.
    static_cast<void>(mine_->try_receive());
    if (the_.at == At::memory && n == 0) or_throw(mine_->send(Bytes{}, Deadline{patience}));
  }

  std::vector<FdView> inherited() override { return {theirs_->fd()}; }
  void started() override { theirs_.reset(); }

 protected:
  virtual void prepare(int n) = 0;
  bool closes() const { return the_.how == How::closing || the_.how == How::dropping; }

  Case the_;
  Stream stream_;
  std::optional<Channel> mine_;
  std::optional<Handle> theirs_;
  Verdict waited_;  // what the waiter found
  Waiter waiter_;   // last: it uses all the others
};

// The victim sends.

class SenderDies final : public ShmScene {
 public:
  using ShmScene::ShmScene;

  void prepare(int) override { take(the_.passed); }

  void begin() override {
    if (!the_.other_waits) return;
    take(the_.passed + the_.waiting);
    waiter_.start([this] { receive(waited_, false); });
  }

  bool awaken() override {
    if (the_.other_waits) return false;
    // It waits for room: all that is there goes, and what has come of a larger message.
    for (;;) {
      auto message = mine_->try_receive();
      if (!message) return message.error() == ErrorKind::empty;
      if (!is_next(*message)) return false;
    }
  }

  void after_death(bool finished, Verdict& verdict) override {
    waiter_.join();
    if (the_.other_waits) {
      for (const auto& what : waited_.violations()) verdict.violation(what);
      const auto least = the_.passed + the_.waiting + (finished ? in_flight(the_) : 0);
      verdict.expect(stream_.next >= least, "committed, and lost");
    } else {
      receive(verdict, finished);
    }
    Stream back{.size_of = stream_.size_of};
    send_to_the_end(*mine_, back, Farewell::perhaps, verdict);
  }

 private:
  void receive(Verdict& verdict, bool finished) {
    const auto before = the_.passed + the_.waiting;
    auto farewell = Farewell::never;
    if (closes()) farewell = finished ? Farewell::surely : Farewell::perhaps;
    receive_to_the_end(*mine_, stream_, before + (finished ? in_flight(the_) : 0),
                       before + in_flight(the_), farewell, verdict);
  }

  void take(std::uint64_t up_to) {
    while (stream_.next < up_to && is_next(or_throw(mine_->receive(patience)))) {
    }
    static_cast<void>(mine_->try_receive());  // gives the room back
  }

  bool is_next(const Message& message) {
    return has_content(message.bytes(), stream_.next, size_of(the_, stream_.next)) &&
           ++stream_.next != 0;
  }
};

void send_one(Channel& channel, const Case& the, std::uint64_t number) {
  or_throw(channel.send(content(number, size_of(the, number)), Deadline{patience}));
}

void sender(const Case& the) {
  std::optional channel{adopt_inherited()};
  std::uint64_t next = 0;
  go_to(the, *channel);
  for (; next < the.passed; ++next) send_one(*channel, the, next);
  if (the.passed != 0) mark(Mark::cooperate);
  for (; next < the.passed + the.waiting; ++next) send_one(*channel, the, next);
  std::vector<std::vector<std::byte>> bodies;
  std::vector<Bytes> bytes;
  for (std::uint64_t i = 0; i < in_flight(the); ++i) {
    bodies.push_back(content(next + i, size_of(the, next + i)));
  }
  for (const auto& body : bodies) bytes.emplace_back(body);
  Message message;
  if (the.how == How::handle) {
    std::vector<Handle> handles;
    handles.push_back(or_throw(or_throw(Region::create(4096)).into_handle()));
    message = Message{bytes[0], std::move(handles)};
  }
  Result<void> done;
  mark(Mark::begin);
  switch (the.how) {
    case How::plain:
      done = channel->send(bytes[0], never);
      break;
    case How::trying:
      done = channel->try_send(bytes[0]);
      break;
    case How::loan: {
      auto loan = channel->loan(bytes[0].size(), never);
      if (loan) std::memcpy(loan->bytes().data(), bytes[0].data(), bytes[0].size());
      done = loan ? channel->send(*std::move(loan)) : fail(loan.error());
      break;
    }
    case How::many: {
      const auto sent = channel->send_many(bytes, never);
      if (!sent) done = fail(sent.error());
      break;
    }
    case How::handle:
      done = channel->send(message, never);
      break;
    case How::closing:
      channel->close();
      break;
    case How::dropping:
      channel.reset();
      break;
  }
  mark(Mark::end);
  or_throw(done);
}

// The victim receives.

class ReceiverDies final : public ShmScene {
 public:
  using ShmScene::ShmScene;

  void prepare(int n) override { send(n == 0 && the_.passed != 0 ? the_.passed : the_.waiting); }

  void begin() override {
    if (!the_.other_waits) return;
    const auto farewell = closes() ? Farewell::perhaps : Farewell::never;
    waiter_.start([this, farewell] { send_to_the_end(*mine_, stream_, farewell, waited_); });
  }

  bool awaken() override {
    // Of a streamed message it waits for the next piece, which is already being sent.
    if (the_.other_waits) return the_.large != 0 && ++pieces_ < most_pieces;
    send(1);
    return true;
  }

  void after_death(bool, Verdict& verdict) override {
    waiter_.join();
    for (const auto& what : waited_.violations()) verdict.violation(what);
    const auto farewell = closes() ? Farewell::perhaps : Farewell::never;
    send_to_the_end(*mine_, stream_, farewell, verdict);
    Stream nothing{.size_of = stream_.size_of};
    receive_to_the_end(*mine_, nothing, 0, 0, farewell, verdict);
  }

 private:
  void send(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i, ++stream_.next) {
      const auto body = content(stream_.next, size_of(the_, stream_.next));
      Message message{body};
      if (the_.how == How::handle) {
        message.handles().push_back(or_throw(or_throw(Region::create(4096)).into_handle()));
      }
      or_throw(mine_->send(std::move(message), Deadline{patience}));
    }
  }

  static constexpr int most_pieces = 5'000;
  int pieces_ = 0;
};

void receiver(const Case& the) {
  std::optional channel{adopt_inherited()};
  go_to(the, *channel);
  if (the.passed != 0) mark(Mark::cooperate);
  for (std::uint64_t i = 0; i < the.passed; ++i)
    static_cast<void>(or_throw(channel->receive(never)));
  if (the.waiting != 0) mark(Mark::cooperate);
  Message message;
  Result<void> done;
  mark(Mark::begin);
  switch (the.how) {
    case How::loan: {
      auto looked = channel->receive_view(never);
      if (!looked) done = fail(looked.error());
      break;  // dropped here
    }
    case How::trying: {
      auto got = channel->try_receive();
      if (got) message = *std::move(got);
      break;
    }
    case How::closing:
      channel->close();
      break;
    case How::dropping:
      channel.reset();
      break;
    default:
      done = channel->receive(message, never);
  }
  mark(Mark::end);
  or_throw(done);
  const bool received = the.how == How::plain || the.how == How::trying || the.how == How::handle;
  if (received && !has_content(message.bytes(), the.passed, size_of(the, the.passed))) {
    or_throw(Result<void>{fail(ErrorKind::corrupt)});
  }
}

const std::vector<Case>& sends() {
  static const std::vector<Case> all{
      {.name = "send, empty"},
      {.name = "send, 1 waiting", .waiting = 1},
      {.name = "send, half full", .waiting = ringful / 2},
      {.name = "send, room for one", .waiting = ringful - 1},
      {.name = "send, wraps", .passed = ringful, .waiting = 0},
      {.name = "send, full: waits for room", .waiting = ringful},
      {.name = "send, empty, receiver asleep", .other_waits = true},
      {.name = "send, first use", .first_use = true},
      {.name = "send of 0 bytes", .size = 0},
      {.name = "send of 2,040 bytes", .size = 2040},
      {.name = "send of 9,000 bytes, streamed", .waiting = 1, .large = 9000},
      {.name = "send with a handle", .how = How::handle},
      {.name = "try_send", .how = How::trying, .waiting = 3},
      {.name = "loan, fill, send", .how = How::loan, .waiting = 3},
      {.name = "loan, fill, send, receiver asleep", .how = How::loan, .other_waits = true},
      {.name = "send_many of 5", .how = How::many, .waiting = 1},
      {.name = "send_many of 5, room for 2", .how = How::many, .waiting = ringful - 2},
      {.name = "send_many of 5, receiver asleep", .how = How::many, .other_waits = true},
      {.name = "close, 3 not received", .how = How::closing, .waiting = 3},
      {.name = "close, never used", .how = How::closing, .first_use = true},
      {.name = "destruction, 3 not received", .how = How::dropping, .waiting = 3},
      {.name = "close, receiver asleep", .how = How::closing, .other_waits = true},
      {.name = "send over the socket", .at = At::socket, .waiting = 1},
      {.name = "send over the socket, streamed", .at = At::socket, .waiting = 1, .large = 150'000},
      {.name = "send that moves", .at = At::moving},
      {.name = "send that moves, receiver asleep", .at = At::moving, .other_waits = true},
      {.name = "loan that moves", .at = At::moving, .how = How::loan},
      {.name = "close before it moved", .at = At::moving, .how = How::closing, .waiting = 0},
      {.name = "send that stays", .at = At::stays, .waiting = 1},
      {.name = "send that stays, with a handle", .at = At::stays, .how = How::handle},
      {.name = "close of one that stays", .at = At::stays, .how = How::closing, .waiting = 3},
  };
  return all;
}

const std::vector<Case>& receives() {
  static const std::vector<Case> all{
      {.name = "receive, 1 waiting", .waiting = 1},
      {.name = "receive, half full", .waiting = ringful / 2},
      {.name = "receive, room for one", .waiting = ringful - 1},
      {.name = "receive, full", .waiting = ringful},
      {.name = "receive, wraps", .passed = ringful, .waiting = 1},
      {.name = "receive, full, sender asleep", .waiting = ringful, .other_waits = true},
      {.name = "receive, empty: waits", .passed = 1},
      {.name = "receive, first use", .waiting = 0, .first_use = true},
      {.name = "receive of 2,040 bytes", .size = 2040, .waiting = 1},
      {.name = "receive of 9,000 bytes, streamed", .other_waits = true, .large = 9000},
      {.name = "receive with a handle", .how = How::handle, .waiting = 1},
      {.name = "try_receive", .how = How::trying, .waiting = 2},
      {.name = "receive_view, drop", .how = How::loan, .waiting = 2},
      {.name = "receive_view, drop, sender asleep",
       .how = How::loan,
       .waiting = ringful,
       .other_waits = true},
      {.name = "close of the receiver, sender asleep",
       .how = How::closing,
       .waiting = ringful,
       .other_waits = true},
      {.name = "destruction of the receiver", .how = How::dropping, .waiting = 3},
      {.name = "receive, the sender moves", .at = At::moving, .waiting = 1},
      {.name = "receive by one that stays", .at = At::stays, .waiting = 1},
      {.name = "receive by one that stays, streamed",
       .at = At::stays,
       .other_waits = true,
       .large = 150'000},
  };
  return all;
}

}  // namespace

std::vector<Operation> shm_operations() {
  std::vector<Operation> all;
  for (const Case& the : sends()) {
    all.push_back({.name = "shm: " + the.name,
                   .stage = [the] { return std::make_unique<SenderDies>(the); },
                   .victim = [the] { sender(the); }});
  }
  for (const Case& the : receives()) {
    all.push_back({.name = "shm: " + the.name,
                   .stage = [the] { return std::make_unique<ReceiverDies>(the); },
                   .victim = [the] { receiver(the); }});
  }
  return all;
}

}  // namespace bulkhead::crash
