// SPDX-License-Identifier: Apache-2.0
//
// Loops: where the browser process's work runs. One event loop for everything, and a worker or two
// for the few things that may wait: starting a process, killing one, compressing a picture.
//
// Threads: the members belong to the loop's thread; workers post back to it.
#pragma once

#include <cstddef>
#include <functional>

namespace asio {
class io_context;
class thread_pool;
}  // namespace asio

namespace porthole {

struct Loops {
  asio::io_context& loop;
  asio::thread_pool& workers;
  /// Child processes that were started and have not ended.
  std::size_t children = 0;
  /// Called when the last of them has gone.
  std::function<void()> childless = {};
};

}  // namespace porthole
