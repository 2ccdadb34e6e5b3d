// SPDX-License-Identifier: Apache-2.0
// Waiting for a process in an event loop.
#include <csignal>
#include <cstdlib>
#include <gtest/gtest.h>
#include <optional>

#include <bulkhead/asio.hpp>
#include <bulkhead/process.hpp>

namespace {

using namespace bulkhead;

void leave_with_three(Bootstrap&) { std::exit(3); }
void wait_for_close(Bootstrap& boot) { static_cast<void>(boot.channel().receive(never)); }

asio::awaitable<void> await_end(Process& child, std::optional<Result<Exit>>& told) {
  told = co_await child.async_wait(asio::use_awaitable);
}

TEST(process_async, a_coroutine_awaits_the_end_of_a_process) {
  asio::io_context io;
  auto child = or_throw(spawn<leave_with_three>());
  std::optional<Result<Exit>> told;
  asio::co_spawn(io, await_end(child, told), asio::detached);
  io.run();
  ASSERT_TRUE(told);
  EXPECT_EQ(or_throw(*told), Exit::exited(3));
}

TEST(process_async, a_process_that_goes_meanwhile_is_told_to_have_ended) {
  asio::io_context io;
  std::optional<Process> child = or_throw(spawn<wait_for_close>());
  std::optional<Result<Exit>> told;
  child->async_wait(asio::bind_executor(io, [&](Result<Exit> exit) { told = std::move(exit); }));
  io.poll();
  EXPECT_FALSE(told);
  child.reset();
  io.run();
  ASSERT_TRUE(told);
  EXPECT_EQ(or_throw(*told), Exit::exited(0));
}

}  // namespace
