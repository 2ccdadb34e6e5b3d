// SPDX-License-Identifier: Apache-2.0
//
// What is done with a payload. Copied: out of a private buffer and into a private buffer. In place:
// every byte is written and every byte is read. A benchmark that never touches its payload measures
// nothing.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>

namespace bulkhead::bench {

/// Tells the compiler that somebody else reads and writes this memory.
inline void touched(const void* memory) noexcept { asm volatile("" : : "r"(memory) : "memory"); }

/// A side's private buffer, `offset` bytes behind a page boundary. Small messages are several, sent
/// in turn and never written between two sends: a store just before a wider load would stall both
/// contenders and floor.
class Buffer {
 public:
  explicit Buffer(std::size_t size, std::size_t offset = 0)
      : size_{size},
        messages_{size <= 1024 ? std::bit_floor(4096 / size) : 1},
        memory_{static_cast<std::byte*>(
            ::operator new(size* messages_ + offset, std::align_val_t{4096}))} {
    data_ = memory_.get() + offset;
    for (std::size_t i = 0; i < messages_; ++i)
      std::memset(data_ + i * size, static_cast<int>(i + 1), size);
  }

  std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  /// What to send as the message of this number.
  const std::byte* message(std::uint64_t number) const noexcept {
    return data_ + (number & (messages_ - 1)) * size_;
  }

 private:
  struct Free {
    void operator()(std::byte* memory) const noexcept {
      ::operator delete(memory, std::align_val_t{4096});
    }
  };
  std::size_t size_;
  std::size_t messages_;
  std::unique_ptr<std::byte, Free> memory_;
  std::byte* data_;
};

/// Writes every byte.
inline void fill(void* to, std::size_t size, std::uint64_t number) noexcept {
  std::memset(to, static_cast<int>(number & 0xff), size);
  touched(to);
}

/// Reads every byte; sizes are multiples of 64, addresses of anything.
inline void read_all(const std::byte* from, std::size_t size) noexcept {
  using Vector [[gnu::vector_size(16)]] = std::uint64_t;
  const auto load = [](const std::byte* at) {
    Vector vector;
    std::memcpy(&vector, at, sizeof vector);
    return vector;
  };
  Vector a{}, b{}, c{}, d{};
  for (const std::byte* end = from + size; from != end; from += 64) {
    a ^= load(from);
    b ^= load(from + 16);
    c ^= load(from + 32);
    d ^= load(from + 48);
  }
  const Vector sum = a ^ b ^ c ^ d;
  touched(&sum);
}

}  // namespace bulkhead::bench
