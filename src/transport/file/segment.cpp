// SPDX-License-Identifier: Apache-2.0
#include "transport/file/segment.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "os/file.hpp"

namespace bulkhead::transport::file {
namespace {

constexpr std::size_t window_bytes = 64 * 1024;

constexpr std::uint64_t layout_hash() noexcept {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const std::uint64_t fact :
       {std::uint64_t{sizeof(SegmentHeader)}, std::uint64_t{header_bytes},
        std::uint64_t{RecordHeader::all_flags}, std::uint64_t{most_payload},
        std::uint64_t{offsetof(RecordHeader, sequence)},
        std::uint64_t{offsetof(RecordHeader, synced)}}) {
    hash = (hash ^ fact) * 0x100000001b3;
  }
  return hash;
}

std::uint32_t checksum(SegmentHeader header) noexcept {
  header.crc = 0;
  return os::crc32c(header.bytes());
}

}  // namespace

SegmentHeader SegmentHeader::create(std::uint64_t first) noexcept {
  SegmentHeader header;
  header.layout = layout_hash();
  header.salt = os::random_word();
  header.first = first;
  header.crc = checksum(header);
  return header;
}

std::string segment_name(std::uint64_t first) {
  std::string digits = std::to_string(first);
  return std::string(20 - digits.size(), '0') + digits + ".log";
}

std::uint64_t first_of(std::string_view name) {
  std::uint64_t first = 0;
  if (name.size() != 24 || !name.ends_with(".log")) return 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + 20, first);
  return error == std::errc{} && end == name.data() + 20 ? first : 0;
}

Error Segment::damage(std::uint64_t offset) const {
  return {ErrorKind::corrupt,
          {.cause = path_ + " is damaged at offset " + std::to_string(offset),
           .remedy = "restore it from a copy, or begin a new log"}};
}

Result<Segment::Open> Segment::open(Fd file, std::string path) {
  Segment segment{std::move(file), std::move(path)};
  SegmentHeader header;
  const MutableBytes into{reinterpret_cast<std::byte*>(&header), sizeof header};
  const std::size_t size = BULKHEAD_TRY(os::read_at(segment.file_, 0, into, segment.path_));
  const bool is_zero =
      std::ranges::all_of(into.first(size), [](std::byte byte) { return byte == std::byte{}; });
  if (size < sizeof header || is_zero) return Open{Opened::torn, std::move(segment)};
  if (header.magic != SegmentHeader::right_magic || header.crc != checksum(header)) {
    return fail(segment.damage(0));
  }
  if (header.version != 1 || header.layout != layout_hash() || header.header != sizeof header) {
    return fail(ErrorKind::incompatible,
                {.cause = segment.path_ + " has version " + std::to_string(header.version) +
                          " of the log's format, this process writes version 1",
                 .remedy = "use the same version of Bulkhead at both ends"});
  }
  segment.header_ = header;
  return Open{Opened::whole, std::move(segment)};
}

Result<Bytes> Segment::bytes_at(std::uint64_t offset, std::size_t size) {
  if (offset < window_at_ || offset + size > window_at_ + window_size_) {
    if (!window_) window_ = std::make_unique_for_overwrite<std::byte[]>(window_bytes);
    forget();
    window_size_ =
        BULKHEAD_TRY(os::read_at_least(file_, offset, {window_.get(), window_bytes}, size, path_));
    window_at_ = offset;
  }
  const std::size_t from = static_cast<std::size_t>(offset - window_at_);
  return Bytes{window_.get() + from, std::min(size, window_size_ - from)};
}

