// SPDX-License-Identifier: Apache-2.0
//
// getpid(2) without the system call, for who asks on every call whether it is in a forked copy of
// the process that made it. The number is kept in a page that the kernel gives to a child as zeros
// (MADV_WIPEONFORK, Linux 4.14), so that no way to fork can leave it wrong, as the C library's own
// cache did before it was taken out.
#pragma once

#include <sys/types.h>

namespace bulkhead::os {

pid_t own_pid() noexcept;

}  // namespace bulkhead::os
