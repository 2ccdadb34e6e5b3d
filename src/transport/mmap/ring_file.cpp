// SPDX-License-Identifier: Apache-2.0
#include "transport/mmap/ring_file.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/draft.hpp"
#include "os/file.hpp"
#include "os/syscall.hpp"

namespace bulkhead::transport::mmap {
namespace {

/// Has its name when it is complete; whoever is second with the name takes the first one's.
Result<void> make_ring(const std::string& path, std::uint64_t capacity) {
  BULKHEAD_TRY(os::check_size_limit(ring_offset + capacity, path));
  auto [file, aside] = BULKHEAD_TRY(os::Draft::make(path, path));
  int number = EINTR;
  while (number == EINTR) {
    number = ::posix_fallocate(file.native(), 0, static_cast<off_t>(ring_offset + capacity));
  }
  if (number != 0) {
    return fail(Error::from_errno(number, {.operation = "reserve space for",
                                           .object = path,
                                           .remedy = "make room, or choose a smaller capacity"}));
  }
  RingHeader header;
  header.layout = layout_hash();
  header.salt = os::random_word() | 1;
  header.capacity = capacity;
  header.crc = checksum(header);
  const Bytes bytes{reinterpret_cast<const std::byte*>(&header), sizeof header};
  BULKHEAD_TRY(os::write_at(file, 0, bytes, path));
  BULKHEAD_TRY(os::sync_data(file, path));
  const auto named = os::name_draft(file, aside, path, path);
  if (!named && named.error() != ErrorKind::exists) return named;
  return {};
}

}  // namespace

Result<RingFile> RingFile::check(Fd file, const std::string& path) {
  RingHeader header;
  const MutableBytes into{reinterpret_cast<std::byte*>(&header), sizeof header};
  const std::size_t size = BULKHEAD_TRY(os::read_at(file, 0, into, path));
  if (size != sizeof header || header.magic != RingHeader::right_magic ||
      header.crc != checksum(header)) {
    return fail(ErrorKind::corrupt, {.operation = "open",
                                     .object = path,
                                     .cause = "its header is damaged, or it is something else",
                                     .remedy = "remove it, and what it held"});
  }
  const bool fits = header.capacity >= smallest_capacity && header.capacity <= largest_capacity &&
                    std::has_single_bit(header.capacity);
  if (header.version != 1 || header.layout != layout_hash() || !fits) {
    return fail(ErrorKind::incompatible,
                {.operation = "open",
                 .object = path,
                 .cause = "it has version " + std::to_string(header.version) +
                          " of the format, this process writes version 1",
                 .remedy = "use the same version of Bulkhead at both ends"});
  }
  RingFile ring{std::move(file), path, header};
  if (BULKHEAD_TRY(os::size_of(ring.file_, path)) < ring_offset + header.capacity) {
    return fail(ring.damage(0));
  }
  return ring;
}

Result<RingFile> RingFile::open(const std::string& path, std::uint64_t capacity) {
  const std::uint64_t size =
      std::bit_ceil(std::clamp(capacity, smallest_capacity, largest_capacity));
  for (;;) {
    auto file = os::open_file(path, O_RDWR);
    if (file) return check(*std::move(file), path);
    if (file.error() != ErrorKind::not_found) return fail(std::move(file).error());
    BULKHEAD_TRY(make_ring(path, size));
  }
}

Error RingFile::damage(std::uint64_t position) const {
  const auto size = os::size_of(file_, path_);
  const bool is_short = size && *size < ring_offset + header_.capacity;
  return {
      ErrorKind::corrupt,
      {.cause = path_ + (is_short ? " was cut short by somebody else"
                                  : " is damaged at offset " +
                                        std::to_string(ring_offset + position % header_.capacity)),
       .remedy = "remove it, and what it held"}};
}

Result<void> RingFile::read(std::uint64_t position, MutableBytes into) const {
  while (!into.empty()) {
    const std::uint64_t at = position & (header_.capacity - 1);
    const auto some = into.first(
        static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), header_.capacity - at)));
    if (BULKHEAD_TRY(os::read_at(file_, ring_offset + at, some, path_)) != some.size()) {
      return fail(damage(position));
    }
    position += some.size();
    into = into.subspan(some.size());
  }
  return {};
}

Result<void> RingFile::write(std::uint64_t position, Bytes bytes) const {
  while (!bytes.empty()) {
    const std::uint64_t at = position & (header_.capacity - 1);
    const auto some = bytes.first(
        static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), header_.capacity - at)));
    BULKHEAD_TRY(os::write_at(file_, ring_offset + at, some, path_));
    position += some.size();
    bytes = bytes.subspan(some.size());
  }
  return {};
}

Result<Cursor> check_cursor(Bytes bytes, std::uint64_t salt, const std::string& path) {
  Cursor cursor;
  Cursor fresh;
  fresh.salt = salt;
  if (bytes.empty()) return fresh;
  std::memcpy(static_cast<void*>(&cursor), bytes.data(), std::min(bytes.size(), sizeof cursor));
  if (bytes.size() == sizeof cursor) {
    if (cursor.position == 0 && cursor.sequence == 0 && cursor.crc == 0 && cursor.salt == 0) {
      return fresh;
    }
    if (cursor.crc == checksum(cursor)) return cursor.salt == salt ? cursor : fresh;
  }
  return fail(ErrorKind::corrupt, {.operation = "read",
                                   .object = path,
                                   .cause = "its cursor is damaged",
                                   .remedy = "remove the folder, and what it held"});
}

Result<Cursor> read_cursor(FdView file, std::uint64_t offset, std::uint64_t salt,
                           const std::string& path) {
  // A reader can meet a write half way; a few looks later it is whole.
  for (int looks = 0;; ++looks) {
    Cursor cursor;
    const MutableBytes into{reinterpret_cast<std::byte*>(&cursor), sizeof cursor};
    const std::size_t size = BULKHEAD_TRY(os::read_at(file, offset, into, path));
    auto checked = check_cursor(into.first(size), salt, path);
    if (checked || looks == 100) return checked;
  }
}

Result<void> write_cursor(FdView file, std::uint64_t offset, Cursor cursor,
                          const std::string& path) {
  cursor.crc = checksum(cursor);
  return os::write_at(file, offset,
                      Bytes{reinterpret_cast<const std::byte*>(&cursor), sizeof cursor}, path);
}

}  // namespace bulkhead::transport::mmap
