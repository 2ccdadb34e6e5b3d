// SPDX-License-Identifier: Apache-2.0
//
// The locks of single bytes of an open file (fcntl_locking(2)), which say who lives: the kernel lets
// go of them with their holder. A byte need not exist.
#pragma once

#include <cstdint>
#include <fcntl.h>

namespace bulkhead::os {

/// For fcntl's F_OFD_SETLK, F_OFD_GETLK and kin. `type` is F_RDLCK, F_WRLCK or F_UNLCK.
inline struct flock lock_of_byte(int type, std::uint64_t byte) noexcept {
  struct flock lock{};
  lock.l_type = static_cast<short>(type);
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(byte);
  lock.l_len = 1;
  return lock;
}

}  // namespace bulkhead::os
