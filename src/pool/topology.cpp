// SPDX-License-Identifier: Apache-2.0
#include "pool/topology.hpp"

#include <algorithm>
#include <iterator>
#include <type_traits>
#include <utility>

#ifdef BULKHEAD_HAS_HWLOC
#include <dlfcn.h>
#include <hwloc.h>
#endif

namespace bulkhead::pool {
namespace {

std::vector<Core> each_alone(const std::vector<unsigned>& cpus) {
  std::vector<Core> cores;
  for (const unsigned cpu : cpus) cores.push_back({cpu});
  return cores;
}

#ifdef BULKHEAD_HAS_HWLOC

/// What we use of the library, with the types of its header.
struct Hwloc {
  decltype(&::hwloc_topology_init) init = nullptr;
  decltype(&::hwloc_topology_set_synthetic) set_synthetic = nullptr;
  decltype(&::hwloc_topology_load) load = nullptr;
  decltype(&::hwloc_topology_destroy) destroy = nullptr;
  decltype(&::hwloc_get_type_depth) depth_of = nullptr;
  decltype(&::hwloc_get_nbobjs_by_depth) count_at = nullptr;
  decltype(&::hwloc_get_obj_by_depth) object_at = nullptr;
  decltype(&::hwloc_bitmap_isset) is_set = nullptr;
  bool complete = true;

  Hwloc() {
    void* library = ::dlopen(library_name, RTLD_NOW | RTLD_LOCAL);
    const auto find = [&](auto& function, const char* name) {
      void* found = library != nullptr ? ::dlsym(library, name) : nullptr;
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(found);
      complete = complete && found != nullptr;
    };
    find(init, "hwloc_topology_init");
    find(set_synthetic, "hwloc_topology_set_synthetic");
    find(load, "hwloc_topology_load");
    find(destroy, "hwloc_topology_destroy");
    find(depth_of, "hwloc_get_type_depth");
    find(count_at, "hwloc_get_nbobjs_by_depth");
    find(object_at, "hwloc_get_obj_by_depth");
    find(is_set, "hwloc_bitmap_isset");
  }

  static_assert(HWLOC_API_VERSION >= 0x20000, "the library's name belongs to hwloc 2");
  static constexpr const char* library_name = "libhwloc.so.15";
};

const Hwloc& hwloc() {
  static const Hwloc library;  // stays open
  return library;
}

#endif

}  // namespace

#ifdef BULKHEAD_HAS_HWLOC

bool has_topology() { return hwloc().complete; }

std::vector<Core> cores_of(const std::vector<unsigned>& cpus, const char* synthetic) {
  if (!has_topology()) return each_alone(cpus);
  const Hwloc& call = hwloc();
  hwloc_topology_t topology = nullptr;
  if (call.init(&topology) != 0) return each_alone(cpus);
  if (synthetic != nullptr) call.set_synthetic(topology, synthetic);
  std::vector<Core> cores;
  std::size_t placed = 0;
  if (call.load(topology) == 0) {
    const int depth = call.depth_of(topology, HWLOC_OBJ_CORE);
    const unsigned count = depth >= 0 ? call.count_at(topology, depth) : 0;
    for (unsigned i = 0; i < count; ++i) {
      const auto* object = call.object_at(topology, depth, i);
      Core core;
      std::ranges::copy_if(cpus, std::back_inserter(core),
                           [&](unsigned cpu) { return call.is_set(object->cpuset, cpu) != 0; });
      placed += core.size();
      if (!core.empty()) cores.push_back(std::move(core));
    }
  }
  call.destroy(topology);
  // One that hwloc has not seen (it was put online a moment ago, or /sys is not there) is no reason
  // to leave CPUs out.
  if (placed != cpus.size()) return each_alone(cpus);
  std::ranges::sort(cores);
  return cores;
}

#else

bool has_topology() { return false; }
std::vector<Core> cores_of(const std::vector<unsigned>& cpus, const char*) {
  return each_alone(cpus);
}

#endif

Split split(const std::vector<Core>& cores) {
  Split places{.master = cores.front().front(), .workers = {}};
  if (cores.size() == 1) {
    places.workers.assign(cores.front().begin() + 1, cores.front().end());
    return places;
  }
  for (auto core = cores.begin() + 1; core != cores.end(); ++core) {
    places.workers.insert(places.workers.end(), core->begin(), core->end());
  }
  return places;
}

}  // namespace bulkhead::pool
