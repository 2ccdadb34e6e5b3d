// SPDX-License-Identifier: Apache-2.0
#include "memory/shared_header.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include <bulkhead/shared.hpp>

#include "os/crc32c.hpp"

namespace bulkhead::detail {
namespace {

using memory::SharedHeader;

constexpr std::uint8_t this_order = std::endian::native == std::endian::little ? 1 : 2;

std::uint64_t offset_for(const SharedShape& shape) {
  return (sizeof(SharedHeader) + shape.alignment - 1) & ~(shape.alignment - 1);
}

std::uint32_t crc_of(SharedHeader header) {
  header.state = 0;
  header.crc = 0;
  return os::crc32c(Bytes{reinterpret_cast<const std::byte*>(&header), sizeof header});
}

bool is_unfinished(const SharedHeader& header) {
  const bool unborn = header.magic == 0 && header.state == SharedHeader::unborn;
  return unborn ||
         (header.magic == SharedHeader::right_magic && header.state == SharedHeader::being_made);
}

SharedHeader& header_in(const SharedRegion& region) {
  return *reinterpret_cast<SharedHeader*>(region.bytes().data());
}

std::unexpected<Error> refused(ErrorKind kind, std::string cause, std::string remedy = {}) {
  return fail(kind, {.operation = "use",
                     .object = "shared object",
                     .cause = std::move(cause),
                     .remedy = std::move(remedy)});
}

/// A part of a file may begin at any byte; an object, and the locks in it, may not.
Result<void> check_alignment(const SharedRegion& region, const SharedShape& shape) {
  const std::uint64_t step = std::max<std::uint64_t>(alignof(SharedHeader), shape.alignment);
  if (reinterpret_cast<std::uintptr_t>(region.bytes().data()) % step == 0) return {};
  return refused(ErrorKind::invalid,
                 "its region does not begin at a multiple of " + std::to_string(step) + " bytes",
                 "let the part of the file begin at one");
}

}  // namespace

std::size_t shared_size(const SharedShape& shape) noexcept {
  return offset_for(shape) + shape.size;
}

Result<void*> shared_begin(const SharedRegion& region, const SharedShape& shape) {
  if (region.size() < shared_size(shape)) {
    return fail(ErrorKind::exhausted,
                {.operation = "make",
                 .object = "shared object",
                 .cause = "a region of " + std::to_string(region.size()) + " bytes is too small",
                 .remedy = "make it of " + std::to_string(shared_size(shape)) + " bytes"});
  }
  BULKHEAD_TRY(check_alignment(region, shape));
  SharedHeader& header = header_in(region);
  header = {.magic = SharedHeader::right_magic,
            .version = SharedHeader::right_version,
            .word_size = sizeof(void*),
            .order = this_order,
            .state = SharedHeader::being_made,
            .layout = shape.layout,
            .size = shape.size,
            .alignment = shape.alignment,
            .offset = offset_for(shape),
            .capacity = region.size(),
            .spare = 0,
            .crc = 0};
  header.crc = crc_of(header);
  return region.bytes().data() + header.offset;
}

bool shared_is_unfinished(const std::byte* at, std::size_t size) {
  SharedHeader header{};
  if (size < sizeof header) return false;
  std::memcpy(&header, at, sizeof header);
  return is_unfinished(header);
}

void shared_ready(const SharedRegion& region) noexcept {
  // ORDER(shared.ready): publishes the object and the header; pairs with ORDER(shared.seen).
  std::atomic_ref{header_in(region).state}.store(SharedHeader::ready, std::memory_order_release);
}

Result<void*> shared_find(const SharedRegion& region, const SharedShape& shape) {
  if (region.size() < sizeof(SharedHeader)) {
    return refused(ErrorKind::corrupt, "the region is too small for a header",
                   "choose another name, or remove what is there");
  }
  BULKHEAD_TRY(check_alignment(region, shape));
  // ORDER(shared.seen): what was written before it was ready; pairs with ORDER(shared.ready).
  const auto state = std::atomic_ref{header_in(region).state}.load(std::memory_order_acquire);
  SharedHeader header = header_in(region);
  header.state = state;
  if (is_unfinished(header)) {
    return refused(ErrorKind::not_found, "it was never finished", "make it anew");
  }
  if (header.magic != SharedHeader::right_magic) {
    return refused(ErrorKind::corrupt, "something else is there",
                   "choose another name, or remove what is there");
  }
  if (header.version != SharedHeader::right_version) {
    return refused(ErrorKind::incompatible,
                   "its header is of version " + std::to_string(header.version),
                   "build both programs with the same library, or make it anew");
  }
  if (header.crc != crc_of(header)) {
    return refused(ErrorKind::corrupt, "its header is damaged", "make it anew");
  }
  if (header.word_size != sizeof(void*) || header.order != this_order) {
    return refused(ErrorKind::incompatible, "it was made by a program of another architecture",
                   "make it anew on this machine");
  }
  if (header.layout != shape.layout || header.size != shape.size ||
      header.alignment != shape.alignment) {
    return refused(ErrorKind::incompatible,
                   "it is of another type or layout: " + std::to_string(header.size) +
                       " bytes, here " + std::to_string(shape.size),
                   "build both programs from the same declaration");
  }
  if (header.offset != offset_for(shape) || region.size() < shared_size(shape)) {
    return refused(ErrorKind::corrupt, "its header does not fit the region", "make it anew");
  }
  if (header.state != SharedHeader::ready) {
    return refused(ErrorKind::corrupt, "its header is damaged", "make it anew");
  }
  return region.bytes().data() + header.offset;
}

}  // namespace bulkhead::detail

namespace bulkhead::memory {

std::uint64_t capacity_of(const SharedRegion& region) noexcept {
  return reinterpret_cast<const SharedHeader*>(region.bytes().data())->capacity;
}

}  // namespace bulkhead::memory
