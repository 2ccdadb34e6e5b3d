// SPDX-License-Identifier: Apache-2.0
//
// Locking, unlocking, waiting and notifying. What the kernel does at a death depends on words that
// nobody else sees (the thread's robust list): two places that look the same to others may differ.
// So there are more deaths than states, and in lock and unlock one at every instruction.
//
// The survivors are promised: a lock can be had again at once; who gets it is told if its owner died
// with it, and if nobody is told, what it protects is in order; who waits gets it from the dead; a
// notification that was made is not lost with a waiter that dies of it; and what was left is
// repaired by whoever comes, also after one who died repairing.
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include <bulkhead/condition.hpp>
#include <bulkhead/mutex.hpp>
#include <bulkhead/shared.hpp>
#include <bulkhead/shared_mutex.hpp>

#include "crash/operation.hpp"
#include "crash/survivors.hpp"

namespace bulkhead::crash {
namespace {

/// Both numbers are the same whenever nobody has the lock for writing.
struct Twins {
  explicit Twins(Place place) : lock(place, "lock", Mutex::Relock::allowed), changed(place) {}

  void change() {
    first = first + 1;
    second = second + 1;
  }
  void repair() { second = first; }

  Mutex lock;
  Condition changed;
  std::uint64_t items = 0;
  volatile std::uint64_t first = 0;
  volatile std::uint64_t second = 0;
};

struct Table : Twins {
  explicit Table(Place place) : Twins(place), shared(place, "table") {}
  SharedMutex shared;
};

template <class T> Shared<T> inherited_from(int descriptor) {
  return or_throw(
      Shared<T>::open(or_throw(SharedRegion::attach(Fd::adopt(descriptor), Trust::equal))));
}

/// A thread that ends with what `lock` gives it: a dead owner without a dead process.
template <class Lock> void die_with(Lock lock) {
  using Held = decltype(lock());
  alignas(Held) std::byte never_destroyed[sizeof(Held)];
  std::thread{[&] { ::new (never_destroyed) Held(lock()); }}.join();
}

void repair(Mutex::Guard& held, Twins& twins) {
  if (held.owner_died()) twins.repair();
  held.repaired();
}

template <class T> class LockScene : public Scene {
 public:
  std::vector<FdView> inherited() override { return {handle_.fd()}; }
  /// For one that dies after the victim, whose end is then not the last one's.
  std::vector<FdView> inherited_again() override {
    died_before_ = true;
    return inherited();
  }

  void after_death(bool finished, Verdict& verdict) override {
    finished = finished && !died_before_;
    mine_ = {};
    auto held = shared_->lock.lock(patience);
    if (!held) return verdict.violation("cannot be locked: " + held.error().sentence());
    verdict.expect(!held->owner_died() || !finished, "a death is told that was after the end");
    if (!held->owner_died()) {
      verdict.expect(shared_->first == shared_->second, "nobody is told, and it is half changed");
    }
    shared_->repair();
    held->repaired();
    held->unlock();
    auto again = shared_->lock.try_lock();
    verdict.expect(again && !again->owner_died(), "it was repaired, and is not as new");
  }

 protected:
  Shared<T> shared_ = or_throw(Shared<T>::create());
  Handle handle_ = or_throw(or_throw(shared_.duplicate()).into_handle());
  Mutex::Guard mine_;
  bool died_before_ = false;
};

// Locking.

/// The victim locks, changes both, unlocks.
class Locks : public LockScene<Twins> {};

/// A survivor has it until the victim sleeps.
class WaitsForLock final : public LockScene<Twins> {
 public:
  void begin() override { mine_ = or_throw(shared_->lock.lock()); }
  bool awaken() override {
    if (!mine_.holds()) return false;
    mine_.unlock();
    return true;
  }
};

/// A survivor waits for what the victim has.
class Unlocks final : public LockScene<Twins> {
 public:
  void begin() override {
    waiter_.start([this] {
      auto held = shared_->lock.lock(patience);
      if (!held) return waited_.violation("who waited did not get it: " + held.error().sentence());
      waited_.expect(held->owner_died() || shared_->first == shared_->second,
                     "who waited is not told, and it is half changed");
      shared_->repair();
      held->repaired();
    });
  }
  void after_death(bool finished, Verdict& verdict) override {
    waiter_.join();
    for (const auto& what : waited_.violations()) verdict.violation(what);
    LockScene::after_death(finished, verdict);
  }

