// SPDX-License-Identifier: Apache-2.0
//
// Schedule: which waiting task is next. It knows nothing of processes; a symmetric pool would put a
// table in shared memory behind the same few questions.
//
// Tasks that were cancelled while they wait are skipped when their turn comes.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>

#include "pool/task.hpp"

namespace bulkhead::pool {

using TaskPointer = std::shared_ptr<detail::Task>;

class Schedule {
 public:
  /// Behind those of its priority; a special one behind the special ones.
  void add(TaskPointer task);
  /// Handed on from a worker that did not begin it: before those of its priority.
  void add_first(TaskPointer task);

  /// For an ordinary worker; null when there is none for it. Other attempts come first, for workers
  /// that are young enough.
  TaskPointer next(std::uint64_t worker_serial);
  bool has_next(std::uint64_t worker_serial);
  /// An attempt that waits for a worker later than `worker_serial`; null without one.
  TaskPointer take_retry_beyond(std::uint64_t worker_serial);

  /// One that needs a worker of its own: for its memory limit, or to run alone. Null without one.
  const TaskPointer* special();
  TaskPointer take_special();

 private:
  using Queue = std::deque<TaskPointer>;
  static bool is_special(const detail::Task& task) { return task.alone || task.memory_limit != 0; }
  Queue& queue_of(const detail::Task& task);
  Queue::iterator find_retry(std::uint64_t worker_serial);
  Queue* first_queue();

  Queue special_;
  Queue retries_;
  std::map<int, Queue, std::greater<>> by_priority_;
};

}  // namespace bulkhead::pool
