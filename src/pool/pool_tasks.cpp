// SPDX-License-Identifier: Apache-2.0
// Tasks: submitted, sent to workers, answered, given up.
#include <algorithm>
#include <cstring>

#include "os/poll.hpp"
#include "pool/copies.hpp"
#include "pool/pool_state.hpp"
#include "process/executable.hpp"

namespace bulkhead::detail {
namespace {

using pool::AnswerHeader;
using pool::TaskHeader;

/// Longer arguments travel in a Region, so that the master never waits for a worker to read.
constexpr std::size_t most_in_channel = 64 * 1024;

/// How many tasks a worker has at once, by how long they take: enough that it need not wait for the
/// master, and few enough that little has to be taken back from one that is slow.
constexpr double tiny_task_ns = 20e3;

/// The weight of the newest in the mean of what tasks take.
constexpr double news_weight = 0.05;

}  // namespace

PoolState::TaskPointer PoolState::submit_failed(Error error, Group* group, void* owner) {
  auto task = std::make_shared<Task>();
  task->group = group;
  task->owner = owner;
  ++statistics.tasks;
  ++open_tasks;
  give_up(*task, std::move(error));
  return task;
}

PoolState::TaskPointer PoolState::submit(Request request, Group* group, void* owner) {
  if (auto opened = open(); !opened) {
    return submit_failed(std::move(opened).error(), group, owner);
  }
  if (request.entry != known_entry_) {
    auto offset = process::offset_of(pool::as_role(request.entry));
    if (!offset) return submit_failed(offset.error().during("submit"), group, owner);
    known_entry_ = request.entry;
    known_offset_ = *offset;
  }
  auto task = std::make_shared<Task>();
  const TaskOptions& asked = *request.options;
  task->number = ++number_;
  task->entry_offset = known_offset_;
  task->retries = asked.retries.value_or(options.retries);
  task->priority = asked.priority;
  task->time_limit = asked.time_limit.value_or(options.time_limit);
  task->memory_limit = asked.memory_limit.value_or(0);
  task->group = group;
  task->owner = owner;
  task->request = std::move(request);
  task->request.options = nullptr;  // the caller's; what matters of it is kept
  ++statistics.tasks;
  ++open_tasks;
  if (auto done = put_aside(*task); !done) {
    give_up(*task, std::move(done).error());
    return task;
  }
  schedule.add(task);
  // A lone task goes at once; while all have work, many are handed out together.
  const auto idle = [](const Worker& worker) { return worker.takes_tasks() && !worker.is_busy(); };
  if (std::ranges::any_of(workers, idle) || wants_worker()) step();
  return task;
}

Result<void> PoolState::put_aside(Task& task) {
  auto& bytes = task.request.bytes;
  if (bytes.size() <= most_in_channel) return {};
  auto region = BULKHEAD_TRY(Region::create(bytes.size(), {.name = "pool-arguments"}));
  std::memcpy(region.mutable_bytes().data(), bytes.data(), bytes.size());
  BULKHEAD_TRY(region.freeze());
  task.large = std::move(region);
  bytes.resize(task_header_bytes);
  bytes.shrink_to_fit();
  return {};
}

std::size_t PoolState::depth() const {
  if (mean_ns_ < 0 || mean_ns_ > short_task_ns) return 2;
  return mean_ns_ > tiny_task_ns ? 8 : 64;
}

bool PoolState::is_held() {
  const auto* special = schedule.special();
  if (special != nullptr && (*special)->alone) return true;
  return std::ranges::any_of(workers, [](const Worker& worker) {
    return worker.special && worker.is_busy() && worker.open.front() && worker.open.front()->alone;
  });
}

void PoolState::hand_out() {
  if (const auto* special = schedule.special(); special != nullptr) {
    hand_out_special(**special);
  }
  if (open_tasks == given_tasks) return;
  if (is_held()) return;  // the others come to rest, and stay there until it has ended
  // One each, and then what they may have ahead.
  for (const std::size_t most : {std::size_t{1}, depth()}) {
    for (auto at = workers.begin(); at != workers.end();) {
      Worker& worker = *at++;
      if (worker.takes_tasks() && !fill(worker, most)) return;
    }
  }
}

bool PoolState::fill(Worker& worker, std::size_t most) {
  // Short tasks are sent in lots: one at a time would wake the worker for each.
  if (most > 2 && worker.open.size() > most / 2) return true;
  while (worker.takes_tasks() && worker.open.size() < most) {
    auto task = schedule.next(worker.serial);
    if (!task) return schedule.has_next(serial_ + 1);
    if (!give(worker, std::move(task))) break;
  }
  return true;
}

void PoolState::hand_out_special(Task& task) {
  const auto found = std::ranges::find_if(
      workers, [](const Worker& worker) { return worker.special && worker.lives(); });
  if (found == workers.end()) return start_one(true, effective_memory(task));
  if (!found->is_ready() || found->is_busy()) return;
  if (found->memory_limit != effective_memory(task)) return retire(*found);
  const auto busy = [&](const Worker& other) { return &other != &*found && other.is_busy(); };
  if (task.alone && std::ranges::any_of(workers, busy)) return;
  static_cast<void>(give(*found, schedule.take_special()));
}

bool PoolState::give(Worker& worker, TaskPointer task) {
  auto sent = send(worker, *task);
  if (!sent && sent.error() == ErrorKind::full) {
    schedule.add_first(std::move(task));
    return false;
  }
  if (!sent && worker.state().settle()) {  // it has died meanwhile: the Events tell
    schedule.add_first(std::move(task));
    worker.last_tasks = true;
    return false;
  }
  if (!sent && sent.error() != ErrorKind::closed && sent.error() != ErrorKind::peer_died) {
    give_up(*task, std::move(sent).error());
    return true;
  }
  // What a dying worker no longer took it did not begin: its end hands it on.
  task->state = Task::State::given;
  ++given_tasks;
  worker.open.push_back(std::move(task));
  if (worker.open.size() == 1) begin_front(worker);
  if (!sent) channel_ended(worker);
  return true;
}

Result<void> PoolState::send(Worker& worker, Task& task) {
  auto& bytes = task.request.bytes;
  const TaskHeader header{.ticket = worker.next_ticket(),
                          .entry = task.entry_offset,
                          .attempt = task.attempts + 1,
                          .in_region = task.large ? 1u : 0u};
  pool::write_header(MutableBytes{bytes}, header);
  if (task.request.handles.empty() && !task.large) {
    if (!worker.link().send_at_once(bytes)) {
      BULKHEAD_TRY(worker.link().send(bytes, {}, os::no_wait));
    }
  } else {
    auto handles = BULKHEAD_TRY(pool::copies_of(task.request.handles));
    if (task.large) {
      auto again = BULKHEAD_TRY(task.large->duplicate());
      handles.push_back(BULKHEAD_TRY(std::move(again).into_handle()));
    }
    BULKHEAD_TRY(worker.link().send(bytes, handles, os::no_wait));
  }
  statistics.bytes_sent += bytes.size();
  return {};
}

void PoolState::begin_front(Worker& worker) {
  worker.front_until = never;
  worker.cancel_until = never;
  if (worker.open.empty()) return;
  // What nobody wants any more is declined at once, or at least not worth a long wait: a worker that
  // is stopped there must not stay on the books for ever.
  const auto* task = worker.open.front().get();
  const std::chrono::nanoseconds unwanted = options.start_limit;
  const auto limit = task != nullptr ? task->time_limit : std::min(options.time_limit, unwanted);
  if (limit != no_time_limit) worker.front_until = Deadline{limit};
}

bool PoolState::take_answers(Worker& worker) {
  while (worker.stage == Worker::Stage::waking || worker.is_ready()) {
    auto got = worker.link().receive(scratch_, os::no_wait);
    if (got) {
      take_answer(worker, scratch_);
      continue;
    }
    if (got.error() == ErrorKind::empty) return true;
    if (got.error() == ErrorKind::corrupt) {
      ++statistics.answers_refused;
      expel(worker, "it broke the protocol");
    } else if (worker.state().settle()) {
      ended(worker);
    } else {
      channel_ended(worker);
    }
    return false;
  }
  return true;
}

void PoolState::take_answer(Worker& worker, Message& message) {
  statistics.bytes_received += message.size();
  if (worker.status == nullptr) return greet(worker, message);
  const auto header = pool::read_header<AnswerHeader>(message.bytes());
  if (!header || header->ticket != worker.first_ticket || worker.open.empty() ||
      header->kind > AnswerHeader::declined ||
      (header->kind == AnswerHeader::declined &&
       (!worker.revoking || header->ticket < worker.declinable_from))) {
    ++statistics.answers_refused;
    return expel(worker, "it answered what was not asked");
  }
  auto task = std::move(worker.open.front());
  worker.open.pop_front();
  ++worker.first_ticket;
  ++worker.answered;
  begin_front(worker);
  if (worker.open.empty() && worker.revoking) {
    worker.revoking = false;
    worker.orders->revoked_from = pool::Orders::none_revoked;
  }
  if (task == nullptr) {
    if (header->kind != AnswerHeader::declined) ++statistics.answers_refused;
  } else if (header->kind == AnswerHeader::declined) {
    --given_tasks;
    task->state = Task::State::waiting;
    schedule.add_first(std::move(task));
  } else {
    --given_tasks;
    ++statistics.attempts;
    ++task->attempts;
    failed_starts(worker.special) = {};
    const auto took = static_cast<double>(std::min<std::uint64_t>(header->took_ns, 1u << 30));
    mean_ns_ = mean_ns_ < 0 ? took : mean_ns_ + news_weight * (took - mean_ns_);
    const bool error = header->kind == AnswerHeader::error;
    if (error && task->errors < task->retries.errors) {
      retry_after_error(std::move(task));
    } else {
      task->reply = std::move(message);
      task->trust = worker.process->channel().trust();
      statistics.failed += error ? 1u : 0u;
      finish(*task);
    }
  }
  recycle_if_due(worker);
}

void PoolState::retry_after_error(TaskPointer task) {
  ++task->errors;
  task->state = Task::State::waiting;
  schedule.add(std::move(task));
}

void PoolState::finish(Task& task) {
  task.state = Task::State::ended;
  --open_tasks;
  ++statistics.delivered;
  if (task.group != nullptr) task.group->ended.push_back(&task);
}

void PoolState::give_up(Task& task, Error error) {
  task.failure = std::move(error);
  ++statistics.failed;
  finish(task);
}

std::size_t PoolState::revoke(Worker& worker, std::size_t from) {
  // What has begun cannot be taken back: look, and look again after each order, until the order was
  // there before the worker came to that place.
  for (;;) {
    const std::uint64_t ticket = worker.first_ticket + from;
    if (ticket >= worker.next_ticket()) return worker.open.size();
    if (!worker.revoking || ticket < worker.declinable_from) worker.declinable_from = ticket;
    worker.revoking = true;
    worker.orders->revoked_from = ticket;
    const std::uint64_t running = worker.status->running;
    if (running < ticket || running >= worker.next_ticket()) return from;
    from = static_cast<std::size_t>(running - worker.first_ticket) + 1;
  }
}

void PoolState::revoke_unwanted(Worker& worker) {
  std::size_t from = worker.open.size();
  while (from > 0 && worker.open[from - 1] == nullptr) --from;
  from = std::max<std::size_t>(from, 1);
  if (worker.is_ready() && from < worker.open.size()) static_cast<void>(revoke(worker, from));
}

bool PoolState::steal() {
  const auto is_idle = [&](const Worker& worker) {
    return worker.takes_tasks() && !worker.is_busy();
  };
  if (is_held() || std::ranges::none_of(workers, is_idle)) return false;
  Worker* richest = nullptr;
  for (Worker& worker : workers) {
    if (!worker.takes_tasks() || worker.open.size() < 2) continue;
    if (richest == nullptr || worker.open.size() > richest->open.size()) richest = &worker;
  }
  if (richest == nullptr) return false;
  const std::size_t waiting = richest->open.size() - 1;
  const std::size_t first = revoke(*richest, richest->open.size() - (waiting + 1) / 2);
  bool any = false;
  for (std::size_t i = richest->open.size(); i > first; --i) {
    auto& task = richest->open[i - 1];
    if (task == nullptr) continue;
    --given_tasks;
    task->state = Task::State::waiting;
    schedule.add_first(std::move(task));
    task = nullptr;
    any = true;
  }
  return any;
}

void PoolState::give_up_waiting(const Error& why) {
  while (const auto* special = schedule.special()) give_up(**special, why);
  while (const auto task = schedule.next(serial_ + 1)) give_up(*task, why);
}

void PoolState::abandon() {
  const Error why = foreign_use();
  for (Worker& worker : workers) {
    for (const auto& task : worker.open) {
      if (task && task->state != Task::State::ended) give_up(*task, why);
    }
    worker.open.clear();
  }
  given_tasks = 0;
  give_up_waiting(why);
}

void PoolState::cancel(Task& task) {
  if (task.state == Task::State::ended || foreign()) return;
  const bool given = task.state == Task::State::given;
  give_up(task, Error{ErrorKind::cancelled, {.operation = std::string(task.request.name)}});
  if (!given) return;
  --given_tasks;
  for (Worker& worker : workers) {
    const auto at = std::ranges::find(worker.open, &task, &TaskPointer::get);
    if (at == worker.open.end()) continue;
    const bool front = at == worker.open.begin();
    *at = nullptr;
    revoke_unwanted(worker);
    if (front && worker.is_ready()) {
      worker.orders->cancelled = worker.first_ticket;
      worker.cancel_until = Deadline{options.cancel_grace};
      worker.front_until = never;
    }
    return;
  }
}

void PoolState::cancel_all() {
  if (foreign()) return abandon();
  for (Worker& worker : workers) {
    // From behind, so that what waits is taken back before it can become the oldest.
    for (std::size_t i = worker.open.size(); i > 0; --i) {
      if (const auto task = worker.open[i - 1]) cancel(*task);
    }
  }
  while (const auto* special = schedule.special()) cancel(**special);
  while (const auto task = schedule.next(serial_ + 1)) cancel(*task);
}

}  // namespace bulkhead::detail
