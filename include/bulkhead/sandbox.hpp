// SPDX-License-Identifier: Apache-2.0
//
// Sandbox: what a role process may do, declared rather than programmed. It is plain data: write it
// down, compare it, keep it in a configuration; spawn() carries it to the child, which confines
// itself before its role begins and can never take that back.
//
//   spawn<decoder>({.sandbox = sandbox::compute_only});
//   spawn<indexer>({.sandbox = sandbox::read_only("/usr/share/dict")});
//   Sandbox two_cores = sandbox::compute_only;  two_cores.limits.memory_bytes = 64 << 20;
//
// In two stages, for a role that first loads code or warms up and then meets what it does not trust:
// declare the first with `tighten` and end it by Bootstrap::tighten(). It only ever gets stricter.
//
// A default-made Sandbox is the strictest one (compute_only); every field that is set widens it.
// What a role was given at its start (its channels, standard output) it keeps: the sandbox is about
// what it can reach beyond that.
//
// Layers: no_new_privs, privileges, limits, not dumpable and the system-call filter are always
// required: when one cannot be put in force, the role never starts and the error says why.
// Namespaces and Landlock are not allowed everywhere (containers, hardened hosts); they add to the
// filter, so they are best effort unless declared `required`, and SandboxReport tells what was
// achieved. Never silently less: what a declaration depends on is required whatever is written here
// (folders and devices need Landlock or an own root folder, the latter being part of the
// namespaces; Network::none without a filter needs an own network namespace).
//
// A forbidden system call ends the process: its Exit is a sandbox_violation that names the call.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include <bulkhead/detail/export.hpp>

namespace bulkhead {

struct Sandbox {
  /// Which system calls exist at all.
  enum class Calls : std::uint8_t {
    /// Memory, threads, clocks and what was given. No files, sockets or programs, other than the
    /// folders and the network declared below.
    compute,
    /// No filter: the role is as free as its parent.
    all,
  };
  enum class Network : std::uint8_t { none, inherit };
  /// `none`: starting one fails with EAGAIN. Only the filter can tell, so not with Calls::all.
  enum class Threads : std::uint8_t { none, allowed };
  /// `allowed`: the role may make it stricter by Bootstrap::tighten(), and so may whatever else runs
  /// in it. Never wider.
  enum class Tighten : std::uint8_t { none, allowed };
  /// Control calls, ioctl(2), of devices that are open. `graphics`: of the kernel's graphics drivers,
  /// drm(7); these are many and large, so give them to no process that meets strangers' code.
  enum class Control : std::uint8_t { none, graphics };
  enum class Need : std::uint8_t {
    off,          ///< not wanted
    best_effort,  ///< as far as this system lets us; the report says
    required,     ///< or the role does not start
  };

  /// 0 stands for no limit of its own: that of the parent stays. A limit never raises one.
  struct Limits {
    /// Heap, stacks and other private memory, on top of what the process has when it starts. Beyond
    /// it allocations fail (std::bad_alloc). Four times as much in builds with a sanitizer.
    std::uint64_t memory_bytes = std::uint64_t{512} << 20;
    /// Address space for memory shared with others, on top of memory_bytes.
    std::uint64_t mapped_bytes = std::uint64_t{1} << 30;
    /// Largest file or memory file that it can make.
    std::uint64_t file_bytes = std::uint64_t{1} << 30;
    /// CPU time of all its threads. None by default: a service may live for long, and a call that
    /// takes too long is ended by its own deadline.
    std::uint32_t cpu_seconds = 0;
    std::uint32_t descriptors = 256;
    /// Threads, and processes where those are allowed. Counted by the kernel only for a normal user
    /// in namespaces of its own; elsewhere memory_bytes is what ends a flood of threads.
    std::uint32_t tasks = 64;

    friend bool operator==(const Limits&, const Limits&) = default;
  };

  /// For reports and errors.
  std::string name = "compute_only";
  Calls calls = Calls::compute;
  Network network = Network::none;
  Threads threads = Threads::allowed;
  Tighten tighten = Tighten::none;
  Control control = Control::none;
  Need namespaces = Need::best_effort;
  Need landlock = Need::best_effort;
  /// Files, or folders with all that is in them. Relative paths start at the child's folder.
  std::vector<std::string> readable{};
  /// As readable, and the content may be changed, made and removed.
  std::vector<std::string> writable{};
  /// As readable, and shared objects in them may be loaded (dlopen). Whoever can load code runs code:
  /// a loaded object is as free as this declaration, from its constructors on.
  std::vector<std::string> loadable{};
  /// Device files, or folders of them, that may be opened for reading and writing. What can be done
  /// with them beyond that, `control` says.
  std::vector<std::string> devices{};
  Limits limits{};

  /// False for sandbox::none and its like: nothing is asked for.
  bool confines() const noexcept {
    return calls != Calls::all || network != Network::inherit || threads != Threads::allowed ||
           namespaces != Need::off || landlock != Need::off || !readable.empty() ||
           !writable.empty() || !loadable.empty() || !devices.empty() || control != Control::none ||
           limits != Limits{.memory_bytes = 0,
                            .mapped_bytes = 0,
                            .file_bytes = 0,
                            .cpu_seconds = 0,
                            .descriptors = 0,
                            .tasks = 0};
  }

  friend bool operator==(const Sandbox&, const Sandbox&) = default;
};

/// What came of one layer.
struct SandboxLayer {
  enum class State : std::uint8_t {
    off,          ///< not declared
    in_force,     ///< and checked
    unavailable,  ///< this system does not let us; `why` says what is missing
  };

  std::string name;
  State state = State::off;
  std::string why{};

  friend bool operator==(const SandboxLayer&, const SandboxLayer&) = default;
};

/// What is in force in a process, told by itself before its role began.
struct SandboxReport {
  /// The Sandbox's name.
  std::string name{};
  /// Set last, when the process has read back from the kernel that it is locked in. False for
  /// sandbox::none.
  bool locked = false;
  std::vector<SandboxLayer> layers{};

  friend bool operator==(const SandboxReport&, const SandboxReport&) = default;
};

/// "compute_only: locked; in force: no_new_privs, ...; unavailable: namespaces (EPERM)"
BULKHEAD_API std::string to_string(const SandboxReport& report);
BULKHEAD_API std::ostream& operator<<(std::ostream& out, const SandboxReport& report);

namespace sandbox {

/// No sandbox: for processes as trustworthy as this one.
inline const Sandbox none{.name = "none",
                          .calls = Sandbox::Calls::all,
                          .network = Sandbox::Network::inherit,
                          .namespaces = Sandbox::Need::off,
                          .landlock = Sandbox::Need::off,
                          .limits = {.memory_bytes = 0,
                                     .mapped_bytes = 0,
                                     .file_bytes = 0,
                                     .cpu_seconds = 0,
                                     .descriptors = 0,
                                     .tasks = 0}};

/// Nothing but computing on what it is sent.
inline const Sandbox compute_only{};

/// compute_only, and reading below one folder.
BULKHEAD_API Sandbox read_only(std::string folder);

}  // namespace sandbox
}  // namespace bulkhead
