// SPDX-License-Identifier: Apache-2.0
//
// Pool: one function, many inputs, on every core, in processes. What dies, dies alone: its task goes
// to another worker, and a task that ends every worker that tries it is set aside as `poisoned`.
//
//   Image thumbnail(const std::filesystem::path& file);        // an ordinary function; it may crash
//
//   Pool pool{{.workers = 8, .time_limit = 10s, .sandbox = sandbox::read_only(folder)}};
//   for (auto& [file, image] : pool.map<thumbnail>(files_in(folder)))
//     if (image) save(file, *image);
//     else std::cerr << file << ": " << image.error() << '\n';
//
// The function is one of this executable, file-local ones too, or a lambda without captures; it takes
// and returns what isolate's may (<bulkhead/isolate.hpp>). It sees the program as it is after its
// static initialisers and the pool's initializer, and what earlier tasks of its worker left behind.
// init must have been called. Large data travels as Regions, which are handed over and not copied.
//
// Threads: one at a time. There is no thread behind it: workers start, answers are taken, limits of
// time are enforced and the dead replaced while this thread waits in the pool: in a loop over a map,
// in Future::get, in Pool::wait, or in an async_ form. Between such calls workers finish what they
// were given and nothing more.
// Ownership: inputs are copied or moved in; a map and a Future keep what they stand for, and dropping
// one cancels what it has not delivered. The Pool ends its workers when it goes.
// Blocking: what takes a Deadline, and iteration, until the next answer. Every task ends: by its
// answer, by the death of its workers, or by its time limit.
// Peer death: told by the kernel. Tasks that only waited in a dead worker's queue are handed on and
// not charged with an attempt.
// TRUST: sandboxed workers are untrusted: answers are copied, checked, and believed only of the task
// and the attempt that they were asked about.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <bulkhead/detail/pool/state.hpp>
#include <bulkhead/process.hpp>
#include <bulkhead/region.hpp>
#include <bulkhead/result.hpp>
#include <bulkhead/sandbox.hpp>

namespace bulkhead {

inline constexpr std::chrono::nanoseconds no_time_limit = std::chrono::nanoseconds::max();

/// How often a task is tried again, by what ended the last attempt.
struct Retries {
  unsigned crashes = 1;        ///< its worker died: on a worker started since
  unsigned out_of_memory = 1;  ///< alone, with twice the memory limit
  unsigned timeouts = 0;       ///< it was killed at its time limit
  unsigned errors = 0;         ///< it returned an Error or threw

  friend bool operator==(const Retries&, const Retries&) = default;
};

/// What a call asks for beyond the pool's own settings.
struct TaskOptions {
  /// For one attempt, from the moment its worker takes it up. Then the worker is killed.
  std::optional<std::chrono::nanoseconds> time_limit = {};
  /// As PoolOptions::memory_limit. A worker is started for it.
  std::optional<std::uint64_t> memory_limit = {};
  std::optional<Retries> retries = {};
  /// Higher ones first; equal ones in the order in which they came.
  int priority = 0;
};

/// How far a map or a pool is.
struct Progress {
  std::size_t done = 0;  ///< with a result or an error
  std::size_t failed = 0;
  std::size_t running = 0;  ///< with a worker
  std::size_t waiting = 0;
  std::optional<std::size_t> total = {};  ///< where the range knows its size
  std::size_t workers = 0;
  std::chrono::nanoseconds elapsed{0};

