// SPDX-License-Identifier: Apache-2.0
//
// Segment: one file of a log, and how it is read: by whom writes it when it opens it again, and by
// readers, who may be at it while it is written.
//
// LAYOUT of a segment (native byte order), FOLDER/<first sequence, 20 digits>.log
//   0   8  magic          "BHKLOG1\n"; another order of bytes reads as another magic
//   8   2  version        1
//   10  2  header         64
//   12  4  crc            CRC32C of these 64 bytes with this field 0
//   16  8  layout         a hash of what both must agree about
//   24  8  salt           random, see record.hpp
//   32  8  first          the sequence of its first message
//   40  24 zero
//   64     records (record.hpp), one behind the other to the end of the file
//
// Torn or damaged: what cannot be read is a torn tail when nothing behind it is a record that was
// written after this place was known to be on the disk: then nobody was promised it. Everything
// else is damage.
#pragma once

#include <memory>
#include <string>

#include <bulkhead/fd.hpp>
#include <bulkhead/result.hpp>

#include "transport/file/record.hpp"

namespace bulkhead::transport::file {

struct SegmentHeader {
  static constexpr std::uint64_t right_magic = 0x0a31474f4c4b4842;

  std::uint64_t magic = right_magic;
  std::uint16_t version = 1;
  std::uint16_t header = 64;
  std::uint32_t crc = 0;
  std::uint64_t layout = 0;
  std::uint64_t salt = 0;
  std::uint64_t first = 1;
  std::uint64_t zero[3] = {};

  /// A new one with a salt of its own.
  static SegmentHeader create(std::uint64_t first) noexcept;
  Bytes bytes() const noexcept { return {reinterpret_cast<const std::byte*>(this), sizeof *this}; }
};
static_assert(sizeof(SegmentHeader) == 64 && std::is_trivially_copyable_v<SegmentHeader>);
static_assert(offsetof(SegmentHeader, crc) == 12 && offsetof(SegmentHeader, layout) == 16);
static_assert(offsetof(SegmentHeader, salt) == 24 && offsetof(SegmentHeader, first) == 32);

/// "00000000000000000001.log", and back; 0 for a name that is none.
std::string segment_name(std::uint64_t first);
std::uint64_t first_of(std::string_view name);

class Segment {
 public:
  /// `corrupt` with file and offset, `incompatible` for another version. `torn` instead when the
  /// header is not there or all zero: nothing was ever promised about such a file.
  enum class Opened : std::uint8_t { whole, torn };
  struct Open;
  static Result<Open> open(Fd file, std::string path);

  enum class Found : std::uint8_t { record, nothing, damage };
  /// The header at `offset`; `nothing` when the file ends before it or before its payload does.
  Result<Found> look(std::uint64_t offset, RecordHeader& header);
  /// The payload of that record into `into` (header.size bytes). `damage` when it is not what its
  /// header says.
  Result<Found> take(std::uint64_t offset, const RecordHeader& header, MutableBytes into,
                     std::uint32_t crc_before);
  /// What stands at `offset` and could not be read is a torn tail (see above). `after` is the
  /// sequence that it should have had.
  Result<bool> is_torn(std::uint64_t offset, std::uint64_t after);

  struct End {
    std::uint64_t offset = 0;         ///< behind the last whole message
    std::uint64_t next_sequence = 0;  ///< of the message that comes there
    bool ended = false;               ///< by an `end` record, which stands at `offset`
    bool damaged = false;             ///< what is there is damage, not a torn tail
  };
  /// Reads all from `offset`, where the message `sequence` begins, checking it, until the end or
  /// until `until` comes.
  Result<End> scan(std::uint64_t offset, std::uint64_t sequence, std::uint64_t until);
  Result<End> scan() { return scan(sizeof(SegmentHeader), header_.first, ~std::uint64_t{0}); }

  std::uint64_t first() const noexcept { return header_.first; }
  std::uint64_t salt() const noexcept { return header_.salt; }
  const std::string& path() const noexcept { return path_; }
  FdView file() const noexcept { return file_; }
  Fd take_file() && noexcept { return std::move(file_); }
  /// The next look reads the file itself.
  void forget() noexcept { window_size_ = 0; }
  /// "FILE is damaged at offset N"
  Error damage(std::uint64_t offset) const;

 private:
  Segment(Fd file, std::string path) noexcept : file_(std::move(file)), path_(std::move(path)) {}

  /// Bytes of the file, fewer than asked for at its end; from the window where they are in it.
  Result<Bytes> bytes_at(std::uint64_t offset, std::size_t size);

  Fd file_;
  std::string path_;
  SegmentHeader header_;
  std::unique_ptr<std::byte[]> window_;
  std::uint64_t window_at_ = 0;
  std::size_t window_size_ = 0;
};

struct Segment::Open {
  Opened opened;
  Segment segment;
};

}  // namespace bulkhead::transport::file
