// SPDX-License-Identifier: Apache-2.0
//
// The memory orders of Semaphore, Latch and Seqlock under relacy, which lets each load see any value
// that the C++ memory model allows, x86's and weaker machines'. What is run is the library's own
// text: scripts/model-orders copies the classes and functions out of their files, atomics turned
// into relacy's, into PROTOCOL; and with one order weakened or the wake left out, which must be found.
//
// What is around it stands here: errors, a Mutex, and the futex, whose kernel steps are full barriers.
#include <array>
#include <cstdint>
#include <cstring>
#include <relacy/relacy.hpp>
#include <sstream>
#include <type_traits>
#include <utility>

using Word = rl::atomic<std::uint32_t>;

namespace bulkhead {

class Place {};
enum class ErrorKind { exhausted, timed_out, invalid };
struct Details {
  const char* operation = "";
  const char* object = "";
  const char* cause = "";
  const char* remedy = "";
};
struct Failed {};
inline Failed fail(ErrorKind, Details) { return {}; }
template <class T> class Result {
 public:
  Result() : well_(true) {}
  Result(Failed) : well_(false) {}
  explicit operator bool() const { return well_; }

 private:
  bool well_;
};
struct Deadline {
  bool expired() const { return false; }
};
inline constexpr Deadline never{};

namespace os {

/// The value that the kernel compares is the last one, and nothing comes between that and the sleep.
inline bool futex_wait(Word& word, std::uint32_t seen, Deadline) {
  if (word($).fetch_add(0, rl::mo_acq_rel) == seen) word.wait(rl::ctx(), false, true, $);
  return true;
}
inline void wake_all([[maybe_unused]] Word& word) {
#if !defined(WITHOUT_WAKE)
  word.wake(rl::ctx(), 1000, $);
#endif
}
inline void futex_add_and_wake_all(Word& word, int summand) {
  word($).fetch_add(static_cast<std::uint32_t>(summand), rl::mo_acq_rel);
  wake_all(word);
}
inline void futex_set_and_wake_all(Word& word, int value) {
  word($).exchange(static_cast<std::uint32_t>(value), rl::mo_acq_rel);
  wake_all(word);
}

}  // namespace os

class Mutex {
 public:
  Mutex(Place, const char*) {}
  void lock() { mutex_.lock($); }
  void unlock() { mutex_.unlock($); }

 private:
  rl::mutex mutex_;
};

#include PROTOCOL

}  // namespace bulkhead

using namespace bulkhead;

#if defined(SEMAPHORE)
/// Two that give, each after it wrote what it gives; one that takes both, and may find none and sleep.
struct Orders : rl::test_suite<Orders, 3> {
  Semaphore given{Place{}, 0};
  rl::var<int> first, second;

  void thread(unsigned index) {
    if (index == 2) {
      given.wait(never);
      given.wait(never);
      RL_ASSERT(first($) == 1 && second($) == 2);
    } else {
      if (index == 0) {
        first($) = 1;
      } else {
        second($) = 2;
      }
      given.post();
    }
  }
};
#elif defined(LATCH)
/// Two that count after they wrote; one that waits for both.
struct Orders : rl::test_suite<Orders, 3> {
  Latch done{Place{}, 2};
  rl::var<int> first, second;

  void thread(unsigned index) {
    if (index == 2) {
      done.wait(never);
      RL_ASSERT(first($) == 1 && second($) == 2);
    } else {
      if (index == 0) {
        first($) = 1;
      } else {
        second($) = 2;
      }
      done.count_down(1);
    }
  }
};
#elif defined(SEQLOCK)
struct Pair {
  std::uint64_t one = 0;
  std::uint64_t same = 0;
};
/// A writer of three values, so that one copy is written over while it may be read; a reader.
struct Orders : rl::test_suite<Orders, 2> {
  Seqlock<Pair> pair{Place{}};

  void thread(unsigned index) {
    if (index == 0) {
      for (std::uint64_t i = 1; i <= 3; ++i) pair.put(Pair{i, i});
    } else {
      std::uint64_t last = 0;
      for (int i = 0; i < 2; ++i) {
        Pair seen;
        if (!pair.try_read(seen)) continue;
        RL_ASSERT(seen.one == seen.same && seen.one >= last);
        last = seen.one;
      }
    }
  }
};
#endif

int main() {
  std::ostringstream progress;
  rl::test_params params;
  params.iteration_count = 300'000;
  params.execution_depth_limit = 2000;
  params.progress_stream = &progress;
  return rl::simulate<Orders>(params) ? 0 : 1;
}
