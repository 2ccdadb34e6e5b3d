// SPDX-License-Identifier: Apache-2.0
//
// What newer kernels have and the headers of Debian 12 (Linux 6.1) do not name. A constant here
// says nothing about the running kernel: whoever uses one probes, and has an answer for ENOSYS,
// ENOTTY and EINVAL.
#pragma once

#include <cstdint>
#include <sys/ioctl.h>

namespace bulkhead::kernel {

/// LAYOUT struct pidfd_info of linux/pidfd.h, as of Linux 6.15 (PIDFD_INFO_SIZE_VER1, 72 bytes).
/// Written by the kernel, up to the size that the ioctl number carries.
struct PidfdInfo {
  std::uint64_t mask;  ///< in: what is asked for; out: what is there
  std::uint64_t cgroup_id;
  std::uint32_t pid, tgid, ppid;
  std::uint32_t ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
  std::int32_t exit_code;  ///< as wait(2) gives it
  std::uint32_t coredump_mask;
  std::uint32_t spare;
};
static_assert(sizeof(PidfdInfo) == 72);

inline constexpr std::uint64_t pidfd_info_exit = 1u << 3;                    // Linux 6.15
inline constexpr unsigned long pidfd_get_info = _IOWR(0xFF, 11, PidfdInfo);  // Linux 6.13

}  // namespace bulkhead::kernel