 private:
  Verdict waited_;
  Waiter waiter_;
};

/// Somebody has died with it before.
class Repairs final : public LockScene<Twins> {
 public:
  Repairs() {
    die_with([&] { return or_throw(shared_->lock.lock()); });
    shared_->first = shared_->first + 1;
  }
};

void lock_and_change(Twins& twins) {
  auto held = or_throw(twins.lock.lock());
  repair(held, twins);
  twins.change();
}

void lock_victim() {
  auto twins = inherited_from<Twins>(3);
  mark(Mark::begin);
  lock_and_change(*twins);
  mark(Mark::end);
}

void relock_victim() {
  auto twins = inherited_from<Twins>(3);
  mark(Mark::begin);
  {
    auto outer = or_throw(twins->lock.lock());
    lock_and_change(*twins);
  }
  mark(Mark::end);
}

void unlock_victim() {
  auto twins = inherited_from<Twins>(3);
  auto held = or_throw(twins->lock.lock());
  twins->change();
  mark(Mark::begin);
  held.unlock();
  mark(Mark::end);
}

// Waiting and notifying.

/// Takes an item when there is one.
Result<void> take(Twins& twins, Deadline deadline) {
  auto held = or_throw(twins.lock.lock(deadline));
  repair(held, twins);
  for (;;) {
    auto there = twins.changed.wait(held, [&] { return twins.items != 0; }, deadline);
    if (there) break;
    if (there.error() != ErrorKind::peer_died) return there;
    repair(held, twins);
  }
  --twins.items;
  twins.change();
  return {};
}

void put(Twins& twins, std::uint64_t items) {
  auto held = or_throw(twins.lock.lock(patience));
  repair(held, twins);
  twins.items += items;
  twins.changed.notify_one();
}

/// Another waits beside the victim. Two items come when both sleep, with one notification: whatever
/// the victim does with it, the other must take one without being told again.
class Waits final : public LockScene<Twins> {
 public:
  bool awaken() override {
    if (++sleeps_ > most_sleeps) return false;
    if (sleeps_ > 1) return true;  // over the lock, which the other is about to unlock
    waiter_.start([this] {         // behind the victim: who wakes one wakes that one
      if (auto taken = take(*shared_, patience); !taken) {
        waited_.violation("who waited was not woken: " + taken.error().sentence());
      }
    });
    put(*shared_, 2);
    waiter_.await_sleep();  // or its end: for the same course each time
    return true;
  }
  void after_death(bool finished, Verdict& verdict) override {
    // At its deadline it would find the item: whether it was woken shows now or never.
    if (sleeps_ > 0) {
      waiter_.await_sleep();
      verdict.expect(waiter_.ended(), "who waited sleeps on beside an item");
      put(*shared_, 0);
    }
    waiter_.join();
    for (const auto& what : waited_.violations()) verdict.violation(what);
    LockScene::after_death(finished, verdict);
  }

 private:
  static constexpr int most_sleeps = 4;

  int sleeps_ = 0;
  Verdict waited_;
  Waiter waiter_;
};

/// A survivor waits for what the victim puts in.
class Notifies final : public LockScene<Twins> {
 public:
  void begin() override {
    waiter_.start([this] {
      if (auto taken = take(*shared_, patience); !taken) {
        waited_.violation("who waited was not woken: " + taken.error().sentence());
      }
    });
  }
  void after_death(bool finished, Verdict& verdict) override {
    // Who dies before it has notified has told nobody; the next one that does tells all.
    if (!finished) put(*shared_, 1);
    waiter_.await_sleep();
    verdict.expect(waiter_.ended(), "who waited sleeps on beside an item");
    put(*shared_, 0);
    waiter_.join();
    for (const auto& what : waited_.violations()) verdict.violation(what);
    LockScene::after_death(finished, verdict);
  }

