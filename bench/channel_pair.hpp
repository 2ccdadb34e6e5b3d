// SPDX-License-Identifier: Apache-2.0
//
// Two ends of a Channel that a pair of sides inherits: made before the fork, bound by the side that
// uses each.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>

#include <bulkhead/channel.hpp>

#include "bench/job.hpp"

namespace bulkhead::bench {

/// The value, or the error's sentence thrown.
template <class T> T checked(Result<T>&& result) {
  if (!result) [[unlikely]]
    throw std::runtime_error{result.error().sentence()};
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// Every call of the bench has a deadline, as a careful program's would. One for a slice.
inline Deadline slice_deadline() { return Deadline{std::chrono::minutes{1}}; }

class ChannelPair {
 public:
  /// Afresh, for a new pair of sides.
  void create(Mechanism mechanism, const ChannelOptions& options, const Job& job);
  /// In each side, both at once: the first message each way.
  void connect(Side side);
  void close(Side side) noexcept;

  Channel& end(Side side) noexcept { return side == Side::client ? *client_ : *server_; }

 private:
  std::optional<Channel> client_;
  std::optional<Channel> server_;
  bool between_threads_ = false;
};

}  // namespace bulkhead::bench
