// SPDX-License-Identifier: Apache-2.0
#include "bench/pair.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>
#include <poll.h>
#include <signal.h>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <system_error>
#include <thread>
#include <unistd.h>

#include "bench/gate.hpp"
#include "bench/shared_memory.hpp"

namespace bulkhead::bench {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

constexpr unsigned alarm_seconds = 5;
constexpr int fewest_rounds = 2;

enum class Operation : std::uint32_t { prepare, connect, run, count, close, quit };

struct Failure {
  char text[256] = {};
};

/// What the client and one of the servers share. LAYOUT: private to one run of the program; plain
/// fields are written before the gate that announces them is raised and read after it was awaited.
struct Line {
  Gate command;   // raised by the client: the order below is new
  Gate begun;     // raised by the server: about to start
  Gate finished;  // raised by the server: done with the last message
  Gate reported;  // raised by the server: usage and failure are written
  alignas(128) Operation operation = Operation::quit;
  std::uint32_t contender = 0;
  std::uint64_t messages = 0;
  alignas(128) Usage usage;
  Failure failure;
};

struct Board {
  Line lines[2];  // by Kind
  // Written by the client, read by the bench when the pair has ended.
  alignas(128) std::int32_t current = -1;  // the contender at work
  std::int32_t rounds = 0;                 // complete ones
};

/// The board and behind it, for each contender, its failure and its slices.
class Store {
 public:
  Store(std::size_t contenders, std::size_t rounds)
      : rounds_{rounds},
        memory_{sizeof(Board) + contenders * (sizeof(Failure) + (rounds + 1) * sizeof(Slice))},
        board_{new(memory_.as<void>()) Board},
        failures_{new(memory_.as<std::byte>() + sizeof(Board)) Failure[contenders]},
        slices_{new(memory_.as<std::byte>() + sizeof(Board) + contenders * sizeof(Failure))
                    Slice[contenders * (rounds + 1)]} {}

  Board& board() noexcept { return *board_; }
  Failure& failure(std::size_t contender) noexcept { return failures_[contender]; }
  Slice* slices(std::size_t contender) noexcept { return slices_ + contender * (rounds_ + 1); }
  Slice& counted(std::size_t contender) noexcept { return slices(contender)[rounds_]; }

 private:
  std::size_t rounds_;
  SharedMemory memory_;
  Board* board_;
  Failure* failures_;
  Slice* slices_;
};

/// Runs a step of the set-up; what it throws becomes text.
template <class Step> void guarded(Failure& failure, Step step) noexcept {
  failure.text[0] = '\0';
  try {
    step();
  } catch (const std::exception& error) {
    std::snprintf(failure.text, sizeof failure.text, "%s", error.what());
  } catch (...) {
    std::snprintf(failure.text, sizeof failure.text, "unknown failure");
  }
}

/// How long the client polls a gate before it sleeps: on a core of its own until the server has
/// answered.
nanoseconds client_poll(Placement placement) {
  switch (placement) {
    case Placement::two_cores:
      return std::chrono::milliseconds{5};
    case Placement::one_core:
      return nanoseconds{0};
    case Placement::unpinned:
      return std::chrono::microseconds{20};
  }
  return nanoseconds{0};
}

/// What both sides have in common.
class Half {
 public:
  Half(Store& store, const std::vector<Contender>& contenders, const PairOptions& options,
       Side side)
      : store_{store},
        board_{store.board()},
        contenders_{contenders},
        options_{options},
        side_{side} {
    pin(options.placement, side);
  }

 protected:
  /// From the first counted slice on.
  CallCounter* counter() noexcept { return counting_ ? &counter_ : nullptr; }
  void count_from_now_on() { counting_ = counting_ || counter_.open(); }
  Variant& variant(std::uint32_t index) const noexcept { return *contenders_[index].variant; }

  Store& store_;
  Board& board_;
  const std::vector<Contender>& contenders_;
  const PairOptions& options_;
  Side side_;
  CallCounter counter_;
  bool counting_ = false;
};

class Server : Half {
 public:
  Server(Store& store, const std::vector<Contender>& contenders, const PairOptions& options,
         Kind kind)
      : Half{store, contenders, options, Side::server},
        line_{store.board().lines[static_cast<std::size_t>(kind)]} {}

  void run() {
    for (;;) {
      // Never polls: the other server may be at work on this core.
      line_.command.await(++step_, nanoseconds{0});
      ::alarm(alarm_seconds);
      const Operation operation = line_.operation;
      line_.failure.text[0] = '\0';
      if (operation == Operation::count) count_from_now_on();
      if (operation == Operation::run || operation == Operation::count) {
        slice();
      } else {
        line_.begun.raise(step_);
        if (operation != Operation::quit) set_up(operation);
        line_.finished.raise(step_);
      }
      line_.reported.raise(step_);
      if (operation == Operation::quit) return;
    }
  }

