// SPDX-License-Identifier: Apache-2.0
//
// GlContext: an OpenGL ES 3.0 context without a window, on Mesa's surfaceless platform: on a render
// node where there is one, else on software. Current on the thread that made it, which alone may
// use it.
//
// Ownership: its end is that of EGL's display, which a process has once: no two at a time.
// Blocking: create() loads a driver, about a tenth of a second, and may start the driver's threads.
#pragma once

#include <string>

#include <bulkhead/result.hpp>

#include "gpu/gl_library.hpp"
#include "gpu/main.hpp"

namespace porthole::gl {

class GlContext {
 public:
  /// `unsupported` without EGL, without OpenGL ES 3.0, and on software when `use` is hardware.
  static bulkhead::Result<GlContext> create(const GlLibrary& library, GlUse use);
  GlContext(GlContext&& other) noexcept;
  GlContext& operator=(GlContext&&) = delete;
  ~GlContext();

  const GlLibrary* operator->() const noexcept { return &gl_; }
  /// "llvmpipe (LLVM 15.0.6, 256 bits)"
  const std::string& renderer() const noexcept { return renderer_; }
  /// The longest side of a picture that can be drawn.
  int max_side() const noexcept { return max_side_; }

  /// An error when one of the calls since the last time failed, or the device was reset.
  bulkhead::Result<void> check(const char* operation) const;

 private:
  GlContext(const GlLibrary& library, Display display) : gl_(library), display_(display) {}

  bulkhead::Result<void> begin();
  bulkhead::Result<void> ask(GlUse use);

  GlLibrary gl_;
  Display display_;
  Context context_ = nullptr;
  std::string renderer_;
  int max_side_ = 0;
};

/// By the name that a renderer gives itself.
bool is_software(std::string renderer);

}  // namespace porthole::gl
