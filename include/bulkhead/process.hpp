// SPDX-License-Identifier: Apache-2.0
//
// Process: a role of this program that runs in a process of its own.
//
//   void decoder(Bootstrap& boot) { boot.serve<Decoder>(PngDecoder{}); }   // runs in the child
//
//   int main(int argc, char** argv) {
//     bulkhead::init(argc, argv);                                       // a child goes no further
//     Process child = or_exit(spawn<decoder>({.sandbox = sandbox::compute_only}));
//     Remote<Decoder> remote{child.channel()};
//   }
//
// A role is a function of the executable (or a lambda without captures). Its process starts by exec
// of the executable, so static initialisers run in it too, and a role that returns leaves through
// exit(). What it is not for: other programs, and roles that lie in a shared library
// (`unsupported`).
//
// Threads: spawn from any number of threads. A Process is used by one thread at a time; wait,
// terminate and kill may be called from several.
// Ownership: a Process ends its child when it goes: it closes the channel, waits `grace` for it to
// leave by itself, asks with SIGTERM, waits `grace` again, kills, and reaps. So it may block for
// twice the grace, and never leaves a zombie.
// No orphans: the child and what it has forked die with this process, however this process ends; by
// the kernel, without a thread. What they start with setsid or setpgid escapes that.
// Peer death: calls on channel() fail with `peer_died` and with how the process ended.
// Guests: this process's signal handlers, SIGCHLD among them, are left alone. The host may reap
// with waitpid(-1): how the child ended is then learned from the kernel in another way
// (Linux 6.15), else from the child's own last words. After a fork() the copy has no children: its
// Process objects answer `invalid`, and end nothing.
// Trust: a sandboxed child is `untrusted` unless the options say otherwise.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <bulkhead/channel.hpp>
#include <bulkhead/deadline.hpp>
#include <bulkhead/detail/process.hpp>
#include <bulkhead/exit.hpp>
#include <bulkhead/fd.hpp>
#include <bulkhead/region.hpp>
#include <bulkhead/result.hpp>
#include <bulkhead/sandbox.hpp>
#include <bulkhead/trust.hpp>

namespace bulkhead {

/// First thing in main. In a process that spawn started it runs the role and leaves through exit();
/// otherwise it remembers the executable, for spawn. Again: nothing.
BULKHEAD_API void init(int argc, char** argv);

/// Where a child's standard output and error go.
class BULKHEAD_API Output {
 public:
  enum class Kind : std::uint8_t { inherit, discard, file, captured, prefixed };

  /// To where this process's go.
  static Output inherit() { return Output{Kind::inherit}; }
  static Output discard() { return Output{Kind::discard}; }
  /// Appended to a file, made with mode 0600.
  static Output file(std::filesystem::path path) { return Output{Kind::file, std::move(path)}; }
  /// Into Process::output(), for the caller to read. A child that writes more than a pipe holds
  /// (64 KiB) before somebody reads has to wait.
  static Output captured() { return Output{Kind::captured}; }
  /// To this process's standard error, each line behind "name (pid): ". There is no thread that
  /// does it: lines are passed on while a thread is in wait or terminate, when the Process goes,
  /// and by forward_output().
  static Output prefixed() { return Output{Kind::prefixed}; }

  Kind kind() const noexcept { return kind_; }
  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  explicit Output(Kind kind, std::filesystem::path path = {})
      : kind_(kind), path_(std::move(path)) {}

  Kind kind_;
  std::filesystem::path path_;
};

/// Things handed over by name: `.channels = {{"log", std::move(log)}}`. They move to the child.
template <class T> class HandOver {
 public:
  struct Item {
    Item(std::string_view called, T what) : name(called), thing(std::move(what)) {}
    std::string name;
    mutable T thing;  // an initializer_list shows its elements as const only
  };

  HandOver() = default;
  HandOver(std::initializer_list<Item> items) {
    for (const Item& item : items) add(item.name, std::move(item.thing));
  }
  void add(std::string_view name, T thing) { items_.emplace_back(name, std::move(thing)); }

  std::vector<Item>& items() noexcept { return items_; }

 private:
  std::vector<Item> items_;
};

/// Values for the role, read by Bootstrap::arguments with the same types. Made by arguments().
struct Arguments {
  std::uint64_t shape = 0;  ///< of their types, so that a role that reads others is told
  std::vector<std::byte> bytes{};
  std::vector<Handle> handles{};
  std::shared_ptr<const Error> failure{};  ///< they cannot be encoded: told by spawn
};

/// `.arguments = arguments(1, "text", config)`: whatever wire can encode, handles too.
template <class... T> Arguments arguments(T&&... values);

enum class Placement : std::uint8_t {
  process,
  /// A thread of this process, over an `inproc` channel: nothing is isolated. It must be without
  /// sandbox, ends by the closing of its channel, and cannot be killed (`unsupported`).
  thread,
};

enum class Lifetime : std::uint8_t {
  with_parent,
  /// Outlives this process and its Process, which then only stops watching it.
  independent,
};

enum class ProcessGroup : std::uint8_t {
  own,      ///< Ctrl-C at the terminal does not reach it
  parents,  ///< it does; and grandchildren may outlive the child
};

struct SpawnOptions {
  /// How errors call it: "decoder (4711)". The role's name unless given.
  std::string name = {};
  Sandbox sandbox = sandbox::none;
  Arguments arguments = {};
  HandOver<Channel> channels = {};
  HandOver<Region> regions = {};
  HandOver<Fd> descriptors = {};
  Output output = Output::inherit();
  /// Its standard input is this descriptor's copy; /dev/null unless given.
  FdView input = {};
  /// "NAME=value". Unless given: this process's, or for a sandboxed child PATH, LANG, LC_*, TZ and
  /// BULKHEAD_* of it.
  std::optional<std::vector<std::string>> environment = {};
  std::filesystem::path working_directory = {};
  Placement placement = Placement::process;
  /// What the main channel is made of.
  Mechanism mechanism = Mechanism::shm;
  ChannelOptions channel = {};
  /// What is assumed of the child; `untrusted` with a sandbox and `equal` without, unless given.
  std::optional<Trust> trust = {};
  /// Within this its role has to begin, or it is killed: `timed_out`.
  std::chrono::milliseconds start_limit = std::chrono::seconds(10);
  /// See Process: how long it may take to leave.
  std::chrono::milliseconds grace = std::chrono::milliseconds(250);
  Lifetime lifetime = Lifetime::with_parent;
  ProcessGroup group = ProcessGroup::own;
};

/// The parent's side of a role.
class BULKHEAD_API Process {
 public:
  Process(Process&&) noexcept;
  Process& operator=(Process&&) noexcept;
  ~Process();

