// SPDX-License-Identifier: Apache-2.0
//
// Seat: the right to be the end that listens in a folder (file: and mmap:), and how one waits there
// for who connects. It is shared by the listener and the one link at a time that it has accepted,
// and free for other processes when both have left it.
//
// STATE free --link accepted--> taken --that link closes--> free. Each session of the other end
// (os/file_owner.hpp) is accepted once, also one that has gone again: it may have left messages. One
// that came and went before anybody listened is no client.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "os/file_owner.hpp"
#include "os/signal_fd.hpp"
#include "transport/link.hpp"

namespace bulkhead::transport::file {

struct Seat {
  explicit Seat(os::FileOwner who) : owner(std::move(who)) {}
  /// `exists` with the pid when a live process has it, by the record at the start of `path`.
  static Result<std::shared_ptr<Seat>> take(const std::string& path);
  /// By its link: it is free for the next one, and the listener is told.
  void leave() noexcept;

  os::FileOwner owner;
  std::mutex mutex;
  bool taken = false;
  os::SignalFd changed;
};

/// Makes the end that sits on the seat, for a client whose session has begun.
using OpenEnd = std::function<Result<std::unique_ptr<Link>>(std::shared_ptr<Seat>)>;

/// `client` is the file with the owner's record of who connects; looked at by a timer with `look`.
Result<std::unique_ptr<Acceptor>> accept_on(std::shared_ptr<Seat> seat, const std::string& client,
                                            std::optional<std::chrono::milliseconds> look,
                                            OpenEnd open_end);

}  // namespace bulkhead::transport::file
