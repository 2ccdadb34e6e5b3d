// SPDX-License-Identifier: Apache-2.0
//
// Victim: a process that is traced: run to a place of its program, stepped one instruction at a
// time, and killed. It is a real process that runs the code that is shipped; nothing in it knows.
//
// Address randomisation is off, its environment is fixed, and it shares the processor of whoever
// traces it, so that the same place is reached again by counting.
// Only x86-64. One thread, the one that started it: ptrace(2) takes no other. What the kernel
// refuses is thrown: std::runtime_error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <sys/types.h>
#include <unordered_map>
#include <utility>
#include <vector>

#include <bulkhead/fd.hpp>

#include "crash/operation.hpp"

namespace bulkhead::crash {

/// Once, before the first victim and before any thread: keeps this process and its victims on one
/// processor, and SIGCHLD for the harness.
void prepare_tracing();

class Victim {
 public:
  enum class Stop : std::uint8_t {
    step,        ///< after one instruction
    mark,        ///< the trap of mark()
    breakpoint,  ///< at the address that run_to() was given, before its instruction
    asleep,      ///< inside a system call that waits; wait() goes on
  };
  struct Event {
    Stop stop;
    Mark mark = Mark::begin;
  };

  /// Whether this machine and kernel let us; else why not.
  static std::string why_not();

  /// Starts crash_victim with these arguments, stopped before its first instruction.
  Victim(const std::vector<std::string>& arguments, const std::vector<FdView>& inherited);
  Victim(const Victim&) = delete;
  Victim& operator=(const Victim&) = delete;
  ~Victim() { kill(); }

  pid_t pid() const { return pid_; }

  /// At full speed, to the next mark.
  Event run();
  /// At full speed, until it is about to execute what is at `address` for the `hits`-th time from
  /// now, or comes to a mark.
  Event run_to(std::uint64_t address, std::uint32_t hits);
  /// One instruction.
  Event step();
  /// After `asleep`: goes on with what was asked for.
  Event wait();

  /// The address of the next instruction.
  std::uint64_t position() const { return position_; }
  /// The next instruction is a system call.
  bool at_call() { return kind_of(position_) == Kind::call; }

  /// SIGKILL, and reaped. From any state.
  void kill() noexcept;

 private:
  enum class Kind : std::uint8_t { other, call, trap };

  Event go_on();
  Event arrived();
  void resume();
  /// False: it sleeps.
  bool wait_for_stop(bool may_sleep);
  bool is_asleep() const;
  void look();
  void set_position(std::uint64_t address);
  long peek(std::uint64_t address) const;
  void poke(std::uint64_t address, long word) const;
  void arm();
  void disarm();
  Kind kind_of(std::uint64_t address);

  pid_t pid_ = -1;
  bool stepping_ = false;
  int signal_ = 0;  // to be delivered when it goes on
  std::uint64_t position_ = 0;
  std::uint64_t argument_ = 0;
  std::uint64_t target_ = 0;  // of run_to(); 0: none
  std::uint32_t hits_ = 0;
  long original_ = 0;
  bool armed_ = false;
  std::unordered_map<std::uint64_t, Kind> kinds_;
};

/// What others can see of a process: all memory that it shares and can write. System calls are
/// told apart by whoever steps.
class SharedMemory {
 public:
  explicit SharedMemory(pid_t pid) : pid_(pid) { look_again(); }

  /// It has mapped or unmapped something.
  void look_again();
  /// True when something is not as at the last call.
  bool changed();

 private:
  struct Piece {
    std::uint64_t start;
    std::size_t size;
    std::vector<std::byte> last;
  };

  pid_t pid_;
  std::vector<Piece> pieces_;
  std::vector<std::byte> now_;
};

}  // namespace bulkhead::crash
