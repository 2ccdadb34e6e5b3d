// SPDX-License-Identifier: Apache-2.0
//
// What several processes may lock, wait for or count on, as contenders of the bench: ours, the raw
// one (a futex or what the C library has, with the same guarantee where there is one), POSIX's and
// Boost.Interprocess's. Each lives in memory that both sides share, also where the sides are threads.
//
// An Operation is made from nothing in zeroed memory, and has `void one(Side)`: what a side does
// once. Together, each side does it as often as the other.
#pragma once

#include <memory>
#include <new>

#include "bench/shared_memory.hpp"
#include "bench/variant.hpp"

namespace bulkhead::bench {

enum class LockKind {
  mutex,         // lock, unlock
  shared_mutex,  // lock for reading, unlock
  semaphore,     // post, wait; together: handed there and back
  condition,     // together: told there and back
  barrier,       // arrive; together: both
  latch,         // count down
  seqlock_read,  // 64 bytes; together: read by the one, written by the other
  seqlock_write,
  once,  // the call when it is done
};

/// One side alone, or both at once.
enum class Company { alone, together };

/// Null where there is no such thing.
std::unique_ptr<Variant> our_lock(LockKind kind, Company company);
std::unique_ptr<Variant> raw_lock(LockKind kind, Company company);
std::unique_ptr<Variant> posix_lock(LockKind kind, Company company);
std::unique_ptr<Variant> boost_lock(LockKind kind, Company company);

/// Over an Operation in shared memory.
template <class Operation> class LockVariant : public Variant {
 public:
  explicit LockVariant(Company company) : company_(company) {}

  void create() override {
    memory_ = SharedMemory{sizeof(Operation)};
    operation_ = new (memory_.as<void>()) Operation;
  }
  void client(std::uint64_t count) override {
    for (std::uint64_t i = 0; i < count; ++i) operation_->one(Side::client);
  }
  void server(std::uint64_t count) override {
    if (company_ == Company::alone) return;
    for (std::uint64_t i = 0; i < count; ++i) operation_->one(Side::server);
  }

 private:
  Company company_;
  SharedMemory memory_;
  Operation* operation_ = nullptr;
};

template <class Operation> std::unique_ptr<Variant> lock_variant(Company company) {
  return std::make_unique<LockVariant<Operation>>(company);
}

struct SixtyFour {
  std::uint64_t words[8] = {};
};

}  // namespace bulkhead::bench
