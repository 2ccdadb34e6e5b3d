// SPDX-License-Identifier: Apache-2.0
//
// Producer: the channel to whoever paints one layer. It serves LayerSink there, ends the channel at
// the first lie, and keeps the layer for as long as the scene needs it.
//
// Ownership: the event loop keeps a Producer alive until its channel has ended. Threads: the loop's.
#pragma once

#include <asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <bulkhead/channel.hpp>
#include <bulkhead/error.hpp>
#include <bulkhead/service.hpp>

#include "gpu/shown_layer.hpp"
#include "interfaces/layers.hpp"

namespace porthole {

class Producer : public std::enable_shared_from_this<Producer> {
 public:
  struct Events {
    /// A frame was submitted, or none will be any more.
    std::function<void()> changed;
    /// It broke the rules, in a sentence. Comes before `changed`.
    std::function<void(std::string)> failed;
  };

  /// `channel` must be `untrusted` and unused; `number` no other's.
  Producer(asio::io_context& loop, std::uint64_t number, bulkhead::Channel channel, Events events);

  /// Serves from now on.
  void start();
  /// Ends the channel; no event comes after that.
  void stop();

  bool alive() const noexcept { return alive_; }
  const ShownLayer& layer() const noexcept { return layer_; }
  /// See Surface::producer.
  std::uint64_t number() const noexcept { return number_; }

  // LayerSink
  void segment(bulkhead::Region pixels, std::uint32_t slots);
  void submit(Submission submission);

 private:
  void release(std::vector<std::uint32_t> slots);
  void refuse(const bulkhead::Error& error);
  void ended(const bulkhead::Result<void>& outcome);

  asio::io_context& loop_;
  std::uint64_t number_;
  bulkhead::Channel channel_;
  bulkhead::Remote<LayerClient> client_;
  Events events_;
  ShownLayer layer_;
  bool alive_ = true;
};

}  // namespace porthole
