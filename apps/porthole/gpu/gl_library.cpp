// SPDX-License-Identifier: Apache-2.0
#include "gpu/gl_library.hpp"

#include <dlfcn.h>
#include <string>

namespace porthole::gl {

using namespace bulkhead;

namespace {

Result<void*> open_library(const char* name) {
  void* const library = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (library) return library;
  const char* const why = ::dlerror();
  return fail(
      ErrorKind::not_found,
      {.operation = "load", .object = name, .cause = why ? why : "the loader does not say why"});
}

/// Looks up one after the other, and remembers the first that is not there.
class Symbols {
 public:
  explicit Symbols(void* library) : library_(library) {}

  template <class Function> void find(Function*& function, const char* name) {
    void* const address = ::dlsym(library_, name);
    if (!address && !missing_) missing_ = name;
    function = reinterpret_cast<Function*>(address);
  }

  Result<void> all_there() const {
    if (!missing_) return {};
    return fail(ErrorKind::unsupported,
                {.operation = "find", .object = missing_, .cause = "this libEGL or GL is too old"});
  }

 private:
  void* library_;
  const char* missing_ = nullptr;
};

Result<void> find_egl(GlLibrary& gl, void* library) {
  Symbols egl{library};
  egl.find(gl.get_platform_display, "eglGetPlatformDisplay");
  egl.find(gl.initialize, "eglInitialize");
  egl.find(gl.terminate, "eglTerminate");
  egl.find(gl.bind_api, "eglBindAPI");
  egl.find(gl.query_string, "eglQueryString");
  egl.find(gl.create_context, "eglCreateContext");
  egl.find(gl.destroy_context, "eglDestroyContext");
  egl.find(gl.make_current, "eglMakeCurrent");
  egl.find(gl.get_current_context, "eglGetCurrentContext");
  egl.find(gl.get_error_of_egl, "eglGetError");
  egl.find(gl.get_proc_address, "eglGetProcAddress");
  return egl.all_there();
}

void find_drawing(GlLibrary& gl, Symbols& es) {
  es.find(gl.get_string, "glGetString");
  es.find(gl.get_integers, "glGetIntegerv");
  es.find(gl.get_error, "glGetError");
  es.find(gl.enable, "glEnable");
  es.find(gl.disable, "glDisable");
  es.find(gl.blend_function, "glBlendFunc");
  es.find(gl.viewport, "glViewport");
  es.find(gl.scissor, "glScissor");
  es.find(gl.read_pixels, "glReadPixels");
  es.find(gl.draw_arrays, "glDrawArrays");
  es.find(gl.gen_framebuffers, "glGenFramebuffers");
  es.find(gl.bind_framebuffer, "glBindFramebuffer");
  es.find(gl.framebuffer_status, "glCheckFramebufferStatus");
  es.find(gl.attach_renderbuffer, "glFramebufferRenderbuffer");
  es.find(gl.gen_renderbuffers, "glGenRenderbuffers");
  es.find(gl.bind_renderbuffer, "glBindRenderbuffer");
  es.find(gl.renderbuffer_storage, "glRenderbufferStorage");
}

void find_textures_and_programs(GlLibrary& gl, Symbols& es) {
  es.find(gl.gen_textures, "glGenTextures");
  es.find(gl.delete_textures, "glDeleteTextures");
  es.find(gl.bind_texture, "glBindTexture");
  es.find(gl.texture_parameter, "glTexParameteri");
  es.find(gl.texture_storage, "glTexStorage2D");
  es.find(gl.texture_image, "glTexSubImage2D");
  es.find(gl.create_shader, "glCreateShader");
  es.find(gl.shader_source, "glShaderSource");
  es.find(gl.compile_shader, "glCompileShader");
  es.find(gl.create_program, "glCreateProgram");
  es.find(gl.attach_shader, "glAttachShader");
  es.find(gl.link_program, "glLinkProgram");
  es.find(gl.get_program, "glGetProgramiv");
  es.find(gl.use_program, "glUseProgram");
  es.find(gl.uniform_location, "glGetUniformLocation");
  es.find(gl.uniform_2i, "glUniform2i");
  es.find(gl.uniform_4f, "glUniform4f");
}

}  // namespace

Result<GlLibrary> GlLibrary::load() {
  GlLibrary gl;
  void* const egl = BULKHEAD_TRY(open_library("libEGL.so.1"));
  BULKHEAD_TRY(find_egl(gl, egl));
  Symbols es{BULKHEAD_TRY(open_library("libGLESv2.so.2"))};
  find_drawing(gl, es);
  find_textures_and_programs(gl, es);
  BULKHEAD_TRY(es.all_there());
  return gl;
}

}  // namespace porthole::gl
