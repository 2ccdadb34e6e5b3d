// SPDX-License-Identifier: Apache-2.0
//
// What the adversary is let loose on: receive (and send) of shm with a peer that is not trusted, and
// receive of mmap, whose words lie in files.
//
// The rounds judge themselves. A call gives what was sent, whole; or an error that the change
// explains. What a peer's memory may say and nobody should care about (wait words, hints) changes
// nothing. A size that was changed may give another size, of bytes that the ring really held.
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <sys/mman.h>
#include <tuple>
#include <unistd.h>
#include <utility>
#include <vector>

#include <bulkhead/channel.hpp>

#include "crash/adversary.hpp"
#include "crash/naive.hpp"
#include "crash/operation.hpp"
#include "transport/mmap/layout.hpp"
#include "transport/shm/layout.hpp"
#include "transport/shm/segment.hpp"

namespace bulkhead::crash {
namespace {

using std::chrono_literals::operator""ms;

constexpr std::size_t ring = 4096;
const ChannelOptions untrusting{.trust = Trust::untrusted, .capacity_bytes = ring};

/// The segment of this process whose words say that so much was published.
const std::byte* segment_with_tail(std::uint64_t tail) {
  std::ifstream maps{"/proc/self/maps"};
  for (std::string line; std::getline(maps, line);) {
    std::istringstream words{line};
    std::string range;
    std::string protection;
    words >> range >> protection;
    if (protection != "rw-s") continue;
    const auto start = std::stoull(range, nullptr, 16);
    const auto end = std::stoull(range.substr(range.find('-') + 1), nullptr, 16);
    if (end - start < transport::shm::ring_offset() + ring) continue;
    const auto* const at = reinterpret_cast<const std::byte*>(start);
    std::uint64_t found = 0;
    std::memcpy(&found, at + transport::shm::words_offset, sizeof found);
    std::uint32_t magic = 0;
    std::memcpy(&magic, at, sizeof magic);
    if (magic == transport::shm::magic && found == tail) return at;
  }
  return nullptr;
}

struct ShmCase {
  std::string name;
  std::size_t size = 104;
  bool sends = false;  ///< the victim sends, and the adversary is who receives
  bool tries = false;
  std::uint64_t waiting = 0;  ///< messages behind the one in question, or before it where it sends
};

/// Bytes of the ring that messages of this size take, in one record.
std::uint64_t taken(std::size_t size) { return transport::shm::record_bytes(size); }

class ShmRound {
 public:
  ShmRound(const ShmCase& the, Board& board) : the_(the), board_(board) {
    auto ends = or_throw(pair(Mechanism::shm, untrusting));
    theirs_.emplace(std::move(ends.first));
    mine_.emplace(std::move(ends.second));
    // Until both have met, and all goes through memory. Sizes that tell the segments apart.
    for (int i = 0; i < 3; ++i) {
      pass(*theirs_, *mine_, 8);
      pass(*mine_, *theirs_, 16);
    }
    body_ = content(7, the_.size);
  }

  void run() { the_.sends ? send() : receive(); }

 private:
  static void pass(Channel& from, Channel& to, std::size_t size) {
    or_throw(from.send(content(1, size), never));
    static_cast<void>(or_throw(to.receive(never)));
  }

  const std::byte* find(std::size_t size) {
    // What went through before memory did is not in the ring: any whole number of them.
    for (std::uint64_t count = 4; count-- > 0;) {
      if (const auto* found = segment_with_tail(count * taken(size)); found != nullptr) {
        before_ = count * taken(size);
        return found;
      }
    }
    throw std::runtime_error{"the adversary's segment is not there"};
  }

  void add_words(const std::byte* segment) {
    using transport::shm::Words;
    const std::byte* const words = segment + transport::shm::words_offset;
    board_.add("tail", words + offsetof(Words, tail), 8);
    board_.add("head", words + offsetof(Words, head), 8);
    board_.add("wait_data", words + offsetof(Words, wait_data), 8);
    board_.add("wait_space", words + offsetof(Words, wait_space), 8);
    board_.add("rang_data_at", words + offsetof(Words, rang_data_at), 8);
    board_.add("rang_space_at", words + offsetof(Words, rang_space_at), 8);
    board_.add("cpu", words + offsetof(Words, cpu), 4);
    board_.add("closed", words + offsetof(Words, closed), 4);
    board_.add("header.magic", segment, 4);
    board_.add("header.capacity", segment + offsetof(transport::shm::Header, capacity), 8);
  }

