// SPDX-License-Identifier: Apache-2.0
//
// LogReader: one of any number that read a log, each at its own place. It never writes to the log;
// a cursor, where it has one, is a file of its own beside it.
//
// The place is the message that comes next: it moves on when a message was handed out whole. What
// retention has removed meanwhile is told once, with the number of messages (`not_found`), and
// reading goes on at the oldest. Damage is `corrupt` with file and offset, and the place stays
// before it. A torn tail is the end, as long as no later segment says that it cannot be.
//
// LAYOUT of a cursor (56 bytes, native byte order), FOLDER/NAME.cursor, replaced as a whole
//   0   8  magic     "BHKCUR1\n"
//   8   2  version   2
//   10  2  zero
//   12  4  crc       CRC32C of these 56 bytes with this field 0
//   16  8  salt      of the segment
//   24  8  first     of the segment
//   32  8  offset    where the message that comes next begins
//   40  8  sequence  of it
//   48  4  epoch     of the record before it (record.hpp)
//   52  4  1 when that is known
// Stored when the reader has found nothing more, every `store_every` messages, and at its close:
// after a crash of the reader those since then come again.
#pragma once

#include <bulkhead/message.hpp>

#include "os/file.hpp"
#include "os/file_owner.hpp"
#include "transport/file/segment.hpp"

namespace bulkhead::transport::file {

struct ReadOptions {
  std::string cursor;     ///< its name; empty: none
  bool from_end = false;  ///< what comes from now on; a cursor that exists goes before it
  os::Durable durable = os::Durable::no;  ///< the cursor
  std::size_t max_message_bytes = 256 << 20;
};

class LogReader {
 public:
  static constexpr std::uint64_t store_every = 256;

  static Result<LogReader> open(const std::string& folder, const ReadOptions& options);
  /// The nameless log of a pair, whose one reader this is: gives back the disk behind its place.
  static Result<LogReader> on(Fd file, const ReadOptions& options);

  enum class Got : std::uint8_t { message, nothing };
  Result<Got> next(Message& into);

  /// When there was nothing: `corrupt` when there should have been, as a later segment shows.
  Result<void> check_end();

  /// Stores the cursor, if there is one and its place is new.
  Result<void> store();
  /// Gives the cursor to whoever wants it next.
  void let_go() noexcept { cursor_.reset(); }
  /// What was removed before it was read, ever.
  std::uint64_t lost() const noexcept { return lost_; }
  std::uint64_t expected() const noexcept { return sequence_; }

 private:
  explicit LogReader(const ReadOptions& options) : options_(options) {}

  Result<void> load_cursor();
  Result<bool> find_segment();
  Result<bool> open_segment(std::uint64_t first);
  Result<bool> follow_end();
  Result<bool> is_newest();
  Result<Got> no_record(Segment::Found found);
  Result<Got> give_up_part();
  void give_back();

  ReadOptions options_;
  std::string folder_;  // empty: nameless
  std::optional<os::FileOwner> cursor_;
  std::optional<Segment> segment_;
  std::uint64_t offset_ = sizeof(SegmentHeader);  // of the message `sequence_`
  std::uint64_t sequence_ = 0;                    // 0: whatever is the oldest
  std::optional<std::uint32_t> epoch_;            // of the message before it, if that was read
  std::uint64_t stored_ = 0;
  std::uint64_t lost_ = 0;
  std::uint64_t given_back_ = 0;

  // A message of which some pieces are here.
  Message partial_;
  std::uint64_t partial_at_ = 0;  // behind them; 0: none
  std::uint32_t partial_crc_ = 0;
  std::optional<std::uint32_t> partial_epoch_;
};

}  // namespace bulkhead::transport::file
