// SPDX-License-Identifier: Apache-2.0
//
// How a board is written: in words, each stored behind those before it (board.hpp).
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <source_location>
#include <string_view>

#include "memory/diagnosing/board.hpp"
#include "memory/diagnosing/diagnosing.hpp"

namespace bulkhead::memory::diagnosing {

inline void store(std::byte* at, std::uint64_t word) noexcept {
  // ORDER(board.write): every word of an entry is stored no earlier than the odd sequence before it,
  // and the even sequence no earlier than they; pairs with ORDER(board.read).
  std::atomic_ref{*reinterpret_cast<std::uint64_t*>(at)}.store(word, std::memory_order_release);
}

template <class T> void store_all(std::byte* at, const T& value) noexcept {
  static_assert(sizeof(T) % sizeof(std::uint64_t) == 0);
  std::array<std::uint64_t, sizeof(T) / sizeof(std::uint64_t)> words;
  std::memcpy(words.data(), &value, sizeof value);
  for (std::size_t i = 0; i < words.size(); ++i) store(at + i * sizeof(std::uint64_t), words[i]);
}

inline std::uint64_t two(std::uint32_t low, std::uint32_t high) noexcept {
  const std::array<std::uint32_t, 2> both{low, high};
  std::uint64_t word = 0;
  std::memcpy(&word, both.data(), sizeof word);
  return word;
}

template <std::size_t Size> void put_text(std::array<char, Size>& into, std::string_view text) {
  std::memcpy(into.data(), text.data(), std::min(Size, text.size()));
}
/// What matters of a path is its end.
template <std::size_t Size> void put_end(std::array<char, Size>& into, std::string_view text) {
  put_text(into, text.substr(text.size() - std::min(Size, text.size())));
}

inline Record record_of(const Lock& lock, std::int64_t since,
                        const std::source_location& where) noexcept {
  Record record{.region = lock.region, .offset = lock.offset, .since = since, .turn = lock.turns};
  record.line = where.line();
  record.mode = static_cast<std::uint16_t>(lock.mode);
  record.depth = 1;
  put_text(record.name, std::string_view{lock.name, ::strnlen(lock.name, record.name.size())});
  put_end(record.file, where.file_name());
  return record;
}

}  // namespace bulkhead::memory::diagnosing
