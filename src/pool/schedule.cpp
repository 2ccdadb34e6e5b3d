// SPDX-License-Identifier: Apache-2.0
#include "pool/schedule.hpp"

#include <algorithm>
#include <utility>

namespace bulkhead::pool {
namespace {

bool is_gone(const TaskPointer& task) { return task->state == detail::Task::State::ended; }

}  // namespace

Schedule::Queue& Schedule::queue_of(const detail::Task& task) {
  if (is_special(task)) return special_;
  return task.after_worker != 0 ? retries_ : by_priority_[task.priority];
}

void Schedule::add(TaskPointer task) {
  auto& queue = queue_of(*task);
  queue.push_back(std::move(task));
}

void Schedule::add_first(TaskPointer task) {
  auto& queue = queue_of(*task);
  queue.push_front(std::move(task));
}

Schedule::Queue::iterator Schedule::find_retry(std::uint64_t worker_serial) {
  std::erase_if(retries_, is_gone);
  return std::ranges::find_if(
      retries_, [&](const TaskPointer& task) { return task->after_worker < worker_serial; });
}

Schedule::Queue* Schedule::first_queue() {
  for (auto level = by_priority_.begin(); level != by_priority_.end();) {
    auto& queue = level->second;
    while (!queue.empty() && is_gone(queue.front())) queue.pop_front();
    if (!queue.empty()) return &queue;
    // The usual level stays, so that a lone task costs no node.
    level = level->first == 0 ? std::next(level) : by_priority_.erase(level);
  }
  return nullptr;
}

TaskPointer Schedule::next(std::uint64_t worker_serial) {
  if (!retries_.empty()) {
    if (const auto found = find_retry(worker_serial); found != retries_.end()) {
      auto task = std::move(*found);
      retries_.erase(found);
      return task;
    }
  }
  auto* queue = first_queue();
  if (queue == nullptr) return nullptr;
  auto task = std::move(queue->front());
  queue->pop_front();
  return task;
}

bool Schedule::has_next(std::uint64_t worker_serial) {
  if (!retries_.empty() && find_retry(worker_serial) != retries_.end()) return true;
  return first_queue() != nullptr;
}

TaskPointer Schedule::take_retry_beyond(std::uint64_t worker_serial) {
  std::erase_if(retries_, is_gone);
  const auto found = std::ranges::find_if(
      retries_, [&](const TaskPointer& task) { return task->after_worker >= worker_serial; });
  if (found == retries_.end()) return nullptr;
  auto task = std::move(*found);
  retries_.erase(found);
  return task;
}

const TaskPointer* Schedule::special() {
  while (!special_.empty() && is_gone(special_.front())) special_.pop_front();
  return special_.empty() ? nullptr : &special_.front();
}

TaskPointer Schedule::take_special() {
  auto task = std::move(special_.front());
  special_.pop_front();
  return task;
}

}  // namespace bulkhead::pool
