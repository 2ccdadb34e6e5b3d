// SPDX-License-Identifier: Apache-2.0
// The public face of PoolState.
#include <bulkhead/pool.hpp>

#include "pool/pool_state.hpp"

namespace bulkhead {
namespace detail {

TaskHold& TaskHold::operator=(TaskHold&& other) noexcept {
  if (this != &other) {
    TaskHold gone{std::move(pool_), std::move(task_)};
    pool_ = std::move(other.pool_);
    task_ = std::move(other.task_);
  }
  return *this;
}

TaskHold::~TaskHold() {
  if (!task_) return;
  leave_group(*task_);
  if (!ended(*task_)) pool_->cancel(*task_);
}

std::shared_ptr<PoolState> make_pool(RoleEntry worker, PoolOptions options) {
  return std::make_shared<PoolState>(worker, std::move(options));
}

TaskHold submit(const std::shared_ptr<PoolState>& pool, Request request, Group* group,
                void* owner) {
  return {pool, pool->submit(std::move(request), group, owner)};
}

TaskHold submit_failed(const std::shared_ptr<PoolState>& pool, Error error, Group* group,
                       void* owner) {
  return {pool, pool->submit_failed(std::move(error), group, owner)};
}

void cancel(PoolState& pool, Task& task) { pool.cancel(task); }
void leave_group(Task& task) noexcept { task.group = nullptr; }
bool ended(const Task& task) noexcept { return task.state == Task::State::ended; }
void* owner_of(const Task& task) noexcept { return task.owner; }

bool await_end(PoolState& pool, const Task& task, Deadline deadline) {
  return pool.drive([&] { return ended(task); }, deadline);
}

bool await_any(PoolState& pool, const Group& group, Deadline deadline) {
  return pool.drive([&] { return !group.ended.empty(); }, deadline);
}

Result<FdView> watch(PoolState& pool) {
  BULKHEAD_TRY(pool.open());
  pool.prepare_to_be_waited_for();
  return pool.events->descriptor();
}

void drive_once(PoolState& pool) {
  if (pool.foreign()) return pool.abandon();
  if (pool.events) pool.poll();
}

std::size_t default_window(const PoolState& pool) noexcept {
  return pool.target * pool.depth() * 2 + 2;
}

Progress progress_of(const PoolState& pool) { return pool.progress(); }

Result<Message*> answer(Task& task) noexcept {
  if (task.failure) return fail(*task.failure);
  return &task.reply;
}

Request& request_of(Task& task) noexcept {
  if (task.large && task.request.bytes.size() == task_header_bytes) {
    const Bytes bytes = task.large->bytes();
    task.request.bytes.assign(bytes.begin(), bytes.end());
  }
  return task.request;
}

Trust trust_of(const Task& task) noexcept { return task.trust; }

}  // namespace detail

Pool& Pool::operator=(Pool&& other) noexcept {
  if (this != &other) {
    if (state_) state_->shut_down();
    state_ = std::move(other.state_);
  }
  return *this;
}

Pool::~Pool() {
  if (state_) state_->shut_down();
}

bool Pool::wait(Deadline deadline) {
  return state_->drive([&] { return state_->open_tasks == 0; }, deadline);
}

Result<void> Pool::start(Deadline deadline) {
  BULKHEAD_TRY(state_->open());
  state_->all_at_once = true;
  const auto any_ready = [&] {
    for (const auto& worker : state_->workers) {
      if (worker.is_ready()) return true;
    }
    return state_->broken.has_value();
  };
  if (!state_->drive(any_ready, deadline)) {
    return fail(ErrorKind::timed_out, {.operation = "start", .object = "pool"});
  }
  if (state_->broken) return fail(*state_->broken);
  return {};
}

void Pool::cancel_all() { state_->cancel_all(); }

Result<FdView> Pool::readable() { return detail::watch(*state_); }
void Pool::poll() { detail::drive_once(*state_); }

unsigned Pool::workers() const noexcept { return state_->target; }

std::vector<pid_t> Pool::worker_pids() const {
  std::vector<pid_t> pids;
  for (const auto& worker : state_->workers) pids.push_back(worker.pid);
  return pids;
}

Progress Pool::progress() const { return state_->progress(); }
PoolStatistics Pool::statistics() const noexcept { return state_->statistics; }
const std::vector<Poisoned>& Pool::poisoned() const noexcept { return state_->poisoned; }

}  // namespace bulkhead
