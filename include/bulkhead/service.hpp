// SPDX-License-Identifier: Apache-2.0
//
// Service: typed calls between processes. A struct of functions that BULKHEAD_INTERFACE has listed
// is implemented on one side of a Channel (`serve`) and called on the other (`Remote`).
//
//   Remote<Decoder> remote{child.channel(), {.deadline = 2s}};
//   auto image = remote.decode(bytes, {4096, 4096});          // Result<Image>
//   auto again = within(50ms, remote).decode(bytes, {64, 64});
//
// Both directions work on one channel: each side may serve one interface and call another.
// Threads: a Remote may be used by any number at once; the first that waits receives for all and
// hands the role on when it leaves. Several threads may serve one channel.
// Blocking: a call returns by its deadline (5 s unless said otherwise), and never later than the
// call that the calling thread itself is serving. Dropped and timed-out calls are cancelled at the
// server. A one-way function waits only for room in the channel.
// Peer death: every call under way fails with `peer_died` and how it died.
// Trust: arguments and results are decoded from private copies and checked; a method that the peer
// does not have, or has in another shape, is `incompatible`, and fails that call alone. A one-way
// call of that kind, which nobody waits for, ends the session when it comes from an untrusted peer.
#pragma once

#include <chrono>
#include <memory>
#include <type_traits>
#include <utility>

#include <bulkhead/channel.hpp>
#include <bulkhead/interface.hpp>
#include <bulkhead/stream.hpp>

namespace bulkhead {

struct RemoteOptions {
  /// How long each call may take unless `within` says otherwise.
  std::chrono::nanoseconds deadline = std::chrono::seconds(5);
};

namespace detail {

struct RemoteState {
  std::shared_ptr<Session> session;
  CallTime time;
};

template <class Interface>
using InterfaceOf = decltype(bulkhead_interface_of(static_cast<const Interface*>(nullptr)));

}  // namespace detail

/// The functions of Interface, run at the other end of a channel. It has the interface's names
/// alone; `async_NAME(arguments..., token)` beside each with <bulkhead/asio.hpp>. Copies are cheap
/// and speak over the same channel.
template <class Interface>
class Remote : public detail::InterfaceOf<Interface>::template Stubs<Remote<Interface>> {
 public:
  /// Speaks over a channel that stays the caller's.
  explicit Remote(Channel& channel, RemoteOptions options = {})
      : bulkhead_state_{detail::session_of(channel), {.each = options.deadline, .until = {}}} {}
  /// Keeps the channel; the last copy closes it.
  explicit Remote(Channel&& channel, RemoteOptions options = {})
      : bulkhead_state_{detail::session_of(std::move(channel)),
                        {.each = options.deadline, .until = {}}} {}

 private:
  friend struct detail::RemoteAccess;
  detail::RemoteState bulkhead_state_;
};

/// The same Remote for calls that must end by `deadline`, sooner or later than its default.
template <class Interface> Remote<Interface> within(Deadline deadline, Remote<Interface> remote) {
  detail::RemoteAccess::state(remote).time.until = deadline;
  return remote;
}

/// Runs `implementation` for the calls that come over `channel`, in this thread, until the peer
/// closes (success), dies or breaks the protocol, or `deadline` comes. Interface's functions are
/// looked up by name in Implementation, which need not derive from it.
template <class Interface, class Implementation>
Result<void> serve(Channel& channel, Implementation&& implementation, Deadline deadline = never) {
  using Type = std::remove_reference_t<Implementation>;
  using Methods = typename detail::InterfaceOf<Interface>::template Served<Type>;
  const detail::Service service{.interface = detail::InterfaceOf<Interface>::name,
                                .methods = Methods::table,
                                .implementation = std::addressof(implementation)};
  return detail::serve(*detail::session_of(channel), service, deadline);
}

/// The call that this thread is serving.
namespace this_call {

/// When its caller stops waiting; never outside of a call.
inline Deadline deadline() noexcept { return detail::current_deadline(); }
/// Its caller has timed out, cancelled or gone: the result is not wanted any more.
inline bool cancelled() noexcept { return detail::current_call_cancelled(); }

}  // namespace this_call
}  // namespace bulkhead
