// SPDX-License-Identifier: Apache-2.0
//
// Deaths: kills an operation at each of its places and collects what the survivors say.
//
// First the operation is stepped through once (method M1): after each instruction everything that
// others could see of the victim is compared, its shared memory with what it was, and each system
// call counts. A kill keeps the order of a program's stores on x86-64, so that all places between
// two changes are one and the same to those who survive; they are one state.
// Then it is killed (M2): a new victim, a new scene, brought to the place, SIGKILL, and the
// survivors judge. Every state is died in once at least; how many of the other places are is a
// matter of time, all of them under `make soak`.
//
// F2, pairs: a victim stands at each place of its call while another, its peer, dies at each of its own.
// F3, a death inside recovery: `recover` after a death in each state of another operation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "crash/operation.hpp"
#include "crash/victim.hpp"

namespace bulkhead::crash {

struct Outcome {
  std::string name;
  std::size_t instructions = 0;
  std::size_t states = 0;
  std::size_t deaths = 0;
  std::size_t violations = 0;
  std::vector<std::string> examples;  ///< of violations; not all of them
  bool given_up = false;              ///< survivors hung so often that the rest was not tried
};

struct Thoroughness {
  /// So many deaths an operation, or as many as it has states; what is over is spread evenly over
  /// its instructions. With no more instructions than this it dies at every one.
  std::size_t deaths = 24;
  /// At every instruction, however many.
  bool every = false;
  /// Only every n-th place; for nested deaths, of which there are many.
  std::size_t stride = 1;
};

/// An operation, stepped through once.
class Trace {
 public:
  /// Throws std::runtime_error when it cannot be.
  explicit Trace(const Operation& operation);

  struct Place {
    std::size_t index;    ///< instructions executed before it
    bool asleep = false;  ///< inside the system call that comes next, waiting
  };

  std::size_t instructions() const { return at_.size() - 1; }
  std::size_t states() const { return states_.back() + 1 + sleeps_.size(); }
  /// The survivors found nothing wrong after it, with the operation at its end.
  bool ends_well() const { return ends_well_; }
  /// One place in each state, and then others.
  std::vector<Place> places(const Thoroughness& how) const;

  /// Brings a victim that stands at the beginning to the place. False: it went another way.
  bool reach(Victim& victim, Scene& scene, const Place& place) const;
  /// The same by counting changes, where the number of instructions is not always the same.
  bool reach_state(Victim& victim, Scene& scene, const Place& place) const;
  /// The operation has returned there.
  bool is_end(const Place& place) const {
    return returns_ && place.index == instructions() && !place.asleep;
  }

 private:
  std::vector<std::uint64_t> at_;    // before each instruction; last the mark
  std::vector<std::uint32_t> hits_;  // how often that address has been come to by then
  std::vector<std::size_t> states_;  // by instruction
  std::vector<std::size_t> sleeps_;  // instructions that wait
  bool returns_ = false;
  bool ends_well_ = true;
};

/// Runs the victim up to Mark::begin. Throws when it does not come there.
void prepare(Victim& victim, Scene& scene);

/// F3: dies in each state of `first`, then `recovery` dies at its places, and the survivors of `first`
/// judge (and recover themselves).
Outcome explore_recovery(const Operation& first, const Operation& recovery,
                         const Thoroughness& how);

/// F2: one end stands in each state of its call, the other dies at its places.
Outcome explore_pair(const Pairing& pairing, const Thoroughness& how);

/// Everything about one operation. A harness that fails is a violation too: it has shown nothing.
Outcome explore(const Operation& operation, const Thoroughness& how);

}  // namespace bulkhead::crash
