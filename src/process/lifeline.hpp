// SPDX-License-Identifier: Apache-2.0
//
// Lifeline: a process group that cannot outlive this process. The kernel ends it, with SIGKILL, as
// soon as this process is gone, whatever it died of; no thread watches.
//
// It is a socket pair on which nothing is ever sent. Both ends stay here. Each is armed (F_SETSIG,
// F_SETOWN, O_ASYNC; fcntl(2)) so that the kernel signals the group when the other end hangs up,
// which happens when this process dies, in whichever order it closes the two. The child holds no
// part of it, so a hostile one can neither close nor disarm it. The group is remembered by the
// kernel as an object and not as a number, so nobody is hit who gets the number later.
//
// PR_SET_PDEATHSIG is not used: it fires when the thread that started the child ends, and it does
// not reach what the child has forked.
//
// In a forked copy of this process both ends are closed at once (pthread_atfork), so that the copy
// neither keeps the children alive nor ends them.
#pragma once

#include <sys/types.h>

#include <bulkhead/fd.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead::process {

/// Whom a lifeline ends.
enum class Reach { group, process };

class Lifeline {
 public:
  Lifeline() noexcept = default;
  Lifeline(Lifeline&& other) noexcept;
  Lifeline& operator=(Lifeline&& other) noexcept;
  ~Lifeline();

  /// `pid` is a live or unreaped child, and, with Reach::group, leads a process group.
  static Result<Lifeline> attach(pid_t pid, Reach reach);

  /// Ends the group now. Whoever left it, with setsid or setpgid, stays.
  void cut() noexcept;

 private:
  friend struct Lifelines;
  void enter() noexcept;
  void leave() noexcept;

  Fd ends_[2];
  Lifeline* next_ = nullptr;  // in the list of all, for a forked copy
  Lifeline* previous_ = nullptr;
  bool listed_ = false;
};

}  // namespace bulkhead::process
