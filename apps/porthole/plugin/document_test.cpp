// SPDX-License-Identifier: Apache-2.0
//
// The svg and markdown plugins in real plugin processes.
#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plugin/running_plugin.hpp"

namespace porthole {
namespace {

using bulkhead::ErrorKind;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

const std::string svg_type = "image/svg+xml";
const std::string markdown_type = "text/markdown";

std::uint32_t pixel(const PluginOutput& output, std::int32_t x, std::int32_t y) {
  std::uint32_t value = 0;
  const auto at = static_cast<std::size_t>(y * output.size.width + x) * 4;
  std::memcpy(&value, output.pixels->bytes().data() + at, 4);
  return value;
}

int inked(const PluginOutput& output) {
  int count = 0;
  for (std::int32_t y = 0; y < output.size.height; ++y) {
    for (std::int32_t x = 0; x < output.size.width; ++x) count += pixel(output, x, y) != 0;
  }
  return count;
}

std::string svg(const std::string& attributes, const std::string& content) {
  return "<svg xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink' " +
         attributes + ">" + content + "</svg>";
}

TEST(svg_plugin, draws_at_its_own_size_or_as_wanted) {
  RunningPlugin plugin{*plugin_for(svg_type)};
  const auto told = plugin.told();
  EXPECT_EQ(told.failure, "");
  EXPECT_THAT(told.mime_types, testing::ElementsAreArray(plugin_for(svg_type)->mime_types));
  const auto drawing =
      svg("width='40' height='20' viewBox='0 0 4 2'", "<rect width='2' height='2' fill='red'/>");
  auto output = plugin.render(svg_type, drawing);
  ASSERT_TRUE(output) << output.error();
  EXPECT_EQ(output->size, (Size{40, 20}));
  EXPECT_EQ(pixel(*output, 5, 5), 0xffff0000U);
  EXPECT_EQ(pixel(*output, 30, 5), 0U);
  EXPECT_EQ(plugin.render(svg_type, drawing, {200, 100})->size, (Size{200, 100}));
  EXPECT_EQ(plugin.render(svg_type, drawing, {100, 0})->size, (Size{100, 50}));
  EXPECT_EQ(plugin.render(svg_type, svg("viewBox='0 0 4 2'", ""))->size, (Size{300, 150}));
}

TEST(svg_plugin, draws_text_with_the_systems_fonts) {
  RunningPlugin plugin{*plugin_for(svg_type)};
  for (const char* family : {"sans-serif", "monospace", "a font that nobody has"}) {
    const auto output = plugin.render(
        svg_type, svg("width='200' height='40'", "<text y='30' font-size='30' font-family='" +
                                                     std::string{family} + "'>Bulkhead</text>"));
    ASSERT_TRUE(output) << output.error();
    EXPECT_GT(inked(*output), 300) << family;
  }
}

TEST(svg_plugin, draws_filters_gradients_and_embedded_pictures_or_goes_without) {
  RunningPlugin plugin{*plugin_for(svg_type)};
  const auto output = plugin.render(
      svg_type,
      svg("width='60' height='60'",
          "<defs><filter id='f'><feGaussianBlur stdDeviation='3'/></filter>"
          "<linearGradient id='g'><stop stop-color='red'/><stop offset='1' stop-color='blue'/>"
          "</linearGradient></defs><circle cx='30' cy='30' r='20' fill='url(#g)' "
          "filter='url(#f)'/><image width='9' height='9' xlink:href='data:image/png;base64,"
          "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJ"
          "RU5ErkJggg=='/><image width='9' height='9' xlink:href='file:///etc/passwd'/>"
          "<image width='9' height='9' xlink:href='http://127.0.0.1:9/'/>"));
  ASSERT_TRUE(output) << output.error();
  EXPECT_GT(inked(*output), 1000);
  EXPECT_TRUE(plugin.process().running());
}

TEST(svg_plugin, answers_damaged_drawings_and_lives) {
  RunningPlugin plugin{*plugin_for(svg_type)};
  for (const std::string& damaged :
       {std::string{"<svg"}, std::string{"no drawing"}, std::string(1000, '\0'),
        std::string{"<html xmlns='http://www.w3.org/1999/xhtml'/>"}}) {
    const auto output = plugin.render(svg_type, damaged);
    ASSERT_FALSE(output) << damaged;
    EXPECT_EQ(output.error(), ErrorKind::invalid) << output.error();
  }
  for (const char* size : {"width='1e30' height='5'", "width='20000' height='20000'"}) {
    EXPECT_EQ(plugin.render(svg_type, svg(size, "")).error(), ErrorKind::too_large) << size;
  }
  EXPECT_TRUE(plugin.render(svg_type, svg("width='3' height='3'", "")));
}

TEST(markdown_plugin, makes_a_page_of_a_document) {
  RunningPlugin plugin{*plugin_for(markdown_type)};
  const auto told = plugin.told();
  EXPECT_EQ(told.failure, "");
  EXPECT_THAT(told.mime_types, testing::ElementsAreArray(plugin_for(markdown_type)->mime_types));
  const auto output = plugin.render(markdown_type,
                                    "# A *small* & fine page\n\nWith a [link](b.md) and\n\n"
                                    "| a | b |\n|---|---|\n| 1 | 2 |\n\n- [x] done\n");
  ASSERT_TRUE(output) << output.error();
  EXPECT_FALSE(output->pixels);
  EXPECT_THAT(output->html,
              AllOf(StartsWith("<!DOCTYPE html>"), HasSubstr("<title>A small &amp; fine page</"),
                    HasSubstr("<a href=\"b.md\">link</a>"), HasSubstr("<td>2</td>"),
                    HasSubstr("charset=\"utf-8\"")));
}

TEST(markdown_plugin, takes_what_it_gets_and_refuses_what_is_no_text) {
  RunningPlugin plugin{*plugin_for(markdown_type)};
  EXPECT_THAT(plugin.render(markdown_type, "\xff\xfe\xc0 broken UTF-8")->html,
              HasSubstr("broken UTF-8"));
  EXPECT_EQ(plugin.render(markdown_type, std::string(10, '\0')).error(), ErrorKind::invalid);
  const std::string nested(100'000, '>');
  const auto deep = plugin.render(markdown_type, nested);
  EXPECT_TRUE(deep || deep.error() == ErrorKind::too_large) << deep.error();
  EXPECT_TRUE(plugin.process().running());
}

}  // namespace
}  // namespace porthole
