// SPDX-License-Identifier: Apache-2.0
//
// Listener: takes connections at an Address and makes a Channel of each.
//
// Names that live in the file system belong to one live process: a second listener on a name gets
// `exists` with the owner's pid, and the name of a dead one is taken over. Only the own user may
// connect unless the options say otherwise. One thread at a time; the destructor closes, removes
// the name and does not block. A client that dies while connecting is nobody's error.
#pragma once

#include <cstdint>
#include <memory>

#include <bulkhead/channel.hpp>

namespace bulkhead {

namespace detail {
struct ListenerState;
}

struct ListenOptions {
  ChannelOptions channel = {};
  enum class Allow : std::uint8_t { same_user, anyone } allow = Allow::same_user;
};

class BULKHEAD_API Listener {
 public:
  Listener(Listener&&) noexcept;
  Listener& operator=(Listener&&) noexcept;
  ~Listener();

  /// The next connection. A peer of another user (unless allowed) is closed and not reported.
  Result<Channel> accept(Deadline deadline);
  Result<Channel> try_accept();
  /// Completion signature void(Result<Channel>); include <bulkhead/asio.hpp>.
  template <class Token> auto async_accept(Deadline deadline, Token&& token);

  /// Polls readable when try_accept has something to say. Owned by the listener.
  FdView readable() const noexcept;
  /// Where it listens; with the port that the system chose, where it was left to it.
  const Address& address() const noexcept;
  void close() noexcept;

 private:
  friend struct detail::ListenerState;
  explicit Listener(std::shared_ptr<detail::ListenerState> state) noexcept;

  std::shared_ptr<detail::ListenerState> state_;
};

/// Begins to listen. `exists` when a live process has the name, with its pid in the words.
BULKHEAD_API Result<Listener> listen(const Address& address, const ListenOptions& options = {});

}  // namespace bulkhead
