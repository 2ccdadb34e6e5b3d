// SPDX-License-Identifier: Apache-2.0
//
// The raw contenders, as short as they can be written, and what POSIX has beside them. A raw lock has
// ours' guarantee where the C library offers one (robust, priority-inheriting), else none.
#include <atomic>
#include <cerrno>
#include <pthread.h>
#include <semaphore.h>
#include <system_error>

#include "bench/futex.hpp"
#include "bench/lock_variant.hpp"
#include "bench/payload.hpp"

namespace bulkhead::bench {

namespace {

void check(int outcome, const char* what) {
  if (outcome != 0 && outcome != PTHREAD_BARRIER_SERIAL_THREAD) {
    throw std::system_error{outcome, std::generic_category(), what};
  }
}

void wake_all(Word& word) noexcept {
  ::syscall(SYS_futex, &word, FUTEX_WAKE, INT32_MAX, nullptr, nullptr, 0);
}

enum class Robust { no, yes };

class PthreadMutex {
 public:
  explicit PthreadMutex(Robust robust) {
    pthread_mutexattr_t attributes;
    ::pthread_mutexattr_init(&attributes);
    ::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    if (robust == Robust::yes) {
      ::pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
      ::pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
    }
    check(::pthread_mutex_init(&mutex_, &attributes), "pthread_mutex_init");
    ::pthread_mutexattr_destroy(&attributes);
  }
  void lock() { check(::pthread_mutex_lock(&mutex_), "pthread_mutex_lock"); }
  void unlock() { check(::pthread_mutex_unlock(&mutex_), "pthread_mutex_unlock"); }
  pthread_mutex_t* native() { return &mutex_; }

 private:
  pthread_mutex_t mutex_;
};

template <Robust robust> struct Locking {
  PthreadMutex mutex{robust};
  std::uint64_t number = 0;
  void one(Side) {
    mutex.lock();
    ++number;
    mutex.unlock();
  }
};

struct ReadLocking {
  ReadLocking() {
    pthread_rwlockattr_t attributes;
    ::pthread_rwlockattr_init(&attributes);
    ::pthread_rwlockattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    check(::pthread_rwlock_init(&lock, &attributes), "pthread_rwlock_init");
  }
  void one(Side) {
    check(::pthread_rwlock_rdlock(&lock), "pthread_rwlock_rdlock");
    check(::pthread_rwlock_unlock(&lock), "pthread_rwlock_unlock");
  }
  pthread_rwlock_t lock;
};

/// The textbook's: a count and the number of those who may sleep.
class FutexSemaphore {
 public:
  void post() noexcept {
    count_.fetch_add(1);
    if (waiters_.load() != 0) futex_wake(&count_);
  }
  void wait() noexcept {
    for (;;) {
      std::uint32_t seen = count_.load();
      while (seen > 0) {
        if (count_.compare_exchange_weak(seen, seen - 1)) return;
      }
      waiters_.fetch_add(1);
      futex_wait(&count_, 0);
      waiters_.fetch_sub(1);
    }
  }

 private:
  Word count_{0};
  Word waiters_{0};
};

class PosixSemaphore {
 public:
  PosixSemaphore() { ::sem_init(&semaphore_, 1, 0); }
  void post() noexcept { ::sem_post(&semaphore_); }
  void wait() noexcept {
    while (::sem_wait(&semaphore_) != 0) {
    }
  }