  /// By the rate so far; nothing without a total or before the first result.
  std::optional<std::chrono::nanoseconds> remaining() const {
    if (!total || done == 0) return std::nullopt;
    return elapsed / static_cast<std::int64_t>(done) * static_cast<std::int64_t>(*total - done);
  }
};

using ProgressCallback = std::function<void(const Progress&)>;

/// A line that redraws itself on `terminal`; nothing at all where that is no terminal.
/// `pool.map<f>(files, {.progress = progress_bar()})`
BULKHEAD_API ProgressCallback progress_bar(FdView terminal = FdView{2});

struct MapOptions {
  TaskOptions task = {};
  /// Inputs taken and not delivered yet, at most; this bounds memory however long the input is. 0:
  /// chosen by the number of workers.
  std::size_t in_flight = 0;
  /// Ten times a second at most, and at the end; in the thread that iterates.
  ProgressCallback progress = {};
};

/// Who holds the books. Symmetric scheduling, without a master, has its place here.
enum class Scheduling : std::uint8_t {
  asymmetric,         ///< the thread that uses the pool is the master of the workers
  asymmetric_pinned,  ///< and has a core of its own, the workers the others
};

/// A function that each worker runs once before its first task, made by initializer<f>(arguments...).
struct Initializer {
  // A constructor of its own: GCC 12 warns of what it takes for uninitialised in nested aggregates.
  Initializer() noexcept {}
  Initializer(detail::InitializerEntry function, Arguments values) noexcept
      : entry(function), arguments(std::move(values)) {}

  detail::InitializerEntry entry = nullptr;
  Arguments arguments = {};
};

struct PoolOptions {
  /// 0: as many as there are CPUs for threads_per_worker. Those are counted by what this process may
  /// really use: its affinity and its cgroup's quota. More is possible; `log` is told.
  unsigned workers = 0;
  /// Threads that a task starts by itself. The worker is told: by this_task::threads(), and by the
  /// environment of the usual libraries (OMP_NUM_THREADS and its like), unless it is set already.
  unsigned threads_per_worker = 1;
  Scheduling scheduling = Scheduling::asymmetric;
  std::chrono::nanoseconds time_limit = no_time_limit;
  /// Private memory of a worker on top of what it has at its start; 0: what the sandbox says.
  std::uint64_t memory_limit = 0;
  Retries retries = {};
  /// How long a cancelled task may take to heed this_task::cancelled() before its worker is killed.
  std::chrono::milliseconds cancel_grace = std::chrono::milliseconds(100);
  Sandbox sandbox = sandbox::none;
  Initializer initializer = {};
  /// For a worker's role to begin, and again for its initializer.
  std::chrono::milliseconds start_limit = std::chrono::seconds(10);
  /// A worker is replaced after this many tasks, and when its resident memory has reached that many
  /// bytes; 0: never.
  std::uint64_t recycle_after_tasks = 0;
  std::uint64_t recycle_at_bytes = 0;
  /// Where inputs that poisoned a task are saved, and made when first needed; empty: nowhere.
  std::filesystem::path crashes = "crashes";
  Output output = Output::inherit();
  /// How the system and errors call the workers.
  std::string name = "worker";
  /// For what is worth knowing and no error of a task: a worker's death, a start that failed, more
  /// workers than CPUs.
  std::function<void(std::string_view)> log = {};
};

/// A task that ended every worker that tried it.
struct Poisoned {
  std::string task;
  std::vector<Exit> exits;      ///< of its workers, in order
  std::filesystem::path saved;  ///< its input; empty where none was saved
};

/// What happened so far.
struct PoolStatistics {
  std::uint64_t tasks = 0;      ///< given to the pool
  std::uint64_t delivered = 0;  ///< ended, with a result or an error
  std::uint64_t failed = 0;     ///< of these, with an error
  std::uint64_t attempts = 0;   ///< taken up by a worker, as far as we were told
  std::uint64_t workers_started = 0;
  std::uint64_t workers_died = 0;    ///< by themselves, or by somebody else's hand
  std::uint64_t workers_killed = 0;  ///< by the pool: time limits, cancelling, lies
  std::uint64_t workers_recycled = 0;
  std::uint64_t answers_refused = 0;  ///< of a task or attempt that was not asked about
  std::uint64_t bytes_sent = 0;       ///< through channels; what is in Regions does not count
  std::uint64_t bytes_received = 0;
};

/// A task that was submitted. Dropping it cancels it.
template <class T> class Future {
 public:
  Future(Future&&) noexcept = default;
  Future& operator=(Future&&) noexcept = default;

  /// Drives the pool until the result is there: T, or why not. Once; then `invalid`. `timed_out` when
  /// the deadline came first: the task goes on.
  Result<T> get(Deadline deadline = never);
  /// The result is there. Looks after the pool without waiting.
  bool ready();
  /// Its result becomes `cancelled`, unless it is there already.
  void cancel();
  /// Completion signature void(Result<T>); include <bulkhead/asio.hpp>. The Future must stay.
  template <class Token> auto async_get(Token&& token);

 private:
  friend class Pool;
  template <class> friend class detail::FutureWork;
  using Decode = Result<T> (*)(detail::Task&);
  Future(detail::TaskHold task, Decode decode) : task_(std::move(task)), decode_(decode) {}

  detail::TaskHold task_;
  Decode decode_;
};

/// The answers to a range of inputs, in the order of the inputs or as they come: an input range of
/// std::pair<Input, Result<Output>>, once. Inputs are taken from the range as there is room for them.
template <auto Function, class Range> class Map;

class BULKHEAD_API Pool {
 public:
  /// Workers start at the first use, which also tells what is wrong with the options.
  explicit Pool(PoolOptions options = {})
      : state_(detail::make_pool(&detail::worker_entry<>, std::move(options))) {}
  Pool(Pool&&) noexcept = default;
  Pool& operator=(Pool&&) noexcept;
  /// Cancels everything, kills who is at work, and waits for their end.
  ~Pool();

