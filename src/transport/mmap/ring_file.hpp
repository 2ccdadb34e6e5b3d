// SPDX-License-Identifier: Apache-2.0
//
// RingFile: the file of a ring, read and written by system calls at its positions. Nothing is
// mapped: a file that somebody else cut short reads short, which is an error value, where a mapping
// would be SIGBUS (docs/decisions/0041). Cursors: read and written whole, with their checksum.
#pragma once

#include <string>

#include <bulkhead/fd.hpp>
#include <bulkhead/result.hpp>

#include "transport/mmap/layout.hpp"

namespace bulkhead::transport::mmap {

class RingFile {
 public:
  /// Opens the ring at `path`, or makes it with all its space reserved (`exhausted` when there is
  /// none). One that exists keeps its capacity. Any number of processes may do this at once, and be
  /// killed at it.
  static Result<RingFile> open(const std::string& path, std::uint64_t capacity);

  std::uint64_t capacity() const noexcept { return header_.capacity; }
  std::uint64_t salt() const noexcept { return header_.salt; }
  const std::string& path() const noexcept { return path_; }
  FdView file() const noexcept { return file_; }

  /// `corrupt` when the file has been cut short.
  Result<void> read(std::uint64_t position, MutableBytes into) const;
  Result<void> write(std::uint64_t position, Bytes bytes) const;
  Error damage(std::uint64_t position) const;

 private:
  RingFile(Fd file, std::string path, RingHeader header) noexcept
      : file_(std::move(file)), path_(std::move(path)), header_(header) {}
  static Result<RingFile> check(Fd file, const std::string& path);

  Fd file_;
  std::string path_;
  RingHeader header_;
};

/// A cursor of the ring with `salt`: a new one where nothing is there, or that of another ring.
/// `corrupt` when it is not what somebody wrote.
Result<Cursor> read_cursor(FdView file, std::uint64_t offset, std::uint64_t salt,
                           const std::string& path);
Result<Cursor> check_cursor(Bytes bytes, std::uint64_t salt, const std::string& path);
Result<void> write_cursor(FdView file, std::uint64_t offset, Cursor cursor,
                          const std::string& path);

}  // namespace bulkhead::transport::mmap
