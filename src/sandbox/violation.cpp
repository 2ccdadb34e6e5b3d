// SPDX-License-Identifier: Apache-2.0
#include "sandbox/violation.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "os/syscall.hpp"
#include "sandbox/sanitizer.hpp"

namespace bulkhead::sandbox {
namespace {

/// What libc opens to ask about the machine, with an answer of its own when it cannot.
constexpr std::array<std::string_view, 14> probes{
    "/sys/devices/system/cpu/online",  // number of processors, until glibc 2.35
    "/sys/devices/system/cpu",
    "/sys/devices/system/cpu/possible",
    "/proc/stat",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/self/maps",                 // where the first thread's stack ends
    "/proc/sys/vm/overcommit_memory",  // malloc, before it gives memory back
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size",
    "/proc/sys/kernel/rtsig-max",
    "/proc/sys/kernel/ngroups_max",
    "/etc/localtime",
    "/usr/lib/locale/locale-archive",
};

bool is_probe(const char* path) noexcept {
  for (const auto probe : probes) {
    if (std::strcmp(path, probe.data()) == 0) return true;
  }
  for (const char* prefix : sanitizer_probes) {
    if (std::strncmp(path, prefix, std::strlen(prefix)) == 0) return true;
  }
  return false;
}

/// The path argument of an open call; null for another call.
const char* path_argument(int call, void* context) noexcept {
  auto* const registers = static_cast<ucontext_t*>(context);
#if defined(__x86_64__)
  const auto& general = registers->uc_mcontext.gregs;
  if (call == SYS_openat) return reinterpret_cast<const char*>(general[REG_RSI]);
  if (call == SYS_open) return reinterpret_cast<const char*>(general[REG_RDI]);
#elif defined(__aarch64__)
  if (call == SYS_openat) return reinterpret_cast<const char*>(registers->uc_mcontext.regs[1]);
#else
  static_cast<void>(registers);
  static_cast<void>(call);
#endif
  return nullptr;
}

void set_result(void* context, int number) noexcept {
  auto* const registers = static_cast<ucontext_t*>(context);
#if defined(__x86_64__)
  registers->uc_mcontext.gregs[REG_RAX] = -number;
#elif defined(__aarch64__)
  registers->uc_mcontext.regs[0] = static_cast<unsigned long long>(-number);
#else
  static_cast<void>(registers);
  static_cast<void>(number);
#endif
}

ViolationReport reporter = nullptr;

void on_violation(int /*signal*/, siginfo_t* info, void* context) {
  if (answer_probe(info, context)) return;
  if (reporter != nullptr) reporter(info->si_syscall, context);
  // SIGSYS is blocked in its own handler, so a second violation is the end, by SIGSYS: signal(7).
  ::syscall(SYS_ptrace, -1, 0, 0, 0);
  ::_exit(128 + SIGSYS);
}

}  // namespace

Result<void> handle_violations(ViolationReport report) {
  reporter = report;
  struct sigaction action{};
  action.sa_sigaction = on_violation;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  ::sigemptyset(&action.sa_mask);
  if (::sigaction(SIGSYS, &action, nullptr) != 0) return os::failed("handle", "SIGSYS");
  return {};
}

bool answer_probe(const siginfo_t* info, void* context) noexcept {
  // TRUST: the path is this process's own memory; a wild pointer is its own crash.
  const char* const path = path_argument(info->si_syscall, context);
  if (path == nullptr || !is_probe(path)) return false;
  set_result(context, EACCES);
  return true;
}

}  // namespace bulkhead::sandbox
