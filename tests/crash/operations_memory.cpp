// SPDX-License-Identifier: Apache-2.0
//
// What is counted, met at and written in shared memory: Semaphore, Latch, Barrier, Seqlock, Once.
// What takes or gives up robust locks is killed at every instruction (operations_locks.cpp says why).
//
// The survivors are promised: nobody sleeps beside a token; a latch that is down lets all through; a
// barrier's other members end their round or are told of the death, at once; what is read is whole,
// read at once, and the value before or after the write; what is done once is done by somebody.
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <bulkhead/barrier.hpp>
#include <bulkhead/latch.hpp>
#include <bulkhead/once.hpp>
#include <bulkhead/semaphore.hpp>
#include <bulkhead/seqlock.hpp>
#include <bulkhead/shared.hpp>

#include "crash/operation.hpp"
#include "crash/survivors.hpp"

namespace bulkhead::crash {
namespace {

struct Four {
  std::uint64_t numbers[4] = {};
  static Four of(std::uint64_t number) { return {{number, number, number, number}}; }
  bool whole() const {
    return numbers[0] == numbers[1] && numbers[1] == numbers[2] && numbers[2] == numbers[3];
  }
};

struct Memory {
  explicit Memory(Place place)
      : tokens(place, 0), down(place, 1), barrier(place, 2), value(place), made(place) {}

  Semaphore tokens;
  Latch down;
  Barrier barrier;
  Seqlock<Four> value;
  Once made;
  volatile std::uint64_t work[3] = {};
};

void do_work(Memory& memory) {
  for (auto& word : memory.work) word = 7;
}

class MemoryScene : public Scene {
 public:
  std::vector<FdView> inherited() override { return {handle_.fd()}; }

 protected:
  /// Another survivor, which sleeps when the victim begins.
  void start(std::function<Result<void>()> work, const char* otherwise) {
    waiter_.start([this, work = std::move(work), otherwise] {
      if (auto done = work(); !done) {
        waited_.violation(std::string{otherwise} + ": " + done.error().sentence());
      }
      ended_ = true;
    });
  }
  /// It was not woken: it sleeps, and whoever could have woken it has done so, or is dead.
  bool sleeps_on() {
    waiter_.await_sleep();
    return !ended_;
  }
  void join(Verdict& verdict) {
    waiter_.join();
    for (const auto& what : waited_.violations()) verdict.violation(what);
  }

  Shared<Memory> shared_ = or_throw(Shared<Memory>::create());
  Handle handle_ = or_throw(or_throw(shared_.duplicate()).into_handle());
  std::atomic<bool> ended_{false};

 private:
  Verdict waited_;
  Waiter waiter_;
};

Shared<Memory> inherited_memory() {
  return or_throw(Shared<Memory>::open(or_throw(SharedRegion::attach(Fd::adopt(3), Trust::equal))));
}

/// What is killed: `work` on the memory.
template <auto Work> void victim() {
  auto memory = inherited_memory();
  mark(Mark::begin);
  const Result<void> done = Work(*memory);
  mark(Mark::end);
  or_throw(done);
}

// Semaphore and Latch.

/// A survivor waits for a token.
class Tokens : public MemoryScene {
 public:
  void begin() override { wait_too(); }
  void after_death(bool, Verdict& verdict) override {
    wait_too();
    verdict.expect(!sleeps_on() || shared_->tokens.value() == 0, "somebody sleeps beside a token");
    post();
    join(verdict);
    verdict.expect(shared_->tokens.value() < most_, "a token came from nowhere");
    post();
    verdict.expect(shared_->tokens.wait(patience).has_value(), "a token is lost");
  }

 protected:
  void wait_too() {
    if (std::exchange(started_, true)) return;
    start([this] { return shared_->tokens.wait(patience); }, "who waited got no token");
  }
  void post() {
    or_throw(shared_->tokens.post());
    ++most_;
  }

  std::uint32_t most_ = 0;  // tokens that there can have been

 private:
  bool started_ = false;
};

class Posts final : public Tokens {
 public:
  Posts() { most_ = 1; }  // the victim's
};

/// The victim waits, before the survivor does: who wakes one wakes that one. Two tokens come.
class TakesFirst final : public Tokens {
 public:
  void begin() override {}
  bool awaken() override {
    if (most_ == 2) return false;
    wait_too();
    post();
    return true;
  }
};

/// The victim waits, after the survivor.
class TakesSecond final : public Tokens {
 public:
  bool awaken() override {
    if (most_ == 2) return false;
    post();
    return true;
  }
};

class CountsDown final : public MemoryScene {
 public:
  void begin() override {
    start([this] { return shared_->down.wait(patience); }, "who waited was not let through");
  }
  void after_death(bool finished, Verdict& verdict) override {
    const bool is_down = shared_->down.try_wait();
    verdict.expect(is_down || !finished, "it returned, and nothing is counted");
    if (!is_down) or_throw(shared_->down.count_down());
    // At its deadline it would find it down: whether it was woken shows now or never.
    verdict.expect(!sleeps_on(), "who waited sleeps on, and nothing is left");
    join(verdict);
  }
};

// Barrier.

bool ended_or_told(const Result<void>& arrived) {
  return arrived || arrived.error() == ErrorKind::peer_died || arrived.error() == ErrorKind::closed;
}

/// A survivor is a member and has arrived; the victim joins, arrives or leaves.
class Meets final : public MemoryScene {
 public:
  void begin() override {
    start([this] { return arrive(); }, "who waited was not told");
  }
  void after_death(bool finished, Verdict& verdict) override {
    // One that dies before it is a member is missed by nobody: another comes in its place.
    if (auto mine = shared_->barrier.join()) {
      const auto arrived = mine->arrive_and_wait(patience);
      verdict.expect(ended_or_told(arrived), "a new member waits in vain");
    } else {
      verdict.expect(ended_, "the dead one's place is not free");
    }
    join(verdict);
    static_cast<void>(finished);
  }

