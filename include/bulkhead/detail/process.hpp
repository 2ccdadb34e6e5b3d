// SPDX-License-Identifier: Apache-2.0
//
// The insides of spawn: what becomes of a role that is named as a template argument. A role is
// identified by where its `entry` lies in the executable, so that two file-local functions of one
// name are two roles; its name is for people.
#pragma once

#include <string_view>
#include <utility>

#include <bulkhead/detail/export.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead {

class Bootstrap;
class Process;
struct SpawnOptions;

namespace detail {

struct BootstrapState;
struct ProcessState;

using RoleEntry = void (*)(Bootstrap&);

template <auto Role> void entry(Bootstrap& boot) { Role(boot); }

/// "decoder" from the compiler's spelling of a template argument.
constexpr std::string_view last_name(std::string_view spelled) {
  if (spelled.find("lambda") != spelled.npos) return "lambda";
  if (const auto angle = spelled.find('<'); angle != spelled.npos) {
    spelled = spelled.substr(0, angle);
  }
  if (const auto colons = spelled.rfind("::"); colons != spelled.npos) {
    spelled = spelled.substr(colons + 2);
  }
  return spelled;
}

template <auto Function> constexpr std::string_view role_name() {
  std::string_view text = __PRETTY_FUNCTION__;  // "... [with auto Function = decoder; ...]"
  text = text.substr(text.find("Function = ") + std::string_view{"Function = "}.size());
  text = text.substr(0, text.find_first_of(";]"));
  while (text.starts_with('&') || text.starts_with('(')) text.remove_prefix(1);
  return last_name(text.substr(0, text.find('(', text.starts_with("anonymous") ? 12 : 0)));
}

BULKHEAD_API Result<Process> spawn(RoleEntry entry, std::string_view name, SpawnOptions options);

/// Finds bulkhead::serve when the role is compiled, so that <bulkhead/process.hpp> need not bring
/// the service layer.
template <class Interface, class Channel, class Implementation>
auto serve_channel(Channel& channel, Implementation&& implementation) {
  return serve<Interface>(channel, std::forward<Implementation>(implementation));
}

}  // namespace detail
}  // namespace bulkhead