  void receive() {
    const std::byte* const segment = find(8);
    const std::byte* const record =
        segment + transport::shm::ring_offset() + (before_ & (ring - 1));
    for (std::uint64_t i = 0; i <= the_.waiting; ++i) or_throw(theirs_->send(body_, never));
    board_.begin_round();
    add_words(segment);
    board_.add("size", record, 4);
    board_.add("flags", record + 4, 4);
    board_.add("first bytes", record + 8, 8);  // the total, of a larger message
    board_.add("more bytes", record + 16, 8);
    // The second piece's, or the middle of the payload.
    board_.add("second size", record + ring / 8, 4);
    board_.add("second flags", record + ring / 8 + 4, 4);
    const std::vector<std::byte> was{record, record + ring / 2};
    Message message;
    const Deadline deadline{1ms};
    mark(Mark::begin);
    Result<void> got;
    if (the_.tries) {
      auto one = mine_->try_receive();
      if (one) {
        message = *std::move(one);
      } else {
        got = fail(std::move(one).error());
      }
    } else {
      got = mine_->receive(message, deadline);
    }
    mark(Mark::end);
    if (got) {
      judge_content(message.bytes(), was, record);
    } else {
      judge_error(got.error(),
                  {"tail", "size", "flags", "first bytes", "second size", "second flags"});
    }
    // A lie ends the link for ever, and nothing that was told makes the next calls fall over.
    const auto next = mine_->try_receive();
    if (!got && got.error() == ErrorKind::corrupt && (next || next.error() != ErrorKind::corrupt)) {
      board_.judge("corrupt, and then it goes on");
    }
  }

  /// Each byte is what was sent or what was put there instead.
  void judge_content(Bytes got, const std::vector<std::byte>& was, const std::byte* now) {
    if (body_.size() > ring / 2) {
      // In pieces: nothing but the whole, and nothing of it from elsewhere.
      if (got.size() != body_.size()) return board_.judge("a message of another size");
      if (std::memcmp(got.data(), body_.data(), got.size()) != 0 &&
          !board_.was_changed({"more bytes"})) {
        board_.judge("a message of other content");
      }
      return;
    }
    std::uint32_t size_now = 0;
    std::memcpy(&size_now, now, sizeof size_now);
    if (got.size() != body_.size() && got.size() != size_now) {
      return board_.judge("a size that nobody wrote: " + std::to_string(got.size()));
    }
    if (got.size() != body_.size() && !board_.was_changed({"size"})) {
      return board_.judge("a message of another size");
    }
    for (std::size_t i = 0; i < got.size() && 8 + i < was.size(); ++i) {
      if (got[i] != was[8 + i] && got[i] != now[8 + i]) {
        return board_.judge("a byte that nobody wrote, at " + std::to_string(i));
      }
    }
  }

  void send() {
    const std::byte* const segment = find(8);
    for (std::uint64_t i = 0; i < the_.waiting; ++i) or_throw(mine_->send(body_, never));
    board_.begin_round();
    add_words(segment);
    mark(Mark::begin);
    const auto sent = mine_->try_send(body_);
    mark(Mark::end);
    if (!sent) judge_error(sent.error(), {"head"});
    static_cast<void>(mine_->try_send(body_));
  }

  void judge_error(const Error& error, std::initializer_list<const char*> explained_by) {
    const bool full = the_.sends && error == ErrorKind::full;
    if (full) return;
    // An end that says it is closed is believed: that is its right.
    if (error == ErrorKind::closed && board_.was_changed({"closed"})) return;
    const bool lied =
        error == ErrorKind::corrupt || error == ErrorKind::timed_out || error == ErrorKind::empty;
    if (!lied || !board_.was_changed(explained_by)) {
      board_.judge("the call failed: " + error.sentence());
    }
  }