 private:
  Result<void> arrive() {
    auto mine = or_throw(shared_->barrier.join());
    const auto arrived = mine.arrive_and_wait(patience);
    return ended_or_told(arrived) ? Result<void>{} : arrived;
  }
};

/// The victim arrives first, and sleeps until a survivor comes, or not.
class MeetsFirst final : public MemoryScene {
 public:
  void begin() override { mine_.emplace(or_throw(shared_->barrier.join())); }
  bool awaken() override {
    if (arrived_) return false;
    arrived_ = mine_->arrive_and_wait(patience);
    return true;
  }
  void after_death(bool finished, Verdict& verdict) override {
    if (!arrived_) arrived_ = mine_->arrive_and_wait(patience);
    verdict.expect(ended_or_told(*arrived_), "who came second was not told");
    verdict.expect(arrived_->has_value() || !finished, "the round ended for one only");
    if (!arrived_->has_value()) return;  // it has been told; the next call would wait for an heir
    const auto next = mine_->arrive_and_wait(patience);
    verdict.expect(!next && next.error() != ErrorKind::timed_out, "a death is not told");
  }

 private:
  std::optional<Barrier::Member> mine_;
  std::optional<Result<void>> arrived_;
};

void join_victim() {
  auto memory = inherited_memory();
  mark(Mark::begin);
  auto mine = memory->barrier.join();
  mark(Mark::end);
  or_throw(std::move(mine));
}

void arrive_victim() {
  auto memory = inherited_memory();
  auto mine = or_throw(memory->barrier.join());
  mark(Mark::begin);
  const auto arrived = mine.arrive_and_wait();
  mark(Mark::end);
  or_throw(arrived);
}

void leave_victim() {
  auto memory = inherited_memory();
  auto mine = std::make_optional(or_throw(memory->barrier.join()));
  mark(Mark::begin);
  mine.reset();
  mark(Mark::end);
}

// Seqlock and Once.

class Writes final : public MemoryScene {
 public:
  void begin() override { or_throw(shared_->value.write(Four::of(1))); }
  void after_death(bool finished, Verdict& verdict) override {
    Four now;
    verdict.expect(shared_->value.try_read(now), "a reader is delayed");
    verdict.expect(now.whole() && now.numbers[0] >= (finished ? 2U : 1U) && now.numbers[0] <= 2,
                   "neither the value before nor the one after");
    const auto written = shared_->value.write(Four::of(3), patience);
    if (!written) return verdict.violation("cannot be written: " + written.error().sentence());
    verdict.expect(shared_->value.try_read(now) && now.whole() && now.numbers[0] == 3,
                   "what is written then is not read");
  }
};

class Makes final : public MemoryScene {
 public:
  void after_death(bool finished, Verdict& verdict) override {
    const bool was_done = shared_->made.done();
    verdict.expect(was_done || !finished, "it returned, and nothing is done");
    bool again = false;
    const auto done = shared_->made.call(
        [&] {
          do_work(*shared_);
          again = true;
        },
        patience);
    if (!done) return verdict.violation("cannot be done: " + done.error().sentence());
    verdict.expect(again != was_done, "done twice, or never");
    for (const auto word : shared_->work) verdict.expect(word == 7, "said to be done, and is not");
  }
};

template <class Of> Operation operation(std::string name, void (*half)(), bool robust = false) {
  return {.name = std::move(name),
          .stage = [] { return std::make_unique<Of>(); },
          .victim = half,
          .each_instruction = robust};
}

Result<void> post(Memory& memory) { return memory.tokens.post(); }
Result<void> wait(Memory& memory) { return memory.tokens.wait(); }
Result<void> count_down(Memory& memory) { return memory.down.count_down(); }
Result<void> write(Memory& memory) { return memory.value.write(Four::of(2)); }
Result<void> make(Memory& memory) {
  return memory.made.call([&memory] { do_work(memory); });
}

}  // namespace

std::vector<Operation> memory_operations() {
  constexpr bool robust = true;
  return {
      operation<Posts>("semaphore: post, another waits", victim<post>),
      operation<TakesFirst>("semaphore: wait, another waits behind", victim<wait>),
      operation<TakesSecond>("semaphore: wait, another waits before", victim<wait>),
      operation<CountsDown>("latch: count down, another waits", victim<count_down>),
      operation<Meets>("barrier: join, another waits", join_victim, robust),
      operation<Meets>("barrier: arrive last", arrive_victim),
      operation<MeetsFirst>("barrier: arrive first", arrive_victim),
      operation<Meets>("barrier: leave, another waits", leave_victim, robust),
      operation<Writes>("seqlock: write", victim<write>, robust),
      operation<Makes>("once: do it", victim<make>, robust),
  };
}

}  // namespace bulkhead::crash
