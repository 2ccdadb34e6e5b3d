// SPDX-License-Identifier: Apache-2.0
#include "bench/channel_pair.hpp"

#include <utility>

namespace bulkhead::bench {

void ChannelPair::create(Mechanism mechanism, const ChannelOptions& options) {
  client_.reset();
  server_.reset();
  auto [client, server] = checked(pair(mechanism, options));
  client_.emplace(std::move(client));
  server_.emplace(std::move(server));
  between_threads_ = mechanism == Mechanism::inproc;
}

void ChannelPair::connect(Side side, const Job&) {
  // A forked side drops its copy of the other end; between threads there is one copy of each.
  if (!between_threads_) (side == Side::client ? server_ : client_).reset();
  const std::byte hello[1]{};
  checked(end(side).send(Bytes{hello}, slice_deadline()));
  checked(end(side).receive(slice_deadline()));
}

void ChannelPair::close(Side side) noexcept { end(side).close(); }

}  // namespace bulkhead::bench
