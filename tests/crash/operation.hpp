// SPDX-License-Identifier: Apache-2.0
//
// Operation: something that a process can be killed in the middle of, and what everybody else must
// then find. README.md says how to add one.
//
// Each has two halves, in two programs that are built from the same sources:
//   victim()  runs in crash_victim, a process of its own that is traced and killed
//   Scene     lives in the harness: the survivors, who act while the victim is brought to its place
//             and judge after its death
// The halves share descriptors (3, 4, ... in the victim), names and files; nothing else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <bulkhead/bytes.hpp>
#include <bulkhead/fd.hpp>

namespace bulkhead::crash {

/// What a victim tells its harness, by a trap.
enum class Mark : int {
  cooperate = 1,  ///< the survivors are to do their part of the preparation
  begin = 2,      ///< the operation begins with the next instruction
  end = 3,        ///< it has returned
  wronged = 4,    ///< what came after it was not as promised
  count = 16,     ///< it was; from here on: how many messages it has received
};

/// In the victim.
inline void mark(Mark what) {
#if defined(__x86_64__)
  asm volatile("int3" : : "D"(static_cast<int>(what)) : "memory");
#else
  static_cast<void>(what);
#endif
}

/// In a victim that outlives another: all it was promised it got, and `messages` of them.
inline void tell_count(bool well, std::uint64_t messages) {
  mark(well ? static_cast<Mark>(static_cast<int>(Mark::count) + static_cast<int>(messages))
            : Mark::wronged);
}

/// What was found to be wrong after a death.
class Verdict {
 public:
  void violation(std::string what) { violations_.push_back(std::move(what)); }
  void expect(bool holds, const char* otherwise) {
    if (!holds) violation(otherwise);
  }
  const std::vector<std::string>& violations() const { return violations_; }

 private:
  std::vector<std::string> violations_;
};

/// The survivors of one death. Made anew for each.
class Scene {
 public:
  virtual ~Scene() = default;

  /// For the victim, as its descriptors 3, 4, ...; valid until started().
  virtual std::vector<FdView> inherited() { return {}; }
  /// For one that recovers after the victim's death, and dies too (F3).
  virtual std::vector<FdView> inherited_again() { return {}; }
  /// The victim has its own copies: close them here.
  virtual void started() {}
  /// The victim is at its n-th Mark::cooperate (from 0).
  virtual void cooperate(int n) { static_cast<void>(n); }
  /// The victim is about to begin.
  virtual void begin() {}
  /// The victim sleeps inside the operation. Does what wakes it; false: nothing will, and the
  /// operation ends here. Also when nothing is known of what it waits for in its preparation.
  virtual bool awaken() { return false; }
  /// The victim is dead and reaped. `finished`: its operation had returned.
  virtual void after_death(bool finished, Verdict& verdict) = 0;
};

struct Operation {
  std::string name;  ///< "shm: send 100 B, empty": mechanism, operation, phase
  std::function<std::unique_ptr<Scene>()> stage;
  std::function<void()> victim;
  std::string part = {};  ///< whose victim half it is, when not its own
  /// The kernel acts at a death on what others cannot see: every place is one of its own.
  bool each_instruction = false;
  /// The same, where it is too long for that: so many places at least.
  std::size_t least_deaths = 0;

  const std::string& victim_name() const { return part.empty() ? name : part; }
};

/// The two ends of one meeting of two victims (F2), 0 the sender's, 1 the receiver's.
class PairStage {
 public:
  virtual ~PairStage() = default;
  virtual std::vector<FdView> inherited_by(int end) = 0;
  /// Both have their own copies.
  virtual void started() {}
  /// `survivor` has received so many and is dead by now too; the other had finished its call, or not.
  virtual void judge(int survivor, bool finished, std::uint64_t count, Verdict& verdict) = 0;
};

struct Pairing {
  std::string name;
  int stands = 0;  ///< this end stands still while the other dies
  std::vector<Operation> halves;
  std::function<std::unique_ptr<PairStage>()> stage;
};
std::vector<Pairing> pairings();

// One function a file operations_X.cpp.
std::vector<Operation> shm_operations();
std::vector<Operation> meeting_operations();
std::vector<Operation> file_operations();
std::vector<Operation> mmap_operations();
std::vector<Operation> lock_operations();
std::vector<Operation> memory_operations();
std::vector<Operation> arena_operations();
std::vector<Operation> region_operations();
/// Primitives that are known not to survive: the harness must say so. Not part of the census.
std::vector<Operation> naive_operations();

/// All of them, the naive ones too.
std::vector<Operation> all_operations();
/// Those of the census.
std::vector<Operation> real_operations();

// For both halves of many operations.

/// Some bytes that depend on number and size at every place.
std::vector<std::byte> content(std::uint64_t number, std::size_t size);
bool has_content(Bytes bytes, std::uint64_t number, std::size_t size);

}  // namespace bulkhead::crash
