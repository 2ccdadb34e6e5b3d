// SPDX-License-Identifier: Apache-2.0
#include "pool/pool_state.hpp"

#include <algorithm>
#include <sched.h>

#include "os/own_pid.hpp"
#include "os/poll.hpp"
#include "pool/retry.hpp"

namespace bulkhead::detail {
namespace {

using namespace std::chrono_literals;

/// A look at the kernel's news costs a system call or two, so while answers keep coming it is only
/// taken every so many steps.
constexpr unsigned steps_between_looks = 64;
/// For short tasks the master polls a little before it sleeps: a sleep and a wake across
/// CPUs cost 50 to 80 us. It yields meanwhile, so that a worker on its CPU is not held up.
constexpr std::chrono::microseconds spin_time{50};

const char* why_late(pool::Worker::Stage stage) {
  return stage == pool::Worker::Stage::ending ? "it closed its channel"
                                              : "it did not get ready in time";
}

}  // namespace

bool PoolState::foreign() const noexcept { return owner_ != os::own_pid(); }

void PoolState::step() {
  if (foreign() || !events) return;
  drain_quick();
  if (++steps_ % steps_between_looks == 0) look();
  check_times();
  keep_up_numbers();
  hand_out();
}

void PoolState::poll() {
  look();
  step();
  prepare_to_be_waited_for();
}

bool PoolState::drain_quick() {
  bool any = false;
  for (Worker& worker : workers) {
    if (!worker.is_ready() || !worker.is_busy()) continue;
    // By the short way: the long one arms the doorbell when nothing is there, which makes the
    // worker ring it for each answer.
    while (worker.is_busy() && worker.is_ready() && worker.link().receive_at_once(scratch_)) {
      take_answer(worker, scratch_);
      any = true;
    }
  }
  return any;
}

void PoolState::look() {
  for (const std::uint64_t key : events->wait(os::no_wait)) handle(key);
}

void PoolState::handle(std::uint64_t key) {
  const auto found = std::ranges::find(workers, key, &Worker::serial);
  if (found == workers.end()) return;
  Worker& worker = *found;
  if (worker.stage == Worker::Stage::starting) {
    began(worker);
  } else if (worker.state().settle()) {
    ended(worker);
  } else if (worker.stage == Worker::Stage::waking || worker.is_ready()) {
    static_cast<void>(take_answers(worker));
  }
}

Deadline PoolState::next_time() {
  Deadline next = never;
  for (const Worker& worker : workers) {
    next = earlier(next, worker.front_until);
    next = earlier(next, worker.cancel_until);
    next = earlier(next, worker.leave_until);
    if (worker.starting) next = earlier(next, worker.starting->deadline());
  }
  if (wants_worker() && !broken) {
    if (starts_.next.expired()) return os::no_wait;  // one is started a step
    next = earlier(next, starts_.next);
  }
  if (schedule.special() != nullptr && !special_starts_.next.expired()) {
    next = earlier(next, special_starts_.next);
  }
  return next;
}

void PoolState::check_times() {
  const auto is_timed = [](const Worker& worker) {
    return worker.starting || !worker.front_until.is_never() || !worker.cancel_until.is_never() ||
           !worker.leave_until.is_never();
  };
  if (std::ranges::none_of(workers, is_timed)) return;
  const Deadline now{Clock::now()};
  for (auto at = workers.begin(); at != workers.end();) {
    Worker& worker = *at++;  // it may leave the books
    if (worker.starting && worker.starting->deadline() <= now) {
      began(worker);
    } else if (worker.front_until <= now) {
      // What has come meanwhile came in time.
      if (take_answers(worker) && worker.front_until <= now && worker.is_busy()) {
        worker.at_time_limit = true;
        const auto* task = worker.open.front().get();
        kill(worker, pool::past_limit(task != nullptr ? task->time_limit : options.time_limit));
      }
    } else if (worker.cancel_until <= now) {
      kill(worker, "it did not heed being cancelled");
    } else if (worker.leave_until <= now) {
      const bool leaving = worker.stage == Worker::Stage::leaving;
      leaving ? kill(worker, "it did not leave") : expel(worker, why_late(worker.stage));
    }
  }
}

pool::Worker* PoolState::lone_worker() {
  Worker* lone = nullptr;
  for (Worker& worker : workers) {
    if (worker.is_ready() && !worker.is_busy()) continue;
    if (lone != nullptr || !worker.is_ready()) return nullptr;
    lone = &worker;
  }
  return lone;
}

void PoolState::wait_for_news(Deadline deadline) {
  if (foreign() || !events) return;
  deadline = earlier(deadline, next_time());
  if (auto* lone = lone_worker()) {
    // One worker alone has something to say: wait as its channel knows best. It tells of its end.
    auto got = lone->link().receive(scratch_, deadline);
    if (got) return take_answer(*lone, scratch_);
    if (got.error() != ErrorKind::timed_out) static_cast<void>(take_answers(*lone));
    return;
  }
  if (mean_ns_ < short_task_ns && spin()) return;
  if (steal()) return;
  if (arm()) return;
  for (const std::uint64_t key : events->wait(deadline)) handle(key);
}

bool PoolState::spin() {
  const bool any_busy = std::ranges::any_of(workers, &Worker::is_busy);
  if (!any_busy) return false;
  const Deadline until{spin_time};
  do {
    for (int i = 0; i < 8; ++i) {
      if (drain_quick()) return true;
      ::sched_yield();
    }
  } while (!until.expired());
  return false;
}

bool PoolState::arm() {
  bool news = false;
  for (auto at = workers.begin(); at != workers.end();) {
    Worker& worker = *at++;
    if (worker.stage != Worker::Stage::waking && !(worker.is_ready() && worker.is_busy())) continue;
    const auto answered = worker.answered;
    const auto stage = worker.stage;
    // A greeting is news, too: what waits can be handed out. A worker that left the books is not
    // looked at any more.
    news = !take_answers(worker) || worker.answered != answered || worker.stage != stage || news;
  }
  return news;
}

void PoolState::prepare_to_be_waited_for() {
  while (arm()) step();
  // More workers may be wanted at once; then there is news at once.
  events->set_timer(next_time());
}

Progress PoolState::progress() const {
  return {.done = statistics.delivered,
          .failed = statistics.failed,
          .running = given_tasks,
          .waiting = open_tasks - given_tasks,
          .total = statistics.tasks,
          .workers = living(),
          .elapsed = Clock::now() - began_};
}

}  // namespace bulkhead::detail
