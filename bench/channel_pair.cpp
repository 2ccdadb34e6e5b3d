// SPDX-License-Identifier: Apache-2.0
#include "bench/channel_pair.hpp"

#include <utility>

#include "channel/channel_state.hpp"
#include "transport/shm/shm_link.hpp"

namespace bulkhead::bench {

namespace {

/// Both ends sleep in every wait, through a seam under the public interface.
Result<std::pair<Channel, Channel>> sleeping_pair(const ChannelOptions& options) {
  auto links = transport::make_shm_pair(options, {.always_sleep = true});
  if (!links) return std::unexpected{std::move(links).error()};
  return std::pair{detail::ChannelState::make(std::move(links->first), options.trust),
                   detail::ChannelState::make(std::move(links->second), options.trust)};
}

}  // namespace

void ChannelPair::create(Mechanism mechanism, const ChannelOptions& options, const Job& job) {
  client_.reset();
  server_.reset();
  const bool asleep = job.mode == Mode::sleeping || job.waiting == Waiting::sleep;
  auto [client, server] = checked(asleep && mechanism == Mechanism::shm ? sleeping_pair(options)
                                                                        : pair(mechanism, options));
  client_.emplace(std::move(client));
  server_.emplace(std::move(server));
  between_threads_ = mechanism == Mechanism::inproc;
}

void ChannelPair::create_named(std::string_view scheme, std::string_view parameters,
                               const ChannelOptions& options) {
  client_.reset();
  server_.reset();
  folder_.emplace();
  address_ = std::string{scheme} + (*folder_ / "meeting") + std::string{parameters};
  options_ = options;
}

void ChannelPair::prepare(Side side) {
  if (address_.empty() || side == Side::client) return;
  listener_.emplace(checked(listen(address_, {.channel = options_})));
}

void ChannelPair::meet(Side side) {
  if (side == Side::client) {
    client_.emplace(checked(bulkhead::connect(address_, slice_deadline(), options_)));
    return;
  }
  server_.emplace(checked(listener_->accept(slice_deadline())));
}

void ChannelPair::connect(Side side) {
  if (!address_.empty()) {
    meet(side);
  } else if (!between_threads_) {
    // A forked side drops its copy of the other end; between threads there is one copy of each.
    (side == Side::client ? server_ : client_).reset();
  }
  const std::byte hello[1]{};
  checked(end(side).send(Bytes{hello}, slice_deadline()));
  checked(end(side).receive(slice_deadline()));
}

void ChannelPair::close(Side side) noexcept {
  end(side).close();
  if (side == Side::server && listener_) listener_->close();
}

}  // namespace bulkhead::bench
