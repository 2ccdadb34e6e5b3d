// SPDX-License-Identifier: Apache-2.0
// What a worker's end means for the tasks that it had, and what a start that fails means for all.
#include <algorithm>

#include "pool/pool_state.hpp"
#include "pool/reproducer.hpp"
#include "pool/retry.hpp"

namespace bulkhead::detail {

using pool::Verdict;

namespace {

/// In a row; then what needs a new worker is told why.
constexpr unsigned most_failed_starts = 5;
/// Where somebody killed the last one: a person with a reason, or the kernel for want of memory.
constexpr unsigned most_killed_starts = 50;
constexpr std::chrono::milliseconds first_backoff{10};
constexpr unsigned most_doublings = 6;

}  // namespace

std::uint64_t PoolState::effective_memory(const Task& task) const {
  if (task.memory_limit != 0) return task.memory_limit;
  if (options.memory_limit != 0) return options.memory_limit;
  return options.sandbox.confines() ? options.sandbox.limits.memory_bytes : 0;
}

bool PoolState::charge(Worker& worker, const Exit& exit) {
  std::uint64_t begun = worker.status != nullptr ? worker.status->running.load() : 0;
  const bool is_open = begun >= worker.first_ticket && begun < worker.next_ticket();
  // TRUST: an untrusted one that says that it had begun nothing would never be to blame.
  const bool doubtful = !is_open && worker.process->channel().trust() == Trust::untrusted;
  if (worker.at_time_limit || doubtful) begun = worker.first_ticket;
  std::deque<TaskPointer> open;
  open.swap(worker.open);
  TaskPointer charged;
  for (std::size_t i = open.size(); i > 0; --i) {
    auto& task = open[i - 1];
    if (task == nullptr) continue;
    --given_tasks;
    task->state = Task::State::waiting;
    if (worker.first_ticket + i - 1 == begun) {
      charged = std::move(task);
    } else {
      schedule.add_first(std::move(task));
    }
  }
  if (!charged) return false;
  charge(std::move(charged), worker, exit);
  return true;
}

void PoolState::charge(TaskPointer task, Worker& worker, const Exit& exit) {
  const std::string who = worker.process->who();
  ++statistics.attempts;
  ++task->attempts;
  task->exits.push_back(exit);
  switch (pool::verdict(*task)) {
    case Verdict::again:
      task->after_worker = worker.last_serial != 0 ? worker.last_serial : serial_;
      return schedule.add(std::move(task));
    case Verdict::again_alone:
      task->memory_limit = 2 * effective_memory(*task);
      task->alone = true;
      return schedule.add_first(std::move(task));
    case Verdict::timed_out:
      return give_up(*task,
                     Error::after_death(ErrorKind::timed_out,
                                        {.operation = std::string(task->request.name),
                                         .cause = who + " was killed: " + to_string(exit),
                                         .remedy = "raise the time limit if it deserves more"},
                                        who, exit));
    case Verdict::poisoned:
      return poison(*task, who);
  }
}

void PoolState::poison(Task& task, const std::string& who) {
  auto& request = request_of(task);
  Poisoned report{.task = pool::task_name(task), .exits = task.exits, .saved = {}};
  std::string cause = pool::in_words(task.exits);
  if (!options.crashes.empty()) {
    auto saved = pool::save(task, options.crashes);
    if (saved) {
      cause += ", saved as " + saved->string();
      report.saved = *std::move(saved);
    } else {
      log(saved.error().during("save the input of", std::string(request.name)).sentence());
    }
  }
  poisoned.push_back(std::move(report));
  give_up(task, Error::after_death(ErrorKind::poisoned,
                                   {.operation = "poisoned", .cause = std::move(cause)}, who,
                                   task.exits.back()));
}

void PoolState::start_failed(const FailedStart& start) {
  log("a worker could not start: " + start.why);
  auto& failed = failed_starts(start.special);
  failed.next = Deadline{first_backoff * (1 << std::min(failed.count++, most_doublings))};
  if (failed.count < (start.killed_by_somebody ? most_killed_starts : most_failed_starts)) return;
  const Error error{ErrorKind::exhausted,
                    {.operation = "start",
                     .object = start.special ? "worker for this task" : "workers of the pool",
                     .cause = "none of the last " + std::to_string(failed.count) +
                              " could start; the last: " + start.why}};
  if (start.special) {
    // The others go on; the next special task may ask for something else.
    failed = {};
    if (const auto* task = schedule.special()) give_up(**task, error);
    return;
  }
  // While others can do the work, only attempts that wait for a younger worker than any are lost.
  // One that is dying may take its time and then hand its tasks on: it counts as long as it has any,
  // and the next start that fails looks again.
  const auto counts = [](const Worker& worker) { return worker.is_ready() || worker.is_busy(); };
  if (std::ranges::any_of(workers, counts)) {
    std::uint64_t youngest = 0;
    for (const Worker& worker : workers) {
      if (worker.lives() && !worker.special) youngest = std::max(youngest, worker.serial);
    }
    while (const auto task = schedule.take_retry_beyond(youngest)) give_up(*task, error);
    return;
  }
  failed = {};
  broken = error;
  give_up_waiting(error);
}

}  // namespace bulkhead::detail
