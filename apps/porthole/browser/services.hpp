// SPDX-License-Identifier: Apache-2.0
//
// Services: what every tab and every child's other half in the browser process shares. Made and
// owned by Browser; all of it outlives whoever is given it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "browser/hang_watch.hpp"
#include "browser/loader.hpp"
#include "browser/loops.hpp"
#include "browser/roles.hpp"
#include "interfaces/types.hpp"

namespace porthole {

class GpuProcess;
class PluginProcesses;

/// Numbers that are never used again within one run.
class Numbers {
 public:
  LayerId layer() { return LayerId{++layer_}; }
  NavigationId navigation() { return NavigationId{++navigation_}; }

 private:
  std::uint32_t layer_ = 0;
  std::uint64_t navigation_ = 0;
};

struct Services {
  Loops& loops;
  const Roles& roles;
  Loader& loader;
  GpuProcess& gpu;
  PluginProcesses& plugins;
  Numbers& numbers;
  HangLimits hang;
  /// A page of ours that takes time to make; null when `url` is not one.
  std::function<std::unique_ptr<Load>(const std::string& url,
                                      std::function<void(bulkhead::Result<Loaded>)> done)>
      slow_page;
  /// One line for people: "URL: reason".
  std::function<void(const std::string& about, const std::string& reason)> report;
};

/// "2 s", "1.5 s"
std::string seconds_of(std::chrono::milliseconds time);

}  // namespace porthole
