// SPDX-License-Identifier: Apache-2.0
#include "transport/shm/segment.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "memory/memory_file.hpp"
#include "os/syscall.hpp"

namespace bulkhead::transport::shm {
namespace {

std::size_t page_size() noexcept {
  static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

std::unexpected<Error> unfit(const char* cause) {
  return fail(ErrorKind::corrupt,
              {.operation = "attach", .object = "the peer's segment", .cause = cause});
}

std::uint64_t inode(FdView file) noexcept {
  struct stat status{};
  return ::fstat(file.native(), &status) == 0 ? status.st_ino : 0;
}

bool map_at(std::byte* where, std::size_t size, bool writable, FdView file,
            std::size_t offset) noexcept {
  const int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  return ::mmap(where, size, protection, MAP_SHARED | MAP_FIXED, file.native(),
                static_cast<off_t>(offset)) != MAP_FAILED;
}

Result<std::shared_ptr<Mapping>> map_or_find(FdView file, std::size_t capacity, MappingBook* book) {
  if (book != nullptr) {
    if (auto found = book->find(file)) return found;
  }
  return std::make_shared<Mapping>(BULKHEAD_TRY(Mapping::map(file, capacity, false)));
}

}  // namespace

std::size_t ring_offset() noexcept { return std::max(smallest_ring_offset, page_size()); }

std::size_t rounded_capacity(std::size_t wanted) noexcept {
  const std::size_t least = std::max(smallest_capacity, page_size());
  return std::bit_ceil(std::clamp(wanted, least, largest_capacity));
}

Mapping::Mapping(std::byte* reserved, std::size_t reserved_size) noexcept
    : reserved_(reserved),
      reserved_size_(reserved_size),
      base_(reserved + page_size()),
      size_(reserved_size - 2 * page_size()) {}

Mapping::Mapping(Mapping&& other) noexcept
    : reserved_(std::exchange(other.reserved_, nullptr)),
      reserved_size_(other.reserved_size_),
      base_(other.base_),
      size_(other.size_) {}

Mapping::~Mapping() {
  if (reserved_ != nullptr) ::munmap(reserved_, reserved_size_);
}

Result<Mapping> Mapping::map(FdView file, std::size_t capacity, bool writable) {
  const std::size_t once = ring_offset() + capacity;
  const std::size_t reserved = once + capacity + 2 * page_size();
  void* const start =
      ::mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (start == MAP_FAILED) return os::failed("map", std::to_string(reserved) + " bytes");
  Mapping mapping{static_cast<std::byte*>(start), reserved};
  if (!map_at(mapping.base_, once, writable, file, 0) ||
      !map_at(mapping.base_ + once, capacity, writable, file, ring_offset())) {
    return os::failed("map", std::to_string(once) + " bytes");
  }
  if (writable && ::madvise(mapping.base_, mapping.size_, MADV_DONTFORK) != 0) {
    return os::failed("keep from children", std::to_string(once) + " bytes");
  }
  return mapping;
}

void MappingBook::enter(FdView file, std::shared_ptr<Mapping> mapping) {
  const std::lock_guard lock{mutex_};
  by_inode_[inode(file)] = std::move(mapping);
}

std::shared_ptr<Mapping> MappingBook::find(FdView file) const {
  const std::lock_guard lock{mutex_};
  const auto found = by_inode_.find(inode(file));
  return found == by_inode_.end() ? nullptr : found->second;
}

Words& OwnSegment::words() const noexcept {
  return *std::launder(reinterpret_cast<Words*>(mapping_->at(words_offset)));
}

const Words* PeerSegment::words() const noexcept {
  return std::launder(reinterpret_cast<const Words*>(mapping_->at(words_offset)));
}

Result<OwnSegment> OwnSegment::create(std::size_t capacity, std::uint64_t first_cursor,
                                      MappingBook* book) {
  Fd file = BULKHEAD_TRY(memory::make_memory_file("channel", ring_offset() + capacity));
  auto mapping = std::make_shared<Mapping>(BULKHEAD_TRY(Mapping::map(file, capacity, true)));
  new (mapping->at(0)) Header{.magic = magic,
                              .version = protocol_version,
                              .zero = 0,
                              .layout_hash = layout_hash(ring_offset()),
                              .capacity = capacity};
  auto* words = new (mapping->at(words_offset)) Words{};
  words->tail = first_cursor;
  words->head = first_cursor;
  BULKHEAD_TRY(memory::seal(file, Region::State::published));
  if (book != nullptr) book->enter(file, mapping);
  return OwnSegment{std::move(mapping), std::move(file), capacity};
}

Result<PeerSegment> PeerSegment::attach(Fd file, std::uint64_t capacity, MappingBook* book) {
  if (capacity < std::max(smallest_capacity, page_size()) || capacity > largest_capacity ||
      !std::has_single_bit(capacity)) {
    return unfit("its capacity is not a power of two within the limits");
  }
  auto found = memory::inspect(file);
  // Twice: the first proves the seals, after which the size that the second reads cannot change.
  if (found) found = memory::inspect(file);
  if (!found) return unfit(found.error().cause().c_str());
  if (found->state == Region::State::shared) return unfit("others can write it");
  if (found->size != ring_offset() + capacity) return unfit("its size is not what was announced");
  auto mapping = map_or_find(file, capacity, book);
  if (!mapping) {
    // What a descriptor that cannot be read answers is the peer's doing, all else is ours.
    return mapping.error().code() == std::errc::permission_denied
               ? unfit("it cannot be mapped for reading")
               : fail(std::move(mapping).error());
  }
  // One copy; checked and then never looked at again, so a change behind our back means nothing.
  Header header;
  std::memcpy(&header, (*mapping)->at(0), sizeof header);
  if (header.magic != magic || header.version != protocol_version ||
      header.layout_hash != layout_hash(ring_offset()) || header.capacity != capacity) {
    return unfit("its header is not what was announced");
  }
  return PeerSegment{*std::move(mapping), capacity};
}

}  // namespace bulkhead::transport::shm
