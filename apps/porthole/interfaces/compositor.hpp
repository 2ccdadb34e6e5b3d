// SPDX-License-Identifier: Apache-2.0
//
// Compositor and CompositorHost: what the browser process tells the gpu process to show, and the
// finished pictures. The gpu process's main channel: it serves Compositor, the browser
// CompositorHost.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <bulkhead/channel.hpp>
#include <bulkhead/interface.hpp>
#include <bulkhead/region.hpp>

#include "interfaces/types.hpp"

namespace porthole {

/// A layer in the scene: later ones lie above earlier ones.
struct Placed {
  LayerId layer{};
  /// Where it is seen; it is clipped to that.
  Rect place{};
};

/// A layer and the least frame of it that a picture must show.
struct Awaited {
  LayerId layer{};
  std::uint64_t frame = 0;
};

/// A finished picture: rows of `size.width` pixels without gaps, frozen.
struct Picture {
  Size size{};
  bulkhead::Region pixels;
};

struct Compositor {
  /// The gpu process's end of a channel to a producer.
  void add_layer(LayerId layer, bulkhead::Channel producer);
  void remove_layer(LayerId layer);
  /// An output that is composed: its size, and what is on it. There are as many as tabs; only
  /// those that are asked for cost anything.
  void set_scene(std::uint32_t output, Size size, std::vector<Placed> layers);
  void remove_scene(std::uint32_t output);
  /// A picture of an output, once each awaited layer has reached its frame or has been removed.
  /// Answered by captured or not_captured with the same id.
  void capture(RequestId id, std::uint32_t output, std::vector<Awaited> awaited);
  /// Answered by pong: how a gpu process that hangs is found.
  void ping(std::uint64_t token);
};
BULKHEAD_INTERFACE(Compositor, add_layer, remove_layer, set_scene, remove_scene, capture, ping)

struct CompositorHost {
  void captured(RequestId id, Picture picture);
  void not_captured(RequestId id, std::string reason);
  /// The producer of this layer broke the rules, and its channel was closed.
  void producer_failed(LayerId layer, std::string reason);
  void pong(std::uint64_t token);
  /// From one that was started for GL: what it draws with. `why_no_gl` is empty as long as that is
  /// GL; when it is not, it draws with the CPU from now on.
  void composer(std::string name, std::string why_no_gl);
};
BULKHEAD_INTERFACE(CompositorHost, captured, not_captured, producer_failed, pong, composer)

}  // namespace porthole
