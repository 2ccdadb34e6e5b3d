// SPDX-License-Identifier: Apache-2.0
//
// ChannelState: what stands behind a Channel. Shared, so that the service layer can keep an end
// alive while the Channel's owner holds it too; the Channel's destructor closes the link, and
// whoever shares the state gets `closed` from then on.
//
// Threads: as the Channel; what has a mutex here may be used by any thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <bulkhead/channel.hpp>

#include "transport/link.hpp"

namespace bulkhead::detail {

/// Asks how the process at the other end ended: its name for people ("decoder (4711)") and its
/// Exit, or nothing when it lives. May wait until the deadline for the kernel to tell.
using Obituary = std::function<std::optional<std::pair<std::string, Exit>>(Deadline)>;

struct ChannelState {
  ChannelState(std::unique_ptr<transport::Link> made, Trust trusted, std::string address)
      : link(std::move(made)), trust(trusted), object(std::move(address)) {}

  const std::unique_ptr<transport::Link> link;
  const Trust trust;
  /// The address, for errors; empty when there is none.
  const std::string object;
  /// Set by the close of this end, so that `closed` can be told in the right words.
  std::atomic<bool> closed_here{false};

  static Channel make(std::unique_ptr<transport::Link> link, Trust trust, std::string address = {});
  static Channel make(std::shared_ptr<ChannelState> state);
  static ChannelState& of(Channel& channel) noexcept { return *channel.state_; }
  static const ChannelState& of(const Channel& channel) noexcept { return *channel.state_; }
  static std::shared_ptr<ChannelState> share(Channel& channel) noexcept { return channel.state_; }

  /// For a channel to a process of ours: who is there, where the kernel would name the maker of the
  /// socket pair, and how to learn what became of it.
  void watch_process(Peer process, Obituary how_it_ended, std::string who = {});
  Peer peer() const noexcept;
  /// For sentences: "decoder (4711)", "the peer (pid 4711)", "the peer".
  std::string peer_name() const;

  /// As Channel's, and what stands behind them. send_part: as Link's.
  Result<void> send(Message& message, Deadline deadline);
  Result<void> send_part(Message& message, std::size_t& done);
  Result<void> receive(Message& into, Deadline deadline);
  void close() noexcept;

  /// `error` in words for a person: the operation, this channel, and for a dead peer how it died.
  /// `full` and `empty` come back as they are, without an allocation. A death is asked for once and
  /// then remembered; to that belongs a wait for the exit status, 50 ms at most where the caller
  /// did not want to wait at all.
  Error explain(Error error, std::string_view operation, Deadline deadline);

 private:
  std::string name() const;
  std::optional<Error> ask_obituary(std::string_view operation, Deadline deadline);

  mutable std::mutex fate_mutex_;
  Peer process_{};
  std::string who_;
  Obituary obituary_;
  std::optional<std::pair<std::string, Exit>> fate_;
  bool fate_asked_ = false;

 public:
  /// The slot of the service layer: one session a channel, whatever it is. Last, so that a session
  /// can use all the rest while it goes.
  std::mutex session_mutex;
  std::shared_ptr<void> session;
};

}  // namespace bulkhead::detail
