// SPDX-License-Identifier: Apache-2.0
#include "process/spawn.hpp"

#include <array>
#include <cstdlib>
#include <sys/socket.h>

#include "channel/channel_state.hpp"
#include "os/poll.hpp"
#include "os/socket.hpp"
#include "process/birth.hpp"
#include "process/child.hpp"
#include "process/environment.hpp"
#include "process/executable.hpp"
#include "process/fork_gap.hpp"
#include "process/process_state.hpp"

namespace bulkhead {
namespace process {
namespace {

using detail::ChannelState;
using detail::ProcessState;

/// The child, for as long as spawn may still fail: then it is ended and reaped.
class Unfinished {
 public:
  Unfinished() : state_(std::make_shared<ProcessState>()) {}
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;
  ~Unfinished() {
    if (state_ && state_->pidfd) static_cast<void>(state_->kill({}));
  }

  ProcessState* operator->() { return state_.get(); }
  ProcessState& operator*() { return *state_; }
  std::shared_ptr<ProcessState> finish() && { return std::move(state_); }

 private:
  std::shared_ptr<ProcessState> state_;
};

/// All that the child gets, in the order in which Birth names it.
struct Belongings {
  Birth birth;
  std::vector<Handle> handles;
};

/// A role's own end of a channel must work behind its filter and in its namespaces.
Result<void> check_channels(SpawnOptions& options) {
  const Sandbox& sandbox = options.sandbox;
  if (sandbox.calls == Sandbox::Calls::all && sandbox.namespaces == Sandbox::Need::off) return {};
  BULKHEAD_TRY(transport::check_fits_sandbox(options.mechanism));
  for (const auto& item : options.channels.items()) {
    BULKHEAD_TRY(transport::check_fits_sandbox(item.thing.mechanism()));
  }
  return {};
}

/// Whoever gets a SharedRegion can write what this process believes: equals only.
Result<void> check_arguments(const SpawnOptions& options, Trust trust) {
  if (trust == Trust::equal) return {};
  for (const Handle& handle : options.arguments.handles) {
    if (handle.kind() != Handle::Kind::shared_region) continue;
    return fail(ErrorKind::denied, {.cause = "a SharedRegion for a child that is not trusted",
                                    .remedy = "publish or freeze a Region and hand that over"});
  }
  return {};
}

template <class T>
Result<void> pack(HandOver<T>& from, std::vector<std::string>& names, std::vector<Handle>& into) {
  for (auto& [name, thing] : from.items()) {
    names.push_back(name);
    if constexpr (std::is_same_v<T, Fd>) {
      into.emplace_back(std::move(thing));
    } else {
      into.push_back(BULKHEAD_TRY(std::move(thing).into_handle()));
    }
  }
  return {};
}

Result<Belongings> pack(SpawnOptions& options, Handle main) {
  Belongings all;
  Birth& birth = all.birth;
  all.handles.push_back(std::move(main));
  BULKHEAD_TRY(pack(options.channels, birth.channels, all.handles));
  BULKHEAD_TRY(pack(options.regions, birth.regions, all.handles));
  BULKHEAD_TRY(pack(options.descriptors, birth.descriptors, all.handles));
  for (auto& handle : options.arguments.handles) all.handles.push_back(std::move(handle));
  birth.arguments_shape = options.arguments.shape;
  birth.arguments = std::move(options.arguments.bytes);
  birth.build_id = build_id();
  birth.name = options.name;
  birth.sandbox = options.sandbox;
  birth.capacity_bytes = options.channel.capacity_bytes;
  birth.max_message_bytes = options.channel.max_message_bytes;
  return all;
}

/// What becomes of a failure to tell the child, or to hear from it: a dead one is told as that.
Error why_not(ProcessState& state, Error error) {
  using namespace std::chrono_literals;
  if (error != ErrorKind::closed && error != ErrorKind::peer_died) return error;
  auto exit = state.wait(1s);
  if (!exit) return error;
  return Error::died("spawn", state.who(), Exit::of(Exit::Cause::never_started, to_string(*exit)));
}

/// `empty` while it has not said anything and has time.
Result<SandboxReport> hear_answer(ProcessState& state, Deadline deadline) {
  Result<SandboxReport> answer;
  auto heard = receive_answer(state.vitals, answer);
  if (heard) return answer;
  if (heard.error() != ErrorKind::empty) return fail(why_not(state, std::move(heard).error()));
  if (!deadline.expired()) return fail(ErrorKind::empty);
  return fail(ErrorKind::timed_out,
              {.cause = "its role did not begin in time",
               .remedy = "look at what its static initialisers do, or raise start_limit"});
}

Result<Started> launch(const SpawnOptions& options, std::string_view role, FdView bootstrap,
                       Fd& reading) {
  auto streams = BULKHEAD_TRY(open_streams(options.output, options.input));
  const auto environment = environment_for(options);
  const std::string flag = child_flag + std::to_string(bootstrap_fd);
  const std::string shown{role};
  const std::array<const char*, 4> arguments{origin()->program.c_str(), flag.c_str(), shown.c_str(),
                                             nullptr};
  auto started = BULKHEAD_TRY(start(
      {.executable = origin()->executable,
       .arguments = arguments.data(),
       .environment = environment.pointers(),
       .standard = {streams.standard[0], streams.standard[1], streams.standard[2]},
       .bootstrap = bootstrap,
       .directory = options.working_directory.empty() ? nullptr : options.working_directory.c_str(),
       .own_group = options.group == ProcessGroup::own}));
  reading = std::move(streams.reading);
  return started;
}

Result<void> fill(ProcessState& state, SpawnOptions& options, Started started, Fd vitals) {
  state.pid = started.pid;
  state.pidfd = std::move(started.pidfd);
  state.vitals = std::move(vitals);
  state.name = options.name;
  state.lifetime = options.lifetime;
  state.grace = options.grace;
  state.limits = options.sandbox.limits;
  state.output = options.output.kind();
  if (state.output == Output::Kind::prefixed) state.prefixer.emplace(state.who() + ": ");
  if (options.lifetime == Lifetime::independent) return {};
  const auto reach = options.group == ProcessGroup::own ? Reach::group : Reach::process;
  state.lifeline = BULKHEAD_TRY(Lifeline::attach(state.pid, reach));
  return {};
}

Channel watched(std::shared_ptr<ProcessState> state, std::unique_ptr<transport::Link> link,
                Trust trust) {
  Channel channel = ChannelState::make(std::move(link), trust);
  const Peer peer{.pid = state->pid, .uid = ::getuid(), .gid = ::getgid()};
  const std::string who = state->who();
  ChannelState::of(channel).watch_process(
      peer, [state](Deadline deadline) { return state->obituary(deadline); }, who);
  return channel;
}

}  // namespace

Starting::Starting(std::shared_ptr<ProcessState> state, std::unique_ptr<transport::Link> link,
                   Trust trust, Deadline deadline) noexcept
    : state_(std::move(state)), link_(std::move(link)), trust_(trust), deadline_(deadline) {}
Starting::Starting(Starting&&) noexcept = default;
Starting& Starting::operator=(Starting&&) noexcept = default;
Starting::~Starting() {
  if (state_) static_cast<void>(state_->kill({}));
}

FdView Starting::answer() const noexcept { return state_->vitals; }

Result<Starting> Starting::begin(detail::RoleEntry entry, std::string_view role,
                                 SpawnOptions& options) {
  if (!origin()->executable) return fail(origin()->failure);
  BULKHEAD_TRY(check_channels(options));
  const std::uint64_t offset = BULKHEAD_TRY(offset_of(entry));
  const bool confined = options.sandbox.confines();
  options.channel.trust =
      options.trust.value_or(confined ? Trust::untrusted : options.channel.trust);
  BULKHEAD_TRY(check_arguments(options, options.channel.trust));
  auto links = BULKHEAD_TRY(transport::make_pair(options.mechanism, options.channel));
  auto main = BULKHEAD_TRY(links.second->detach());
  auto belongings = BULKHEAD_TRY(pack(options, std::move(main)));
  belongings.birth.role_offset = offset;
  belongings.birth.role = role;
  const bool debugged = waits_for_debugger(role, options.name);
  belongings.birth.wait_for_debugger = debugged ? 1 : 0;

  auto [vitals, bootstrap] = BULKHEAD_TRY(os::socket_pair());
  Unfinished child;
  auto started = BULKHEAD_TRY(launch(options, role, bootstrap, child->reading));
  bootstrap.close();
  const Deadline deadline = debugged ? never : Deadline{options.start_limit};
  BULKHEAD_TRY(fill(*child, options, std::move(started), std::move(vitals)));
  if (auto sent = send_birth(child->vitals, belongings.birth, belongings.handles, deadline);
      !sent) {
    return fail(why_not(*child, std::move(sent).error()));
  }
  belongings.handles.clear();
  BULKHEAD_TRY(links.first->bind(os::no_wait));
  return Starting{std::move(child).finish(), std::move(links.first), options.channel.trust,
                  deadline};
}

Result<Process> Starting::finish() {
  state_->report = BULKHEAD_TRY(hear_answer(*state_, deadline_));
  auto channel = watched(state_, std::move(link_), trust_);
  return ProcessState::make(std::move(state_), std::move(channel));
}

Result<Process> spawn_process(detail::RoleEntry entry, std::string_view role,
                              SpawnOptions& options) {
  auto starting = BULKHEAD_TRY(Starting::begin(entry, role, options));
  for (;;) {
    auto made = starting.finish();
    if (made || made.error() != ErrorKind::empty) return made;
    BULKHEAD_TRY(os::poll_one(starting.answer(), POLLIN, starting.deadline()));
  }
}

Error spawn_failure(const Error& error, const std::string& name) {
  Error::Details details{.operation = "spawn", .object = name, .cause = error.sentence()};
  if (error.code().category() == std::system_category()) details.code = error.code();
  return {error.kind(), std::move(details)};
}

}  // namespace process

namespace detail {
Result<Process> spawn(RoleEntry entry, std::string_view role, SpawnOptions options) {
  if (options.name.empty()) options.name = role;
  const std::string name = options.name;
  reap_released();
  Result<Process> made = [&]() -> Result<Process> {
    if (process::origin() == nullptr) {
      return fail(ErrorKind::invalid, {.cause = "bulkhead::init has not been called",
                                       .remedy = "call it first thing in main"});
    }
    if (options.arguments.failure) return fail(*options.arguments.failure);
    if (options.placement == Placement::thread) return process::spawn_thread(entry, options);
    return process::spawn_process(entry, role, options);
  }();
  if (made || made.error().exit() != nullptr) return made;
  return fail(process::spawn_failure(made.error(), name));
}

}  // namespace detail
}  // namespace bulkhead
