// SPDX-License-Identifier: Apache-2.0
#include "gpu/main.hpp"

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>
#include <string>

#include <bulkhead/asio.hpp>
#include <bulkhead/process.hpp>
#include <bulkhead/service.hpp>

#include "common/self_test.hpp"
#include "gpu/pixman_composer.hpp"
#include "gpu/service.hpp"

namespace porthole {

using namespace bulkhead;

void gpu_main(Bootstrap& boot) {
  const auto [attempt] = or_exit(boot.arguments<std::string>());
  if (!attempt.empty()) run_attempt(attempt);
  asio::io_context loop{1};
  PixmanComposer composer;
  CompositorService service{loop, boot.channel(), composer};
  async_serve<Compositor>(boot.channel(), service,
                          asio::bind_executor(loop, [&](const Result<void>&) { loop.stop(); }));
  loop.run();
}

}  // namespace porthole