 private:
  void slice() {
    Variant& contender = variant(line_.contender);
    const std::uint64_t messages = line_.messages;
    const Usage before = thread_usage(counter());
    contender.has_last_message = [this] { line_.finished.raise(step_); };
    line_.begun.raise(step_);
    contender.server(messages);
    if (counter()) line_.usage = thread_usage(counter()) - before;
    line_.finished.raise(step_);
    if (!counter()) line_.usage = thread_usage(nullptr) - before;
  }

  void set_up(Operation operation) {
    Variant& contender = variant(line_.contender);
    guarded(line_.failure, [&] {
      if (operation == Operation::prepare) contender.prepare(side_);
      if (operation == Operation::connect) contender.connect(side_);
      if (operation == Operation::close) contender.close(side_);
    });
  }

  Line& line_;
  std::uint32_t step_ = 0;
};

class Client : Half {
 public:
  Client(Store& store, const std::vector<Contender>& contenders, const PairOptions& options)
      : Half{store, contenders, options, Side::client}, poll_{client_poll(options.placement)} {}

  void run() {
    std::vector<std::uint32_t> ready;
    for (std::uint32_t i = 0; i < contenders_.size(); ++i) {
      if (set_up(i)) ready.push_back(i);
    }
    duel(ready);
    for (const auto i : ready) {
      order(Operation::close, i);
      variant(i).close(side_);
      complete(i);
    }
    board_.current = -1;
    for (std::size_t kind = 0; kind < 2; ++kind) {
      board_.lines[kind].operation = Operation::quit;
      board_.lines[kind].command.raise(++step_[kind]);
    }
  }

 private:
  Line& line(std::uint32_t contender) noexcept {
    return board_.lines[static_cast<std::size_t>(contenders_[contender].kind)];
  }
  std::uint32_t& step(std::uint32_t contender) noexcept {
    return step_[static_cast<std::size_t>(contenders_[contender].kind)];
  }

  void order(Operation operation, std::uint32_t contender, std::uint64_t messages = 0) {
    ::alarm(alarm_seconds);
    board_.current = static_cast<std::int32_t>(contender);
    Line& to = line(contender);
    to.operation = operation;
    to.contender = contender;
    to.messages = messages;
    to.command.raise(++step(contender));
    to.begun.await(step(contender), poll_);
  }

  void complete(std::uint32_t contender) { line(contender).reported.await(step(contender), poll_); }

  bool set_up(std::uint32_t index) {
    Failure& mine = store_.failure(index);
    if (mine.text[0]) return false;  // it was not even created
    order(Operation::prepare, index);
    complete(index);
    if (!line(index).failure.text[0]) {
      guarded(mine, [&] { variant(index).prepare(side_); });
      if (mine.text[0]) return false;
      order(Operation::connect, index);
      guarded(mine, [&] { variant(index).connect(side_); });
      complete(index);
    }
    if (line(index).failure.text[0]) mine = line(index).failure;
    return !mine.text[0];
  }

  Slice slice(std::uint32_t index, std::uint64_t messages, Operation operation = Operation::run) {
    Slice result;
    result.messages = messages;
    order(operation, index, messages);
    const Usage before = thread_usage(counter());
    const auto start = Clock::now();
    variant(index).client(messages);
    if (counter()) result.client = thread_usage(counter()) - before;
    if (contenders_[index].shape == Shape::one_way) line(index).finished.await(step(index), poll_);
    const auto stop = Clock::now();
    if (!counter()) result.client = thread_usage(nullptr) - before;
    result.elapsed_ns = static_cast<std::uint64_t>(nanoseconds{stop - start}.count());
    complete(index);
    result.server = line(index).usage;
    return result;
  }

  /// How many messages fill a slice; the runs it takes to find out also warm the contender up.
  std::uint64_t calibrate(std::uint32_t index, Clock::time_point end) {
    std::uint64_t messages = 1;
    for (int runs = 1;; ++runs) {
      // On a busy machine each run is a turn of everybody else's.
      const int fewest = Clock::now() > end ? 1 : 3;
      const std::uint64_t elapsed = std::max<std::uint64_t>(slice(index, messages).elapsed_ns, 1);
      const std::uint64_t fitting =
          std::max<std::uint64_t>(messages * options_.slice_ns / elapsed, 1);
      if ((elapsed >= options_.slice_ns / 2 && runs >= fewest) || runs == 12) return fitting;
      messages = std::clamp(fitting, messages, messages * 64);
    }
  }

  /// All contenders in every round, each round beginning with another one.
  void duel(const std::vector<std::uint32_t>& ready) {
    const auto end = Clock::now() + options_.budget;
    std::vector<std::uint64_t> messages;
    for (const auto i : ready) messages.push_back(calibrate(i, end));
    for (int round = 0; round < options_.rounds; ++round) {
      if (round >= fewest_rounds && Clock::now() > end) break;
      for (std::size_t k = 0; k < ready.size(); ++k) {
        const std::size_t turn = (k + static_cast<std::size_t>(round)) % ready.size();
        store_.slices(ready[turn])[round] = slice(ready[turn], messages[turn]);
      }
      board_.rounds = round + 1;
    }
    const bool late = Clock::now() > end + 2 * options_.budget;
    if (options_.counted_messages != 0 && !late) count(ready, messages);
  }

