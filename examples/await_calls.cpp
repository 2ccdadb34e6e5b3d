// SPDX-License-Identifier: Apache-2.0
//
// Two processes compute for one event loop: coroutines await their calls, and one of the processes
// dies on the way. Prints the sums of the other, and how the first died.
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/use_awaitable.hpp>
#include <csignal>
#include <cstdint>
#include <iostream>

#include <bulkhead/asio.hpp>
#include <bulkhead/bulkhead.hpp>

using namespace bulkhead;

namespace {

struct Adder {
  std::int64_t sum(std::int64_t from, std::int64_t to);
};
BULKHEAD_INTERFACE(Adder, sum)

struct RealAdder {
  std::int64_t sum(std::int64_t from, std::int64_t to) {
    if (from == 13) std::raise(SIGKILL);  // bad luck
    std::int64_t all = 0;
    for (std::int64_t i = from; i < to; ++i) all += i;
    return all;
  }
};

void adder(Bootstrap& boot) { boot.serve<Adder>(RealAdder{}); }

asio::awaitable<void> add(Process& worker, std::int64_t from) {
  const Remote<Adder> remote{worker.channel()};
  for (std::int64_t i = from; i < from + 3; ++i) {
    const auto sum = co_await remote.async_sum(i, i + 1000, asio::use_awaitable);
    if (sum) {
      std::cout << i << " to " << i + 1000 << ": " << *sum << '\n';
    } else {
      std::cout << i << " to " << i + 1000 << ": " << sum.error() << '\n';
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  bulkhead::init(argc, argv);
  Process lucky = or_exit(spawn<adder>({.name = "lucky"}));
  Process unlucky = or_exit(spawn<adder>({.name = "unlucky"}));
  asio::io_context loop;
  asio::co_spawn(loop, add(lucky, 0), asio::detached);
  asio::co_spawn(loop, add(unlucky, 12), asio::detached);
  loop.run();
}
