// SPDX-License-Identifier: Apache-2.0
//
// The one place with a memory fence. ThreadSanitizer does not understand fences (GCC refuses to
// compile one with it), so under it a sequentially consistent read-modify-write on one word that
// all threads share stands in: it orders at least as much, and the sanitizer can follow it.
#pragma once

#include <atomic>

namespace bulkhead::os {

#if defined(__SANITIZE_THREAD__)
#define BULKHEAD_NO_FENCE 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BULKHEAD_NO_FENCE 1
#endif
#endif

#if defined(BULKHEAD_NO_FENCE)
inline std::atomic<unsigned> fence_word{0};
inline void fence_seq_cst() noexcept { fence_word.fetch_add(1, std::memory_order_seq_cst); }
#else
inline void fence_seq_cst() noexcept { std::atomic_thread_fence(std::memory_order_seq_cst); }
#endif

/// What is written before it is written first, as far as this thread can tell: for a process that is
/// killed between the two. Holds back the compiler alone.
inline void keep_order_for_the_next() noexcept {
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

}  // namespace bulkhead::os
