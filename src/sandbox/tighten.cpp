// SPDX-License-Identifier: Apache-2.0
#include "sandbox/tighten.hpp"

#include <algorithm>
#include <filesystem>
#include <sched.h>
#include <utility>

#include "os/syscall.hpp"
#include "sandbox/calls.hpp"
#include "sandbox/landlock.hpp"
#include "sandbox/root_folder.hpp"

namespace bulkhead::sandbox {
namespace {

namespace fs = std::filesystem;
using Folders = std::vector<std::string>;
using Need = Sandbox::Need;
using State = SandboxLayer::State;

/// By name alone: a path that leaves its folder by a link is refused by the layers in force.
bool lies_below(const std::string& path, const Folders& folders) {
  const auto inner = fs::path{path}.lexically_normal();
  return std::ranges::any_of(folders, [&](const std::string& folder) {
    const auto rest = inner.lexically_relative(fs::path{folder}.lexically_normal());
    return !rest.empty() && *rest.begin() != "..";
  });
}

std::string first_outside(const Folders& wanted, const Folders& granted) {
  const auto found =
      std::ranges::find_if_not(wanted, [&](const auto& path) { return lies_below(path, granted); });
  return found == wanted.end() ? "" : *found;
}

Folders joined(Folders list, const Folders& more) {
  list.insert(list.end(), more.begin(), more.end());
  return list;
}

std::unexpected<Error> refuse(const Sandbox& next, ErrorKind kind, std::string cause,
                              std::string remedy = {}) {
  return fail(kind, {.operation = "tighten",
                     .object = next.name,
                     .cause = std::move(cause),
                     .remedy = std::move(remedy)});
}

/// Asked of the kernel: the call has no effect in a process of one thread, and fails in others.
bool is_single_threaded() { return ::unshare(CLONE_VM) == 0; }

void note(SandboxReport& report, const char* name, State state, std::string why = {}) {
  const auto found = std::ranges::find(report.layers, name, &SandboxLayer::name);
  if (found == report.layers.end()) {
    report.layers.push_back({.name = name, .state = state, .why = std::move(why)});
  } else {
    *found = {.name = name, .state = state, .why = std::move(why)};
  }
}

/// Required for folders, as narrower ones depend on it. Without folders the filter lets nothing be
/// opened at all: then what was in force before may stay.
Result<void> narrow_files(const Sandbox& next, SandboxReport& report) {
  const auto granted = BULKHEAD_TRY(grants(next));
  const bool alone = is_single_threaded();
  if (!alone && !granted.empty()) {
    return refuse(next, ErrorKind::invalid, "folders are declared and there are several threads",
                  "tighten before the first thread is started, or declare no folders");
  }
  if (!alone || (next.landlock == Need::off && granted.empty())) return {};
  auto outcome = restrict_with_landlock(granted, next.network);
  if (outcome) {
    note(report, "landlock", State::in_force);
  } else if (!granted.empty() || next.landlock == Need::required) {
    return refuse(next, ErrorKind::denied, outcome.error().sentence());
  }
  return {};
}

}  // namespace

std::string wider(const Sandbox& now, const Sandbox& next) {
  if (next.calls > now.calls) return "calls";
  if (next.network > now.network) return "network";
  if (next.threads > now.threads) return "threads";
  if (next.tighten > now.tighten) return "tighten";
  if (next.control > now.control) return "control";
  const auto readable = joined(joined(now.readable, now.writable), now.loadable);
  if (auto path = first_outside(next.readable, readable); !path.empty()) return "readable " + path;
  if (auto path = first_outside(next.writable, now.writable); !path.empty()) {
    return "writable " + path;
  }
  if (auto path = first_outside(next.loadable, now.loadable); !path.empty()) {
    return "loadable " + path;
  }
  if (auto path = first_outside(next.devices, now.devices); !path.empty()) {
    return "devices " + path;
  }
  return {};
}

Result<SandboxReport> tighten(const Sandbox& now, const Sandbox& next, SandboxReport report) {
  if (now.tighten != Sandbox::Tighten::allowed || now.calls == Sandbox::Calls::all) {
    return refuse(next, ErrorKind::invalid, "the sandbox in force does not allow a second stage",
                  "start the role in one with Tighten::allowed");
  }
  if (const auto what = wider(now, next); !what.empty()) {
    return refuse(next, ErrorKind::invalid, "it is wider than what is in force: " + what);
  }
  report.name = next.name;
  BULKHEAD_TRY(narrow_files(next, report));
  if (auto filtered = filter_calls(next); !filtered) {
    return refuse(next, ErrorKind::denied, filtered.error().sentence());
  }
  note(report, "tightened", State::in_force);
  return report;
}

}  // namespace bulkhead::sandbox
