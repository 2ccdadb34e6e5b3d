// SPDX-License-Identifier: Apache-2.0
#include "renderer/main.hpp"

#include <asio/io_context.hpp>
#include <string>
#include <utility>

#include <bulkhead/asio.hpp>

#include "common/self_test.hpp"
#include "renderer/renderer.hpp"

namespace porthole {

void renderer_main(bulkhead::Bootstrap& boot) {
  if (const auto arguments = boot.arguments<std::string>()) {
    const auto& [attempt] = *arguments;
    if (!attempt.empty()) run_attempt(attempt);
  }
  auto resources = bulkhead::or_throw(boot.channel("resources"));
  auto plugins = bulkhead::or_throw(boot.channel("plugins"));
  asio::io_context loop{1};
  Renderer renderer{loop, boot.channel(), std::move(resources), std::move(plugins)};
  bulkhead::async_serve<Frame>(
      boot.channel(), renderer,
      asio::bind_executor(loop, [&](const bulkhead::Result<void>&) { loop.stop(); }));
  renderer.warm_up();
  loop.run();
}

}  // namespace porthole