  /// Function of each input; the answers in the order of the inputs. A tuple is taken as several
  /// arguments when Function has several parameters.
  template <auto Function, class Range>
  Map<Function, Range> map(Range&& inputs, MapOptions options = {});
  /// The answers as they come.
  template <auto Function, class Range>
  Map<Function, Range> map_unordered(Range&& inputs, MapOptions options = {});

  /// One call. It is with a worker when this returns, if one was idle.
  template <auto Function, class... A> auto submit(TaskOptions options, A&&... arguments);
  template <auto Function, class... A>
    requires(!detail::StartsWith<TaskOptions, A...>)
  auto submit(A&&... arguments) {
    return submit<Function>(TaskOptions{}, std::forward<A>(arguments)...);
  }

  /// Until nothing is waiting or running: true, or false when the deadline came first.
  bool wait(Deadline deadline = never);
  /// Starts the workers and returns when the first is ready, or why none can be.
  Result<void> start(Deadline deadline = never);
  /// What is waiting becomes `cancelled` at once; what runs is told, and killed when it does not
  /// listen within the grace.
  void cancel_all();

  /// For an event loop: polls readable when poll() has something to do. Owned by the pool.
  Result<FdView> readable();
  /// What can be done without waiting.
  void poll();

  /// How many workers it is meant to have.
  unsigned workers() const noexcept;
  std::vector<pid_t> worker_pids() const;
  Progress progress() const;
  PoolStatistics statistics() const noexcept;
  const std::vector<Poisoned>& poisoned() const noexcept;

 private:
  template <auto, class> friend class Map;
  template <auto Function> detail::Request request(TaskOptions options);

  std::shared_ptr<detail::PoolState> state_;
};

/// `{.initializer = initializer<load_model>("model.bin")}`: what it throws or returns as an Error
/// keeps the worker from starting.
template <auto Function, class... A> Initializer initializer(A&&... arguments);

/// CPUs that this process may use: those of its affinity, or fewer by its cgroup's quota.
BULKHEAD_API unsigned available_cpus();

/// The task that this worker is at; elsewhere never cancelled, and attempt 0.
namespace this_task {

/// Nobody wants its result any more: return soon.
BULKHEAD_API bool cancelled() noexcept;
/// 1 for the first try.
BULKHEAD_API unsigned attempt() noexcept;
/// How many threads it is to use: PoolOptions::threads_per_worker; 1 elsewhere.
BULKHEAD_API unsigned threads() noexcept;

}  // namespace this_task
}  // namespace bulkhead

#include <bulkhead/detail/pool/map.hpp>
