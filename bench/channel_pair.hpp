// SPDX-License-Identifier: Apache-2.0
//
// Two ends of a Channel that a pair of sides uses: made before the fork and bound by the side that
// uses each, or, for mechanisms that meet by name alone, made by each side at an address in a folder
// of their own.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include <bulkhead/channel.hpp>
#include <bulkhead/listener.hpp>

#include "bench/folder.hpp"
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
  /// The same, to meet at the address `scheme` + a path + `parameters`: "unix://", "?type=stream".
  void create_named(std::string_view scheme, std::string_view parameters,
                    const ChannelOptions& options);
  /// In each side, the server first.
  void prepare(Side side);
  /// In each side, both at once: the first message each way.
  void connect(Side side);
  void close(Side side) noexcept;

  Channel& end(Side side) noexcept { return side == Side::client ? *client_ : *server_; }

 private:
  void meet(Side side);

  std::optional<Folder> folder_;
  std::string address_;
  ChannelOptions options_;
  std::optional<Listener> listener_;
  std::optional<Channel> client_;
  std::optional<Channel> server_;
  bool between_threads_ = false;
};

}  // namespace bulkhead::bench
