// SPDX-License-Identifier: Apache-2.0
#include "os/robust_list.hpp"

#include <sys/syscall.h>
#include <unistd.h>

namespace bulkhead::os {

static_assert(sizeof(void*) != 8 || offsetof(pthread_mutex_t, __data.__lock) + 32 ==
                                        offsetof(pthread_mutex_t, __data.__list.__next));
static_assert(offsetof(RobustLinks, previous) + sizeof(std::uint64_t) ==
              offsetof(RobustLinks, next));

constinit thread_local robust_list_head* robust_list = nullptr;

robust_list_head* RobustThread::find_list() noexcept {
  robust_list_head* list = nullptr;
  std::size_t size = 0;
  if (::syscall(SYS_get_robust_list, 0, &list, &size) != 0 || list == nullptr) return nullptr;
  if (size != sizeof(robust_list_head) || list->futex_offset != robust_word_offset) return nullptr;
  clockid_t clock = 0;
  if (::pthread_getcpuclockid(::pthread_self(), &clock) != 0 || ~(clock >> 3) != ::gettid()) {
    return nullptr;
  }
  robust_list = list;
  return list;
}

}  // namespace bulkhead::os
