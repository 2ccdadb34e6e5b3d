// SPDX-License-Identifier: Apache-2.0
//
// Seqlock<T>: a value in shared memory that is read often, by many, and written seldom. Readers
// take no lock and write nothing: they copy the value out, and copy again when it was replaced
// meanwhile. For values of up to some hundred bytes; a T that takes longer to copy than its writers
// pause is better behind a SharedMutex.
//
//   Result<Prices> now = table->read();
//   or_exit(table->update([](Prices& prices) { prices.gold = 2'405; }));
//
// Who may call: any thread of any process that has the memory. Ownership: lives in a SharedRegion
// (place.hpp). Writers wait for each other, to their deadline. A reader copies again only while
// writers go on writing, to its deadline.
//
// When a process dies: a dead reader has left nothing. There are two copies, and writers write the
// one that nobody is sent to; so one that is killed anywhere leaves the old value or the new one,
// delays no reader at all, and has nothing to be repaired by the next writer.
//
// T is trivially copyable. TRUST: equal; whatever the memory holds, read() gives a T of such bytes.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <source_location>
#include <string>
#include <type_traits>
#include <utility>

#include <bulkhead/deadline.hpp>
#include <bulkhead/mutex.hpp>
#include <bulkhead/place.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead {

template <class T> class Seqlock {
  static_assert(std::is_trivially_copyable_v<T> && std::is_default_constructible_v<T>,
                "the value of a Seqlock is copied byte by byte");

 public:
  explicit Seqlock(Place place, const T& first = T{}, const char* name = "seqlock") noexcept
      : lock_(place, name) {
    put(first);
  }
  Seqlock(const Seqlock&) = delete;
  Seqlock& operator=(const Seqlock&) = delete;

  /// A value that was written as a whole. `timed_out` when it was replaced too often.
  Result<T> read(Deadline deadline = never) const {
    Result<T> value{std::in_place};
    for (unsigned tries = 1; !try_read(*value); ++tries) {
      if (tries % tries_between_looks == 0 && deadline.expired()) return too_late(tries);
    }
    return value;
  }

  /// One copy; false when it was replaced meanwhile, and `into` is of no use then.
  bool try_read(T& into) const noexcept {
    // ORDER(seqlock.begin): the copy that it points to is complete; pairs with
    // ORDER(seqlock.publish).
    const std::uint64_t sequence = sequence_.load(std::memory_order_acquire);
    const Copy& from = copies_[sequence % 2];
    const auto two = [&from](std::size_t i) {
      const auto word = [&from](std::size_t at) {
        // ORDER(seqlock.copy): who sees a word of a later value sees in the check below that it was
        // replaced; pairs with ORDER(seqlock.fill). Plain loads on x86-64.
        return from[at].load(std::memory_order_acquire);
      };
      return Two{word(i), i + 1 < words ? word(i + 1) : 0};
    };
    // Two at a time: a processor stalls where 16 bytes are read that were just stored by 8.
    auto* const bytes = reinterpret_cast<std::byte*>(&into);
#pragma GCC unroll 8
    for (std::size_t i = 0; i < sizeof(T) / 16; ++i) {
      const Two pair = two(2 * i);
      std::memcpy(bytes + i * 16, &pair, 16);
    }
    if constexpr (constexpr std::size_t rest = sizeof(T) % 16; rest != 0) {
      const Two pair = two(sizeof(T) / 16 * 2);
      std::memcpy(bytes + sizeof(T) - rest, &pair, rest);
    }
    // ORDER(seqlock.check): stays behind the loads above, which acquire; no partner of its own.
    return sequence_.load(std::memory_order_relaxed) == sequence;
  }

  /// Replaces it. Errors: those of Mutex::lock, but for the death of a writer, which is harmless.
  Result<void> write(const T& value, Deadline deadline = never,
                     std::source_location where = std::source_location::current()) {
    return update([&value](T& old) { old = value; }, deadline, where);
  }

  /// change(T&) on the present value, and no other writer between.
  template <class Change>
  Result<void> update(Change&& change, Deadline deadline = never,
                      std::source_location where = std::source_location::current()) {
    auto held = lock_.lock(deadline, where);
    if (!held) return fail(std::move(held).error());
    held->repaired();  // there is nothing to do for that
    T value;
    static_cast<void>(try_read(value));  // nobody replaces it now
    change(value);
    put(value);
    return {};
  }

 private:
  static constexpr unsigned tries_between_looks = 64;
  static constexpr std::size_t words = (sizeof(T) + 7) / 8;
  static constexpr std::size_t last_word = sizeof(T) - (words - 1) * 8;
  using Copy = std::array<std::atomic<std::uint64_t>, words>;
  using Two [[gnu::vector_size(16)]] = std::uint64_t;

  [[gnu::noinline]] static std::unexpected<Error> too_late(unsigned tries) {
    return fail(ErrorKind::timed_out, {.operation = "read",
                                       .object = "a seqlock",
                                       .cause = "it was written again during each of " +
                                                std::to_string(tries) + " copies",
                                       .remedy = "write less often, or take a SharedMutex"});
  }

  void put(const T& value) noexcept {
    const auto* const bytes = reinterpret_cast<const std::byte*>(&value);
    // ORDER(seqlock.own): only writers change it, one at a time; no partner.
    const std::uint64_t next = sequence_.load(std::memory_order_relaxed) + 1;
    for (std::size_t i = 0; i < words; ++i) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes + i * 8, i + 1 < words ? 8 : last_word);
      // ORDER(seqlock.fill): comes after the sequence that sent the readers to the other copy;
      // pairs with ORDER(seqlock.copy).
      copies_[next % 2][i].store(word, std::memory_order_release);
    }
    // ORDER(seqlock.publish): the copy is complete; pairs with ORDER(seqlock.begin).
    sequence_.store(next, std::memory_order_release);
  }

  // LAYOUT   written by the writer that has the lock, read by all; w is sizeof(T) in words of 8
  //   0        80  lock
  //   80        8  sequence   counts the values; those with an even number are in the first copy
  //   88      8 w  copy 0
  //   88+8w   8 w  copy 1
  Mutex lock_;
  std::atomic<std::uint64_t> sequence_{0};
  std::array<Copy, 2> copies_{};
};

}  // namespace bulkhead
