// SPDX-License-Identifier: Apache-2.0
#include "sandbox/profile.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <initializer_list>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/sanitizer.hpp"

namespace bulkhead::sandbox {

// 0 to 462 are the calls of Linux 6.10 (mseal); newer ones get ENOSYS. All architectures number new
// calls alike since 5.0.
const int newest_known_call = 462;

namespace {

using Entries = std::vector<Entry>;
using Names = std::initializer_list<std::string_view>;

Condition is(unsigned argument, std::uint64_t value) {
  return {.argument = argument, .value = value};
}
/// For arguments of type int: the kernel looks at their lower half only.
Condition is_int(unsigned argument, std::uint32_t value) {
  return {.argument = argument, .mask = 0xffffffff, .value = value};
}
/// No other bits than these, for an int.
Condition has_only_int(unsigned argument, std::uint32_t bits) {
  return {.argument = argument, .mask = ~std::uint64_t{bits} & 0xffffffff, .value = 0};
}
Condition masked(unsigned argument, std::uint64_t mask, std::uint64_t value) {
  return {.argument = argument, .mask = mask, .value = value};
}
Condition is_not(unsigned argument, std::uint64_t value) {
  return {.argument = argument, .test = Condition::Test::not_equal, .value = value};
}

void allow(Entries& list, Names calls) {
  for (const auto call : calls) list.push_back({.call = call});
}
void answer(Entries& list, int number, Names calls) {
  for (const auto call : calls) list.push_back({.call = call, .answer = number});
}
/// One entry for each value that the int argument may have.
void allow_values(Entries& list, std::string_view call, unsigned argument,
                  std::initializer_list<std::uint32_t> values) {
  for (const auto value : values) {
    list.push_back({.call = call, .conditions = {is_int(argument, value)}});
  }
}

void descriptors(Entries& list) {
  allow(list,
        {"read",      "write",     "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev",
         "preadv2",   "pwritev2",  "close", "lseek",  "fstat",   "fstatfs",  "fsync",  "fdatasync",
         "ftruncate", "fallocate", "dup",   "dup2",   "dup3",    "pipe"});
  // Not O_NOTIFICATION_PIPE.
  list.push_back({"pipe2", {has_only_int(1, O_CLOEXEC | O_NONBLOCK | O_DIRECT)}});
  allow(list, {"poll", "ppoll", "select", "pselect6", "epoll_create", "epoll_create1", "epoll_ctl",
               "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd2", "timerfd_create",
               "timerfd_settime", "timerfd_gettime"});
  // fstat() of newer C libraries. The path cannot be looked at; with an own root folder there is
  // none to ask about, without one the metadata of files can be read.
  list.push_back({"newfstatat", {is_int(3, AT_EMPTY_PATH)}});
  // No locks and no F_SETOWN, which sends signals.
  allow_values(list, "fcntl", 1,
               {F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_ADD_SEALS,
                F_GET_SEALS, F_GETPIPE_SZ});
  // Is it a terminal, how wide, how much is there; never TIOCSTI.
  allow_values(list, "ioctl", 1, {TCGETS, TIOCGWINSZ, FIONBIO, FIONREAD});
}

/// What channels ask for that were handed to the role (docs/sandbox.md, "Channels"). They do without,
/// or say in words that they cannot: so these are answers, and the role lives.
void channels_do_without(Entries& list) {
  // A larger pipe is memory of the kernel's that no limit of ours counts.
  list.push_back({"fcntl", {is_int(1, F_SETPIPE_SZ)}, EPERM});
  // The end of a pipe marks its close in the pipe's mode. The filter sees a number and not whether a
  // pipe is behind it: the same call would open a file of this user's to others, or give it set-uid.
  answer(list, EPERM, {"fchmod"});
  // It takes a path, and tells of files that cannot be opened. Logs look by a timer instead.
  answer(list, EPERM, {"inotify_init1"});
  // The first that an end of a queue calls. System V finds queues by a number, any queue of this
  // user's; POSIX ones need the two above.
  answer(list, EPERM, {"msgctl", "mq_getsetattr"});
}

void sockets_given(Entries& list) {
  allow(list, {"sendmsg", "recvmsg", "sendmmsg", "recvmmsg", "recvfrom", "shutdown", "getsockopt",
               "getsockname", "getpeername"});
  // Without an address: on what is connected.
  list.push_back({"sendto", {is(4, 0)}});
  // Of the Unix kinds that have one peer for good. A datagram socket could send to any name in the
  // file system (the log, the service manager).
  for (const std::uint32_t type : {SOCK_STREAM, SOCK_SEQPACKET}) {
    list.push_back({"socketpair", {is_int(0, AF_UNIX), masked(1, 0xf, type)}});
  }
  constexpr std::uint32_t so_passrights = 83;  // Linux 6.16
  for (const std::uint32_t option :
       {std::uint32_t{SO_SNDBUF}, std::uint32_t{SO_RCVBUF}, std::uint32_t{SO_PASSCRED},
        std::uint32_t{SO_RCVTIMEO}, std::uint32_t{SO_SNDTIMEO}, std::uint32_t{SO_LINGER},
        so_passrights}) {
    list.push_back({"setsockopt", {is_int(1, SOL_SOCKET), is_int(2, option)}});
  }
  // How much may be under way to this end of a connection that it was given.
  list.push_back({"setsockopt", {is_int(1, IPPROTO_TCP), is_int(2, TCP_WINDOW_CLAMP)}});
}

void memory(Entries& list) {
  allow(list, {"brk", "munmap", "mremap", "madvise", "msync", "mincore"});
  // Between its own threads; the other kinds interrupt every processor.
  constexpr std::uint32_t query = 0;
  constexpr std::uint32_t private_expedited = 8;
  constexpr std::uint32_t register_private_expedited = 16;
  allow_values(list, "membarrier", 0, {query, private_expedited, register_private_expedited});
  // Nothing becomes executable any more.
  // A mapping that grows like a stack is not counted by RLIMIT_DATA.
  list.push_back({"mmap", {masked(2, PROT_EXEC, 0), masked(3, MAP_GROWSDOWN, 0)}});
  list.push_back({"mprotect", {masked(2, PROT_EXEC, 0)}});
  constexpr std::uint32_t mfd_noexec_seal = 8;
  list.push_back(
      {"memfd_create", {has_only_int(1, MFD_CLOEXEC | MFD_ALLOW_SEALING | mfd_noexec_seal)}});
  answer(list, EPERM, {"mlock", "mlock2", "mlockall", "munlock", "munlockall"});
}

/// What dlopen maps: a file's content, never writable. No own code that it did not get as a file.
void code_of_files(Entries& list) {
  constexpr std::uint64_t flags = MAP_TYPE | MAP_ANONYMOUS | MAP_GROWSDOWN;
  list.push_back(
      {"mmap", {masked(2, PROT_EXEC | PROT_WRITE, PROT_EXEC), masked(3, flags, MAP_PRIVATE)}});
}

/// Of the kind of drm(7), by the byte of ioctl(2) that tells kinds apart. Drivers in the process also
/// ask whether two descriptors are one (kcmp), and make a page of code at their start; they do
/// without either.
void graphics(Entries& list) {
  constexpr std::uint64_t kind = 'd' << 8;
  list.push_back({"ioctl", {masked(1, 0xff00, kind)}});
  answer(list, EPERM, {"kcmp"});
  constexpr std::uint64_t both = PROT_EXEC | PROT_WRITE;
  list.push_back({"mmap", {masked(2, both, both)}, EACCES});
}

/// For tighten(). Filters and rules only ever add up; one that would hand calls to somebody else
/// (a listener) is not among them.
void second_stage(Entries& list) {
  constexpr std::uint32_t flags = SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH |
                                  SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW;
  list.push_back({"seccomp", {is_int(0, SECCOMP_SET_MODE_FILTER), has_only_int(1, flags)}});
  allow(list, {"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"});
  // Changes nothing: the kernel's answer to whether there is one thread, unshare(2).
  list.push_back({"unshare", {is(0, CLONE_VM)}});
}

void threads(Entries& list, Sandbox::Threads declared) {
  allow(list,
        {"futex", "set_robust_list", "rseq", "set_tid_address", "sched_yield", "sched_getaffinity",
         "sched_getparam", "sched_getscheduler", "sched_get_priority_max", "sched_get_priority_min",
         "getcpu", "gettid", "exit", "restart_syscall"});
  // Its flags lie in memory, where no filter sees them; libc falls back to clone.
  answer(list, ENOSYS, {"clone3"});
  constexpr std::uint64_t needed = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD;
  constexpr std::uint64_t never = CLONE_VFORK | CLONE_PTRACE | CLONE_UNTRACED | CLONE_PIDFD |
                                  CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                  CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_IO;
  // libc makes this call with all signals blocked: a violation could not be named.
  list.push_back({"clone",
                  {masked(0, needed | never, needed)},
                  declared == Sandbox::Threads::allowed ? 0 : EAGAIN});
  // Its own placement; that of others is theirs.
  list.push_back({"sched_setaffinity", {is_int(0, 0)}});
  list.push_back({"sched_setaffinity", {is_not(0, 0)}, EPERM});
  answer(list, EPERM,
         {"sched_setscheduler", "sched_setparam", "sched_setattr", "setpriority", "getpriority"});
}

void clocks_and_signals(Entries& list) {
  allow(list, {"clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday",
               "time", "times", "getitimer", "setitimer", "alarm", "pause"});
  allow(list, {"rt_sigreturn", "rt_sigprocmask", "rt_sigpending", "rt_sigtimedwait",
               "rt_sigsuspend", "sigaltstack"});
  // Whoever reports violations stays in place. Every number but SIGSYS by its bits: "not equal"
  // looks at 64 of them and the kernel at 32.
  static_assert(SIGSYS == 31);
  list.push_back({"rt_sigaction", {masked(0, ~std::uint64_t{15}, 0)}});
  list.push_back({"rt_sigaction", {masked(0, ~std::uint64_t{7}, 16)}});
  list.push_back({"rt_sigaction", {masked(0, ~std::uint64_t{3}, 24)}});
  list.push_back({"rt_sigaction", {masked(0, ~std::uint64_t{1}, 28)}});
  list.push_back({"rt_sigaction", {is(0, 30)}});
  list.push_back({"rt_sigaction", {masked(0, ~std::uint64_t{31}, 32)}});
  list.push_back({"rt_sigaction", {is(0, 64)}});
  // abort(), raise() and pthread_kill().
  const auto self = static_cast<std::uint32_t>(::getpid());
  list.push_back({"kill", {is_int(0, self)}});
  list.push_back({"tgkill", {is_int(0, self)}});
  list.push_back({"rt_sigqueueinfo", {is_int(0, self)}});
  list.push_back({"rt_tgsigqueueinfo", {is_int(0, self)}});
}

void process(Entries& list) {
  allow(list,
        {"exit_group", "getpid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getresuid",
         "getresgid", "getgroups", "getrusage", "getrlimit", "uname", "sysinfo", "getrandom"});
  // Reading limits of its own.
  list.push_back({"prlimit64", {is_int(0, 0), is(2, 0)}});
  constexpr std::uint32_t set_anonymous_name = 0x53564d41;  // PR_SET_VMA, Linux 5.17
  allow_values(list, "prctl", 0,
               {PR_SET_NAME, PR_GET_NAME, PR_GET_SECCOMP, PR_GET_NO_NEW_PRIVS, PR_GET_DUMPABLE,
                PR_GET_PDEATHSIG, set_anonymous_name});
  answer(list, EPERM, {"pidfd_open"});
}

/// Names cannot be seen by a filter. Looking for one tells an attacker nothing that an answer does.
void files_none(Entries& list) {
  answer(list, EACCES,
         {"access", "faccessat", "faccessat2", "stat", "lstat", "readlink", "readlinkat", "getcwd",
          "statfs"});
  list.push_back({"newfstatat", {is_not(3, AT_EMPTY_PATH)}, EACCES});
  answer(list, ENOSYS, {"statx"});
}

void files_readable(Entries& list) {
  allow(list, {"access", "faccessat", "faccessat2", "stat", "lstat", "statx", "statfs", "readlink",
               "readlinkat", "getcwd", "chdir", "fchdir", "getdents64", "fadvise64", "readahead",
               "flock"});
  list.push_back({"newfstatat", {is_not(3, AT_EMPTY_PATH)}});
}

void files_read_only(Entries& list) {
  constexpr std::uint32_t o_tmpfile = 020000000;  // without O_DIRECTORY
  constexpr std::uint32_t writing = O_ACCMODE | O_CREAT | O_TRUNC | o_tmpfile;
  list.push_back({"open", {masked(1, writing, O_RDONLY)}});
  list.push_back({"openat", {masked(2, writing, O_RDONLY)}});
}

/// For writing too: root folder and Landlock tell the devices from what is only readable.
void files_of_devices(Entries& list) {
  constexpr std::uint32_t o_tmpfile = 020000000;  // without O_DIRECTORY
  constexpr std::uint32_t making = O_CREAT | O_TRUNC | o_tmpfile;
  list.push_back({"open", {masked(1, making, 0)}});
  list.push_back({"openat", {masked(2, making, 0)}});
}

void files_writable(Entries& list) {
  allow(list,
        {"open", "openat", "creat", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename",
         "renameat", "renameat2", "copy_file_range", "sendfile", "sync_file_range"});
  // Landlock does not guard the times of a file, and a path's truncation only since ABI 3.
  answer(list, EPERM, {"truncate", "utimensat"});
  allow_values(list, "fcntl", 1,
               {F_SETLK, F_SETLKW, F_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_OFD_GETLK});
}

void network(Entries& list) {
  constexpr std::uint32_t ip_level = 0;
  constexpr std::uint32_t tcp_level = 6;
  constexpr std::uint32_t udp_level = 17;
  constexpr std::uint32_t ipv6_level = 41;
  for (const std::uint32_t family : {AF_UNIX, AF_INET, AF_INET6}) {
    list.push_back({"socket", {is_int(0, family)}});
  }
  // Resolvers ask it for addresses of this machine, and can do without.
  list.push_back({"socket", {is_int(0, AF_NETLINK)}, EAFNOSUPPORT});
  list.push_back({"sendto", {is_not(4, 0)}});
  allow(list, {"connect", "bind", "listen", "accept", "accept4"});
  for (const std::uint32_t level : {ip_level, tcp_level, udp_level, ipv6_level}) {
    list.push_back({"setsockopt", {is_int(1, level)}});
  }
  for (const std::uint32_t option : {SO_REUSEADDR, SO_REUSEPORT, SO_KEEPALIVE, SO_BROADCAST}) {
    list.push_back({"setsockopt", {is_int(1, SOL_SOCKET), is_int(2, option)}});
  }
}

}  // namespace

std::vector<Entry> profile(const Sandbox& sandbox) {
  Entries list;
  descriptors(list);
  sockets_given(list);
  channels_do_without(list);
  memory(list);
  threads(list, sandbox.threads);
  clocks_and_signals(list);
  process(list);
  const bool reads =
      !sandbox.readable.empty() || !sandbox.loadable.empty() || !sandbox.devices.empty();
  if (!reads && sandbox.writable.empty()) {
    files_none(list);
  } else {
    files_readable(list);
  }
  if (!sandbox.writable.empty()) {
    files_writable(list);
  } else if (!sandbox.devices.empty()) {
    files_of_devices(list);
  } else if (reads) {
    files_read_only(list);
  }
  if (!sandbox.loadable.empty()) code_of_files(list);
  if (sandbox.control == Sandbox::Control::graphics) graphics(list);
  if (sandbox.tighten == Sandbox::Tighten::allowed) second_stage(list);
  if (sandbox.network == Sandbox::Network::inherit) network(list);
  for (const std::string_view call : sanitizer_calls) list.push_back({.call = call});
  return list;
}

}  // namespace bulkhead::sandbox
