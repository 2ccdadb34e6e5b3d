// SPDX-License-Identifier: Apache-2.0
//
// GlLibrary: libEGL and libGLESv2, loaded when somebody asks and not before: this program is all of
// Porthole's processes, and linking them would load a driver's libraries into each. What is needed
// of EGL 1.5 and OpenGL ES 3.0 is declared here, as their packages for development bring 40 MB of
// drivers; the numbers and the calls are the Khronos registry's and never change.
//
// Ownership: nothing is ever unloaded; drivers leave things behind. Threads: any.
#pragma once

#include <cstdint>

#include <bulkhead/result.hpp>

namespace porthole::gl {

// Names as in the specifications, without their prefixes.
using Display = void*;
using Context = void*;

namespace egl {
inline constexpr std::int32_t none = 0x3038;
inline constexpr std::int32_t extensions = 0x3055;
inline constexpr unsigned platform_surfaceless = 0x31DD;  // EGL_MESA_platform_surfaceless
inline constexpr unsigned opengl_es_api = 0x30A0;
inline constexpr std::int32_t context_major_version = 0x3098;
inline constexpr std::int32_t reset_strategy = 0x31BD;
inline constexpr std::int32_t lose_context_on_reset = 0x31BF;
}  // namespace egl

inline constexpr unsigned no_error = 0;
inline constexpr unsigned triangles = 0x0004;
inline constexpr unsigned one = 1;
inline constexpr unsigned one_minus_src_alpha = 0x0303;
inline constexpr unsigned blend = 0x0BE2;
inline constexpr unsigned scissor_test = 0x0C11;
inline constexpr unsigned dither = 0x0BD0;
inline constexpr unsigned max_texture_size = 0x0D33;
inline constexpr unsigned max_viewport_dims = 0x0D3A;
inline constexpr unsigned texture_2d = 0x0DE1;
inline constexpr unsigned unsigned_byte = 0x1401;
inline constexpr unsigned rgba = 0x1908;
inline constexpr unsigned renderer_string = 0x1F01;
inline constexpr unsigned nearest = 0x2600;
inline constexpr unsigned texture_mag_filter = 0x2800;
inline constexpr unsigned texture_min_filter = 0x2801;
inline constexpr unsigned rgba8 = 0x8058;
inline constexpr unsigned max_renderbuffer_size = 0x84E8;
inline constexpr unsigned fragment_shader = 0x8B30;
inline constexpr unsigned vertex_shader = 0x8B31;
inline constexpr unsigned link_status = 0x8B82;
inline constexpr unsigned framebuffer_complete = 0x8CD5;
inline constexpr unsigned color_attachment0 = 0x8CE0;
inline constexpr unsigned framebuffer = 0x8D40;
inline constexpr unsigned renderbuffer = 0x8D41;

struct GlLibrary {
  /// `not_found` where one of them is not installed, `unsupported` where it is too old.
  static bulkhead::Result<GlLibrary> load();

  // EGL 1.5
  Display (*get_platform_display)(unsigned, void*, const std::intptr_t*) = nullptr;
  unsigned (*initialize)(Display, std::int32_t*, std::int32_t*) = nullptr;
  unsigned (*terminate)(Display) = nullptr;
  unsigned (*bind_api)(unsigned) = nullptr;
  const char* (*query_string)(Display, std::int32_t) = nullptr;
  Context (*create_context)(Display, void*, Context, const std::int32_t*) = nullptr;
  unsigned (*destroy_context)(Display, Context) = nullptr;
  unsigned (*make_current)(Display, void*, void*, Context) = nullptr;
  Context (*get_current_context)() = nullptr;
  std::int32_t (*get_error_of_egl)() = nullptr;
  void* (*get_proc_address)(const char*) = nullptr;

  // OpenGL ES 3.0
  const unsigned char* (*get_string)(unsigned) = nullptr;
  void (*get_integers)(unsigned, int*) = nullptr;
  unsigned (*get_error)() = nullptr;
  void (*enable)(unsigned) = nullptr;
  void (*disable)(unsigned) = nullptr;
  void (*blend_function)(unsigned, unsigned) = nullptr;
  void (*viewport)(int, int, int, int) = nullptr;
  void (*scissor)(int, int, int, int) = nullptr;
  void (*read_pixels)(int, int, int, int, unsigned, unsigned, void*) = nullptr;
  void (*draw_arrays)(unsigned, int, int) = nullptr;
  void (*gen_textures)(int, unsigned*) = nullptr;
  void (*delete_textures)(int, const unsigned*) = nullptr;
  void (*bind_texture)(unsigned, unsigned) = nullptr;
  void (*texture_parameter)(unsigned, unsigned, int) = nullptr;
  void (*texture_storage)(unsigned, int, unsigned, int, int) = nullptr;
  void (*texture_image)(unsigned, int, int, int, int, int, unsigned, unsigned,
                        const void*) = nullptr;
  void (*gen_framebuffers)(int, unsigned*) = nullptr;
  void (*bind_framebuffer)(unsigned, unsigned) = nullptr;
  unsigned (*framebuffer_status)(unsigned) = nullptr;
  void (*attach_renderbuffer)(unsigned, unsigned, unsigned, unsigned) = nullptr;
  void (*gen_renderbuffers)(int, unsigned*) = nullptr;
  void (*bind_renderbuffer)(unsigned, unsigned) = nullptr;
  void (*renderbuffer_storage)(unsigned, unsigned, int, int) = nullptr;
  unsigned (*create_shader)(unsigned) = nullptr;
  void (*shader_source)(unsigned, int, const char* const*, const int*) = nullptr;
  void (*compile_shader)(unsigned) = nullptr;
  unsigned (*create_program)() = nullptr;
  void (*attach_shader)(unsigned, unsigned) = nullptr;
  void (*link_program)(unsigned) = nullptr;
  void (*get_program)(unsigned, unsigned, int*) = nullptr;
  void (*use_program)(unsigned) = nullptr;
  int (*uniform_location)(unsigned, const char*) = nullptr;
  void (*uniform_2i)(int, int, int) = nullptr;
  void (*uniform_4f)(int, float, float, float, float) = nullptr;

  /// Of GL_EXT_robustness; null where a reset of the device is not told.
  unsigned (*reset_status)() = nullptr;
};

}  // namespace porthole::gl
