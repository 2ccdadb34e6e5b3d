// SPDX-License-Identifier: Apache-2.0
#include "memory/heap.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <string>

#include <bulkhead/arena.hpp>

#include "os/fence.hpp"

namespace bulkhead::memory {
namespace {

constexpr std::uint64_t word_bits = 64;
constexpr std::size_t page = Arena::most_alignment;

std::uint64_t round_up(std::uint64_t value, std::uint64_t to) { return (value + to - 1) / to * to; }

bool is_set(const std::uint64_t* map, std::uint64_t bit) {
  return (map[bit / word_bits] >> bit % word_bits & 1) != 0;
}

/// The first bit from `from` on, before `to`, that is `value`; else `to`.
std::uint64_t next_bit(const std::uint64_t* map, bool value, std::uint64_t from, std::uint64_t to) {
  while (from < to) {
    const std::uint64_t word = value ? map[from / word_bits] : ~map[from / word_bits];
    const std::uint64_t rest = word >> from % word_bits;
    if (rest != 0) {
      return std::min(to, from + static_cast<std::uint64_t>(std::countr_zero(rest)));
    }
    from += word_bits - from % word_bits;
  }
  return to;
}

void write_bits(std::uint64_t* map, bool value, std::uint64_t first, std::uint64_t count) {
  for (const std::uint64_t end = first + count; first < end;) {
    const std::uint64_t bit = first % word_bits;
    const std::uint64_t here = std::min(word_bits - bit, end - first);
    const std::uint64_t mask = (here == word_bits ? ~0ULL : (1ULL << here) - 1) << bit;
    std::uint64_t& word = map[first / word_bits];
    word = value ? word | mask : word & ~mask;
    first += here;
  }
}

std::unexpected<Error> refused(ErrorKind kind, const char* operation, std::string cause,
                               std::string remedy = {}) {
  return fail(kind, {.operation = operation,
                     .object = "arena",
                     .cause = std::move(cause),
                     .remedy = std::move(remedy)});
}

}  // namespace

Result<Heap> Heap::over(ArenaHead& head, std::byte* region, std::size_t size) {
  if (reinterpret_cast<std::uintptr_t>(region) % page != 0) {
    return refused(ErrorKind::invalid, "make", "its region does not begin at a page",
                   "let the part of the file begin at a multiple of 4096");
  }
  Heap heap;
  heap.head_ = &head;
  heap.region_ = region;
  const auto own = static_cast<std::uint64_t>(reinterpret_cast<std::byte*>(&head + 1) - region);
  // Each word of the two bitmaps goes with 64 pieces.
  constexpr std::uint64_t share = word_bits * piece + 2 * sizeof(std::uint64_t);
  std::uint64_t words = size > own + page ? (size - own - page) / share : 0;
  const std::uint64_t maps = round_up(own, word_bits);
  const std::uint64_t base = round_up(maps + 2 * words * sizeof(std::uint64_t), page);
  if (words == 0 || base + words * word_bits * piece > size) {
    return refused(ErrorKind::exhausted, "make",
                   "a region of " + std::to_string(size) + " bytes is too small",
                   "16384 bytes are enough");
  }
  heap.taken_ = reinterpret_cast<std::uint64_t*>(region + maps);
  heap.begins_ = heap.taken_ + words;
  heap.base_ = region + base;
  heap.pieces_ = words * word_bits;
  return heap;
}

/// Where `count` free pieces in a row begin, at a multiple of `step`; `to` when nowhere.
std::uint64_t Heap::find(std::uint64_t count, std::uint64_t step, std::uint64_t from,
                         std::uint64_t to) const noexcept {
  for (from = round_up(from, step); from + count <= to;) {
    const std::uint64_t end = next_bit(taken_, true, from, from + count);
    if (end == from + count) return from;
    from = round_up(next_bit(taken_, false, end, to), step);
  }
  return to;
}

/// What the note says is in memory before what it is about, and the other way round: a process
/// that is killed has done what comes before in its own order, so only the compiler is held back.
void Heap::note(std::uint32_t what) noexcept {
  os::keep_order_for_the_next();
  std::atomic_ref{head_->note}.store(what);
  os::keep_order_for_the_next();
}

Result<void*> Heap::allocate(std::size_t size, std::size_t alignment) {
  if (!std::has_single_bit(alignment) || alignment > Arena::most_alignment) {
    return refused(ErrorKind::invalid, "allocate",
                   "an alignment of " + std::to_string(alignment) + " bytes");
  }
  if (size > pieces_ * piece) {
    return refused(ErrorKind::exhausted, "allocate",
                   std::to_string(size) + " bytes are more than it has", "make it larger");
  }
  const std::uint64_t count = std::max<std::uint64_t>(1, (size + piece - 1) / piece);
  const std::uint64_t step = std::max<std::uint64_t>(1, alignment / piece);
  const std::uint64_t from = head_->next < pieces_ ? head_->next : 0;
  std::uint64_t first = find(count, step, from, pieces_);
  if (first == pieces_) first = find(count, step, 0, pieces_);
  if (first == pieces_) {
    return refused(ErrorKind::exhausted, "allocate",
                   "no " + std::to_string(size) + " bytes in a row are free",
                   "give some back or make it larger");
  }
  head_->first = first;
  head_->count = count;
  note(ArenaHead::taking);
  write_bits(taken_, true, first, count);
  write_bits(begins_, true, first, 1);
  note(ArenaHead::none);
  head_->next = first + count;
  return base_ + first * piece;
}

Result<void> Heap::deallocate(void* at) {
  const bool is_piece =
      holds(at) && static_cast<std::size_t>(static_cast<std::byte*>(at) - base_) % piece == 0;
  const std::uint64_t first =
      is_piece ? static_cast<std::uint64_t>(static_cast<std::byte*>(at) - base_) / piece : 0;
  if (!is_piece || !is_set(taken_, first) || !is_set(begins_, first)) {
    return refused(ErrorKind::invalid, "deallocate", "no allocated memory begins there",
                   "it was given back before, or belongs to something else");
  }
  const std::uint64_t free = next_bit(taken_, false, first, pieces_);
  const std::uint64_t end = next_bit(begins_, true, first + 1, free);
  head_->first = first;
  head_->count = end - first;
  note(ArenaHead::giving);
  give_back(first, end - first);
  note(ArenaHead::none);
  return {};
}

void Heap::give_back(std::uint64_t first, std::uint64_t count) noexcept {
  write_bits(begins_, false, first, count);
  write_bits(taken_, false, first, count);
}

bool Heap::recover() noexcept {
  if (head_->note == ArenaHead::none) return true;
  const std::uint64_t first = head_->first;
  const std::uint64_t count = head_->count;
  if (first >= pieces_ || count > pieces_ - first) return false;
  give_back(first, count);
  note(ArenaHead::none);
  return true;
}

void Heap::clear() noexcept {
  std::memset(taken_, 0, pieces_ / 8);
  std::memset(begins_, 0, pieces_ / 8);
  head_->root = 0;
  head_->next = 0;
  note(ArenaHead::none);
}

std::uint64_t Heap::taken() const noexcept {
  std::uint64_t count = 0;
  for (std::uint64_t i = 0; i < pieces_ / word_bits; ++i) {
    count += static_cast<std::uint64_t>(std::popcount(taken_[i]));
  }
  return count;
}

std::uint64_t Heap::longest_free() const noexcept {
  std::uint64_t longest = 0;
  for (std::uint64_t from = 0; from < pieces_;) {
    from = next_bit(taken_, false, from, pieces_);
    const std::uint64_t end = next_bit(taken_, true, from, pieces_);
    longest = std::max(longest, end - from);
    from = end;
  }
  return longest;
}

bool Heap::holds(const void* at) const noexcept {
  return at >= base_ && at < base_ + pieces_ * piece;
}

std::uint64_t Heap::offset_of(const void* at) const noexcept {
  return holds(at) ? static_cast<std::uint64_t>(static_cast<const std::byte*>(at) - region_) : 0;
}

void* Heap::at(std::uint64_t offset) const noexcept {
  const auto base = static_cast<std::uint64_t>(base_ - region_);
  return offset >= base && offset - base < pieces_ * piece ? region_ + offset : nullptr;
}

}  // namespace bulkhead::memory
