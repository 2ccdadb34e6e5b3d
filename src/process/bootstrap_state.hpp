// SPDX-License-Identifier: Apache-2.0
//
// BootstrapState: what a role is given, in either placement.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <bulkhead/process.hpp>

namespace bulkhead::detail {

struct BootstrapState {
  explicit BootstrapState(Channel main) : channel(std::move(main)) {}

  std::string name;
  Placement placement = Placement::process;
  Sandbox sandbox = sandbox::none;
  SandboxReport report;
  Channel channel;
  std::vector<HandOver<Channel>::Item> channels;
  std::vector<HandOver<Region>::Item> regions;
  std::vector<HandOver<Fd>::Item> descriptors;
  std::optional<Arguments> arguments;

  static Bootstrap make(std::unique_ptr<BootstrapState> state) {
    return Bootstrap{std::move(state)};
  }
  static BootstrapState& of(Bootstrap& boot) { return *boot.state_; }
};

}  // namespace bulkhead::detail
