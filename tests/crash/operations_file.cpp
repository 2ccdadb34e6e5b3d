// SPDX-License-Identifier: Apache-2.0
//
// The log (file:): append, open for append, rotation, close; read with a cursor. The log outlives
// everybody, so what a death leaves is looked at by the next writer and the next reader: nothing
// that was committed is lost, nothing torn is shown, and at most what is documented comes again.
//
// A log of another kind than by deaths (cut in the middle of a record, as a power cut leaves it) is
// made by hand where the name says "torn".
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

constexpr std::size_t body_bytes = 100;
constexpr std::uint64_t survivors = 1'000;  // the number of the message that a survivor appends
constexpr std::uint64_t batch = 3;

std::string folder() { return std::string{::getenv("XDG_RUNTIME_DIR")} + "/crash.log"; }

Channel open_log(Direction direction, const std::string& parameters = {}) {
  return or_throw(
      connect(Address{"file://" + folder() + parameters}, never, {.direction = direction}));
}

Result<void> send_number(Channel& channel, std::uint64_t number) {
  return channel.send(content(number, body_bytes), never);
}

enum class How : std::uint8_t { opening, sending, many, closing };

struct WriterCase {
  std::string name;
  How how = How::sending;
  std::uint64_t before = 3;
  std::string parameters = {};
  bool died_before = false;  ///< who wrote what is there was killed
  std::uintmax_t torn = 0;   ///< so many bytes are missing at its end
  bool reader_waits = false;
  bool bounded = false;  ///< retention may have removed the oldest
};

std::uint64_t in_flight(const WriterCase& the) {
  if (the.how == How::sending) return 1;
  return the.how == How::many ? batch : 0;
}

/// Begins each scene with no log, and ends it so.
class LogScene : public Scene {
 public:
  LogScene() { std::filesystem::remove_all(folder()); }
  ~LogScene() override { std::filesystem::remove_all(folder()); }
};

class WriterDies final : public LogScene {
 public:
  explicit WriterDies(WriterCase the) : the_(std::move(the)) {
    if (the_.before == 0) return;
    if (the_.died_before) {
      const pid_t first = ::fork();
      if (first == 0) {
        write_before();
        ::raise(SIGKILL);
      }
      ::waitpid(first, nullptr, 0);
    } else {
      write_before();
    }
    if (the_.torn != 0) tear();
  }

  void begin() override {
    if (!the_.reader_waits) return;
    reader_.emplace(open_log(Direction::receive));
    waiter_.start([this] {
      Stream stream{.size_of = [](std::uint64_t) { return body_bytes; }};
      receive_to_the_end(*reader_, stream, committed(false), committed(true),
                         the_.how == How::closing ? Farewell::perhaps : Farewell::never, waited_);
    });
  }

  void after_death(bool finished, Verdict& verdict) override {
    waiter_.join();
    for (const auto& what : waited_.violations()) verdict.violation(what);
    auto heir = connect(Address{"file://" + folder()}, patience, {.direction = Direction::send});
    if (!heir) return verdict.violation("open anew: " + heir.error().sentence());
    const auto sent = send_number(*heir, survivors);
    if (!sent) return verdict.violation("append: " + sent.error().sentence());
    heir->close();
    read_all(committed(finished), verdict);
  }

 private:
  std::uint64_t committed(bool all) const { return kept() + (all ? in_flight(the_) : 0); }
  /// Of what was there before: the torn one was not committed.
  std::uint64_t kept() const { return the_.before - (the_.torn != 0 ? 1 : 0); }

  void write_before() {
    auto writer = open_log(Direction::send, the_.parameters);
    for (std::uint64_t i = 0; i < the_.before; ++i) or_throw(send_number(writer, i));
    if (the_.died_before) ::raise(SIGKILL);
  }

  void tear() {
    const auto path = folder() + "/00000000000000000001.log";
    std::filesystem::resize_file(path, std::filesystem::file_size(path) - the_.torn);
  }