  /// This process's own for a role on a thread.
  pid_t pid() const noexcept;
  const std::string& name() const noexcept;
  /// "decoder (4711)"
  std::string who() const;
  /// The main channel; its other end is Bootstrap::channel().
  Channel& channel() noexcept;

  /// How it ended; `timed_out` while it runs. Again: the same.
  Result<Exit> wait(Deadline deadline);
  /// The same without waiting; `empty` while it runs.
  Result<Exit> try_exit();
  bool running();
  /// Completion signature void(Result<Exit>); include <bulkhead/asio.hpp>.
  template <class Token> auto async_wait(Token&& token);

  /// Closes the channel, gives it `grace` to leave, then SIGTERM and `grace` again, then SIGKILL.
  Result<Exit> terminate(std::chrono::milliseconds grace);
  Result<Exit> terminate();
  /// SIGKILL for it and what it forked. With words, its Exit is a hang of that description.
  Result<Exit> kill(std::string hang = {});

  /// Polls readable when it has ended. Owned by the Process.
  FdView pidfd() const noexcept;
  /// The layers that confine it, as it reported before its role began.
  const SandboxReport& sandbox_report() const noexcept;

  /// With Output::captured: a pipe to read from, not blocking, at its end when the child and all it
  /// forked have gone. Empty otherwise.
  FdView output() const noexcept;
  /// With Output::prefixed: passes on what has arrived, without waiting.
  void forward_output();

 private:
  friend struct detail::ProcessState;
  Process(std::shared_ptr<detail::ProcessState> state, Channel channel) noexcept;

  std::shared_ptr<detail::ProcessState> state_;
  Channel channel_;
};

/// What a role is given. Lives as long as the role runs.
class BULKHEAD_API Bootstrap {
 public:
  Bootstrap(const Bootstrap&) = delete;
  Bootstrap& operator=(const Bootstrap&) = delete;
  ~Bootstrap();

  const std::string& name() const noexcept;
  Placement placement() const noexcept;
  const SandboxReport& sandbox_report() const noexcept;

  /// The second stage of a sandbox that declares `tighten`: from its return on, no thread of this
  /// process can do more than `stricter` says. Its limits and namespaces stay those of the start.
  /// The report is the role's from now on; the parent goes on seeing the first.
  /// Errors: `invalid` when it is wider than what is in force, naming the field, when `tighten` was
  /// not declared, or when it names folders and there are several threads; `denied` when the system
  /// refuses: then the role must end, as a part may be in force. A role on a thread has no sandbox:
  /// nothing happens, and the report says so.
  /// TRUST: code that was loaded in the first stage and is hostile need not let it come to this;
  /// the first stage is all that holds such code.
  Result<SandboxReport> tighten(const Sandbox& stricter);

  /// The channel to the parent.
  Channel& channel() noexcept;
  /// What was handed over by name; each can be taken once (`not_found`).
  Result<Channel> channel(std::string_view name);
  Result<Region> region(std::string_view name);
  Result<Fd> descriptor(std::string_view name);

  /// The values given to spawn: `auto [count, text] = or_exit(boot.arguments<int, std::string>())`.
  /// `incompatible` when they are of other types. Once: handles move out.
  template <class... T> Result<std::tuple<T...>> arguments();

  /// Serves Interface on the channel until the parent closes it. Needs <bulkhead/service.hpp>.
  template <class Interface, class Implementation>
  Result<void> serve(Implementation&& implementation) {
    return detail::serve_channel<Interface>(channel(),
                                            std::forward<Implementation>(implementation));
  }

 private:
  friend struct detail::BootstrapState;
  explicit Bootstrap(std::unique_ptr<detail::BootstrapState> state) noexcept;
  Result<Arguments> take_arguments(std::uint64_t shape);

  std::unique_ptr<detail::BootstrapState> state_;
};

/// Starts `Role` and returns when it begins: sandboxed, with its channel connected. Errors name
/// what failed: `invalid` before init, `exhausted` without room for another process or descriptor,
/// `unsupported` for a role in a shared library, `denied` for a sandbox that this system does not
/// allow, `timed_out`, and `peer_died` when it died first. Nothing is left behind then.
template <auto Role>
  requires std::invocable<decltype(Role), Bootstrap&>
Result<Process> spawn(SpawnOptions options = {}) {
  return detail::spawn(&detail::entry<Role>, detail::role_name<Role>(), std::move(options));
}

}  // namespace bulkhead

#include <bulkhead/detail/process_arguments.hpp>
