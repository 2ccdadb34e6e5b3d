// SPDX-License-Identifier: Apache-2.0
// The insides of a Pool as the templates of <bulkhead/pool.hpp> see them: tasks are bytes and handles.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <bulkhead/deadline.hpp>
#include <bulkhead/detail/export.hpp>
#include <bulkhead/fd.hpp>
#include <bulkhead/handle.hpp>
#include <bulkhead/message.hpp>
#include <bulkhead/process.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead {

struct PoolOptions;
struct TaskOptions;
struct Progress;
class Pool;

namespace detail {

struct PoolState;
struct Task;
template <class T> class FutureWork;

/// In a worker: decodes the arguments, calls, and appends the encoded Result to `out`.
struct TaskCall {
  Bytes arguments;
  std::span<Handle> handles;
  std::vector<std::byte>& out;
  std::vector<Handle>& out_handles;
  bool failed = false;  ///< set: the Result is an Error
};
using TaskEntry = void (*)(TaskCall&);
using InitializerEntry = Result<void> (*)(Bootstrap&);

/// In front of the arguments there is room for the frame's header, so that nothing is moved.
inline constexpr std::size_t task_header_bytes = 24;
inline constexpr std::size_t usual_task_bytes = 96;

/// What is saved of a poisoned task's input.
struct Reproducer {
  enum class Kind : std::uint8_t { encoded, text, file };
  Kind kind = Kind::encoded;
  std::string text{};  ///< the bytes, or the path of the file
};
using Reproduce = Reproducer (*)(Task&);

struct Request {
  TaskEntry entry = nullptr;
  std::string_view name{};
  const TaskOptions* options = nullptr;
  Reproduce reproduce = nullptr;
  std::vector<std::byte> bytes{};
  std::vector<Handle> handles{};
};

/// Tasks of one map: who asks for any of them gets those that ended, in that order.
struct Group {
  std::deque<Task*> ended;
  std::size_t failed = 0;
};

/// Holds a task and, for as long, its pool's state; cancels the task when it goes.
class BULKHEAD_API TaskHold {
 public:
  TaskHold() noexcept = default;
  TaskHold(std::shared_ptr<PoolState> pool, std::shared_ptr<Task> task) noexcept
      : pool_(std::move(pool)), task_(std::move(task)) {}
  TaskHold(TaskHold&&) noexcept = default;
  TaskHold& operator=(TaskHold&& other) noexcept;
  ~TaskHold();

  explicit operator bool() const noexcept { return task_ != nullptr; }
  Task& operator*() const noexcept { return *task_; }
  Task* get() const noexcept { return task_.get(); }
  PoolState& pool() const noexcept { return *pool_; }
  const std::shared_ptr<PoolState>& share() const noexcept { return pool_; }

 private:
  std::shared_ptr<PoolState> pool_;
  std::shared_ptr<Task> task_;
};

BULKHEAD_API std::shared_ptr<PoolState> make_pool(RoleEntry worker, PoolOptions options);

/// The task is under way, or has ended at once when it could not begin.
BULKHEAD_API TaskHold submit(const std::shared_ptr<PoolState>& pool, Request request,
                             Group* group = nullptr, void* owner = nullptr);
/// One that ends with `error` and never begins.
BULKHEAD_API TaskHold submit_failed(const std::shared_ptr<PoolState>& pool, Error error,
                                    Group* group = nullptr, void* owner = nullptr);

BULKHEAD_API void cancel(PoolState& pool, Task& task);
/// Takes the tasks of a group that goes out of their way.
BULKHEAD_API void leave_group(Task& task) noexcept;

BULKHEAD_API bool ended(const Task& task) noexcept;
BULKHEAD_API void* owner_of(const Task& task) noexcept;
/// Drives the pool; true when it ended in time.
BULKHEAD_API bool await_end(PoolState& pool, const Task& task, Deadline deadline);
/// Drives the pool until one of the group has ended.
BULKHEAD_API bool await_any(PoolState& pool, const Group& group, Deadline deadline);
BULKHEAD_API Result<FdView> watch(PoolState& pool);
BULKHEAD_API void drive_once(PoolState& pool);
BULKHEAD_API std::size_t default_window(const PoolState& pool) noexcept;
BULKHEAD_API Progress progress_of(const PoolState& pool);

/// The worker's answer, once it ended well; or why there is none.
BULKHEAD_API Result<Message*> answer(Task& task) noexcept;
/// What was sent, to be read again: the header's room and the arguments.
BULKHEAD_API Request& request_of(Task& task) noexcept;
/// Of an answer, by what its worker is trusted.
BULKHEAD_API Trust trust_of(const Task& task) noexcept;

/// The role of a worker: instantiated in the executable, as roles must be.
BULKHEAD_API void run_worker(Bootstrap& boot);
template <class = void> void worker_entry(Bootstrap& boot) { run_worker(boot); }

template <class T, class... A> struct StartsWithType : std::false_type {};
template <class T, class A, class... Rest>
struct StartsWithType<T, A, Rest...> : std::is_same<T, std::remove_cvref_t<A>> {};
template <class T, class... A>
concept StartsWith = StartsWithType<T, A...>::value;

}  // namespace detail
}  // namespace bulkhead
