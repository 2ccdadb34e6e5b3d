// SPDX-License-Identifier: Apache-2.0
//
// Once: something that some process does before anybody uses what it makes, and nobody does again.
//
//   or_exit(table->filled.call([&] { fill(*table); }));     // in each process, whoever comes first
//
// Who may call: any thread of any process that has the memory. Ownership: lives in a SharedRegion
// (place.hpp). call() waits for who is doing it, to its deadline, and blocks as long as the work.
//
// When who does it dies, the next one does it, from the beginning, on whatever the dead one left
// half-made: work that cannot bear that clears first. Work that fails, or throws, is not done
// either. TRUST: equal.
#pragma once

#include <atomic>
#include <cstdint>
#include <source_location>
#include <type_traits>
#include <utility>

#include <bulkhead/deadline.hpp>
#include <bulkhead/mutex.hpp>
#include <bulkhead/place.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead {

class Once {
 public:
  explicit Once(Place place, const char* name = "once") noexcept : lock_(place, name) {}
  Once(const Once&) = delete;
  Once& operator=(const Once&) = delete;

  /// It has been done, and what it made can be used.
  bool done() const noexcept {
    // ORDER(once.look): pairs with ORDER(once.done).
    return state_.load(std::memory_order_acquire) == is_done;
  }

  /// When this returns without error, `work` has been done once, here or elsewhere. It returns
  /// nothing, or a Result<void> whose error is returned. Other errors are those of Mutex::lock.
  template <class Work>
  Result<void> call(Work&& work, Deadline deadline = never,
                    std::source_location where = std::source_location::current()) {
    if (done()) [[likely]]
      return {};
    return call_first(std::forward<Work>(work), deadline, where);
  }

 private:
  static constexpr std::uint32_t is_done = 1;

  template <class Work>
  [[gnu::noinline]] Result<void> call_first(Work&& work, Deadline deadline,
                                            std::source_location where) {
    auto held = lock_.lock(deadline, where);
    if (!held) return fail(std::move(held).error());
    held->repaired();  // the work begins anew
    if (done()) return {};
    if constexpr (std::is_void_v<decltype(work())>) {
      std::forward<Work>(work)();
    } else {
      Result<void> outcome = std::forward<Work>(work)();
      if (!outcome) return outcome;
    }
    // ORDER(once.done): what the work made is there; pairs with ORDER(once.look).
    state_.store(is_done, std::memory_order_release);
    return {};
  }

  // LAYOUT   read by all
  //   0   80  lock    of who does it
  //   80   4  state   0 or is_done; written by who has the lock
  Mutex lock_;
  std::atomic<std::uint32_t> state_{0};
};

}  // namespace bulkhead
