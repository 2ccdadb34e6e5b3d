// SPDX-License-Identifier: Apache-2.0
//
// The library's own, through its public headers, each in a SharedRegion that a forked side inherits.
#include <cstdlib>
#include <optional>

#include <bulkhead/barrier.hpp>
#include <bulkhead/condition.hpp>
#include <bulkhead/latch.hpp>
#include <bulkhead/mutex.hpp>
#include <bulkhead/once.hpp>
#include <bulkhead/semaphore.hpp>
#include <bulkhead/seqlock.hpp>
#include <bulkhead/shared.hpp>
#include <bulkhead/shared_mutex.hpp>

#include "bench/lock_variant.hpp"
#include "bench/payload.hpp"

namespace bulkhead::bench {

namespace {

struct Locking {
  explicit Locking(Place place) : mutex(place, "bench") {}
  Mutex mutex;
  std::uint64_t number = 0;
  void one(Side) {
    auto held = or_throw(mutex.lock());
    ++number;
  }
};

struct ReadLocking {
  explicit ReadLocking(Place place) : mutex(place, "bench") {}
  SharedMutex mutex;
  void one(Side) { auto held = or_throw(mutex.lock_shared()); }
};

struct PostWait {
  explicit PostWait(Place place) : semaphore(place) {}
  Semaphore semaphore;
  void one(Side) {
    or_throw(semaphore.post());
    or_throw(semaphore.wait());
  }
};

struct HandOver {
  explicit HandOver(Place place) : there(place), back(place) {}
  Semaphore there, back;
  void one(Side side) {
    if (side == Side::client) {
      or_throw(there.post());
      or_throw(back.wait());
    } else {
      or_throw(there.wait());
      or_throw(back.post());
    }
  }
};

struct Telling {
  explicit Telling(Place place) : mutex(place, "bench"), condition(place) {}
  Mutex mutex;
  Condition condition;
  int turn = 0;
  void one(Side side) {
    const int mine = side == Side::client ? 0 : 1;
    auto held = or_throw(mutex.lock());
    or_throw(condition.wait(held, [&] { return turn == mine; }));
    turn = 1 - mine;
    condition.notify_one();
  }
};

struct CountDown {
  explicit CountDown(Place place) : latch(place, Latch::most) {}
  Latch latch;
  void one(Side) { or_throw(latch.count_down()); }
};

struct SeqlockRead {
  explicit SeqlockRead(Place place) : lock(place) {}
  Seqlock<SixtyFour> lock;
  void one(Side side) {
    if (side == Side::client) {
      const SixtyFour value = or_throw(lock.read());
      touched(&value);
    } else {
      or_throw(lock.write({}));
    }
  }
};

struct SeqlockWrite {
  explicit SeqlockWrite(Place place) : lock(place) {}
  Seqlock<SixtyFour> lock;
  void one(Side) { or_throw(lock.write({})); }
};

struct Done {
  explicit Done(Place place) : once(place) {}
  Once once;
  std::uint64_t calls = 0;
  void one(Side) {
    // Not by or_throw(), which is a call of 1 ns where a function has it often.
    if (!once.call([this] { ++calls; })) std::abort();
    touched(&once);
  }
};

/// Over an Operation in a SharedRegion.
template <class Operation> class OurVariant : public Variant {
 public:
  explicit OurVariant(Company company) : company_(company) {}

  void create() override { operation_ = or_throw(Shared<Operation>::create()); }
  void client(std::uint64_t count) override {
    Operation& operation = **operation_;
    for (std::uint64_t i = 0; i < count; ++i) operation.one(Side::client);
  }
  void server(std::uint64_t count) override {
    if (company_ == Company::alone) return;
    Operation& operation = **operation_;
    for (std::uint64_t i = 0; i < count; ++i) operation.one(Side::server);
  }

 private:
  Company company_;
  std::optional<Shared<Operation>> operation_;
};

/// Each side is a member, in its own thread.
class OurBarrier : public Variant {
 public:
  explicit OurBarrier(Company company) : company_(company) {}

  void create() override {
    barrier_ = or_throw(
        Shared<Barrier>::create({.name = "barrier"}, company_ == Company::together ? 2U : 1U));
  }
  void connect(Side side) override {
    if (side == Side::client || company_ == Company::together) {
      member(side) = or_throw((*barrier_)->join());
    }
  }
  void client(std::uint64_t count) override { arrive(client_, count); }
  void server(std::uint64_t count) override {
    if (company_ == Company::together) arrive(server_, count);
  }
  void close(Side side) noexcept override { member(side).reset(); }

 private:
  std::optional<Barrier::Member>& member(Side side) {
    return side == Side::client ? client_ : server_;
  }
  static void arrive(std::optional<Barrier::Member>& member, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) or_throw(member->arrive_and_wait());
  }

  Company company_;
  std::optional<Shared<Barrier>> barrier_;
  alignas(128) std::optional<Barrier::Member> client_;
  alignas(128) std::optional<Barrier::Member> server_;
};

template <class Operation> std::unique_ptr<Variant> ours(Company company) {
  return std::make_unique<OurVariant<Operation>>(company);
}

}  // namespace

std::unique_ptr<Variant> our_lock(LockKind kind, Company company) {
  const bool together = company == Company::together;
  switch (kind) {
    case LockKind::mutex:
      return ours<Locking>(company);
    case LockKind::shared_mutex:
      return ours<ReadLocking>(company);
    case LockKind::semaphore:
      return together ? ours<HandOver>(company) : ours<PostWait>(company);
    case LockKind::condition:
      return together ? ours<Telling>(company) : nullptr;
    case LockKind::barrier:
      return std::make_unique<OurBarrier>(company);
    case LockKind::latch:
      return ours<CountDown>(company);
    case LockKind::seqlock_read:
      return ours<SeqlockRead>(company);
    case LockKind::seqlock_write:
      return ours<SeqlockWrite>(company);
    case LockKind::once:
      return together ? nullptr : ours<Done>(company);
  }
  return nullptr;
}

}  // namespace bulkhead::bench
