// SPDX-License-Identifier: Apache-2.0
//
// Boost.Interprocess's, where its headers are installed. It has no barrier, latch, seqlock or once.
#include "bench/lock_variant.hpp"

#if __has_include(<boost/interprocess/sync/interprocess_mutex.hpp>)

// Its headers do not keep to our warnings.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include <boost/interprocess/sync/interprocess_condition.hpp>
#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <boost/interprocess/sync/interprocess_semaphore.hpp>
#include <boost/interprocess/sync/interprocess_sharable_mutex.hpp>
#include <boost/interprocess/sync/scoped_lock.hpp>
#pragma GCC diagnostic pop

namespace bulkhead::bench {

namespace {

namespace ipc = boost::interprocess;

struct Locking {
  ipc::interprocess_mutex mutex;
  std::uint64_t number = 0;
  void one(Side) {
    const ipc::scoped_lock held{mutex};
    ++number;
  }
};

struct ReadLocking {
  ipc::interprocess_sharable_mutex mutex;
  void one(Side) {
    mutex.lock_sharable();
    mutex.unlock_sharable();
  }
};

struct PostWait {
  ipc::interprocess_semaphore semaphore{0};
  void one(Side) {
    semaphore.post();
    semaphore.wait();
  }
};

struct HandOver {
  ipc::interprocess_semaphore there{0}, back{0};
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
  ipc::interprocess_mutex mutex;
  ipc::interprocess_condition condition;
  int turn = 0;
  void one(Side side) {
    const int mine = side == Side::client ? 0 : 1;
    ipc::scoped_lock held{mutex};
    while (turn != mine) condition.wait(held);
    turn = 1 - mine;
    condition.notify_one();
  }
};

}  // namespace

std::unique_ptr<Variant> boost_lock(LockKind kind, Company company) {
  const bool together = company == Company::together;
  switch (kind) {
    case LockKind::mutex:
      return lock_variant<Locking>(company);
    case LockKind::shared_mutex:
      return lock_variant<ReadLocking>(company);
    case LockKind::semaphore:
      if (together) return lock_variant<HandOver>(company);
      return lock_variant<PostWait>(company);
    case LockKind::condition:
      return together ? lock_variant<Telling>(company) : nullptr;
    default:
      return nullptr;
  }
}

}  // namespace bulkhead::bench

#else

namespace bulkhead::bench {
std::unique_ptr<Variant> boost_lock(LockKind, Company) { return nullptr; }
}  // namespace bulkhead::bench

#endif
