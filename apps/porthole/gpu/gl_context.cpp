// SPDX-License-Identifier: Apache-2.0
#include "gpu/gl_context.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <string_view>
#include <utility>
#include <vector>

namespace porthole::gl {

using namespace bulkhead;

namespace {

std::string hexadecimal(unsigned number) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "0x%04x", number);
  return text.data();
}

std::unexpected<Error> unsupported(std::string cause) {
  return fail(ErrorKind::unsupported, {.operation = "start GL", .cause = std::move(cause)});
}

bool lists(const char* extensions, std::string_view wanted) {
  return extensions && std::string_view{extensions}.contains(wanted);
}

}  // namespace

bool is_software(std::string renderer) {
  std::ranges::transform(renderer, renderer.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  constexpr std::array<std::string_view, 5> known{"llvmpipe", "softpipe", "swrast", "swiftshader",
                                                  "software"};
  return std::ranges::any_of(known, [&](std::string_view name) { return renderer.contains(name); });
}

GlContext::GlContext(GlContext&& other) noexcept
    : gl_(other.gl_),
      display_(std::exchange(other.display_, nullptr)),
      context_(std::exchange(other.context_, nullptr)),
      renderer_(std::move(other.renderer_)),
      max_side_(other.max_side_) {}

GlContext::~GlContext() {
  if (!display_) return;
  gl_.make_current(display_, nullptr, nullptr, nullptr);
  if (context_) gl_.destroy_context(display_, context_);
  gl_.terminate(display_);
}

Result<GlContext> GlContext::create(const GlLibrary& library, GlUse use) {
  const Display display = library.get_platform_display(egl::platform_surfaceless, nullptr, nullptr);
  if (!display) return unsupported("EGL has no surfaceless platform");
  GlContext made{library, display};
  BULKHEAD_TRY(made.begin());
  BULKHEAD_TRY(made.ask(use));
  return made;
}

Result<void> GlContext::begin() {
  const auto failed = [this](const char* what) {
    const auto code = static_cast<unsigned>(gl_.get_error_of_egl());
    return unsupported(std::string{what} + " (EGL error " + hexadecimal(code) + ")");
  };
  if (!gl_.initialize(display_, nullptr, nullptr)) return failed("no driver starts");
  const char* const extensions = gl_.query_string(display_, egl::extensions);
  const bool complete = lists(extensions, "EGL_KHR_no_config_context") &&
                        lists(extensions, "EGL_KHR_surfaceless_context");
  if (!complete) return unsupported("the driver draws only to windows");
  if (!gl_.bind_api(egl::opengl_es_api)) return failed("the driver has no OpenGL ES");
  std::vector<std::int32_t> wanted{egl::context_major_version, 3};
  // A device that was reset is told then, and not drawn on for ever.
  if (lists(extensions, "EGL_EXT_create_context_robustness")) {
    wanted.insert(wanted.end(), {egl::reset_strategy, egl::lose_context_on_reset});
  }
  wanted.push_back(egl::none);
  context_ = gl_.create_context(display_, nullptr, nullptr, wanted.data());
  if (!context_) return failed("the driver has no OpenGL ES 3.0");
  if (!gl_.make_current(display_, nullptr, nullptr, context_)) return failed("no context is made");
  return {};
}

Result<void> GlContext::ask(GlUse use) {
  const auto* const name = gl_.get_string(renderer_string);
  if (!name) return unsupported("the driver does not give its name");
  renderer_ = reinterpret_cast<const char*>(name);
  if (use != GlUse::any && is_software(renderer_)) {
    return unsupported("there is no GL but on software, " + renderer_);
  }
  std::array<int, 2> viewport{};
  int buffer = 0;
  int texture = 0;
  gl_.get_integers(max_viewport_dims, viewport.data());
  gl_.get_integers(max_renderbuffer_size, &buffer);
  gl_.get_integers(max_texture_size, &texture);
  max_side_ = std::min({viewport[0], viewport[1], buffer, texture});
  gl_.reset_status =
      reinterpret_cast<unsigned (*)()>(gl_.get_proc_address("glGetGraphicsResetStatusEXT"));
  return check("start GL");
}

Result<void> GlContext::check(const char* operation) const {
  const auto failed = [&](std::string cause) {
    return fail(ErrorKind::peer_died,
                {.operation = operation, .object = renderer_, .cause = std::move(cause)});
  };
  // Calls without a context change nothing and tell nothing.
  if (gl_.get_current_context() != context_) return failed("the context is gone");
  if (gl_.reset_status) {
    if (const unsigned reset = gl_.reset_status(); reset != no_error) {
      return failed("the device was reset (" + hexadecimal(reset) + ")");
    }
  }
  if (const unsigned error = gl_.get_error(); error != no_error) {
    return failed("GL error " + hexadecimal(error));
  }
  return {};
}

}  // namespace porthole::gl
