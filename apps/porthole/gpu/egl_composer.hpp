// SPDX-License-Identifier: Apache-2.0
//
// The composer on the GPU. Each tile is a texture, drawn pixel for pixel with integer arithmetic, and
// the picture is read back into the memory that the browser maps: for opaque tiles the same bytes
// as the CPU's.
//
// STATE
//   drawing -> failed   a GL call failed or the device was reset
// What GL cannot draw (a picture that is too large, all once it has failed) the CPU draws, in place.
//
// Threads: the one that made it. TRUST: as for Composer: the driver copies pixels and never parses
// them; numbers have been checked.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "gpu/composer.hpp"
#include "gpu/gl_library.hpp"
#include "gpu/main.hpp"
#include "gpu/pixman_composer.hpp"

namespace porthole {

class EglComposer final : public Composer {
 public:
  /// Makes the context and draws a first picture, so that the driver has done all that it does at
  /// its first use. `unsupported` where it does not draw as the CPU does; see GlContext.
  static bulkhead::Result<std::unique_ptr<EglComposer>> create(const gl::GlLibrary& library,
                                                               GlUse use);
  EglComposer(const EglComposer&) = delete;
  EglComposer& operator=(const EglComposer&) = delete;
  ~EglComposer() override;

  /// Called once, when it has failed, with the reason.
  void on_failure(std::function<void(std::string why)> failed) { failed_ = std::move(failed); }

  /// `exhausted` without memory for the picture.
  bulkhead::Result<Picture> compose(Size size, std::span<const Surface> surfaces) override;

  /// What GL calls itself.
  const std::string& renderer() const noexcept;
  /// For tests: how many tiles went to the GPU so far, and how long a picture's side may be.
  std::uint64_t uploads() const noexcept;
  int max_side() const noexcept;

 private:
  class Painter;

  explicit EglComposer(std::unique_ptr<Painter> painter);

  std::unique_ptr<Painter> painter_;
  PixmanComposer cpu_;
  std::function<void(std::string why)> failed_;
  bool drawing_ = true;
};

}  // namespace porthole
