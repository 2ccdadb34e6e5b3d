// SPDX-License-Identifier: Apache-2.0
//
// Barrier: so many members do their work in rounds, and none begins the next round before all have
// ended this one. Unlike a counter with a wait it knows who they are: a member whose thread or
// process dies is `peer_died` for all others at once, in the round that it leaves open.
//
//   auto member = or_exit(barrier->join());
//   for (Round& round : rounds) {
//     work(round);
//     or_exit(member.arrive_and_wait(10s));
//   }
//
// Who may call: each member is one thread; it joins, arrives and leaves in that thread, and leaves
// before the memory is unmapped. In a forked child a Member is nothing. Ownership: lives in a
// SharedRegion (place.hpp). arrive_and_wait() alone blocks, to its deadline.
//
// When a member dies: the others are told who, once each; its place is free for the next who
// joins, and who arrives again waits for that one. The round ends for all or for none: an arrival
// stands whatever the call said, the dead one's too. Nobody is kept asleep by a member that dies
// while it joins, arrives, waits, wakes others or leaves. On Linux before 5.16 a sleeper watches
// one of the missing at a time: it may be told only when those before the dead one have arrived.
//
// A member that leaves in good order is `closed` for the others, like that.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <pthread.h>
#include <string>
#include <sys/types.h>

#include <bulkhead/deadline.hpp>
#include <bulkhead/detail/export.hpp>
#include <bulkhead/place.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead {

class BULKHEAD_API Barrier {
 public:
  static constexpr unsigned most_members = 32;

  /// For that many, 1 to most_members. `name` is for errors; cut to 31 bytes.
  Barrier(Place, unsigned members, const char* name = "") noexcept;
  Barrier(const Barrier&) = delete;
  Barrier& operator=(const Barrier&) = delete;

  /// A thread's membership; ends with it.
  class BULKHEAD_API Member {
   public:
    Member(Member&& other) noexcept;
    Member& operator=(Member&& other) noexcept;
    ~Member() { leave(); }

    /// Until all members have arrived. `timed_out`, `peer_died` and `closed`: the round is still
    /// open and this arrival stands; the next call goes on waiting for the same round.
    Result<void> arrive_and_wait(Deadline deadline = never);

    /// Which of the places it has, from 0.
    unsigned number() const noexcept { return number_; }

   private:
    friend class Barrier;
    Member(Barrier& barrier, unsigned number) noexcept;
    void leave() noexcept;
    void arrive() noexcept;
    void finish() noexcept;

    Barrier* barrier_;
    unsigned number_;
    pid_t thread_;
    bool waits_ = false;       // has arrived in a round that no call has told the end of
    std::uint32_t round_ = 0;  // that round
    std::array<std::uint32_t, most_members> told_{};  // the membership whose end was told
  };

  /// Becomes a member, of the present round at once. `full` when all places are taken by the living.
  Result<Member> join();

  unsigned members() const noexcept;

 private:
  // Rounds are counted modulo this: no member is ever more than one ahead of another.
  static constexpr std::uint32_t rounds = 1024;

  /// LAYOUT (64 bytes)   written by its member but for what the kernel writes; read by all
  ///   0   40  life       robust pthread mutex that the member's thread holds; its first word is
  ///                      thread id | FUTEX_OWNER_DIED (the kernel's) | FUTEX_WAITERS (who watches)
  ///   40   4  arrived    the round after the one that it has arrived in
  ///   44   4  joined     counts those who had this place
  ///   48   4  standing   0 free, 1 member, 2 left
  ///   52   4  process
  struct alignas(64) Slot {
    pthread_mutex_t life;
    std::atomic<std::uint32_t> arrived;
    std::atomic<std::uint32_t> joined;
    std::atomic<std::uint32_t> standing;
    std::atomic<std::uint32_t> process;
  };
  struct Sight;

  Sight look(Member& member) noexcept;
  void tell_all() noexcept;
  bool sleep(const Sight& sight, Deadline deadline) noexcept;
  Error ended(const Sight& sight) const;
  std::string label() const;

  // LAYOUT   written and read by all; TRUST: equal
  //   0     4  round      that is open, modulo `rounds`; who waits sleeps on it
  //   4     4  members    written once
  //   8     4  narrow     1 when somebody sleeps who can watch only one word
  //   12   32  name       written once
  //   64       slots
  std::atomic<std::uint32_t> round_{0};
  std::uint32_t members_;
  std::atomic<std::uint32_t> narrow_{0};
  std::array<char, 32> name_{};
  std::array<Slot, most_members> slots_{};
};

}  // namespace bulkhead
