// SPDX-License-Identifier: Apache-2.0
//
// The gpu process as it runs with GL: in the second stage of its sandbox, with a producer at the end
// of a channel; and what it is refused in either stage.
#include <algorithm>
#include <asio/io_context.hpp>
#include <chrono>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <optional>

#include <bulkhead/process.hpp>

#include "common/self_test.hpp"
#include "gpu/egl_composer.hpp"
#include "gpu/main.hpp"
#include "gpu/render_node.hpp"
#include "gpu/sandbox.hpp"
#include "gpu/testing.hpp"
#include "support/census.hpp"

namespace {

using namespace bulkhead;
using namespace porthole;
using namespace porthole::test;

constexpr std::uint32_t red = 0xffff0000;
constexpr std::uint32_t green = 0xff00ff00;
constexpr LayerId page{1};

Result<Process> start(GlUse use, std::string attempt = {}) {
  return spawn<gpu_main>({.name = "gpu",
                          .sandbox = gpu_sandbox(use),
                          .arguments = arguments(std::move(attempt), use),
                          .mechanism = Mechanism::shm});
}

/// Why there is no GL here, tried in this process.
std::string why_no_gl(GlUse use) {
  const auto library = gl::GlLibrary::load();
  if (!library) return library.error().sentence();
  const auto composer = EglComposer::create(*library, use);
  return composer ? "" : composer.error().sentence();
}

class gpu_with_gl : public testing::Test {
 public:
  void begin(GlUse use) {
    process.emplace(or_throw(start(use)));
    browser.emplace(loop, process->channel());
    run_until(loop, [&] { return !browser->composers.empty(); });
    auto ends = or_throw(pair(process->channel().mechanism()));
    browser->add_layer(page, std::move(ends.first));
    painter.emplace(loop, std::move(ends.second), 4);
    browser->set_scene(1, {300, 200}, {{page, {0, 50, 300, 150}}});
  }

  const Picture& paint(std::uint64_t frame, std::uint32_t color) {
    painter->submit(frame, {painter->paint(0, 0, color)});
    browser->ask(RequestId{frame}, 1, {{page, frame}});
    return browser->wait_for(RequestId{frame});
  }

  asio::io_context loop;
  std::optional<Process> process;
  std::optional<Browser> browser;
  std::optional<Painter> painter;
};

TEST_F(gpu_with_gl, composes_in_its_second_stage) {
  if (const auto why = why_no_gl(GlUse::any); !why.empty()) GTEST_SKIP() << why;
  begin(GlUse::any);
  EXPECT_THAT(browser->composers[0].first, testing::StartsWith("gl on "));
  EXPECT_EQ(browser->composers[0].second, "");
  EXPECT_TRUE(process->sandbox_report().locked);
  for (std::uint64_t frame = 1; frame <= 12; ++frame) {  // slots are painted over and over
    const std::uint32_t color = 0xff000000 + static_cast<std::uint32_t>(frame * 0x101010);
    const Picture& picture = paint(frame, color);
    EXPECT_EQ(picture.pixels.state(), Region::State::frozen);
    EXPECT_EQ(pixel(picture, 0, 49), 0xffffffff);
    EXPECT_EQ(pixel(picture, 0, 50), color);
    EXPECT_EQ(pixel(picture, 255, 199), color);
  }
  // Another size, and back: what GL makes anew it makes in the sandbox.
  browser->set_scene(1, {1280, 800}, {{page, {0, 0, 1280, 800}}});
  EXPECT_EQ(pixel(paint(13, red), 5, 5), red);
  browser->set_scene(1, {30, 20}, {{page, {0, 0, 30, 20}}});
  EXPECT_EQ(pixel(paint(14, green), 29, 19), green);
  EXPECT_EQ(browser->composers.size(), 1U);
}

TEST_F(gpu_with_gl, leaves_its_driver_within_the_sandbox) {
  if (const auto why = why_no_gl(GlUse::any); !why.empty()) GTEST_SKIP() << why;
  Process gpu = or_throw(start(GlUse::any));
  gpu.channel().close();
  EXPECT_EQ(or_throw(gpu.wait(std::chrono::seconds(60))), Exit::exited(0));
}

TEST_F(gpu_with_gl, without_a_gpu_the_cpu_draws_and_the_reason_is_told) {
  if (has_render_node()) GTEST_SKIP() << "there is a render node";
  begin(GlUse::hardware);
  EXPECT_EQ(browser->composers[0].first, "cpu");
  EXPECT_NE(browser->composers[0].second, "");
  EXPECT_EQ(pixel(paint(1, red), 0, 50), red);
}

TEST_F(gpu_with_gl, is_refused_all_that_the_self_test_tries_in_both_stages) {
  for (const std::string stage : {"", "while-loading:"}) {
    const auto results = or_throw(
        self_test([&](const std::string& attempt) { return start(GlUse::any, stage + attempt); }));
    for (const auto& result : results) {
      EXPECT_EQ(result.verdict, AttemptResult::Verdict::refused)
          << stage << result.name << ": " << result.how;
    }
  }
}

TEST(gpu_sandbox_of_gl, lets_the_second_stage_open_and_start_nothing) {
  const Sandbox drawing = gpu_drawing_sandbox();
  EXPECT_TRUE(drawing.readable.empty());
  EXPECT_TRUE(drawing.loadable.empty());
  EXPECT_TRUE(drawing.devices.empty());
  EXPECT_EQ(drawing.threads, Sandbox::Threads::none);
  EXPECT_EQ(drawing.tighten, Sandbox::Tighten::none);
}

TEST(gpu_sandbox_of_gl, leaves_that_of_the_cpu_as_it_is) {
  const Sandbox sandbox = gpu_sandbox();
  EXPECT_EQ(sandbox.tighten, Sandbox::Tighten::none);
  EXPECT_EQ(sandbox.control, Sandbox::Control::none);
  EXPECT_TRUE(sandbox.readable.empty());
  EXPECT_TRUE(sandbox.loadable.empty());
  EXPECT_TRUE(sandbox.devices.empty());
}

TEST(render_node, is_looked_for_where_it_is_said_to_be) {
  EXPECT_FALSE(has_render_node("/nowhere/at/all"));
  const auto folder = bulkhead::test::temporary_folder();
  EXPECT_FALSE(has_render_node(folder.c_str()));
  std::ofstream{folder / "card0"};
  EXPECT_FALSE(has_render_node(folder.c_str()));
  std::ofstream{folder / "renderD128"};
  EXPECT_TRUE(has_render_node(folder.c_str()));
}

}  // namespace
