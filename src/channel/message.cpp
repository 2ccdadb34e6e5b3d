// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include <bulkhead/message.hpp>

namespace bulkhead {

Message::Message(Message&& other) noexcept
    : size_(std::exchange(other.size_, 0)),
      heap_capacity_(std::exchange(other.heap_capacity_, 0)),
      heap_(std::move(other.heap_)),
      handles_(std::move(other.handles_)),
      priority_(std::exchange(other.priority_, 0)) {
  other.handles_.clear();
  if (!heap_ && size_ > 0) std::memcpy(inline_.data(), other.inline_.data(), size_);
}

Message& Message::operator=(Message&& other) noexcept {
  if (this == &other) return *this;
  size_ = std::exchange(other.size_, 0);
  heap_capacity_ = std::exchange(other.heap_capacity_, 0);
  heap_ = std::move(other.heap_);
  handles_ = std::move(other.handles_);
  priority_ = std::exchange(other.priority_, 0);
  other.handles_.clear();
  if (!heap_ && size_ > 0) std::memcpy(inline_.data(), other.inline_.data(), size_);
  return *this;
}

void Message::assign(Bytes bytes) {
  priority_ = 0;
  size_ = 0;  // nothing of the old content is worth copying
  const auto room = resize(bytes.size());
  if (!bytes.empty()) std::memcpy(room.data(), bytes.data(), bytes.size());
}

void Message::grow(std::size_t size) {
  const std::size_t capacity = heap_ ? heap_capacity_ : inline_bytes;
  // Half as much again, so that a message that arrives in pieces is not copied for each of them.
  const std::size_t larger = size_ == 0 ? size : std::max(size, capacity + capacity / 2);
  auto grown = std::make_unique_for_overwrite<std::byte[]>(larger);
  if (size_ > 0) std::memcpy(grown.get(), data(), size_);
  heap_ = std::move(grown);
  heap_capacity_ = larger;
}

}  // namespace bulkhead
