// SPDX-License-Identifier: Apache-2.0
#include "sandbox/apply.hpp"

#include <csignal>
#include <ctime>
#include <filesystem>
#include <functional>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
#include <utility>

#include "os/syscall.hpp"
#include "sandbox/calls.hpp"
#include "sandbox/landlock.hpp"
#include "sandbox/limits.hpp"
#include "sandbox/namespaces.hpp"
#include "sandbox/privileges.hpp"
#include "sandbox/root_folder.hpp"
#include "sandbox/sanitizer.hpp"
#include "sandbox/violation.hpp"

namespace bulkhead::sandbox {
namespace {

using Need = Sandbox::Need;
using State = SandboxLayer::State;

class Layers {
 public:
  explicit Layers(std::string name) { report_.name = std::move(name); }

  /// Runs a layer. An error only when it was required.
  Result<void> add(const char* name, Need need, const std::function<Result<void>()>& layer) {
    if (need == Need::off) {
      report_.layers.push_back({.name = name, .state = State::off});
      return {};
    }
    auto outcome = layer();
    if (!outcome && need == Need::required) {
      return fail(ErrorKind::denied,
                  {.operation = "sandbox",
                   .object = report_.name,
                   .cause = std::string{"layer "} + name +
                            " is required and not in force: " + outcome.error().sentence(),
                   .code = outcome.error().code()});
    }
    report_.layers.push_back({.name = name,
                              .state = outcome ? State::in_force : State::unavailable,
                              .why = outcome ? "" : outcome.error().sentence()});
    return {};
  }

  bool in_force(std::string_view name) const {
    for (const auto& layer : report_.layers) {
      if (layer.name == name) return layer.state == State::in_force;
    }
    return false;
  }

  SandboxReport finish() && {
    report_.locked = true;
    return std::move(report_);
  }

 private:
  SandboxReport report_;
};

/// Some layers bind only the thread that calls. Without /proc nobody can tell; then it is believed.
Result<void> check_single_thread() {
  std::error_code error;
  std::filesystem::directory_iterator threads{"/proc/self/task", error};
  if (error) return {};
  if (std::distance(begin(threads), end(threads)) <= 1) return {};
  return fail(ErrorKind::invalid, {.operation = "apply",
                                   .object = "sandbox",
                                   .cause = "the process has several threads already"});
}

/// What libc would open at its first use, while it still can.
Result<void> warm_up() {
  ::tzset();
  prepare_sanitizer();
  struct sigaction action{};
  if (::sigaction(SIGSYS, nullptr, &action) != 0) return os::failed("read", "handler of SIGSYS");
  // Violations are reported by whoever wants to; libc's probes are answered in any case.
  if (action.sa_handler == SIG_DFL) return handle_violations(nullptr);
  return {};
}

/// Changes of user namespace and privileges can clear it, prctl(2).
class ParentDeathSignal {
 public:
  ParentDeathSignal() : parent_(::getppid()) { ::prctl(PR_GET_PDEATHSIG, &signal_, 0, 0, 0); }

  Result<void> restore() const {
    if (signal_ == 0) return {};
    if (::prctl(PR_SET_PDEATHSIG, signal_, 0, 0, 0) != 0) {
      return os::failed("keep", "parent-death signal");
    }
    if (::getppid() == parent_) return {};
    return fail(ErrorKind::peer_died, {.operation = "sandbox", .object = "the parent"});
  }

 private:
  pid_t parent_;
  int signal_ = 0;
};

/// From the kernel and not from what the layers believe.
Result<void> check_locked(const Sandbox& sandbox) {
  rlimit core{};
  const bool locked = ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 &&
                      ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 &&
                      ::getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0 &&
                      (sandbox.calls == Sandbox::Calls::all || calls_are_filtered());
  if (locked) return {};
  return fail(ErrorKind::denied, {.operation = "sandbox",
                                  .object = sandbox.name,
                                  .cause = "the kernel says that it is not locked in"});
}

/// Nothing else stands for a declared lack of network when calls are not filtered.
Need namespaces_need(const Sandbox& sandbox) {
  const bool only_guard =
      sandbox.calls == Sandbox::Calls::all && sandbox.network == Sandbox::Network::none;
  return only_guard ? Need::required : sandbox.namespaces;
}

/// Nor for declared folders, when there is no own root folder.
Need landlock_need(const Sandbox& sandbox, bool granted, bool own_root) {
  return granted && !own_root ? Need::required : sandbox.landlock;
}

}  // namespace

Result<SandboxReport> apply(const Sandbox& sandbox) {
  if (!sandbox.confines()) return SandboxReport{.name = sandbox.name};
  BULKHEAD_TRY(check_single_thread());
  BULKHEAD_TRY(warm_up());
  const ParentDeathSignal death_signal;
  const auto granted = BULKHEAD_TRY(grants(sandbox));
  const auto now = footprint();

  Layers layers{sandbox.name};
  BULKHEAD_TRY(layers.add("no_new_privs", Need::required, [] {
    auto clean = reset_personality();
    return clean ? set_no_new_privs() : clean;
  }));
  BULKHEAD_TRY(layers.add("namespaces", namespaces_need(sandbox),
                          [&] { return enter_namespaces(sandbox.network); }));
  const bool own = layers.in_force("namespaces");
  const bool wants_root = own && (sandbox.calls == Sandbox::Calls::compute || !granted.empty());
  BULKHEAD_TRY(layers.add("root_folder", wants_root ? sandbox.namespaces : Need::off,
                          [&] { return change_root(granted); }));
  const bool own_root = layers.in_force("root_folder");
  BULKHEAD_TRY(layers.add("landlock", landlock_need(sandbox, !granted.empty(), own_root),
                          [&] { return restrict_with_landlock(granted, sandbox.network); }));
  BULKHEAD_TRY(layers.add("privileges", Need::required, drop_capabilities));
  BULKHEAD_TRY(layers.add("limits", Need::required, [&] {
    return set_limits(sandbox.limits, now, own ? OwnNamespaces::yes : OwnNamespaces::no);
  }));
  BULKHEAD_TRY(layers.add("not_dumpable", Need::required, set_not_dumpable));
  BULKHEAD_TRY(death_signal.restore());
  BULKHEAD_TRY(layers.add("calls",
                          sandbox.calls == Sandbox::Calls::all ? Need::off : Need::required,
                          [&] { return filter_calls(sandbox); }));
  BULKHEAD_TRY(check_locked(sandbox));
  return std::move(layers).finish();
}

}  // namespace bulkhead::sandbox
