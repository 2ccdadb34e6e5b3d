// SPDX-License-Identifier: Apache-2.0
//
// KernelKills: whether the kernel has killed for lack of memory since we last looked, by the counter
// of this process's memory cgroup (memory.events, or memory.oom_control in version 1; cgroups(7)).
// Its SIGKILL looks like anybody's; the counter tells it from a person's. It counts for the whole
// cgroup, so a kill by hand at the same moment can be taken for it.
#pragma once

#include <cstdint>
#include <filesystem>

namespace bulkhead::pool {

class KernelKills {
 public:
  KernelKills();
  /// The number since the last call; 0 where there is no such counter.
  std::uint64_t news();

 private:
  std::uint64_t count() const;

  std::filesystem::path file_;
  std::uint64_t seen_ = 0;
};

}  // namespace bulkhead::pool