  ShmCase the_;
  Board& board_;
  std::optional<Channel> theirs_;
  std::optional<Channel> mine_;
  std::vector<std::byte> body_;
  std::uint64_t before_ = 0;
};

// The ring in files: the adversary owns 0.tail and 0.ring, the victim receives as end 1.

struct MmapCase {
  std::string name;
  std::size_t size = 100;
};

void mmap_round(const MmapCase& the, Board& board) {
  namespace layout = transport::mmap;
  using transport::file::RecordHeader;
  std::filesystem::remove_all(attacked_folder());
  const ChannelOptions options{.capacity_bytes = 16 * 1024};
  auto theirs =
      or_throw(connect(Address{"mmap://" + attacked_folder() + "?seat=listen"}, never, options));
  auto mine = or_throw(connect(Address{"mmap://" + attacked_folder()}, never, options));
  or_throw(theirs.send(content(1, 64), never));
  static_cast<void>(or_throw(mine.receive(never)));
  static_cast<void>(mine.try_receive());  // writes the head
  const auto body = content(7, the.size);
  or_throw(theirs.send(body, never));
  board.begin_round();
  const std::string tail = attacked_folder() + "/0.tail";
  for (const auto& [name, offset, size] : {std::tuple{"owner.magic", 0U, 4U},
                                           {"owner.state", 4U, 4U},
                                           {"owner.pid", 8U, 4U},
                                           {"owner.session", 32U, 8U}}) {
    board.add_in_file(name, tail, offset, size);
  }
  const auto cursor = layout::cursor_offset;
  board.add_in_file("position", tail, cursor + offsetof(layout::Cursor, position), 8);
  board.add_in_file("sequence", tail, cursor + offsetof(layout::Cursor, sequence), 8);
  board.add_in_file("salt", tail, cursor + offsetof(layout::Cursor, salt), 8);
  board.add_in_file("crc", tail, cursor + offsetof(layout::Cursor, crc), 4);
  const std::string file = attacked_folder() + "/0.ring";
  const auto record = layout::ring_offset + transport::file::record_bytes(64);
  for (const auto& [name, offset, size] :
       {std::tuple{"record.crc", offsetof(RecordHeader, crc), 4U},
        {"record.size", offsetof(RecordHeader, size), 4U},
        {"record.sequence", offsetof(RecordHeader, sequence), 8U},
        {"record.flags", offsetof(RecordHeader, flags), 4U},
        {"record.payload_crc", offsetof(RecordHeader, payload_crc), 4U},
        {"payload", sizeof(RecordHeader), 8U}}) {
    board.add_in_file(name, file, record + offset, size);
  }
  board.add_in_file("ring.capacity", file, offsetof(layout::RingHeader, capacity), 8);
  board.add_in_file("head", attacked_folder() + "/1.head", 0, 8);
  if (the.size > layout::most_in_ring(16 * 1024)) {
    board.add_in_file("aside", attacked_folder() + "/0.2", 0, 8);
  }
  Message message;
  const Deadline deadline{20ms};
  mark(Mark::begin);
  const auto got = mine.receive(message, deadline);
  mark(Mark::end);
  if (got) {
    if (!has_content(message.bytes(), 7, the.size)) board.judge("what nobody sent");
  } else if (got.error() == ErrorKind::peer_died || got.error() == ErrorKind::closed) {
    if (!board.was_changed({"owner.magic", "owner.state", "owner.pid", "owner.session"})) {
      board.judge("told of an end: " + got.error().sentence());
    }
  } else if (got.error() != ErrorKind::corrupt && got.error() != ErrorKind::timed_out) {
    board.judge("the call failed: " + got.error().sentence());
  }
  static_cast<void>(mine.try_receive());
}

void shm_round(const ShmCase& the, Board& board) { ShmRound{the, board}.run(); }

/// Looks at the size once to check it and once more to use it.
void naive_round(Board& board) {
  static auto* const shared = static_cast<TwiceFetched*>(
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  static std::array<char, 256> private_copy;
  shared->size = 64;
  private_copy.fill('-');
  board.begin_round();
  board.add("size", const_cast<const std::uint32_t*>(&shared->size), 4);
  mark(Mark::begin);
  const bool taken_over = shared->take(private_copy.data(), 64);
  mark(Mark::end);
  static_cast<void>(taken_over);
  if (private_copy[64] != '-') board.judge("it wrote past its buffer");
}

}  // namespace

std::string attacked_folder() {
  return std::string{::getenv("XDG_RUNTIME_DIR")} + "/crash.attacked";
}

std::vector<Trial> trials() {
  const std::vector<ShmCase> in_memory{
      {.name = "attacked shm: receive of 104 bytes"},
      {.name = "attacked shm: receive of 104 bytes, more waiting", .waiting = 3},
      {.name = "attacked shm: try_receive", .tries = true},
      {.name = "attacked shm: receive of 1,500 bytes", .size = 1500},
      {.name = "attacked shm: receive of 2,500 bytes, in pieces", .size = 2500},
      {.name = "attacked shm: send", .sends = true},
      {.name = "attacked shm: send, full", .sends = true, .waiting = 36},
  };
  const std::vector<MmapCase> in_files{
      {.name = "attacked mmap: receive of 100 bytes"},
      {.name = "attacked mmap: receive of 5,000 bytes, aside", .size = 5000}};
  std::vector<Trial> all;
  for (const auto& the : in_memory) {
    all.push_back({the.name, [the](Board& board) { shm_round(the, board); }});
  }
  for (const auto& the : in_files) {
    all.push_back({the.name, [the](Board& board) { mmap_round(the, board); }});
  }
  return all;
}

std::vector<Trial> naive_trials() {
  return {{"attacked naive: a size that is fetched twice", naive_round}};
}

}  // namespace bulkhead::crash
