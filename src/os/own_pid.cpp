// SPDX-License-Identifier: Apache-2.0
#include "os/own_pid.hpp"

#include <atomic>
#include <sys/mman.h>
#include <unistd.h>

namespace bulkhead::os {
namespace {

using Word = std::atomic<pid_t>;

/// Null where the kernel would not wipe it.
Word* make_page() noexcept {
  const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  void* page = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return nullptr;
  if (::madvise(page, size, MADV_WIPEONFORK) == 0) return new (page) Word{0};
  ::munmap(page, size);
  return nullptr;
}

}  // namespace

pid_t own_pid() noexcept {
  static Word* const page = make_page();
  if (page == nullptr) return ::getpid();
  const pid_t known = *page;
  if (known != 0) [[likely]]
    return known;
  return *page = ::getpid();
}

}  // namespace bulkhead::os
