// SPDX-License-Identifier: Apache-2.0
//
// The image plugin in a real plugin process: good pictures, damaged ones, and what is none.
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <iterator>
#include <sys/stat.h>

#include "plugin/running_plugin.hpp"

namespace porthole {
namespace {

using bulkhead::ErrorKind;
using testing::AllOf;
using testing::HasSubstr;

const PluginKind& image() { return *plugin_for("image/png"); }

std::string content_of(const std::filesystem::path& path) {
  std::ifstream file{path, std::ios::binary};
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>{file}, {}};
}

std::string picture(const std::string& name) {
  static const auto root = std::filesystem::path{__FILE__}.parent_path() / "../../..";
  return content_of(root / "examples/isolate/images" / name);
}

std::uint32_t pixel(const PluginOutput& output, std::int32_t x, std::int32_t y) {
  std::uint32_t value = 0;
  const auto at = static_cast<std::size_t>(y * output.size.width + x) * 4;
  std::memcpy(&value, output.pixels->bytes().data() + at, 4);
  return value;
}

TEST(image_plugin, says_what_it_is_and_what_confines_it) {
  RunningPlugin plugin{image()};
  const auto told = plugin.told();
  EXPECT_EQ(told.failure, "");
  EXPECT_EQ(told.name, "image");
  EXPECT_THAT(told.sandbox, AllOf(HasSubstr("plugin image: locked"), HasSubstr("tightened")));
  // What the browser decides by and what the plugin believes are the same list.
  EXPECT_THAT(told.mime_types, testing::ElementsAreArray(image().mime_types));
  EXPECT_EQ(plugin.pong(), 42U);
}

TEST(image_plugin, draws_each_format_into_a_frozen_region) {
  RunningPlugin plugin{image()};
  for (const char* name : {"bulkheads.png", "plasma.jpg", "lighthouse.gif", "aurora.webp",
                           "sunset.jpg", "mandelbrot.gif", "seigaiha.webp", "maze.png"}) {
    // Its type is told by its first bytes.
    const auto output = plugin.render("image/png", picture(name));
    ASSERT_TRUE(output) << name << ": " << output.error();
    ASSERT_TRUE(output->pixels) << name;
    EXPECT_EQ(output->pixels->state(), bulkhead::Region::State::frozen);
    EXPECT_EQ(output->pixels->size(),
              static_cast<std::size_t>(output->size.width * output->size.height) * 4);
    std::uint32_t seen = 0;
    for (std::int32_t y = 0; y < output->size.height; ++y) seen |= pixel(*output, y / 2, y);
    EXPECT_EQ(seen >> 24, 0xffU) << name << " is transparent";
    EXPECT_NE(seen & 0xffffff, 0U) << name << " is black";
    EXPECT_EQ(output->html, "");
  }
}

TEST(image_plugin, multiplies_colours_by_their_alpha) {
  RunningPlugin plugin{image()};
  const auto output = plugin.render("image/png", picture("glass.png"));
  ASSERT_TRUE(output) << output.error();
  bool translucent = false;
  for (std::int32_t y = 0; y < output->size.height; ++y) {
    for (std::int32_t x = 0; x < output->size.width; ++x) {
      const auto value = pixel(*output, x, y);
      const auto alpha = value >> 24;
      translucent = translucent || (alpha > 0 && alpha < 255);
      ASSERT_LE((value >> 16) & 0xff, alpha);
      ASSERT_LE((value >> 8) & 0xff, alpha);
      ASSERT_LE(value & 0xff, alpha);
    }
  }
  EXPECT_TRUE(translucent);
}

TEST(image_plugin, answers_damaged_files_and_lives) {
  RunningPlugin plugin{image()};
  for (const char* name :
       {"wreck-cut-short.jpg", "wreck-cut-short.png", "wreck-flipped.png", "wreck-flipped.gif"}) {
    const auto output = plugin.render("image/png", picture(name));
    ASSERT_FALSE(output) << name;
    EXPECT_EQ(output.error(), ErrorKind::invalid) << name << ": " << output.error();
    EXPECT_THAT(output.error().sentence(),
                testing::AnyOf(HasSubstr("damaged"), HasSubstr("ends early")))
        << name;
  }
  EXPECT_EQ(plugin.render("image/png", picture("wreck-bomb.png")).error(), ErrorKind::too_large);
  EXPECT_EQ(plugin.render("image/png", picture("wreck-text.png")).error(), ErrorKind::unsupported);
  EXPECT_EQ(plugin.render("text/html", picture("maze.png")).error(), ErrorKind::unsupported);
  EXPECT_TRUE(plugin.render("image/png", picture("maze.png")));
  EXPECT_TRUE(plugin.process().running());
}

TEST(image_plugin, answers_every_cut_of_a_file) {
  RunningPlugin plugin{image()};
  for (const char* name : {"maze.png", "lighthouse.gif", "seigaiha.webp", "plasma.jpg"}) {
    const std::string whole = picture(name);
    for (std::size_t size = 1; size < whole.size(); size += whole.size() / 23 + 1) {
      const auto output = plugin.render("image/png", whole.substr(0, size));
      if (!output) {
        EXPECT_TRUE(output.error() == ErrorKind::invalid ||
                    output.error() == ErrorKind::unsupported)
            << name << " cut at " << size << ": " << output.error();
      }
    }
  }
  EXPECT_TRUE(plugin.process().running());
}

TEST(image_plugin, refuses_bytes_that_may_change) {
  RunningPlugin plugin{image()};
  auto user = plugin.attach();
  auto region = bulkhead::or_throw(bulkhead::Region::create(100));
  bulkhead::or_throw(region.publish());
  const auto output = user.render({.mime_type = "image/png", .bytes = std::move(region)});
  ASSERT_FALSE(output);
  EXPECT_THAT(output.error().sentence(), HasSubstr("not frozen"));
  // A region that can be written by its sender is not even looked at: the user is cut off.
  auto shared = bulkhead::or_throw(bulkhead::Region::create(100));
  EXPECT_FALSE(user.render({.mime_type = "image/png", .bytes = std::move(shared)}));
  EXPECT_TRUE(plugin.render("image/png", picture("maze.png")));
}

TEST(image_plugin, serves_several_users) {
  RunningPlugin plugin{image()};
  auto first = plugin.attach();
  {
    auto second = plugin.attach();
    EXPECT_TRUE(second.render({.mime_type = "image/png", .bytes = frozen(picture("maze.png"))}));
  }
  EXPECT_TRUE(first.render({.mime_type = "image/png", .bytes = frozen(picture("maze.png"))}));
}

TEST(image_plugin, works_on_a_thread_too) {
  RunningPlugin plugin{image(), {}, {}, bulkhead::Placement::thread};
  EXPECT_EQ(plugin.told().name, "image");
  EXPECT_TRUE(plugin.render("image/png", picture("maze.png")));
}

}  // namespace
}  // namespace porthole
