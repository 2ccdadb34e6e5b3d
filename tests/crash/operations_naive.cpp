// SPDX-License-Identifier: Apache-2.0
//
// A push to a naive primitive: the survivor, another producer and the consumer at once, must still
// get its own value through, and the one that was committed before. A wait for a naive semaphore: a
// survivor that waits too must not sleep while there is a token.
#include <new>
#include <string>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bulkhead/result.hpp>

#include "crash/naive.hpp"
#include "crash/operation.hpp"
#include "crash/survivors.hpp"

namespace bulkhead::crash {
namespace {

constexpr std::uint64_t committed = 1;
constexpr std::uint64_t in_flight = 2;
constexpr std::uint64_t survivors = 3;
constexpr std::size_t bytes = 4096;

template <class Queue> Queue* map(FdView file) {
  void* const at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.native(), 0);
  return at == MAP_FAILED ? nullptr : std::launder(static_cast<Queue*>(at));
}

template <class Queue> class NaiveScene final : public Scene {
 public:
  NaiveScene() {
    static_cast<void>(::ftruncate(file_.native(), bytes));
    queue_ = map<Queue>(file_);
    queue_->prepare();
  }
  ~NaiveScene() override { ::munmap(static_cast<void*>(queue_), bytes); }

  std::vector<FdView> inherited() override { return {file_}; }

  void after_death(bool finished, Verdict& verdict) override {
    verdict.expect(queue_->try_push(survivors), "the other producer cannot push any more");
    // The dead do nothing any more: what does not come now never comes.
    std::vector<std::uint64_t> wanted{committed, survivors};
    if (finished) wanted.insert(wanted.begin() + 1, in_flight);
    std::uint64_t value = 0;
    for (std::size_t found = 0; found < wanted.size();) {
      if (!queue_->try_pop(value)) return verdict.violation("the consumer is stuck for good");
      if (value == wanted[found]) {
        ++found;
      } else if (value != in_flight) {
        return verdict.violation("a value that nobody pushed");
      }
    }
  }

 private:
  Fd file_ = Fd::adopt(static_cast<int>(::syscall(SYS_memfd_create, "naive", 1U)));
  Queue* queue_ = nullptr;
};

template <class Queue> void push() {
  auto* const queue = map<Queue>(Fd::adopt(3));
  if (queue == nullptr) return;
  queue->try_push(committed);
  mark(Mark::begin);
  queue->try_push(in_flight);
  mark(Mark::end);
}

/// A survivor waits behind the victim, and one token comes.
class NaiveWaits final : public Scene {
 public:
  NaiveWaits() {
    static_cast<void>(::ftruncate(file_.native(), bytes));
    semaphore_ = map<NaiveSemaphore>(file_);
  }
  ~NaiveWaits() override {
    waiter_.join();
    ::munmap(static_cast<void*>(semaphore_), bytes);
  }

  std::vector<FdView> inherited() override { return {file_}; }
  bool awaken() override {
    start();
    semaphore_->post();
    return true;
  }

  void after_death(bool, Verdict& verdict) override {
    start();
    if (semaphore_->tokens == 0 && !waiter_.ended()) semaphore_->post();
    waiter_.await_sleep();
    verdict.expect(waiter_.ended() || semaphore_->tokens == 0, "somebody sleeps beside a token");
    semaphore_->post();  // which wakes it: it is the only one
  }

 private:
  void start() {
    if (std::exchange(started_, true)) return;
    waiter_.start([this] { semaphore_->wait(); });
  }

  Fd file_ = Fd::adopt(static_cast<int>(::syscall(SYS_memfd_create, "naive", 1U)));
  NaiveSemaphore* semaphore_ = nullptr;
  bool started_ = false;
  Waiter waiter_;
};

void wait_for_token() {
  auto* const semaphore = map<NaiveSemaphore>(Fd::adopt(3));
  if (semaphore == nullptr) return;
  mark(Mark::begin);
  semaphore->wait();
  mark(Mark::end);
}

template <class Queue> Operation operation(std::string name) {
  return {.name = std::move(name),
          .stage = [] { return std::make_unique<NaiveScene<Queue>>(); },
          .victim = push<Queue>};
}

}  // namespace

std::vector<Operation> naive_operations() {
  return {operation<NaiveRing>("naive: push to a ring of many producers"),
          operation<NaiveQueue>("naive: push to a queue behind a lock"),
          operation<NaiveOwnedQueue>("naive: push to a queue behind a lock with an owner"),
          {.name = "naive: wait for a semaphore that wakes one",
           .stage = [] { return std::make_unique<NaiveWaits>(); },
           .victim = wait_for_token}};
}

}  // namespace bulkhead::crash
