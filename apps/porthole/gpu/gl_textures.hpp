// SPDX-License-Identifier: Apache-2.0
//
// GlTextures: the tiles as the GPU has them. A tile that a layer goes on showing is uploaded once;
// who shows it, and which of its tiles, makes its name (see Surface).
//
// Ownership: textures end with the context. Threads: the context's.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <vector>

#include "gpu/composer.hpp"
#include "gpu/gl_context.hpp"

namespace porthole::gl {

class GlTextures {
 public:
  /// `gl` must outlive it.
  explicit GlTextures(const GlContext& gl) : gl_(gl) {}

  /// Before a picture: when there are many, those that the last one did not use make room.
  void begin();
  /// Binds the texture with the tile's pixels.
  void bind(std::uint64_t producer, const Surface::Tile& tile);

  /// How many were uploaded, ever.
  std::uint64_t uploads() const noexcept { return uploads_; }

 private:
  struct Name {
    std::uint64_t producer = 0;
    std::uint64_t version = 0;
    friend auto operator<=>(const Name&, const Name&) = default;
  };
  struct Kept {
    unsigned texture = 0;
    std::uint64_t picture = 0;
  };

  unsigned make();
  unsigned take();
  void upload(unsigned texture, const Surface::Tile& tile);

  const GlContext& gl_;
  std::map<Name, Kept> kept_;
  std::vector<unsigned> spare_;
  /// For tiles that have no name or no room.
  std::vector<unsigned> passing_;
  std::size_t next_passing_ = 0;
  std::uint64_t picture_ = 0;
  std::uint64_t uploads_ = 0;
};

}  // namespace porthole::gl