 private:
  Verdict waited_;
  Waiter waiter_;
};

void wait_victim() {
  auto twins = inherited_from<Twins>(3);
  mark(Mark::begin);
  const auto taken = take(*twins, never);
  mark(Mark::end);
  or_throw(taken);
}

void notify_victim() {
  auto twins = inherited_from<Twins>(3);
  mark(Mark::begin);
  {
    auto held = or_throw(twins->lock.lock());
    ++twins->items;
    twins->change();
  }
  twins->changed.notify_one();
  mark(Mark::end);
}

// Readers and writers.

class Shares : public LockScene<Table> {
 public:
  void after_death(bool finished, Verdict& verdict) override {
    finished = finished && !died_before_;
    reading_ = {};
    writing_ = {};
    auto& table = *shared_;
    auto read = table.shared.lock_shared(patience);
    if (read) {
      verdict.expect(table.first == table.second, "nobody is told, and it is half changed");
      read->unlock();
    } else if (read.error() != ErrorKind::peer_died || finished) {
      return verdict.violation("cannot be read: " + read.error().sentence());
    }
    auto held = table.shared.lock(patience);
    if (!held) return verdict.violation("cannot be written: " + held.error().sentence());
    verdict.expect(held->owner_died() || table.first == table.second, "told to readers only");
    verdict.expect(!held->owner_died() || !finished, "a death is told that was after the end");
    table.repair();
    held->repaired();
    held->unlock();
    verdict.expect(table.shared.try_lock_shared().has_value(), "repaired, and cannot be read");
    verdict.expect(table.shared.readers() == 0, "the dead read on");
    LockScene::after_death(false, verdict);
  }

 protected:
  SharedMutex::Guard writing_;
  SharedMutex::SharedGuard reading_;
};

class WritesAfterReader final : public Shares {
 public:
  void begin() override { reading_ = or_throw(shared_->shared.lock_shared()); }
  bool awaken() override {
    if (!reading_.holds()) return false;
    reading_.unlock();
    return true;
  }
};

class ReadsAfterWriter final : public Shares {
 public:
  void begin() override { writing_ = or_throw(shared_->shared.lock()); }
  bool awaken() override {
    if (!writing_.holds()) return false;
    writing_.unlock();
    return true;
  }
};

class WritesAfterDeath final : public Shares {
 public:
  WritesAfterDeath() {
    die_with([&] { return or_throw(shared_->shared.lock()); });
    shared_->first = shared_->first + 1;
  }
};

void write_victim() {
  auto table = inherited_from<Table>(3);
  mark(Mark::begin);
  {
    auto held = or_throw(table->shared.lock());
    if (held.owner_died()) {
      table->repair();
      held.repaired();
    }
    table->change();
  }
  mark(Mark::end);
}

void read_victim() {
  auto table = inherited_from<Table>(3);
  mark(Mark::begin);
  auto held = table->shared.lock_shared();
  if (held) held->unlock();
  mark(Mark::end);
  if (!held) or_throw(Result<void>{fail(held.error())});
}

constexpr std::size_t all_of_them = SIZE_MAX;

template <class Of>
Operation operation(std::string name, void (*victim)(), std::size_t least_deaths = 100) {
  return {.name = std::move(name),
          .stage = [] { return std::make_unique<Of>(); },
          .victim = victim,
          .each_instruction = least_deaths == all_of_them,
          .least_deaths = least_deaths};
}

}  // namespace

std::vector<Operation> lock_operations() {
  return {
      operation<Locks>("mutex: lock, change, unlock", lock_victim, all_of_them),
      operation<Locks>("mutex: lock twice, change, unlock twice", relock_victim),
      operation<WaitsForLock>("mutex: lock, another has it", lock_victim, 200),
      operation<Unlocks>("mutex: unlock, another waits", unlock_victim, all_of_them),
      operation<Repairs>("mutex: lock after a death, repair (recovery)", lock_victim),
      operation<Waits>("condition: wait, another waits too", wait_victim, 200),
      operation<Notifies>("condition: change, notify, another waits", notify_victim),
      operation<Shares>("shared mutex: write", write_victim),
      operation<Shares>("shared mutex: read", read_victim),
      operation<WritesAfterReader>("shared mutex: write, another reads", write_victim),
      operation<ReadsAfterWriter>("shared mutex: read, another writes", read_victim),
      operation<WritesAfterDeath>("shared mutex: write after a death, repair (recovery)",
                                  write_victim),
  };
}

}  // namespace bulkhead::crash
