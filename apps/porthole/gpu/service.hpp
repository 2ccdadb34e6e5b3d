// SPDX-License-Identifier: Apache-2.0
//
// CompositorService: the gpu process's one service. It keeps the layers and the scenes, and answers
// captures when what they wait for is there.
//
// Threads: the event loop's. Blocking: never, apart from composing (about a millisecond a window).
// Peer death: a producer that goes leaves its last pixels; whoever waits for a frame of it is
// answered. Trust: the browser is believed; each producer can lose its own channel and no more.
#pragma once

#include <asio/io_context.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <bulkhead/channel.hpp>
#include <bulkhead/service.hpp>

#include "gpu/composer.hpp"
#include "interfaces/compositor.hpp"
#include "interfaces/types.hpp"

namespace porthole {

class Producer;

class CompositorService {
 public:
  /// All three must outlive it, the channel being the browser's.
  CompositorService(asio::io_context& loop, bulkhead::Channel& browser, Composer& composer);
  CompositorService(const CompositorService&) = delete;
  CompositorService& operator=(const CompositorService&) = delete;
  ~CompositorService();

  /// For CompositorHost::composer.
  void tell_composer(std::string name, std::string why_no_gl);

  // Compositor
  void add_layer(LayerId id, bulkhead::Channel channel);
  void remove_layer(LayerId id);
  void set_scene(std::uint32_t output, Size size, std::vector<Placed> layers);
  void remove_scene(std::uint32_t output);
  void capture(RequestId id, std::uint32_t output, std::vector<Awaited> awaited);
  void ping(std::uint64_t token);

 private:
  struct Scene {
    Size size{};
    std::vector<Placed> layers;
  };
  struct Capture {
    RequestId id{};
    std::uint32_t output = 0;
    std::vector<Awaited> awaited;
  };

  void answer_captures();
  bool reached(const Awaited& awaited) const;
  bulkhead::Result<Picture> compose(std::uint32_t output);
  void answer(const Capture& capture);
  void report(LayerId layer, std::string reason);

  asio::io_context& loop_;
  bulkhead::Remote<CompositorHost> browser_;
  Composer& composer_;
  std::uint64_t producers_ = 0;  ///< how many there were
  std::map<LayerId, std::shared_ptr<Producer>> layers_;
  std::map<std::uint32_t, Scene> scenes_;
  std::vector<Capture> waiting_;
};

}  // namespace porthole
