// SPDX-License-Identifier: Apache-2.0
//
// Segments: the memory that an end makes and alone can write, and the peer's, mapped read-only.
// Both are mapped with the ring twice in a row, so that no record is ever in two parts, between
// pages that nobody may touch.
//
// Ownership: the mapping goes with the object. The own one does not survive into forked children
// (MADV_DONTFORK): a second writer would break the one-writer rule.
// TRUST: attach() believes the kernel alone: kind, seals, size and reserved space of the file
// (memory::inspect), then a capacity that must agree with the size. After that no access faults.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include <bulkhead/fd.hpp>
#include <bulkhead/result.hpp>

#include "transport/shm/layout.hpp"

namespace bulkhead::transport::shm {

/// Where the ring begins, on this machine.
std::size_t ring_offset() noexcept;

/// The power of two that `wanted` is rounded up to, within the limits of layout.hpp.
std::size_t rounded_capacity(std::size_t wanted) noexcept;

/// Address space with a segment in it.
class Mapping {
 public:
  static Result<Mapping> map(FdView file, std::size_t capacity, bool writable);
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&&) = delete;
  ~Mapping();

  std::byte* at(std::size_t offset) const noexcept { return base_ + offset; }
  /// Of the segment with the second view of the ring; guard pages apart.
  std::size_t size() const noexcept { return size_; }

 private:
  Mapping(std::byte* reserved, std::size_t reserved_size) noexcept;

  std::byte* reserved_;
  std::size_t reserved_size_;
  std::byte* base_;
  std::size_t size_;
};

/// For ThreadSanitizer, which takes two mappings of one file for two memories: the ends of a test's
/// pair find each other's own mapping here instead of making a second one.
class MappingBook {
 public:
  void enter(FdView file, std::shared_ptr<Mapping> mapping);
  std::shared_ptr<Mapping> find(FdView file) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::uint64_t, std::shared_ptr<Mapping>> by_inode_;
};

class OwnSegment {
 public:
  /// Makes, reserves, maps and seals. `exhausted` when memory, a descriptor or a limit is missing;
  /// nothing stays behind then.
  static Result<OwnSegment> create(std::size_t capacity, std::uint64_t first_cursor,
                                   MappingBook* book);

  Words& words() const noexcept;
  std::byte* ring() const noexcept { return mapping_->at(ring_offset()); }
  std::size_t capacity() const noexcept { return capacity_; }

  /// For the hello; to be closed after it.
  Fd take_file() noexcept { return std::move(file_); }

 private:
  OwnSegment(std::shared_ptr<Mapping> mapping, Fd file, std::size_t capacity) noexcept
      : mapping_(std::move(mapping)), file_(std::move(file)), capacity_(capacity) {}

  std::shared_ptr<Mapping> mapping_;
  Fd file_;
  std::size_t capacity_;
};

class PeerSegment {
 public:
  /// `corrupt` unless it is what a hello promised: a sealed segment with this capacity.
  static Result<PeerSegment> attach(Fd file, std::uint64_t capacity, MappingBook* book);

  const Words* words() const noexcept;
  const std::byte* ring() const noexcept { return mapping_->at(ring_offset()); }
  std::size_t capacity() const noexcept { return capacity_; }

 private:
  PeerSegment(std::shared_ptr<Mapping> mapping, std::size_t capacity) noexcept
      : mapping_(std::move(mapping)), capacity_(capacity) {}

  std::shared_ptr<Mapping> mapping_;
  std::size_t capacity_;
};

}  // namespace bulkhead::transport::shm
