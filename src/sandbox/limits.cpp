// SPDX-License-Identifier: Apache-2.0
#include "sandbox/limits.hpp"

#include <algorithm>
#include <fstream>
#include <limits>
#include <sys/resource.h>
#include <unistd.h>

#include "os/syscall.hpp"
#include "sandbox/sanitizer.hpp"

namespace bulkhead::sandbox {
namespace {

using Resource = decltype(RLIMIT_CORE);

Result<void> lower(Resource resource, const char* name, std::uint64_t most) {
  rlimit now{};
  if (::getrlimit(resource, &now) != 0) return os::failed("read", name);
  rlimit next{.rlim_cur = std::min<rlim_t>(now.rlim_cur, most),
              .rlim_max = std::min<rlim_t>(now.rlim_max, most)};
  // The soft limit of CPU time sends SIGXCPU, which the parent can tell from a kill.
  if (resource == RLIMIT_CPU && next.rlim_max == most) next.rlim_max = next.rlim_cur + 1;
  if (::setrlimit(resource, &next) != 0) return os::failed("limit", name);
  rlimit after{};
  if (::getrlimit(resource, &after) != 0 || after.rlim_cur > most) return os::failed("limit", name);
  return {};
}

/// Without overflow; the result stands for "no limit" when it would.
std::uint64_t sum(std::uint64_t a, std::uint64_t b) {
  constexpr auto most = std::numeric_limits<std::uint64_t>::max();
  return a > most - b ? most : a + b;
}

Result<void> limit_memory(const Sandbox::Limits& limits, const Footprint& now) {
  if (limits.memory_bytes == 0) return {};
  const auto memory = limits.memory_bytes > (std::uint64_t{1} << 60)
                          ? limits.memory_bytes
                          : limits.memory_bytes * sanitizer_memory_factor;
  BULKHEAD_TRY(lower(RLIMIT_DATA, "private memory", sum(now.data_bytes, memory)));
  // Shadow memory of a sanitizer is terabytes of address space.
  if (limits.mapped_bytes == 0 || sanitized) return {};
  return lower(RLIMIT_AS, "address space", sum(sum(now.mapped_bytes, memory), limits.mapped_bytes));
}

}  // namespace

Footprint footprint() {
  // statm, proc(5): size resident shared text lib data, in pages.
  std::ifstream file{"/proc/self/statm"};
  std::uint64_t size = 0;
  std::uint64_t skipped = 0;
  std::uint64_t data = 0;
  file >> size >> skipped >> skipped >> skipped >> skipped >> data;
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return {.data_bytes = data * page, .mapped_bytes = size * page};
}

Result<void> set_limits(const Sandbox::Limits& limits, const Footprint& now, OwnNamespaces own) {
  BULKHEAD_TRY(lower(RLIMIT_CORE, "core dump size", 0));
  BULKHEAD_TRY(limit_memory(limits, now));
  if (limits.file_bytes != 0) BULKHEAD_TRY(lower(RLIMIT_FSIZE, "file size", limits.file_bytes));
  if (limits.descriptors != 0) {
    BULKHEAD_TRY(lower(RLIMIT_NOFILE, "descriptors", limits.descriptors));
  }
  if (limits.cpu_seconds != 0) BULKHEAD_TRY(lower(RLIMIT_CPU, "CPU time", limits.cpu_seconds));
  if (limits.tasks != 0 && own == OwnNamespaces::yes) {
    BULKHEAD_TRY(lower(RLIMIT_NPROC, "tasks", limits.tasks));
  }
  return {};
}

}  // namespace bulkhead::sandbox
