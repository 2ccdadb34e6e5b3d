// SPDX-License-Identifier: Apache-2.0
//
// PoolState: the master of an asymmetric pool. It keeps the books of tasks and workers and runs in
// whichever thread waits in the pool; one file each for what it does:
//
//   pool_state.cpp    drive: look, hand out, wait
//   pool_tasks.cpp    tasks: submit, hand out, take answers, take back, cancel
//   pool_workers.cpp  workers: start, greet, retire, kill, take off the books
//   pool_deaths.cpp   what a worker's end means for its tasks; what a start that fails means for all
//
// Books: a task that has not ended is in exactly one of the schedule and one worker's `open` list; or
// it is null there (cancelled) and has ended.
// Death: drained first, so that what a worker answered before it died counts. Then the task that it
// had begun, by its Status page, is charged with the death; those that only waited are handed on.
// No worker can be started: `broken` is set only when no worker is ready and none, dying ones
// included, has a task; all that waits ends with that error then. So nothing can come back to a
// broken pool and wait there for ever; what is submitted next begins anew.
// A forked copy of the process: its books are its own and its workers are not, so all its tasks end.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <bulkhead/pool.hpp>

#include "pool/events.hpp"
#include "pool/frame.hpp"
#include "pool/kernel_kills.hpp"
#include "pool/schedule.hpp"
#include "pool/task.hpp"
#include "pool/worker_record.hpp"

namespace bulkhead::detail {

struct PoolState : std::enable_shared_from_this<PoolState> {
 public:
  using Task = detail::Task;
  using TaskPointer = pool::TaskPointer;
  using Worker = pool::Worker;
  using Clock = Deadline::Clock;

  PoolState(RoleEntry worker, PoolOptions given);
  PoolState(const PoolState&) = delete;
  ~PoolState();

  // pool_tasks.cpp
  TaskPointer submit(Request request, Group* group, void* owner);
  TaskPointer submit_failed(Error error, Group* group, void* owner);
  void cancel(Task& task);
  void cancel_all();

  // pool_state.cpp
  /// Once around: takes what has come, hands out what waits. Never waits.
  void step();
  /// step() with a look at the kernel's news: for who does not wait.
  void poll();
  /// step() and waiting in turn until `done` says so; false when the deadline came first.
  template <class Done> bool drive(Done&& done, Deadline deadline) {
    for (;;) {
      if (done()) return true;
      if (foreign()) {
        abandon();
        return done();
      }
      step();
      if (done()) return true;
      if (deadline.expired()) return false;
      wait_for_news(deadline);
    }
  }
  /// Before somebody else waits on the Events: what comes from now on makes them readable.
  void prepare_to_be_waited_for();
  Result<void> open();
  static Error foreign_use();
  void shut_down();

  bool foreign() const noexcept;
  /// In a forked copy of the process: ends every task there.
  void abandon();
  /// Tasks that a worker may have at once, the one at work among them.
  std::size_t depth() const;
  Progress progress() const;

  PoolOptions options;
  pool::Schedule schedule;
  std::list<Worker> workers;
  std::optional<pool::Events> events;
  std::optional<Error> broken;  ///< why no worker can be started
  PoolStatistics statistics;
  std::vector<Poisoned> poisoned;
  std::uint64_t open_tasks = 0;  ///< not ended
  std::uint64_t given_tasks = 0;
  unsigned target = 0;       ///< workers that there are to be
  bool all_at_once = false;  ///< start them all, whatever there is to do

 private:
  // pool_state.cpp
  void look();
  void handle(std::uint64_t key);
  void check_times();
  Deadline next_time();
  void wait_for_news(Deadline deadline);
  Worker* lone_worker();
  bool spin();
  bool arm();
  bool drain_quick();

  // pool_tasks.cpp
  void hand_out();
  bool is_held();
  bool fill(Worker& worker, std::size_t most);
  void hand_out_special(Task& task);
  bool give(Worker& worker, TaskPointer task);
  Result<void> send(Worker& worker, Task& task);
  bool take_answers(Worker& worker);
  void take_answer(Worker& worker, Message& message);
  void begin_front(Worker& worker);
  void finish(Task& task);
  void give_up(Task& task, Error error);
  void give_up_waiting(const Error& why);
  void retry_after_error(TaskPointer task);
  Result<void> put_aside(Task& task);
  /// Keeps the worker from beginning what it has from that place on; the first place that worked.
  std::size_t revoke(Worker& worker, std::size_t from);
  void revoke_unwanted(Worker& worker);
  bool steal();

  // pool_deaths.cpp
  std::uint64_t effective_memory(const Task& task) const;
  /// False when no task is to blame.
  bool charge(Worker& worker, const Exit& exit);
  void charge(TaskPointer task, Worker& worker, const Exit& exit);
  void poison(Task& task, const std::string& who);
  struct FailedStart {
    bool special;
    std::string why;
    bool killed_by_somebody = false;  ///< which says little about the next
  };
  void start_failed(const FailedStart& start);

  // pool_workers.cpp
  bool wants_worker();
  void keep_up_numbers();
  void start_one(bool special, std::uint64_t memory_limit);
  Result<void> start(Worker& worker);
  void began(Worker& worker);
  void greet(Worker& worker, Message& hello);
  void retire(Worker& worker);
  void channel_ended(Worker& worker);
  void unwatch(Worker& worker);
  void kill(Worker& worker, std::string why);
  void expel(Worker& worker, std::string why);
  void ended(Worker& worker);
  void remove(Worker& worker);
  void recycle_if_due(Worker& worker);
  void warn_of_numbers();
  void pin_master();
  void log(const std::string& text) const;
  std::size_t living() const;
  unsigned threads() const { return std::max(1u, options.threads_per_worker); }

  /// Starts that failed in a row, without an answer between them: of the ordinary workers, or of
  /// those for one task, which may have reasons of their own.
  struct FailedStarts {
    unsigned count = 0;
    Deadline next{Clock::time_point::min()};
  };
  FailedStarts& failed_starts(bool special) { return special ? special_starts_ : starts_; }

  /// For tasks shorter than this waking and sleeping cost as much as they do.
  static constexpr double short_task_ns = 100e3;

  const RoleEntry worker_entry_;
  const pid_t owner_;
  std::vector<unsigned> master_cpus_;  ///< before it was pinned
  std::vector<unsigned> worker_cpus_;
  pool::KernelKills kernel_kills_;
  Message scratch_;
  std::uint64_t serial_ = 0;
  std::uint64_t number_ = 0;
  FailedStarts starts_;
  FailedStarts special_starts_;
  double mean_ns_ = -1;              ///< of tasks lately; below zero: not known
  TaskEntry known_entry_ = nullptr;  ///< the last one asked for, and where it lies
  std::uint64_t known_offset_ = 0;
  unsigned steps_ = 0;
  bool over_ = false;
  Clock::time_point began_ = Clock::now();
};

}  // namespace bulkhead::detail
