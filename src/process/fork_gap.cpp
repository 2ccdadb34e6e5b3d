// SPDX-License-Identifier: Apache-2.0
//
// Between clone and exec. The functions before `start` run in the child, in this process's memory
// and with the calling thread's errno: they make system calls and write into their own Gap, and
// they end in exec or _exit. They call syscall(2), as sanitizers wrap the named functions with code
// that must not run here.
#include "process/fork_gap.hpp"

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdint>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <string>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/syscall.hpp"

#if defined(__SANITIZE_THREAD__)
// clone(2) by the name that ThreadSanitizer does not wrap: its wrapper notes in the shared memory
// that it has been forked, and from then on lets nobody start a thread.
extern "C" int __clone(int (*)(void*), void*, int, void*, ...);
constexpr auto* clone_unwrapped = &::__clone;
#else
constexpr auto* clone_unwrapped = &::clone;
#endif

// Not [[gnu::no_sanitize]]: Clang does not know it by that spelling.
#define BULKHEAD_IN_GAP __attribute__((no_sanitize("address", "thread", "undefined")))

namespace bulkhead::process {
namespace {

enum class Step { none, group, descriptors, folder, exec };

struct Gap {
  const GapPlan& plan;
  Step step = Step::none;  // what failed, with
  int error = 0;
};

constexpr int out_of_the_way = 10;  // above every number that is given out below
constexpr int signals = 64;         // _NSIG - 1

/// The kernel's struct sigaction, all zero: the default action.
struct KernelAction {
  std::uintptr_t words[4];
};

[[noreturn]] BULKHEAD_IN_GAP void give_up(Gap& gap, Step step) {
  gap.step = step;
  gap.error = errno;
  for (;;) ::syscall(SYS_exit_group, 127);
}

BULKHEAD_IN_GAP int moved(Gap& gap, FdView fd, int command) {
  const long copy = ::syscall(SYS_fcntl, fd.native(), command, out_of_the_way);
  if (copy < 0) give_up(gap, Step::descriptors);
  return static_cast<int>(copy);
}

BULKHEAD_IN_GAP void place(Gap& gap, int fd, int number) {
  if (::syscall(SYS_dup3, fd, number, 0) < 0) give_up(gap, Step::descriptors);
}

/// Close-on-exec, for all from `first` on.
BULKHEAD_IN_GAP void shut_from(int first) {
  if (::syscall(SYS_close_range, first, ~0u, CLOSE_RANGE_CLOEXEC) == 0) return;
  rlimit limit{};  // a filter around us does not know the call
  ::syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, nullptr, &limit);
  for (unsigned fd = static_cast<unsigned>(first); fd < limit.rlim_cur && fd < (1u << 20); ++fd) {
    ::syscall(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
  }
}

/// The host's handlers would run in the host's memory; and what it ignores or blocks is no business
/// of the role's.
BULKHEAD_IN_GAP void default_signals() {
  const KernelAction action{};
  for (int signal = 1; signal <= signals; ++signal) {
    ::syscall(SYS_rt_sigaction, signal, &action, nullptr, sizeof(std::uint64_t));
  }
  const std::uint64_t none = 0;
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof none);
}

BULKHEAD_IN_GAP void lay_out_descriptors(Gap& gap, int& executable) {
  // First all out of the way of the numbers that they are to get.
  int standard[3];
  for (int i = 0; i < 3; ++i) standard[i] = moved(gap, gap.plan.standard[i], F_DUPFD_CLOEXEC);
  const int bootstrap = moved(gap, gap.plan.bootstrap, F_DUPFD_CLOEXEC);
  executable = moved(gap, gap.plan.executable, F_DUPFD_CLOEXEC);
  for (int i = 0; i < 3; ++i) place(gap, standard[i], i);
  place(gap, bootstrap, bootstrap_fd);
  shut_from(bootstrap_fd + 1);
}

/// "/proc/self/fd/N"
BULKHEAD_IN_GAP void spell_path(int fd, char* text) {
  const char* prefix = "/proc/self/fd/";
  while (*prefix != '\0') *text++ = *prefix++;
  char digits[12];
  int count = 0;
  do digits[count++] = static_cast<char>('0' + fd % 10);
  while ((fd /= 10) > 0);
  while (count > 0) *text++ = digits[--count];
  *text = '\0';
}

[[noreturn]] BULKHEAD_IN_GAP void exec(Gap& gap, int executable) {
  const auto* arguments = gap.plan.arguments;
  const auto* environment = gap.plan.environment;
  ::syscall(SYS_execveat, executable, "", arguments, environment, AT_EMPTY_PATH);
  if (errno == ENOSYS || errno == EPERM) {
    const int refused = errno;
    char path[32];
    spell_path(executable, path);
    ::syscall(SYS_execve, path, arguments, environment);
    if (errno == ENOENT) errno = refused;  // without /proc
  }
  give_up(gap, Step::exec);
}

BULKHEAD_IN_GAP int in_the_child(void* opaque) {
  Gap& gap = *static_cast<Gap*>(opaque);
  if (gap.plan.own_group && ::syscall(SYS_setpgid, 0, 0) != 0) give_up(gap, Step::group);
  int executable = -1;
  lay_out_descriptors(gap, executable);
  if (gap.plan.directory != nullptr && ::syscall(SYS_chdir, gap.plan.directory) != 0) {
    give_up(gap, Step::folder);
  }
  default_signals();
  exec(gap, executable);
}

// From here on in the parent.

class Stack {
 public:
  static constexpr std::size_t bytes = 64 * 1024;