  void count(const std::vector<std::uint32_t>& ready, const std::vector<std::uint64_t>& fitting) {
    count_from_now_on();
    if (!counter()) return;
    for (std::size_t k = 0; k < ready.size(); ++k) {
      const std::uint64_t messages = std::min(options_.counted_messages, fitting[k]);
      store_.counted(ready[k]) = slice(ready[k], messages, Operation::count);
    }
  }

  nanoseconds poll_;
  std::uint32_t step_[2] = {};
};

/// Runs one side. What it throws in a slice ends the pair, with the reason on the board; without
/// destructors, for the objects are copies of the bench's.
template <class Body> void run_side(Store& store, Body body) noexcept {
  Failure failure;
  guarded(failure, body);
  if (!failure.text[0]) return;
  const std::int32_t current = store.board().current;
  if (current >= 0 && !store.failure(static_cast<std::size_t>(current)).text[0]) {
    store.failure(static_cast<std::size_t>(current)) = failure;
  }
  ::_exit(1);
}

template <class Body> pid_t fork_side(Body body) {
  const pid_t bench = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) throw std::system_error{errno, std::generic_category(), "fork"};
  if (child > 0) return child;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != bench) ::_exit(1);
  body();
  ::_exit(0);
}

/// How it ended, or nothing when it ended well.
std::string reap(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) return "no progress";
  if (WIFSIGNALED(status)) return std::string{"a side died: "} + ::strsignal(WTERMSIG(status));
  return WEXITSTATUS(status) == 0 ? "" : "a side gave up";
}

/// Waits until any of them has ended and returns its place. Without pidfds it waits for the last,
/// the client.
std::size_t await_one(const std::vector<pid_t>& children) {
  std::vector<pollfd> ends;
  for (const pid_t child : children) {
    ends.push_back({static_cast<int>(::syscall(SYS_pidfd_open, child, 0)), POLLIN, 0});
  }
  while (::poll(ends.data(), ends.size(), -1) < 0 && errno == EINTR) {
  }
  std::size_t ended = ends.size() - 1;
  for (std::size_t i = 0; i < ends.size(); ++i) {
    if (ends[i].revents != 0) ended = i;
    if (ends[i].fd >= 0) ::close(ends[i].fd);
  }
  return ended;
}

/// Reaps them all. When one does not end well, the others are waiting in vain and are killed. How the
/// first that did not end well ended.
std::string reap_all(std::vector<pid_t> children) {
  std::string first;
  while (!children.empty()) {
    const std::size_t ended = await_one(children);
    const std::string how = reap(children[ended]);
    children.erase(children.begin() + static_cast<std::ptrdiff_t>(ended));
    if (how.empty() || !first.empty()) continue;
    first = how;
    for (const pid_t child : children) ::kill(child, SIGKILL);
  }
  return first;
}

}  // namespace

PairResult run_pair(const std::vector<Contender>& contenders, const PairOptions& options) {
  PairResult result;
  result.failures.resize(contenders.size());
  result.slices.resize(contenders.size());
  result.counted.resize(contenders.size());
  Store store{contenders.size(), static_cast<std::size_t>(options.rounds)};
  for (std::size_t i = 0; i < contenders.size(); ++i) {
    guarded(store.failure(i), [&] { contenders[i].variant->create(); });
  }

  const auto server = [&](Kind kind) {
    run_side(store, [&] { Server{store, contenders, options, kind}.run(); });
  };
  std::vector<pid_t> children;
  children.push_back(fork_side([&] { server(Kind::processes); }));
  children.push_back(fork_side([&] {
    std::thread other{server, Kind::threads};
    run_side(store, [&] { Client{store, contenders, options}.run(); });
    other.join();
  }));
  const std::string how = reap_all(children);
  if (!how.empty()) {
    result.died_at = store.board().current;
    if (result.died_at < 0) throw std::runtime_error{"a pair that was done did not end: " + how};
    Failure& failure = store.failure(static_cast<std::size_t>(result.died_at));
    if (!failure.text[0]) std::snprintf(failure.text, sizeof failure.text, "%s", how.c_str());
  }

  for (std::size_t i = 0; i < contenders.size(); ++i) {
    result.failures[i] = store.failure(i).text;
    const Slice* slices = store.slices(i);
    if (result.failures[i].empty()) {
      result.slices[i].assign(slices, slices + store.board().rounds);
      result.counted[i] = store.counted(i);
    }
  }
  return result;
}

}  // namespace bulkhead::bench
