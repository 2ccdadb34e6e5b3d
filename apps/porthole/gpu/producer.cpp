// SPDX-License-Identifier: Apache-2.0
#include "gpu/producer.hpp"

#include <asio/bind_executor.hpp>
#include <utility>

#include <bulkhead/asio.hpp>

namespace porthole {

using namespace bulkhead;

Producer::Producer(asio::io_context& loop, std::uint64_t number, Channel channel, Events events)
    : loop_(loop),
      number_(number),
      channel_(std::move(channel)),
      client_(channel_),
      events_(std::move(events)) {}

void Producer::start() {
  async_serve<LayerSink>(
      channel_, *this,
      asio::bind_executor(loop_, [self = shared_from_this()](const Result<void>& outcome) {
        self->ended(outcome);
      }));
}

void Producer::stop() {
  events_ = {};
  alive_ = false;
  channel_.close();
}

void Producer::segment(Region pixels, std::uint32_t slots) {
  if (!alive_) return;  // what had arrived before the channel was closed
  if (auto done = layer_.replace_segment(std::move(pixels), slots); !done) refuse(done.error());
}

void Producer::submit(Submission submission) {
  if (!alive_) return;
  auto released = layer_.submit(std::move(submission));
  if (!released) return refuse(released.error());
  if (!released->empty()) release(std::move(*released));
  if (events_.changed) events_.changed();
}

void Producer::release(std::vector<std::uint32_t> slots) {
  // Queued, never waited for. A producer that does not read what it is told fills the queue: `full`.
  client_.async_released(
      std::move(slots),
      asio::bind_executor(loop_, [weak = weak_from_this()](const Result<void>& sent) {
        const auto self = weak.lock();
        if (self && !sent && sent.error() == ErrorKind::full) self->refuse(sent.error());
      }));
}

void Producer::refuse(const Error& error) {
  if (!alive_) return;
  const Events events = std::exchange(events_, {});
  alive_ = false;
  channel_.close();
  if (events.failed) events.failed(error.sentence());
  if (events.changed) events.changed();
}

void Producer::ended(const Result<void>& outcome) {
  const bool gone =
      outcome || outcome.error() == ErrorKind::closed || outcome.error() == ErrorKind::peer_died;
  if (!gone) return refuse(outcome.error());
  alive_ = false;
  const Events events = std::exchange(events_, {});
  if (events.changed) events.changed();
}

}  // namespace porthole
