// SPDX-License-Identifier: Apache-2.0
#include "sandbox/privileges.hpp"

#include <array>
#include <cerrno>
#include <linux/capability.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/syscall.hpp"

namespace bulkhead::sandbox {
namespace {

using CapabilitySets = std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3>;

bool holds_any(const CapabilitySets& sets) {
  unsigned all = 0;
  for (const auto& set : sets) all |= set.effective | set.permitted | set.inheritable;
  return all != 0;
}

}  // namespace

Result<void> set_no_new_privs() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return os::failed("set", "no_new_privs");
  return {};
}

Result<void> drop_capabilities() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  CapabilitySets sets{};
  if (::syscall(SYS_capget, &header, sets.data()) != 0) return os::failed("read", "capabilities");
  if (!holds_any(sets)) return {};
  // The bounding set first, while CAP_SETPCAP is there; EINVAL is the end of what the kernel knows.
  // Without that capability it stays: no_new_privs already keeps it from being gained from.
  for (unsigned long capability = 0;
       ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0 && capability < 64; ++capability) {
  }
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  sets = {};
  if (::syscall(SYS_capset, &header, sets.data()) != 0) return os::failed("drop", "capabilities");
  if (::syscall(SYS_capget, &header, sets.data()) != 0 || holds_any(sets)) {
    errno = EPERM;
    return os::failed("drop", "capabilities");
  }
  return {};
}

Result<void> set_not_dumpable() {
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0) {
    return os::failed("make", "process not dumpable");
  }
  return {};
}

Result<void> reset_personality() {
  constexpr unsigned long query = 0xffffffff;
  const int now = ::personality(query);
  if (now == -1) return os::failed("read", "personality");
  const int wanted = now & ~(READ_IMPLIES_EXEC | ADDR_NO_RANDOMIZE);
  if (wanted != now && ::personality(static_cast<unsigned long>(wanted)) == -1) {
    return os::failed("reset", "personality");
  }
  return {};
}

}  // namespace bulkhead::sandbox
