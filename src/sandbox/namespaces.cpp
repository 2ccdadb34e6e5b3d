// SPDX-License-Identifier: Apache-2.0
#include "sandbox/namespaces.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sched.h>
#include <string>
#include <unistd.h>

#include <bulkhead/fd.hpp>

#include "os/syscall.hpp"

namespace bulkhead::sandbox {
namespace {

Result<void> write_file(const char* path, const std::string& text) {
  const Fd file = Fd::adopt(::open(path, O_WRONLY | O_CLOEXEC));
  if (!file) return os::failed("open", path);
  const auto written =
      os::retry_eintr([&] { return ::write(file.native(), text.data(), text.size()); });
  if (written != static_cast<ssize_t>(text.size())) return os::failed("write", path);
  return {};
}

/// One user and one group, by their own numbers: what peers see of us (SO_PEERCRED) stays.
Result<void> map_identity(uid_t uid, gid_t gid) {
  // Absent before Linux 3.19; without it the group map is refused, user_namespaces(7).
  BULKHEAD_TRY(write_file("/proc/self/setgroups", "deny"));
  const auto line = [](auto id) { return std::to_string(id) + " " + std::to_string(id) + " 1\n"; };
  BULKHEAD_TRY(write_file("/proc/self/gid_map", line(gid)));
  return write_file("/proc/self/uid_map", line(uid));
}

const char* const remedy =
    "allow user namespaces (sysctl user.max_user_namespaces, AppArmor), or declare namespaces "
    "best_effort";

}  // namespace

Result<void> enter_namespaces(Sandbox::Network network) {
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  // Asked first: after a successful unshare there is no way back.
  if (::access("/proc/self/uid_map", W_OK) != 0) return os::failed("enter", "namespaces", remedy);
  int wanted = CLONE_NEWUSER | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS | CLONE_NEWCGROUP;
  if (network == Sandbox::Network::none) wanted |= CLONE_NEWNET;
  if (::unshare(wanted) == 0) return map_identity(uid, gid);
  // Root may have the others without a user namespace, where those are switched off.
  if (errno != EINVAL && ::unshare(wanted & ~CLONE_NEWUSER) == 0) return {};
  return os::failed("enter", "namespaces", remedy);
}

}  // namespace bulkhead::sandbox