  void read_all(std::uint64_t at_least, Verdict& verdict) {
    auto reader =
        connect(Address{"file://" + folder()}, patience, {.direction = Direction::receive});
    if (!reader) return verdict.violation("read anew: " + reader.error().sentence());
    std::optional<std::uint64_t> next;
    if (!the_.bounded) next = 0;
    for (;;) {
      const auto message = reader->receive(patience);
      if (!message) return verdict.violation("the log ends with: " + message.error().sentence());
      if (has_content(message->bytes(), survivors, body_bytes)) break;
      // Retention leaves the newest: any beginning, then one after the other.
      while (!next && at_least != 0 && !first_is(*message, next, at_least)) {
        return verdict.violation("the first message is none that was sent");
      }
      if (!has_content(message->bytes(), *next, body_bytes)) {
        return verdict.violation("message " + std::to_string(*next) + " is torn or out of order");
      }
      ++*next;
    }
    const auto count = next.value_or(0);
    if (count < at_least && !(the_.bounded && count == 0)) {
      verdict.violation("committed, and lost: message " + std::to_string(count));
    }
    verdict.expect(count <= kept() + in_flight(the_), "a message that was never sent");
    const auto last = reader->receive(patience);
    verdict.expect(!last && last.error() == ErrorKind::closed, "the heir's end was not told");
  }

  static bool first_is(const Message& message, std::optional<std::uint64_t>& next,
                       std::uint64_t most) {
    for (std::uint64_t i = 0; i <= most + batch && !next; ++i) {
      if (has_content(message.bytes(), i, body_bytes)) next = i;
    }
    return next.has_value();
  }

  WriterCase the_;
  std::optional<Channel> reader_;
  Verdict waited_;
  Waiter waiter_;
};