 private:
  sem_t semaphore_;
};

template <class Semaphore> struct PostWait {
  Semaphore semaphore;
  void one(Side) {
    semaphore.post();
    semaphore.wait();
  }
};

template <class Semaphore> struct HandOver {
  Semaphore there, back;
  void one(Side side) {
    if (side == Side::client) {
      there.post();
      back.wait();
    } else {
      there.wait();
      back.post();
    }
  }
};

struct Telling {
  Telling() {
    pthread_condattr_t attributes;
    ::pthread_condattr_init(&attributes);
    ::pthread_condattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    check(::pthread_cond_init(&condition, &attributes), "pthread_cond_init");
  }
  void one(Side side) {
    mutex.lock();
    const int mine = side == Side::client ? 0 : 1;
    while (turn != mine) ::pthread_cond_wait(&condition, mutex.native());
    turn = 1 - mine;
    ::pthread_cond_signal(&condition);
    mutex.unlock();
  }
  PthreadMutex mutex{Robust::yes};
  pthread_cond_t condition;
  int turn = 0;
};

/// Arrivals in one word, rounds in another.
template <unsigned members> struct FutexBarrier {
  Word arrived{0};
  Word round{0};
  void one(Side) noexcept {
    const std::uint32_t now = round.load();
    if (arrived.fetch_add(1) + 1 == members) {
      arrived.store(0);
      round.store(now + 1);
      wake_all(round);
    } else {
      while (round.load() == now) futex_wait(&round, now);
    }
  }
};

template <unsigned members> struct PthreadBarrier {
  PthreadBarrier() {
    pthread_barrierattr_t attributes;
    ::pthread_barrierattr_init(&attributes);
    ::pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    check(::pthread_barrier_init(&barrier, &attributes, members), "pthread_barrier_init");
  }
  void one(Side) { check(::pthread_barrier_wait(&barrier), "pthread_barrier_wait"); }
  pthread_barrier_t barrier;
};

struct CountDown {
  Word left{1U << 30};
  void one(Side) noexcept {
    if (left.fetch_sub(1) == 1) wake_all(left);
  }
};

/// One copy, and a sequence that is odd while it is written.
struct PlainSeqlock {
  PthreadMutex writers{Robust::yes};
  std::atomic<std::uint64_t> sequence{0};
  std::atomic<std::uint64_t> words[8] = {};

  // Sequentially consistent loads and release stores, where a fence would do: the same on x86-64.
  void read() noexcept {
    SixtyFour value;
    std::uint64_t before = 0;
    do {
      before = sequence.load();
      for (int i = 0; i < 8; ++i) value.words[i] = words[i].load();
    } while (before % 2 != 0 || sequence.load() != before);
    touched(&value);
  }
  void write(const SixtyFour& value) {
    writers.lock();
    const std::uint64_t now = sequence.load();
    sequence.exchange(now + 1);
    // ORDER(bench.seqlock): stay before the store of the sequence below; no partner, a raw floor.
    for (int i = 0; i < 8; ++i) words[i].store(value.words[i], std::memory_order_release);
    // ORDER(bench.seqlock_end): as above; no partner.
    sequence.store(now + 2, std::memory_order_release);
    writers.unlock();
  }
};

struct SeqlockRead : PlainSeqlock {
  void one(Side side) {
    if (side == Side::client) {
      read();
    } else {
      write({});
    }
  }
};
struct SeqlockWrite : PlainSeqlock {
  void one(Side) { write({}); }
};

struct Done {
  Word done{1};
  void one(Side) noexcept {
    if (done.load() == 0) futex_wait(&done, 0);
    touched(&done);
  }
};

}  // namespace

std::unique_ptr<Variant> raw_lock(LockKind kind, Company company) {
  const bool together = company == Company::together;
  switch (kind) {
    case LockKind::mutex:
      return lock_variant<Locking<Robust::yes>>(company);
    case LockKind::shared_mutex:
      return lock_variant<ReadLocking>(company);
    case LockKind::semaphore:
      if (together) return lock_variant<HandOver<FutexSemaphore>>(company);
      return lock_variant<PostWait<FutexSemaphore>>(company);
    case LockKind::condition:
      return together ? lock_variant<Telling>(company) : nullptr;
    case LockKind::barrier:
      if (together) return lock_variant<FutexBarrier<2>>(company);
      return lock_variant<FutexBarrier<1>>(company);
    case LockKind::latch:
      return lock_variant<CountDown>(company);
    case LockKind::seqlock_read:
      return lock_variant<SeqlockRead>(company);
    case LockKind::seqlock_write:
      return lock_variant<SeqlockWrite>(company);
    case LockKind::once:
      return together ? nullptr : lock_variant<Done>(company);
  }
  return nullptr;
}

std::unique_ptr<Variant> posix_lock(LockKind kind, Company company) {
  const bool together = company == Company::together;
  switch (kind) {
    case LockKind::mutex:
      return lock_variant<Locking<Robust::no>>(company);
    case LockKind::semaphore:
      if (together) return lock_variant<HandOver<PosixSemaphore>>(company);
      return lock_variant<PostWait<PosixSemaphore>>(company);
    case LockKind::barrier:
      if (together) return lock_variant<PthreadBarrier<2>>(company);
      return lock_variant<PthreadBarrier<1>>(company);
    default:
      return nullptr;
  }
}

}  // namespace bulkhead::bench
