// SPDX-License-Identifier: Apache-2.0
#include "transport/file/log_reader.hpp"

#include <algorithm>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/syscall.hpp"
#include "transport/file/log_writer.hpp"

namespace bulkhead::transport::file {
namespace {

struct CursorRecord {
  static constexpr std::uint64_t right_magic = 0x0a315255434b4842;

  std::uint64_t magic = right_magic;
  std::uint16_t version = 2;
  std::uint16_t zero = 0;
  std::uint32_t crc = 0;
  std::uint64_t salt = 0;
  std::uint64_t first = 0;
  std::uint64_t offset = 0;
  std::uint64_t sequence = 0;
  std::uint32_t epoch = 0;
  std::uint32_t epoch_is_known = 0;

  Bytes bytes() const noexcept { return {reinterpret_cast<const std::byte*>(this), sizeof *this}; }
};
static_assert(sizeof(CursorRecord) == 56 && std::is_trivially_copyable_v<CursorRecord>);
static_assert(offsetof(CursorRecord, crc) == 12 && offsetof(CursorRecord, sequence) == 40);
static_assert(offsetof(CursorRecord, epoch) == 48);

std::uint32_t checksum(CursorRecord record) {
  record.crc = 0;
  return os::crc32c(record.bytes());
}

/// The disk is given back in steps of this size.
constexpr std::uint64_t give_back_bytes = 1 << 20;

}  // namespace

Result<LogReader> LogReader::open(const std::string& folder, const ReadOptions& options) {
  LogReader reader{options};
  reader.folder_ = folder;
  if (!options.cursor.empty()) {
    const std::string lock = folder + "/" + options.cursor + ".reader";
    Fd file = BULKHEAD_TRY(os::open_file(lock, O_RDWR | O_CREAT));
    reader.cursor_.emplace(BULKHEAD_TRY(os::FileOwner::take(std::move(file), 0, lock)));
    BULKHEAD_TRY(reader.load_cursor());
  }
  if (reader.sequence_ != 0 || !options.from_end) return reader;
  const auto names = BULKHEAD_TRY(os::names_in(folder));
  std::uint64_t newest = 0;
  for (const auto& name : names) newest = std::max(newest, first_of(name));
  if (newest == 0 || !BULKHEAD_TRY(reader.open_segment(newest))) return reader;
  const auto end = BULKHEAD_TRY(reader.segment_->scan());
  reader.offset_ = end.offset;
  reader.sequence_ = end.next_sequence;
  return reader;
}

Result<LogReader> LogReader::on(Fd file, const ReadOptions& options) {
  LogReader reader{options};
  auto opened = BULKHEAD_TRY(Segment::open(std::move(file), "nameless log"));
  if (opened.opened == Segment::Opened::torn) {
    return fail(ErrorKind::invalid, {.cause = "the file is not a log"});
  }
  reader.sequence_ = opened.segment.first();
  reader.segment_.emplace(std::move(opened.segment));
  return reader;
}

Result<void> LogReader::load_cursor() {
  const std::string path = folder_ + "/" + options_.cursor + ".cursor";
  auto file = os::open_file(path, O_RDONLY);
  if (!file && file.error() == ErrorKind::not_found) return {};
  if (!file) return fail(std::move(file).error());
  CursorRecord record;
  const MutableBytes into{reinterpret_cast<std::byte*>(&record), sizeof record};
  const std::size_t size = BULKHEAD_TRY(os::read_at(*file, 0, into, path));
  if (size != sizeof record || record.magic != CursorRecord::right_magic ||
      record.crc != checksum(record) || record.sequence == 0) {
    return fail(ErrorKind::corrupt, {.operation = "read",
                                     .object = path,
                                     .cause = "the cursor is damaged",
                                     .remedy = "remove it to read from the oldest message again"});
  }
  if (record.version != 2) {
    return fail(ErrorKind::incompatible,
                {.operation = "read",
                 .object = path,
                 .cause = "the cursor has version " + std::to_string(record.version)});
  }
  sequence_ = stored_ = record.sequence;
  if (record.first == 0 || !BULKHEAD_TRY(open_segment(record.first))) return {};
  // The offset is a short cut, taken when it leads to the right message.
  RecordHeader header;
  if (segment_->salt() == record.salt && record.offset >= sizeof(SegmentHeader)) {
    const auto found = BULKHEAD_TRY(segment_->look(record.offset, header));
    const bool at_the_end = found == Segment::Found::nothing &&
                            record.offset <= BULKHEAD_TRY(os::size_of(segment_->file(), path));
    if (at_the_end || (found == Segment::Found::record && header.sequence == sequence_)) {
      offset_ = record.offset;
      if (record.epoch_is_known == 1) epoch_ = record.epoch;
      return {};
    }
  }
  segment_.reset();
  return {};
}

Result<void> LogReader::store() {
  if (!cursor_ || !cursor_->is_ours() || sequence_ == stored_ || sequence_ == 0) return {};
  CursorRecord record{.sequence = sequence_};
  if (segment_) {
    record.salt = segment_->salt();
    record.first = segment_->first();
    record.offset = offset_;
    record.epoch = epoch_.value_or(0);
    record.epoch_is_known = epoch_ ? 1 : 0;
  }
  record.crc = checksum(record);
  BULKHEAD_TRY(os::replace_file(folder_ + "/" + options_.cursor + ".cursor", record.bytes(),
                                options_.durable));
  stored_ = sequence_;
  return {};
}

/// False when it is not there (any more), or not written yet.
Result<bool> LogReader::open_segment(std::uint64_t first) {
  const std::string path = folder_ + "/" + segment_name(first);
  auto file = os::open_file(path, O_RDONLY);
  if (!file && file.error() == ErrorKind::not_found) return false;
  if (!file) return fail(std::move(file).error());
  auto opened = BULKHEAD_TRY(Segment::open(*std::move(file), path));
  if (opened.opened == Segment::Opened::torn) return false;
  if (opened.segment.first() != first) return fail(opened.segment.damage(0));
  segment_.emplace(std::move(opened.segment));
  offset_ = sizeof(SegmentHeader);
  epoch_.reset();
  return true;
}

/// Opens the segment in which the next message is; false when there is none yet. Tells what was
/// removed, once.
Result<bool> LogReader::find_segment() {
  const auto names = BULKHEAD_TRY(os::names_in(folder_));
  std::uint64_t oldest = 0;
  std::uint64_t best = 0;
  for (const auto& name : names) {
    const std::uint64_t first = first_of(name);
    if (first == 0) continue;
    if (oldest == 0) oldest = first;
    if (first <= sequence_) best = first;
  }
  if (oldest == 0) return false;
  if (sequence_ == 0) sequence_ = oldest;
  if (best == 0 && oldest > sequence_) {
    const std::uint64_t lost = oldest - sequence_;
    lost_ += lost;
    sequence_ = oldest;
    return fail(ErrorKind::not_found,
                {.cause = std::to_string(lost) +
                          " messages were removed from the log before they were read",
                 .remedy = "read faster, or keep more segments (?keep=N)"});
  }
  if (!BULKHEAD_TRY(open_segment(best == 0 ? oldest : best))) return false;
  if (segment_->first() == sequence_) return true;
  const auto place =
      BULKHEAD_TRY(segment_->scan(sizeof(SegmentHeader), segment_->first(), sequence_));
  offset_ = place.offset;
  if (place.next_sequence == sequence_) return true;
  if (place.damaged) return fail(segment_->damage(place.offset));
  // The log ends before the place that was asked for: it is another log than it was.
  return fail(ErrorKind::corrupt,
              {.cause = folder_ + " ends before message " + std::to_string(sequence_) +
                        ", where this reader was",
               .remedy = "remove its cursor to read from the oldest message again"});
}

Result<bool> LogReader::is_newest() {
  if (folder_.empty()) return true;
  const auto names = BULKHEAD_TRY(os::names_in(folder_));
  return std::ranges::none_of(
      names, [&](const std::string& name) { return first_of(name) > segment_->first(); });
}

/// At the end mark: on to the next segment, if it is there.
Result<bool> LogReader::follow_end() {
  const std::uint64_t place = offset_;
  std::optional<Segment> before = std::move(segment_);
  segment_.reset();
  if (BULKHEAD_TRY(open_segment(sequence_))) return true;
  segment_ = std::move(before);
  offset_ = place;
  // Not made yet, and the mark may even be taken back when there is no room for it; or gone already.
  segment_->forget();
  if (BULKHEAD_TRY(is_newest())) return false;
  segment_.reset();
  return find_segment();
}

Result<LogReader::Got> LogReader::give_up_part() {
  partial_ = {};
  partial_at_ = 0;
  partial_crc_ = 0;
  segment_->forget();
  return Got::nothing;
}

Result<LogReader::Got> LogReader::no_record(Segment::Found found) {
  if (found == Segment::Found::nothing) return Got::nothing;
  const std::uint64_t at = partial_at_ != 0 ? partial_at_ : offset_;
  const bool newest = BULKHEAD_TRY(is_newest());
  if (newest && BULKHEAD_TRY(segment_->is_torn(at, sequence_))) return give_up_part();
  return fail(segment_->damage(at));
}

Result<void> LogReader::check_end() {
  if (!segment_ || folder_.empty()) return {};
  RecordHeader header;
  if (BULKHEAD_TRY(is_newest())) return {};
  segment_->forget();
  const std::uint64_t at = partial_at_ != 0 ? partial_at_ : offset_;
  if (BULKHEAD_TRY(segment_->look(at, header)) == Segment::Found::record) return {};
  return fail(segment_->damage(at));
}

Result<LogReader::Got> LogReader::next(Message& into) {
  // Not before the last message was handed out: a reader that dies in between must get it again.
  if (sequence_ - stored_ > store_every) BULKHEAD_TRY(store());
  for (int restarts = 0;;) {
    if (!segment_ && !BULKHEAD_TRY(find_segment())) return Got::nothing;
    const bool in_pieces = partial_at_ != 0;
    const std::uint64_t at = in_pieces ? partial_at_ : offset_;
    RecordHeader header;
    auto found = BULKHEAD_TRY(segment_->look(at, header));
    using enum Segment::Found;
    if (found == record && !in_pieces && header.has(RecordHeader::end) &&
        header.sequence == sequence_ && header.follows(epoch_)) {
      if (!BULKHEAD_TRY(follow_end())) return Got::nothing;
      continue;
    }
    const bool fits = header.sequence == sequence_ &&
                      header.follows(in_pieces ? partial_epoch_ : epoch_) &&
                      header.has(RecordHeader::next) == in_pieces &&
                      !header.has(RecordHeader::end | RecordHeader::aside);
    if (found == record && !fits) found = damage;
    Message& whole = in_pieces ? partial_ : into;
    const std::size_t before = in_pieces ? partial_.size() : 0;
    if (found == record) {
      if (header.size > options_.max_message_bytes - std::min(options_.max_message_bytes, before)) {
        return fail(ErrorKind::corrupt,
                    {.cause = "message " + std::to_string(sequence_) + " in " + segment_->path() +
                              " is larger than this channel's maximum",
                     .remedy = "raise ChannelOptions::max_message_bytes"});
      }
      if (!in_pieces) into.clear();
      const auto room = whole.resize(before + header.size).subspan(before);
      found = BULKHEAD_TRY(segment_->take(at, header, room, partial_crc_));
      if (found != record) whole.resize(before);
    }
    if (found != record && in_pieces && restarts++ == 0) {
      // The writer may have taken a message back and written another in its place.
      static_cast<void>(give_up_part());
      continue;
    }
    if (found != record) return no_record(found);
    const std::uint64_t behind = at + record_bytes(header.size);
    if (header.has(RecordHeader::more)) {
      if (!in_pieces) partial_ = std::move(into);
      partial_at_ = behind;
      partial_crc_ = header.payload_crc;
      partial_epoch_ = header.epoch();
      continue;
    }
    if (in_pieces) into = std::move(partial_);
    partial_at_ = 0;
    partial_crc_ = 0;
    epoch_ = header.epoch();
    offset_ = behind;
    ++sequence_;
    if (folder_.empty()) give_back();
    return Got::message;
  }
}

/// A file system that cannot punch holes keeps what was read until the end: no harm.
void LogReader::give_back() {
  if (offset_ - given_back_ < give_back_bytes) return;
  constexpr std::uint64_t page = 4096;
  const std::uint64_t from = std::max(given_back_, page);
  const std::uint64_t to = offset_ / page * page;
  ::fallocate(segment_->file().native(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
              static_cast<off_t>(from), static_cast<off_t>(to - from));
  given_back_ = to;
}

}  // namespace bulkhead::transport::file