void writer(const WriterCase& the) {
  const auto first = the.before - (the.torn != 0 ? 1 : 0);
  const Address address{"file://" + folder() + the.parameters};
  const ChannelOptions sends{.direction = Direction::send};
  std::optional<Channel> channel;
  if (the.how != How::opening) channel.emplace(or_throw(connect(address, never, sends)));
  std::vector<std::vector<std::byte>> bodies;
  std::vector<Bytes> bytes;
  for (std::uint64_t i = 0; i < batch; ++i) bodies.push_back(content(first + i, body_bytes));
  for (const auto& body : bodies) bytes.emplace_back(body);
  Result<void> done;
  mark(Mark::begin);
  switch (the.how) {
    case How::opening: {
      auto opened = connect(address, never, sends);
      if (opened) {
        channel.emplace(*std::move(opened));
      } else {
        done = fail(opened.error());
      }
      break;
    }
    case How::sending:
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

struct ReaderCase {
  std::string name;
  How how = How::sending;  ///< sending: here it receives
  std::uint64_t seen = 3;  ///< received before
  bool stored = false;     ///< and then found nothing more, which stores the cursor
  std::uint64_t more = 3;  ///< to be received
};

class ReaderDies final : public LogScene {
 public:
  explicit ReaderDies(ReaderCase the) : the_(std::move(the)) {
    writer_.emplace(open_log(Direction::send));
    write(the_.seen);
    if (!the_.stored) write(the_.more);
  }

  void cooperate(int) override { write(the_.more); }

  void after_death(bool finished, Verdict& verdict) override {
    // A reader's death is nothing to the writer.
    const auto sent = send_number(*writer_, next_);
    if (!sent) return verdict.violation("the writer fails: " + sent.error().sentence());
    auto heir = connect(Address{"file://" + folder() + "?cursor=c"}, patience,
                        {.direction = Direction::receive});
    if (!heir) return verdict.violation("the cursor cannot be had: " + heir.error().sentence());
    const auto handed_out = the_.seen + (finished && the_.how == How::sending ? 1 : 0);
    const auto stored = the_.stored || (finished && the_.how == How::closing) ? the_.seen : 0;
    std::optional<std::uint64_t> place;
    do {
      const auto message = heir->receive(patience);
      if (!message) return verdict.violation("the heir reads: " + message.error().sentence());
      for (std::uint64_t i = 0; !place && i <= next_; ++i) {
        if (has_content(message->bytes(), i, body_bytes)) place = i;
      }
      if (!place) return verdict.violation("the heir's first message is none of the log");
      if (*place > handed_out && !started_) return verdict.violation("a message was skipped");
      if (*place < stored && !started_) return verdict.violation("more comes again than promised");
      started_ = true;
      if (!has_content(message->bytes(), *place, body_bytes)) {
        return verdict.violation("message " + std::to_string(*place) + " is torn or out of order");
      }
    } while ((*place)++ != next_);
  }

 private:
  void write(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) or_throw(send_number(*writer_, next_++));
  }

  ReaderCase the_;
  std::optional<Channel> writer_;
  std::uint64_t next_ = 0;
  bool started_ = false;
};

void reader(const ReaderCase& the) {
  const Address address{"file://" + folder() + "?cursor=c"};
  const ChannelOptions receives{.direction = Direction::receive};
  std::optional<Channel> channel;
  channel.emplace(or_throw(connect(address, never, receives)));
  for (std::uint64_t i = 0; i < the.seen; ++i) {
    static_cast<void>(or_throw(channel->receive(never)));
  }
  if (the.stored) {
    static_cast<void>(channel->try_receive());
    mark(Mark::cooperate);
  }
  if (the.how == How::opening) channel.reset();
  Message message;
  Result<void> done;
  mark(Mark::begin);
  switch (the.how) {
    case How::opening: {
      auto opened = connect(address, never, receives);
      if (opened) {
        channel.emplace(*std::move(opened));
      } else {
        done = fail(opened.error());
      }
      break;
    }
    case How::closing:
      channel->close();
      break;
    default:
      done = channel->receive(message, never);
  }
  mark(Mark::end);
  or_throw(done);
}

const std::vector<WriterCase>& writers() {
  static const std::vector<WriterCase> all{
      {.name = "open a new log", .how = How::opening, .before = 0},
      {.name = "open for append", .how = How::opening},
      {.name = "open for append, its writer was killed (recovery)",
       .how = How::opening,
       .died_before = true},
      {.name = "open for append, torn in a payload (recovery)",
       .how = How::opening,
       .died_before = true,
       .torn = 50},
      {.name = "open for append, torn in a header (recovery)",
       .how = How::opening,
       .died_before = true,
       .torn = 120},
      {.name = "send"},
      {.name = "send, first", .before = 0},
      {.name = "send, synced each", .parameters = "?sync=each"},
      {.name = "send, reader asleep", .reader_waits = true},
      {.name = "send_many of 3", .how = How::many},
      {.name = "send_many of 3, reader asleep", .how = How::many, .reader_waits = true},
      {.name = "send, into a new segment", .before = 31, .parameters = "?segment=4096"},
      {.name = "send, the oldest segment goes",
       .before = 62,
       .parameters = "?segment=4096&keep=2",
       .bounded = true},
      {.name = "close of the writer", .how = How::closing},
      {.name = "close of the writer, reader asleep", .how = How::closing, .reader_waits = true},
  };
  return all;
}

const std::vector<ReaderCase>& readers() {
  static const std::vector<ReaderCase> all{
      {.name = "receive"},
      {.name = "receive, cursor stored", .stored = true},
      {.name = "receive, the cursor is stored there", .seen = 256, .more = 2},
      {.name = "open with a cursor", .how = How::opening, .stored = true},
      {.name = "close of a reader with a cursor", .how = How::closing},
  };
  return all;
}

}  // namespace

std::vector<Operation> file_operations() {
  std::vector<Operation> all;
  for (const WriterCase& the : writers()) {
    all.push_back({.name = "file: " + the.name,
                   .stage = [the] { return std::make_unique<WriterDies>(the); },
                   .victim = [the] { writer(the); }});
  }
  for (const ReaderCase& the : readers()) {
    all.push_back({.name = "file: " + the.name,
                   .stage = [the] { return std::make_unique<ReaderDies>(the); },
                   .victim = [the] { reader(the); }});
  }
  return all;
}

}  // namespace bulkhead::crash
