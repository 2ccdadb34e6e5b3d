// SPDX-License-Identifier: Apache-2.0
//
// Doorbells: how one end wakes a sleeping thread of the other. Made by the end that rings and
// passed to the one that sleeps.
//
// Two kinds, by how far the ringer trusts the sleeper:
//   eventfd      an equal peer. The cheapest; but its flags and counter belong to both ends, so
//                that a hostile sleeper could take O_NONBLOCK away, fill the counter, and have the
//                ringer's next write(2) block for ever.
//   socket pair  an untrusted peer. Rung with MSG_DONTWAIT, which no peer can take away.
// A full bell has been rung already: ringing it again is a success.
//
// TRUST: a BellWatch is made of whatever descriptor a peer passed. Only those two kinds are taken,
// and it is emptied in ways that cannot block, whatever the peer does to it.
#pragma once

#include <cstdint>

#include <bulkhead/fd.hpp>
#include <bulkhead/result.hpp>
#include <bulkhead/trust.hpp>

namespace bulkhead::transport::shm {

/// The ringer's end.
class Bell {
 public:
  static Result<Bell> create(Trust sleeper);

  /// One system call; never blocks.
  void ring() const noexcept;

  /// The sleeper's end, for the hello.
  FdView passing() const noexcept { return kind_ == Kind::event ? mine_ : theirs_; }
  /// The hello has gone.
  void passed() noexcept { theirs_.close(); }

 private:
  enum class Kind : std::uint8_t { event, socket };

  Bell(Kind kind, Fd mine, Fd theirs) noexcept
      : kind_(kind), mine_(std::move(mine)), theirs_(std::move(theirs)) {}

  Kind kind_;
  Fd mine_;
  Fd theirs_;
};

/// The sleeper's end: polls readable once rung.
class BellWatch {
 public:
  /// `corrupt` for any other kind of descriptor. Never blocks.
  static Result<BellWatch> adopt(Fd fd);

  /// Forgets that it was rung; never blocks. One system call, or one for each of the last rings.
  void drain() const noexcept;
  /// It can be full, and would then wake nobody: drain it at times, rung or not.
  bool fills_up() const noexcept { return kind_ == Kind::socket; }

  FdView fd() const noexcept { return fd_; }

 private:
  enum class Kind : std::uint8_t { event, socket };

  BellWatch(Kind kind, Fd fd) noexcept : kind_(kind), fd_(std::move(fd)) {}

  Kind kind_;
  Fd fd_;
};

}  // namespace bulkhead::transport::shm
