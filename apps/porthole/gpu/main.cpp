// SPDX-License-Identifier: Apache-2.0
#include "gpu/main.hpp"

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include <bulkhead/asio.hpp>
#include <bulkhead/process.hpp>
#include <bulkhead/service.hpp>

#include "common/self_test.hpp"
#include "gpu/egl_composer.hpp"
#include "gpu/gl_library.hpp"
#include "gpu/pixman_composer.hpp"
#include "gpu/sandbox.hpp"
#include "gpu/service.hpp"

namespace porthole {

using namespace bulkhead;

namespace {

struct Chosen {
  std::unique_ptr<Composer> composer;
  EglComposer* gl = nullptr;  ///< the same one, when it is that
  std::string why_no_gl = {};
};

/// A confined process has one thread now: what Mesa is told lets it start no other where it can do
/// without, write no files and make no machine code. llvmpipe makes it for each shader, softpipe
/// never; drivers of real GPUs do not look.
void prepare_for_confinement() {
  for (const auto& [name, value] :
       {std::pair{"MESA_SHADER_CACHE_DISABLE", "true"}, std::pair{"GALLIUM_THREAD", "0"},
        std::pair{"GALLIUM_DRIVER", "softpipe"}, std::pair{"DRAW_USE_LLVM", "0"}}) {
    ::setenv(name, value, 1);
  }
}

Result<std::unique_ptr<EglComposer>> start_gl(GlUse use) {
  const auto library = BULKHEAD_TRY(gl::GlLibrary::load());
  return EglComposer::create(library, use);
}

Chosen choose(GlUse use) {
  if (use == GlUse::none) return {.composer = std::make_unique<PixmanComposer>()};
  auto gl = start_gl(use);
  if (!gl) {
    return {.composer = std::make_unique<PixmanComposer>(), .why_no_gl = gl.error().sentence()};
  }
  EglComposer* const same = gl->get();
  return {.composer = std::move(*gl), .gl = same};
}

void tell(CompositorService& service, const Chosen& chosen) {
  if (!chosen.gl) return service.tell_composer("cpu", chosen.why_no_gl);
  service.tell_composer("gl on " + chosen.gl->renderer(), "");
  chosen.gl->on_failure(
      [&service](std::string why) { service.tell_composer("cpu", std::move(why)); });
}

}  // namespace

void gpu_main(Bootstrap& boot) {
  const auto [attempt, use] = or_exit(boot.arguments<std::string, GlUse>());
  if (attempt.starts_with(while_loading)) run_attempt(attempt.substr(while_loading.size()));
  // A role that runs as the browser does (on a thread, or for development) has no stages.
  const bool staged = use != GlUse::none && boot.sandbox_report().locked;
  if (staged) prepare_for_confinement();
  const Chosen chosen = choose(use);
  // Before anything of a producer is looked at. Binds the driver's threads too, or ends this.
  if (staged) or_exit(boot.tighten(chosen.gl ? gpu_drawing_sandbox() : gpu_sandbox()));
  if (!attempt.empty()) run_attempt(attempt);
  asio::io_context loop{1};
  CompositorService service{loop, boot.channel(), *chosen.composer};
  async_serve<Compositor>(boot.channel(), service,
                          asio::bind_executor(loop, [&](const Result<void>&) { loop.stop(); }));
  if (use != GlUse::none) tell(service, chosen);
  loop.run();
}

}  // namespace porthole
