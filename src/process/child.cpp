// SPDX-License-Identifier: Apache-2.0
//
// The order matters: last words first, so that whatever dies from here on is told; then what needs
// rights (binding channels, the executable for grandchildren); then the sandbox; then the answer,
// without which the parent grants nothing; then the role.
#include "process/child.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "channel/channel_state.hpp"
#include "os/poll.hpp"
#include "os/socket.hpp"
#include "process/birth.hpp"
#include "process/bootstrap_state.hpp"
#include "process/executable.hpp"
#include "process/last_words.hpp"
#include "sandbox/apply.hpp"

namespace bulkhead::process {
namespace {

using detail::BootstrapState;
using detail::ChannelState;

/// TRUST: what the birth message names is executed, so it must come from a process of the same user.
/// Otherwise whoever may start this program with other rights, by a set-uid bit or sudo, and chooses
/// its arguments and descriptors, could make it jump where they like.
bool may_be_told_by(FdView bootstrap) {
  if (::getauxval(AT_SECURE) != 0) return false;
  const auto maker = os::peer_credentials(bootstrap);
  return maker.pid != 0 && maker.uid == ::geteuid();
}

/// There is nobody to tell but who started us by hand.
[[noreturn]] void refuse(const Error& error) {
  std::fprintf(stderr, "%s only works for processes that bulkhead started: %s\n", child_flag,
               error.sentence().c_str());
  std::_Exit(125);
}

bool is_traced() {
  std::ifstream status{"/proc/self/status"};
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("TracerPid:")) return std::atoi(line.c_str() + 10) != 0;
  }
  return true;  // without /proc there is no telling
}

/// BULKHEAD_DEBUG named this role.
void wait_for_debugger(const Birth& birth) {
  std::fprintf(stderr, "%s (%d) waits for a debugger: gdb -p %d\n", birth.name.c_str(),
               static_cast<int>(::getpid()), static_cast<int>(::getpid()));
  while (!is_traced()) static_cast<void>(os::poll({}, std::chrono::milliseconds(20)));
}

Result<detail::RoleEntry> role_of(const Birth& birth) {
  if (birth.build_id != build_id()) {
    return fail(ErrorKind::incompatible, {.cause = "the executable is not its parent's"});
  }
  const auto entry = entry_at(birth.role_offset);
  if (entry == nullptr) {
    return fail(ErrorKind::incompatible, {.cause = "the role lies outside of the executable"});
  }
  return entry;
}

/// The end of the main channel, bound while this process still may.
Result<Channel> main_channel(const Birth& birth, Handle handle) {
  const ChannelOptions options{.trust = Trust::equal,
                               .capacity_bytes = birth.capacity_bytes,
                               .max_message_bytes = birth.max_message_bytes};
  auto link = BULKHEAD_TRY(transport::adopt(std::move(handle), options));
  BULKHEAD_TRY(link->bind(os::no_wait));
  return ChannelState::make(std::move(link), Trust::equal);
}

Result<Channel> named_channel(Handle handle) {
  auto channel = BULKHEAD_TRY(Channel::from_handle(std::move(handle), Trust::equal));
  BULKHEAD_TRY(ChannelState::of(channel).link->bind(os::no_wait));
  return channel;
}

/// Takes handles in the order in which Birth names them.
class Handles {
 public:
  explicit Handles(std::vector<Handle> handles) : handles_(std::move(handles)) {}

  Result<Handle> next() {
    if (at_ == handles_.size()) return fail(ErrorKind::corrupt);
    return std::move(handles_[at_++]);
  }
  std::vector<Handle> rest() && {
    handles_.erase(handles_.begin(), handles_.begin() + static_cast<std::ptrdiff_t>(at_));
    return std::move(handles_);
  }

 private:
  std::vector<Handle> handles_;
  std::size_t at_ = 0;
};

Result<std::unique_ptr<BootstrapState>> prepare(Birth& birth, Handles handles) {
  auto main = BULKHEAD_TRY(handles.next());
  auto channel = BULKHEAD_TRY(main_channel(birth, std::move(main)));
  auto state = std::make_unique<BootstrapState>(std::move(channel));
  state->name = birth.name;
  for (const auto& name : birth.channels) {
    auto handle = BULKHEAD_TRY(handles.next());
    state->channels.emplace_back(name, BULKHEAD_TRY(named_channel(std::move(handle))));
  }
  for (const auto& name : birth.regions) {
    auto handle = BULKHEAD_TRY(handles.next());
    state->regions.emplace_back(name,
                                BULKHEAD_TRY(Region::from_handle(std::move(handle), Trust::equal)));
  }
  for (const auto& name : birth.descriptors) {
    auto handle = BULKHEAD_TRY(handles.next());
    state->descriptors.emplace_back(name, std::move(handle).take_fd());
  }
  state->arguments = Arguments{.shape = birth.arguments_shape,
                               .bytes = std::move(birth.arguments),
                               .handles = std::move(handles).rest()};
  return state;
}

Result<SandboxReport> confine(const Sandbox& declared) {
  if (!declared.confines()) return SandboxReport{.name = declared.name};
  return sandbox::apply(declared);
}

/// noexcept: an exception that escapes the role ends in std::terminate at once, where last words
/// can still tell what it was.
void run_role(detail::RoleEntry entry, Bootstrap& boot) noexcept { entry(boot); }

struct Prepared {
  detail::RoleEntry entry;
  std::unique_ptr<BootstrapState> state;
};

Result<Prepared> get_ready(Received received) {
  Birth& birth = received.birth;
  const auto entry = BULKHEAD_TRY(role_of(birth));
  auto state = BULKHEAD_TRY(prepare(birth, Handles{std::move(received.handles)}));
  if (birth.wait_for_debugger != 0) wait_for_debugger(birth);
  state->report = BULKHEAD_TRY(confine(birth.sandbox));
  state->sandbox = std::move(birth.sandbox);
  return Prepared{entry, std::move(state)};
}

}  // namespace

void run_child(Fd bootstrap) {
  ::fcntl(bootstrap.native(), F_SETFD, FD_CLOEXEC);
  if (!may_be_told_by(bootstrap)) refuse(Error{ErrorKind::denied});
  auto received = receive_birth(bootstrap);
  if (!received) {
    // The parent died before it could tell us what to be.
    if (received.error() == ErrorKind::closed) std::_Exit(0);
    refuse(received.error());
  }
  tell_death_through(bootstrap);
  ::prctl(PR_SET_NAME, received->birth.role.c_str());
  auto prepared = get_ready(*std::move(received));
  const auto answer = prepared ? Result<SandboxReport>{prepared->state->report}
                               : Result<SandboxReport>{fail(prepared.error())};
  if (!send_answer(bootstrap, answer) || !prepared) std::_Exit(125);
  {
    Bootstrap boot = BootstrapState::make(std::move(prepared->state));
    run_role(prepared->entry, boot);
  }
  // The socket stays open for last words of what exit() runs.
  static_cast<void>(bootstrap.release());
  std::exit(0);
}

}  // namespace bulkhead::process
