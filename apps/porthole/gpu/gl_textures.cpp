// SPDX-License-Identifier: Apache-2.0
#include "gpu/gl_textures.hpp"

#include "interfaces/layers.hpp"

namespace porthole::gl {

namespace {

/// 128 MiB: the tiles of six windows of 1920 x 1200.
constexpr std::size_t most_kept = 512;
/// So many before one is painted over, that the driver need not wait for its last drawing.
constexpr std::size_t most_passing = 16;

}  // namespace

void GlTextures::begin() {
  const std::uint64_t last = picture_++;
  if (kept_.size() < most_kept) return;
  for (auto next = kept_.begin(); next != kept_.end();) {
    if (next->second.picture == last) {
      ++next;
      continue;
    }
    spare_.push_back(next->second.texture);
    next = kept_.erase(next);
  }
}

unsigned GlTextures::make() {
  unsigned texture = 0;
  gl_->gen_textures(1, &texture);
  gl_->bind_texture(texture_2d, texture);
  gl_->texture_parameter(texture_2d, texture_min_filter, nearest);
  gl_->texture_parameter(texture_2d, texture_mag_filter, nearest);
  gl_->texture_storage(texture_2d, 1, rgba8, tile_side, tile_side);
  return texture;
}

unsigned GlTextures::take() {
  if (spare_.empty()) return make();
  const unsigned texture = spare_.back();
  spare_.pop_back();
  return texture;
}

void GlTextures::upload(unsigned texture, const Surface::Tile& tile) {
  ++uploads_;
  gl_->bind_texture(texture_2d, texture);
  // Their bytes are blue, green, red, alpha. GL is told other names: it treats the first three
  // alike, and what is read back has the same order.
  gl_->texture_image(texture_2d, 0, 0, 0, tile_side, tile_side, rgba, unsigned_byte,
                     tile.pixels.data());
}

void GlTextures::bind(std::uint64_t producer, const Surface::Tile& tile) {
  const Name name{.producer = producer, .version = tile.version};
  if (const auto known = kept_.find(name); known != kept_.end()) {
    known->second.picture = picture_;
    return gl_->bind_texture(texture_2d, known->second.texture);
  }
  if (tile.version != 0 && kept_.size() < most_kept) {
    const unsigned texture = take();
    kept_.emplace(name, Kept{.texture = texture, .picture = picture_});
    return upload(texture, tile);
  }
  if (passing_.size() < most_passing) passing_.push_back(take());
  upload(passing_[next_passing_++ % passing_.size()], tile);
}

}  // namespace porthole::gl
