// SPDX-License-Identifier: Apache-2.0
// Workers: started, greeted, retired, killed, and taken off the books.
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <string>
#include <unistd.h>
#include <vector>

#include <bulkhead/wire.hpp>

#include "pool/copies.hpp"
#include "pool/cpus.hpp"
#include "pool/pool_state.hpp"
#include "pool/topology.hpp"
#include "process/environment.hpp"
#include "process/executable.hpp"

namespace bulkhead::detail {
namespace {

using namespace std::chrono_literals;

/// For a worker that was asked to leave, before it is killed.
constexpr std::chrono::milliseconds time_to_leave{250};

/// What numerical libraries go by. Without it each worker would start as many threads as there are
/// CPUs. Who has set one of them in this process knows better.
void tell_threads(std::vector<std::string>& environment, unsigned threads) {
  for (const char* name : {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"}) {
    const std::string begin = name + std::string("=");
    const auto sets_it = [&](const std::string& entry) { return entry.starts_with(begin); };
    if (std::ranges::any_of(environment, sets_it)) continue;
    const char* ours = ::getenv(name);  // of no harm in a sandbox either
    environment.push_back(begin + (ours != nullptr ? ours : std::to_string(threads)));
  }
}

/// " (2 cores)" where they are fewer.
std::string in_cores(unsigned cpus) {
  const auto cores = pool::cores_of(pool::allowed_cpus()).size();
  if (cores >= cpus) return "";
  return " (" + std::to_string(cores) + (cores == 1 ? " core)" : " cores)");
}

std::uint64_t resident_bytes(pid_t pid) {
  std::ifstream file{"/proc/" + std::to_string(pid) + "/statm"};
  std::uint64_t size = 0;
  std::uint64_t resident = 0;
  file >> size >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

PoolState::PoolState(RoleEntry worker, PoolOptions given)
    : options(std::move(given)), worker_entry_(worker), owner_(::getpid()) {
  target = options.workers != 0 ? options.workers : std::max(1u, available_cpus() / threads());
}

PoolState::~PoolState() { shut_down(); }

Error PoolState::foreign_use() {
  return {ErrorKind::invalid,
          {.operation = "use",
           .object = "pool",
           .cause = "this process is a forked copy of the one that made it",
           .remedy = "make one here"}};
}

Result<void> PoolState::open() {
  if (foreign()) return fail(foreign_use());
  if (over_) return fail(ErrorKind::closed, {.operation = "use", .object = "pool"});
  broken.reset();
  if (events) return {};
  if (process::origin() == nullptr) {
    return fail(ErrorKind::invalid, {.operation = "use",
                                     .object = "pool",
                                     .cause = "bulkhead::init has not been called",
                                     .remedy = "call it first thing in main"});
  }
  if (options.initializer.arguments.failure) return fail(*options.initializer.arguments.failure);
  events = BULKHEAD_TRY(pool::Events::create());
  warn_of_numbers();
  if (options.scheduling == Scheduling::asymmetric_pinned) pin_master();
  return {};
}

void PoolState::warn_of_numbers() {
  const unsigned cpus = available_cpus();
  if (target * threads() <= cpus) return;
  log(std::to_string(target) + " workers of " + std::to_string(threads()) +
      (threads() == 1 ? " thread" : " threads") + " on " + std::to_string(cpus) + " CPUs" +
      in_cores(cpus) + " that this process may use: they will wait for each other");
}

void PoolState::pin_master() {
  const auto cpus = pool::allowed_cpus();
  if (cpus.size() < 2) {
    return log("the master cannot have a CPU of its own: there is one in all");
  }
  const auto cores = pool::cores_of(cpus);
  if (cores.size() == 1) log("the master shares its core with a worker: there is one in all");
  auto places = pool::split(cores);
  master_cpus_ = cpus;
  worker_cpus_ = std::move(places.workers);
  if (auto pinned = pool::pin(0, {places.master}); !pinned) log(pinned.error().sentence());
}

void PoolState::log(const std::string& text) const {
  if (options.log) options.log("pool: " + text);
}

std::size_t PoolState::living() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      workers, [](const Worker& worker) { return worker.lives() && !worker.special; }));
}

bool PoolState::wants_worker() {
  if (!all_at_once && open_tasks == 0) return false;
  // An attempt that has to go to a younger worker may need one although others are idle.
  const bool all = all_at_once || schedule.has_next(serial_ + 1);
  return living() < (all ? target : std::min<std::size_t>(target, open_tasks));
}

void PoolState::keep_up_numbers() {
  if (wants_worker()) start_one(false, 0);
}

void PoolState::start_one(bool special, std::uint64_t memory_limit) {
  if (broken || !failed_starts(special).next.expired()) return;
  Worker& worker = workers.emplace_back();
  worker.serial = ++serial_;
  worker.special = special;
  worker.memory_limit = memory_limit;
  auto started = start(worker);
  if (started) return;
  workers.pop_back();
  start_failed({.special = special, .why = started.error().sentence()});
}

Result<void> PoolState::start(Worker& worker) {
  auto orders = BULKHEAD_TRY(Region::create(sizeof(pool::Orders), {.name = "pool-orders"}));
  worker.orders = pool::write_page<pool::Orders>(orders);
  if (options.initializer.entry != nullptr) {
    worker.orders->initializer =
        BULKHEAD_TRY(process::offset_of(pool::as_role(options.initializer.entry)));
  }
  worker.orders->threads = threads();
  BULKHEAD_TRY(orders.publish());
  SpawnOptions spawn{.name = options.name,
                     .sandbox = options.sandbox,
                     .output = options.output,
                     .start_limit = options.start_limit};
  // A limit of memory alone makes nobody a stranger.
  spawn.trust = options.sandbox.confines() ? Trust::untrusted : Trust::equal;
  const auto limit = worker.memory_limit != 0 ? worker.memory_limit : options.memory_limit;
  if (limit != 0) spawn.sandbox.limits.memory_bytes = limit;
  spawn.environment = process::entries_for(spawn);
  tell_threads(*spawn.environment, threads());
  const auto& given = options.initializer.arguments;
  spawn.arguments = {.shape = given.shape,
                     .bytes = given.bytes,
                     .handles = BULKHEAD_TRY(pool::copies_of(given.handles))};
  spawn.regions.add("orders", BULKHEAD_TRY(orders.duplicate()));
  worker.orders_page = std::move(orders);
  auto starting = process::Starting::begin(worker_entry_, options.name, spawn);
  if (!starting) return fail(process::spawn_failure(starting.error(), options.name));
  worker.pid = starting->pid();
  worker.starting = *std::move(starting);
  if (!worker_cpus_.empty()) {
    if (auto pinned = pool::pin(worker.pid, worker_cpus_); !pinned) log(pinned.error().sentence());
  }
  return events->add(worker.starting->answer(), worker.serial);
}

void PoolState::began(Worker& worker) {
  const FdView answer = worker.starting->answer();
  auto made = worker.starting->finish();
  if (!made && made.error() == ErrorKind::empty) return;
  if (!made) {
    const std::string why = process::spawn_failure(made.error(), options.name).sentence();
    const Exit* exit = made.error().exit();
    const bool killed = exit != nullptr && exit->detail == to_string(Exit::killed(SIGKILL));
    const bool special = worker.special;
    remove(worker);
    return start_failed({.special = special, .why = why, .killed_by_somebody = killed});
  }
  events->remove(answer);
  worker.process = *std::move(made);
  worker.starting.reset();
  worker.stage = Worker::Stage::waking;
  worker.leave_until = Deadline{options.start_limit};
  ++statistics.workers_started;
  static_cast<void>(events->add(worker.process->pidfd(), worker.serial));
  if (auto readable = worker.link().readable()) {
    worker.watched = events->add(*readable, worker.serial).has_value();
  }
  static_cast<void>(take_answers(worker));
}

void PoolState::greet(Worker& worker, Message& hello) {
  const auto header = pool::read_header<pool::AnswerHeader>(hello.bytes());
  const Trust trust = worker.process->channel().trust();
  if (!header || header->ticket != 0 || hello.handles().size() != 1) {
    return kill(worker, "its greeting is none");
  }
  auto page = Region::from_handle(std::move(hello.handles().front()), trust);
  wire::Decoder decoder{hello.bytes().subspan(sizeof *header)};
  auto initialized = decoder.get<Result<void>>();
  if (!page || page->size() < sizeof(pool::Status) || !initialized) {
    return kill(worker, "its greeting is none");
  }
  if (!*initialized) {
    worker.failure = initialized->error().sentence();
    return kill(worker, worker.failure);
  }
  worker.status_page = *std::move(page);
  worker.status = pool::read_page<pool::Status>(*worker.status_page);
  worker.stage = Worker::Stage::ready;
  worker.leave_until = never;
}

void PoolState::recycle_if_due(Worker& worker) {
  if (!worker.is_ready()) return;
  const bool many = options.recycle_after_tasks != 0 &&
                    worker.answered + worker.open.size() >= options.recycle_after_tasks;
  const bool large = options.recycle_at_bytes != 0 && !worker.last_tasks &&
                     resident_bytes(worker.pid) >= options.recycle_at_bytes;
  worker.last_tasks = worker.last_tasks || many || large;
  if (worker.is_busy() || !(worker.last_tasks || worker.special)) return;
  if (worker.last_tasks) ++statistics.workers_recycled;
  retire(worker);
}

void PoolState::retire(Worker& worker) {
  worker.last_serial = serial_;
  worker.stage = Worker::Stage::leaving;
  worker.leave_until = Deadline{time_to_leave};
  unwatch(worker);
  worker.process->channel().close();
}

void PoolState::channel_ended(Worker& worker) {
  if (!worker.lives()) return;
  worker.last_serial = serial_;
  worker.stage = Worker::Stage::ending;
  worker.front_until = worker.cancel_until = never;
  worker.leave_until = Deadline{time_to_leave};
  unwatch(worker);
}

void PoolState::unwatch(Worker& worker) {
  // No readable channel of a dead one may keep the Events from sleeping.
  if (!worker.watched) return;
  if (auto readable = worker.link().readable()) events->remove(*readable);
  worker.watched = false;
}

void PoolState::kill(Worker& worker, std::string why) {
  if (worker.stage == Worker::Stage::dying) return;
  if (worker.lives()) worker.last_serial = serial_;
  worker.stage = Worker::Stage::dying;
  worker.front_until = worker.cancel_until = worker.leave_until = never;
  worker.killed_by_us = true;
  ++statistics.workers_killed;
  log(worker.process->who() + " is killed: " + why);
  unwatch(worker);
  worker.state().begin_kill(worker.at_time_limit ? std::move(why) : std::string{});
}

void PoolState::expel(Worker& worker, std::string why) {
  worker.at_fault = true;
  kill(worker, std::move(why));
}

void PoolState::ended(Worker& worker) {
  // What it had answered before it died counts; from one that we killed nothing does any more.
  // A greeting may tell why it could not begin.
  const auto may_speak = [&] {
    return worker.stage == Worker::Stage::waking || worker.is_ready() ||
           worker.stage == Worker::Stage::ending;
  };
  while (may_speak() && worker.link().receive(scratch_, os::no_wait)) {
    take_answer(worker, scratch_);
  }
  while (worker.stage == Worker::Stage::dying && worker.status != nullptr &&
         worker.link().receive(scratch_, os::no_wait)) {
    ++statistics.answers_refused;
  }
  auto settled = worker.state().settle();
  if (!settled) return;
  Exit exit = *std::move(settled);
  if (exit.cause == Exit::Cause::signal && exit.signal == SIGKILL && !worker.killed_by_us &&
      kernel_kills_.news() > 0) {
    exit = Exit::of(Exit::Cause::out_of_memory, "killed by the kernel");
  }
  if (!worker.killed_by_us && worker.stage != Worker::Stage::leaving) {
    ++statistics.workers_died;
    log(worker.process->who() + " died: " + to_string(exit));
  }
  const bool never_greeted = worker.status == nullptr;
  const std::string why = worker.failure.empty() ? to_string(exit) : worker.failure;
  const bool special = worker.special;
  const bool killed =
      exit.cause == Exit::Cause::signal && exit.signal == SIGKILL && !worker.killed_by_us;
  const bool charged = charge(worker, exit);
  // One that did nothing and has nobody to blame is as good as one that did not start.
  const bool in_vain =
      !charged && worker.answered == 0 && (!worker.killed_by_us || worker.at_fault);
  remove(worker);
  if (never_greeted || in_vain) {
    start_failed({.special = special, .why = why, .killed_by_somebody = killed});
  }
}

void PoolState::remove(Worker& worker) {
  if (worker.starting) events->remove(worker.starting->answer());
  if (worker.process) {
    events->remove(worker.process->pidfd());
    unwatch(worker);
  }
  workers.remove_if([&](const Worker& each) { return &each == &worker; });
}

void PoolState::shut_down() {
  if (foreign()) return;
  over_ = true;
  cancel_all();
  for (Worker& worker : workers) {
    if (!worker.process) continue;
    if (worker.is_ready() && !worker.is_busy()) {
      retire(worker);
    } else {
      kill(worker, "the pool ends");
    }
  }
  const Deadline patience{time_to_leave};
  for (Worker& worker : workers) {
    if (worker.process && worker.stage == Worker::Stage::leaving) {
      static_cast<void>(worker.state().wait(patience));
    }
    if (worker.process) static_cast<void>(worker.process->kill());
  }
  workers.clear();
  if (!master_cpus_.empty()) static_cast<void>(pool::pin(0, master_cpus_));
  master_cpus_.clear();
}

}  // namespace bulkhead::detail