  Stack()
      : base_(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0)) {}
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;
  ~Stack() {
    if (*this) ::munmap(base_, bytes);
  }
  explicit operator bool() const noexcept { return base_ != MAP_FAILED; }
  void* top() const noexcept { return static_cast<char*>(base_) + bytes; }

 private:
  void* base_;
};

/// No signal handler of the host may run in the child, in the host's memory.
class AllSignalsBlocked {
 public:
  AllSignalsBlocked() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  AllSignalsBlocked(const AllSignalsBlocked&) = delete;
  AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;
  ~AllSignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

std::unexpected<Error> clone_failed(int number) {
  errno = number;
  if (number == EAGAIN) {
    return fail(ErrorKind::exhausted,
                {.operation = "start",
                 .object = "process",
                 .cause = "no more processes are allowed",
                 .remedy = "raise the limit (ulimit -u, pids.max of the cgroup) or end some",
                 .code = {number, std::system_category()}});
  }
  return os::failed("start", "process");
}

std::unexpected<Error> gap_failed(const Gap& gap) {
  errno = gap.error;
  switch (gap.step) {
    case Step::group:
      return os::failed("make", "process group");
    case Step::descriptors:
      if (gap.error == EINVAL) errno = EMFILE;  // the limit is below the numbers that we use
      return os::failed("hand over", "descriptors", "raise the limit (ulimit -n) or close some");
    case Step::folder:
      return os::failed("enter", std::string("folder ") + gap.plan.directory);
    default:
      return os::failed("execute", std::string("own executable ") + gap.plan.arguments[0]);
  }
}

}  // namespace

Result<Started> start(const GapPlan& plan) {
  const Stack stack;
  if (!stack) return os::failed("start", "process");
  Gap gap{.plan = plan};
  int raw_pidfd = -1;
  int pid = -1;
  int number = 0;
  {
    const AllSignalsBlocked blocked;
    // No exit signal: what fails before exec raises no SIGCHLD in the host.
    pid = clone_unwrapped(in_the_child, stack.top(), CLONE_VM | CLONE_VFORK | CLONE_PIDFD, &gap,
                          &raw_pidfd);
    number = errno;
  }
  if (pid < 0) return clone_failed(number);
  Started started{.pid = pid, .pidfd = Fd::adopt(raw_pidfd)};
  if (gap.step == Step::none) return started;
  siginfo_t info{};
  os::retry_eintr(
      [&] { return ::waitid(P_PIDFD, static_cast<id_t>(raw_pidfd), &info, WEXITED | __WALL); });
  return gap_failed(gap);
}

}  // namespace bulkhead::process
