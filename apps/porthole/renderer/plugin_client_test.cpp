// SPDX-License-Identifier: Apache-2.0
#include "renderer/plugin_client.hpp"

#include <chrono>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <utility>
#include <vector>

#include <bulkhead/asio.hpp>

#include "renderer/fake_browser.hpp"

namespace porthole::test {
namespace {

using bulkhead::or_throw;
using testing::ElementsAre;
using testing::HasSubstr;

const auto ignore = [](const bulkhead::Result<void>&) {};

/// A broker whose plugins never answer: it gives out channels that nobody serves.
struct SilentPlugins {
  explicit SilentPlugins(asio::io_context& io) : loop(io) {}
  void acquire(RequestId id, std::string mime_type) {
    ++acquired;
    auto ends = or_throw(bulkhead::pair(bulkhead::Mechanism::shm));
    kept.push_back(std::move(ends.first));
    user->async_granted(id, std::move(mime_type), std::move(ends.second),
                        asio::bind_executor(loop, ignore));
  }
  asio::io_context& loop;
  std::optional<bulkhead::Remote<PluginUser>> user;
  std::vector<bulkhead::Channel> kept;
  int acquired = 0;
};

TEST(plugin_client, a_plugin_that_does_not_answer_is_given_up_for_the_page) {
  asio::io_context loop;
  SilentPlugins broker{loop};
  auto ends = or_throw(bulkhead::pair(bulkhead::Mechanism::shm));
  broker.user.emplace(ends.first);
  bulkhead::async_serve<PluginBroker>(ends.first, broker, asio::bind_executor(loop, ignore));
  Plugins plugins{loop, std::move(ends.second), std::chrono::milliseconds(20)};
  std::vector<std::string> reasons;
  const auto keep = [&](const Plugins::Outcome& outcome) { reasons.push_back(outcome.error()); };
  for (int i = 0; i < 3; ++i) plugins.render("image/png", frozen("x"), keep);
  EXPECT_EQ(plugins.under_way(), 3U);
  while (reasons.size() < 3) loop.run_one();
  EXPECT_THAT(reasons[2], HasSubstr("did not answer within 20 ms"));
  plugins.render("image/png", frozen("x"), keep);
  while (reasons.size() < 4) loop.run_one();
  EXPECT_EQ(broker.acquired, 1);

  plugins.reset();  // another page: perhaps it is well again
  plugins.render("image/png", frozen("x"), keep);
  while (reasons.size() < 5) loop.run_one();
  EXPECT_EQ(broker.acquired, 2);
  EXPECT_EQ(plugins.under_way(), 0U);
}

TEST(plugin_client, what_plugins_return_is_checked) {
  const auto fault = [](auto change) {
    PluginOutput output = plain_picture({.width = 4, .height = 4}, 0xffffffff);
    change(output);
    return fault_of(output);
  };
  EXPECT_EQ(fault([](PluginOutput&) {}), "");
  EXPECT_THAT(fault([](PluginOutput& o) { o.size.height = 5; }), HasSubstr("fewer pixels"));
  EXPECT_THAT(fault([](PluginOutput& o) { o.size.width = -4; }), HasSubstr("impossible"));
  EXPECT_THAT(fault([](PluginOutput& o) { o.size = {}; }), HasSubstr("impossible"));
  EXPECT_THAT(fault([](PluginOutput& o) { o.size = {.width = 16384, .height = 16384}; }),
              HasSubstr("impossible"));
  EXPECT_THAT(fault([](PluginOutput& o) { o.pixels.reset(); }), HasSubstr("nothing"));
  EXPECT_THAT(fault([](PluginOutput& o) {
                auto region = or_throw(bulkhead::Region::create(64));
                or_throw(region.publish());
                o.pixels = std::move(region);
              }),
              HasSubstr("can still change"));
}

}  // namespace
}  // namespace porthole::test