Result<Segment::Found> Segment::look(std::uint64_t offset, RecordHeader& header) {
  // What does not look right is read once more from the file itself: it may have been cut off and
  // written anew since the window was filled.
  for (int looks = 0; looks < 2; ++looks, forget()) {
    const Bytes bytes = BULKHEAD_TRY(bytes_at(offset, header_bytes));
    if (bytes.size() < header_bytes) return Found::nothing;
    std::memcpy(static_cast<void*>(&header), bytes.data(), header_bytes);
    if (is_whole(header, header_.salt)) {
      if (offset + header_bytes + header.size <= window_at_ + window_size_) return Found::record;
      const std::uint64_t size = BULKHEAD_TRY(os::size_of(file_, path_));
      return offset + header_bytes + header.size <= size ? Found::record : Found::nothing;
    }
  }
  return Found::damage;
}

Result<Segment::Found> Segment::take(std::uint64_t offset, const RecordHeader& header,
                                     MutableBytes into, std::uint32_t crc_before) {
  const std::uint64_t from = offset + header_bytes;
  for (int looks = 0; looks < 2; ++looks, forget()) {
    if (header.size <= window_bytes) {
      const Bytes bytes = BULKHEAD_TRY(bytes_at(from, header.size));
      if (bytes.size() < header.size) return Found::nothing;
      if (header.size > 0) std::memcpy(into.data(), bytes.data(), header.size);
    } else {
      const std::size_t got = BULKHEAD_TRY(os::read_at(file_, from, into, path_));
      if (got < header.size) return Found::nothing;
    }
    if (os::crc32c(into, crc_before) == header.payload_crc) return Found::record;
  }
  return Found::damage;
}

Result<bool> Segment::is_torn(std::uint64_t offset, std::uint64_t after) {
  const std::uint64_t size = BULKHEAD_TRY(os::size_of(file_, path_));
  RecordHeader header;
  for (std::uint64_t at = offset + 8; at + header_bytes <= size; at += 8) {
    const Bytes bytes = BULKHEAD_TRY(bytes_at(at, header_bytes));
    if (bytes.size() < header_bytes) break;
    std::memcpy(static_cast<void*>(&header), bytes.data(), header_bytes);
    // The sequence first: it rules nearly all out, and costs nothing.
    if (header.sequence < after || header.sequence - after > size / header_bytes) continue;
    if (is_whole(header, header_.salt) && header.synced > offset) return false;
  }
  return true;
}

Result<Segment::End> Segment::scan(std::uint64_t offset, std::uint64_t sequence,
                                   std::uint64_t until) {
  End end{.offset = offset, .next_sequence = sequence};
  std::unique_ptr<std::byte[]> payload;
  std::uint32_t crc = 0;
  bool in_pieces = false;
  std::optional<std::uint32_t> epoch;
  for (std::uint64_t at = offset; end.next_sequence < until;) {
    RecordHeader header;
    Found found = BULKHEAD_TRY(look(at, header));
    if (found == Found::record && header.sequence == end.next_sequence &&
        header.has(RecordHeader::end) && header.follows(epoch)) {
      end.ended = !in_pieces;
      return end;
    }
    const bool fits = header.sequence == end.next_sequence && header.follows(epoch) &&
                      header.has(RecordHeader::next) == in_pieces &&
                      !header.has(RecordHeader::end | RecordHeader::aside);
    if (found == Found::record && !fits) found = Found::damage;
    if (found == Found::record) {
      if (!payload) payload = std::make_unique_for_overwrite<std::byte[]>(most_payload);
      found = BULKHEAD_TRY(take(at, header, {payload.get(), header.size}, crc));
    }
    if (found == Found::nothing) {
      // Cut short by the end of the file; or by a size that is a lie, with records behind it.
      break;
    }
    if (found == Found::damage) {
      const bool torn = BULKHEAD_TRY(is_torn(at, end.next_sequence));
      end.damaged = !torn;
      break;
    }
    at += record_bytes(header.size);
    in_pieces = header.has(RecordHeader::more);
    epoch = header.epoch();
    crc = in_pieces ? header.payload_crc : 0;
    if (in_pieces) continue;
    end.offset = at;
    ++end.next_sequence;
  }
  return end;
}

}  // namespace bulkhead::transport::file
