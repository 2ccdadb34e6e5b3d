// SPDX-License-Identifier: Apache-2.0
#include "process/lifeline.hpp"

#include <csignal>
#include <fcntl.h>
#include <mutex>
#include <pthread.h>
#include <sys/socket.h>
#include <utility>

#include "os/socket.hpp"
#include "os/syscall.hpp"

namespace bulkhead::process {

// The one list of a process: fork copies descriptors, so something has to know them all.
struct Lifelines {
  static Lifelines& all() {
    static Lifelines instance;
    return instance;
  }

  Lifelines() {
    // The list is locked over a fork, so that the copy finds it whole.
    ::pthread_atfork([] { all().mutex.lock(); }, [] { all().mutex.unlock(); },
                     [] { all().close_in_copy(); });
  }

  /// In the copy: one thread, and the mutex is held.
  void close_in_copy() {
    for (Lifeline* line = first; line != nullptr; line = line->next_) {
      for (Fd& end : line->ends_) end.close();
    }
    mutex.unlock();
  }

  std::mutex mutex;
  Lifeline* first = nullptr;
};

namespace {

bool disarm(const Fd& end) noexcept { return ::fcntl(end.native(), F_SETFL, O_NONBLOCK) == 0; }

Result<void> arm(const Fd& end, pid_t owner) {
  const int fd = end.native();
  if (::fcntl(fd, F_SETSIG, SIGKILL) == 0 && ::fcntl(fd, F_SETOWN, owner) == 0 &&
      ::fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK) == 0) {
    return {};
  }
  return os::failed("arm", "lifeline");
}

}  // namespace

Result<Lifeline> Lifeline::attach(pid_t pid, Reach reach) {
  auto ends = BULKHEAD_TRY(os::socket_pair());
  const pid_t owner = reach == Reach::group ? -pid : pid;
  Lifeline line;
  line.ends_[0] = std::move(ends.first);
  line.ends_[1] = std::move(ends.second);
  for (const Fd& end : line.ends_) BULKHEAD_TRY(arm(end, owner));
  line.enter();
  return line;
}

void Lifeline::cut() noexcept {
  // shutdown and not close: a copy of the descriptor may exist for a moment, in a child on its way
  // to exec.
  if (ends_[0]) ::shutdown(ends_[0].native(), SHUT_RDWR);
}

Lifeline::Lifeline(Lifeline&& other) noexcept { *this = std::move(other); }

Lifeline& Lifeline::operator=(Lifeline&& other) noexcept {
  if (this == &other) return *this;
  leave();
  other.leave();
  for (int i = 0; i < 2; ++i) ends_[i] = std::move(other.ends_[i]);
  if (ends_[0]) enter();
  return *this;
}

Lifeline::~Lifeline() {
  leave();
  // Closing one end would signal through the other.
  for (const Fd& end : ends_) {
    if (end) disarm(end);
  }
}

void Lifeline::enter() noexcept {
  auto& all = Lifelines::all();
  const std::lock_guard guard{all.mutex};
  next_ = all.first;
  if (next_ != nullptr) next_->previous_ = this;
  all.first = this;
  listed_ = true;
}

void Lifeline::leave() noexcept {
  if (!listed_) return;
  auto& all = Lifelines::all();
  const std::lock_guard guard{all.mutex};
  (previous_ != nullptr ? previous_->next_ : all.first) = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
  next_ = previous_ = nullptr;
  listed_ = false;
}

}  // namespace bulkhead::process
