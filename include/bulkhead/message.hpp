// SPDX-License-Identifier: Apache-2.0
//
// Message: bytes with a boundary, and handles beside them. It owns both: what is received is a
// private copy that no peer can change any more. Short messages are held inside the object, so
// that receiving one allocates nothing; a Message used again keeps its memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <bulkhead/bytes.hpp>
#include <bulkhead/handle.hpp>

namespace bulkhead {

class BULKHEAD_API Message {
 public:
  /// Up to this many bytes are held inside the object.
  static constexpr std::size_t inline_bytes = 208;

  Message() noexcept {}
  /// A copy of `bytes`.
  explicit Message(Bytes bytes) { assign(bytes); }
  Message(Bytes bytes, std::vector<Handle> handles) : handles_(std::move(handles)) {
    assign(bytes);
  }
  Message(Message&& other) noexcept;
  Message& operator=(Message&& other) noexcept;
  ~Message() = default;

  Bytes bytes() const noexcept { return {data(), size_}; }
  std::string_view text() const noexcept { return as_text(bytes()); }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

  std::vector<Handle>& handles() noexcept { return handles_; }
  const std::vector<Handle>& handles() const noexcept { return handles_; }

  /// 0, the usual one, to most_priority, which goes first. Only mechanisms whose capabilities say
  /// so carry another than 0; the others refuse to send it as `unsupported`.
  unsigned priority() const noexcept { return priority_; }
  void set_priority(unsigned priority) noexcept {
    priority_ = static_cast<std::uint8_t>(priority < most_priority ? priority : most_priority);
  }
  static constexpr unsigned most_priority = 31;

  void assign(Bytes bytes);
  /// Makes the size `size` and returns the bytes for filling; what was there before is kept up to
  /// the smaller size, what is new is not initialised. Throws std::bad_alloc like a container.
  MutableBytes resize(std::size_t size) {
    if (size > (heap_ ? heap_capacity_ : inline_bytes)) [[unlikely]]
      grow(size);
    size_ = size;
    return {data(), size_};
  }
  /// Forgets bytes and handles, keeps the memory.
  void clear() noexcept {
    size_ = 0;
    priority_ = 0;
    if (!handles_.empty()) handles_.clear();
  }

 private:
  /// Room for `size` bytes, what is there kept.
  void grow(std::size_t size);
  const std::byte* data() const noexcept { return heap_ ? heap_.get() : inline_.data(); }
  std::byte* data() noexcept { return heap_ ? heap_.get() : inline_.data(); }

  std::size_t size_ = 0;
  std::size_t heap_capacity_ = 0;
  std::unique_ptr<std::byte[]> heap_;
  std::vector<Handle> handles_;
  std::uint8_t priority_ = 0;
  std::array<std::byte, inline_bytes> inline_;  // not initialised
};

}  // namespace bulkhead
