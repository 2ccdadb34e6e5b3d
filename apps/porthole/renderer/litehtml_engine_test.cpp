// SPDX-License-Identifier: Apache-2.0
//
// The engine on small pages: what is where, by its colour.
#include <algorithm>
#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <vector>

#include "renderer/page_engine.hpp"

namespace porthole {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint32_t white = 0xffffffff;
constexpr std::uint32_t red = 0xffff0000;
constexpr std::uint32_t blue = 0xff0000ff;
constexpr std::uint32_t lime = 0xff00ff00;
constexpr Size viewport{.width = 400, .height = 300};

struct Asked final : Resources {
  void want_style_sheet(const std::string& url) override { sheets.push_back(url); }
  void want_picture(const std::string& url) override { pictures.push_back(url); }
  std::vector<std::string> sheets;
  std::vector<std::string> pictures;
};

/// A page in an engine, and its pixels.
class Shown {
 public:
  explicit Shown(const std::string& html, const std::string& url = "http://a.test/d/") {
    engine->open(html, url, asked);
  }
  Shown& parse() {
    engine->parse(viewport);
    return lay_out();
  }
  Shown& lay_out() {
    engine->layout(viewport);
    return paint();
  }
  Shown& paint(std::int32_t from = 0) {
    first_row = from;
    pixels.assign(std::size_t{400} * 300, 0);
    const PaintTarget target{.area = {.x = 0, .y = from, .width = 400, .height = 300},
                             .pixels = reinterpret_cast<std::byte*>(pixels.data()),
                             .stride_bytes = 1600};
    engine->paint({&target, 1});
    return *this;
  }
  std::uint32_t at(std::int32_t x, std::int32_t y) const {
    return pixels.at(static_cast<std::size_t>(y - first_row) * 400 + static_cast<std::size_t>(x));
  }
  /// Pixels within a rectangle that are not of the colour.
  int other_than(std::uint32_t colour, const Rect& area) const {
    int count = 0;
    for (std::int32_t y = area.y; y < area.y + area.height; ++y) {
      for (std::int32_t x = area.x; x < area.x + area.width; ++x) count += at(x, y) != colour;
    }
    return count;
  }

  Asked asked;
  std::unique_ptr<PageEngine> engine = make_page_engine();
  std::vector<std::uint32_t> pixels;
  std::int32_t first_row = 0;
};

DecodedPicture plain(Size size, std::uint32_t colour) {
  const auto count = static_cast<std::size_t>(size.width * size.height);
  auto owner = std::make_shared<std::vector<std::uint32_t>>(count, colour);
  return {
      .size = size, .pixels = reinterpret_cast<const std::byte*>(owner->data()), .owner = owner};
}

TEST(litehtml_engine, boxes_are_where_css_puts_them) {
  Shown page{
      "<title>\n T &amp;\n U </title><style>body{margin:10px;background:#00f}div{width:50px;height:"
      "40px;"
      "background:red;float:left;margin-right:5px;border:2px solid lime}</style><div></div><div>"};
  page.parse();
  EXPECT_EQ(page.engine->title(), "T & U");
  EXPECT_EQ(page.engine->background(), blue);
  EXPECT_EQ(page.at(0, 0), blue);
  EXPECT_EQ(page.at(399, 299), blue);
  EXPECT_EQ(page.at(10, 10), lime);
  EXPECT_EQ(page.at(12, 12), red);
  EXPECT_EQ(page.at(61, 51), red);
  EXPECT_EQ(page.at(63, 53), lime);
  EXPECT_EQ(page.at(66, 30), blue);  // the margin between
  EXPECT_EQ(page.at(69, 30), lime);  // the second
  EXPECT_EQ(page.engine->content(), viewport);
}

TEST(litehtml_engine, text_is_drawn_in_its_colour_and_nowhere_else) {
  Shown page{"<body style='margin:0;color:#ff0000'><p style='margin:20px;font-size:30px'>MMMM"};
  page.parse();
  EXPECT_GT(std::ranges::count(page.pixels, red), 200);
  EXPECT_EQ(page.other_than(white, {.x = 0, .y = 0, .width = 400, .height = 20}), 0);
  EXPECT_EQ(page.other_than(white, {.x = 0, .y = 70, .width = 400, .height = 230}), 0);
}

TEST(litehtml_engine, a_word_is_as_wide_wherever_it_is_painted) {
  const std::string html = "<body style='margin:0;font-size:40px'>Wide words go over two targets";
  Shown whole{html};
  whole.parse();
  Shown halves{html};
  halves.engine->parse(viewport);
  halves.engine->layout(viewport);
  halves.pixels.assign(std::size_t{400} * 300, 0);
  std::vector<PaintTarget> targets;
  for (std::int32_t x = 0; x < 400; x += 100) {
    targets.push_back({.area = {.x = x, .y = 0, .width = 100, .height = 300},
                       .pixels = reinterpret_cast<std::byte*>(halves.pixels.data() + x),
                       .stride_bytes = 1600});
  }
  halves.engine->paint(targets);
  EXPECT_TRUE(whole.pixels == halves.pixels);
}

TEST(litehtml_engine, a_table_has_rows_and_columns) {
  Shown page{
      "<body style='margin:0'><table style='border-spacing:0' cellpadding=0><tr><td style='width:"
      "100px;height:30px;background:red'></td><td style='width:50px;background:blue'></td></tr>"
      "<tr><td style='height:20px;background:lime' colspan=2></td></tr></table>"};
  page.parse();
  EXPECT_EQ(page.at(5, 5), red);
  EXPECT_EQ(page.at(110, 5), blue);
  EXPECT_EQ(page.at(5, 40), lime);
  EXPECT_EQ(page.at(140, 40), lime);
  EXPECT_EQ(page.at(200, 40), white);
}

TEST(litehtml_engine, style_sheets_are_found_before_the_page_is_parsed) {
  Shown page{
      "<!-- <link rel=stylesheet href=no.css> --><LINK href='a.css?x=1&amp;y' REL=StyleSheet>"
      "<link rel=icon href=i.png><style>@import url(\"b.css\");</style><div class=x>x</div>"};
  EXPECT_THAT(page.asked.sheets,
              ElementsAre("http://a.test/d/a.css?x=1&y", "http://a.test/d/b.css"));
  EXPECT_TRUE(page.engine->waits_for_style());
  EXPECT_EQ(page.engine->style_sheet("http://a.test/d/a.css?x=1&y",
                                     "@import 'sub/c.css'; body { margin: 0 }"),
            Redo::parse);
  EXPECT_EQ(page.asked.sheets.back(), "http://a.test/d/sub/c.css");
  page.engine->style_sheet("http://a.test/d/b.css", ".x { height: 10px; background: red }");
  EXPECT_TRUE(page.engine->waits_for_style());
  page.engine->style_sheet("http://a.test/d/sub/c.css", std::nullopt);
  EXPECT_FALSE(page.engine->waits_for_style());
  page.parse();
  EXPECT_EQ(page.asked.sheets.size(), 3U);
  EXPECT_EQ(page.at(390, 5), red);
}

TEST(litehtml_engine, a_style_sheet_that_imports_itself_comes_to_an_end) {
  Shown page{"<link rel=stylesheet href=a.css><body>"};
  page.engine->style_sheet("http://a.test/d/a.css", "@import 'a.css'; body { background: red }");
  page.parse();
  EXPECT_EQ(page.at(5, 5), red);
}

TEST(litehtml_engine, a_late_style_sheet_changes_the_page) {
  Shown page{"<link rel=stylesheet href=a.css><body>"};
  page.parse();
  EXPECT_EQ(page.at(5, 5), white);
  EXPECT_EQ(page.engine->style_sheet("http://a.test/d/a.css", "body { background: red }"),
            Redo::parse);
  page.parse();
  EXPECT_EQ(page.at(5, 5), red);
}

TEST(litehtml_engine, a_picture_without_a_size_needs_a_layout_and_one_with_a_size_a_paint) {
  Shown page{
      "<body style='margin:0'><img src=free.png style='display:block'><img src=fixed.png "
      "width=20 height=10 style='display:block'><div style='height:5px;background:lime'></div>"};
  page.parse();
  EXPECT_THAT(page.asked.pictures,
              ElementsAre("http://a.test/d/free.png", "http://a.test/d/fixed.png"));
  EXPECT_EQ(page.at(5, 12), lime);
  EXPECT_EQ(page.engine->picture("http://a.test/d/fixed.png", plain({40, 40}, red)), Redo::paint);
  EXPECT_EQ(page.engine->picture("http://a.test/d/free.png", plain({30, 50}, blue)), Redo::layout);
  page.lay_out();
  EXPECT_EQ(page.at(29, 49), blue);
  EXPECT_EQ(page.at(30, 49), white);
  EXPECT_EQ(page.at(19, 59), red);
  EXPECT_EQ(page.at(20, 59), white);
  EXPECT_EQ(page.at(5, 62), lime);
  EXPECT_EQ(page.engine->picture("http://a.test/d/free.png", plain({1, 1}, red)), Redo::nothing);
  EXPECT_EQ(page.engine->picture("http://a.test/never.png", plain({1, 1}, red)), Redo::nothing);
}

TEST(litehtml_engine, a_broken_picture_is_a_box_with_its_alternative_text) {
  Shown page{
      "<body style='margin:0'><img src=a.png alt='An alternative text' "
      "style='display:block'><div style='height:9px;background:lime'></div>"};
  page.parse();
  EXPECT_EQ(page.at(2, 2), lime);
  EXPECT_EQ(page.engine->picture("http://a.test/d/a.png", std::nullopt), Redo::layout);
  page.lay_out();
  EXPECT_EQ(page.at(0, 0), 0xffb0b0b0);
  EXPECT_EQ(page.at(2, 2), 0xfff0f0f0);
  EXPECT_GT(page.other_than(0xfff0f0f0, {.x = 2, .y = 2, .width = 100, .height = 18}), 100);
}

TEST(litehtml_engine, backgrounds_repeat_and_are_clipped_by_round_corners) {
  Shown page{
      "<body style='margin:0'><div style='width:100px;height:100px;background:url(b.png) repeat-x "
      "0 10px blue;border-radius:50px'></div>"};
  page.parse();
  EXPECT_THAT(page.asked.pictures, ElementsAre("http://a.test/d/b.png"));
  page.engine->picture("http://a.test/d/b.png", plain({7, 5}, red));
  page.lay_out();
  EXPECT_EQ(page.at(50, 5), blue);
  EXPECT_EQ(page.at(50, 12), red);
  EXPECT_EQ(page.at(60, 12), red);
  EXPECT_EQ(page.at(50, 16), blue);
  EXPECT_EQ(page.at(1, 1), white);
  EXPECT_EQ(page.at(98, 98), white);
}

TEST(litehtml_engine, what_overflows_is_cut_where_css_says_so) {
  Shown page{
      "<body style='margin:0'><div style='overflow:hidden;width:50px;height:50px'><div "
      "style='width:200px;height:200px;background:red'></div></div>"};
  page.parse();
  EXPECT_EQ(page.at(49, 49), red);
  EXPECT_EQ(page.at(51, 20), white);
  EXPECT_EQ(page.at(20, 51), white);
}

TEST(litehtml_engine, links_are_found_and_resolved) {
  Shown page{
      "<base href='http://b.test/x/'><body style='margin:0'><a href='../y?q#f' style='"
      "display:block;height:20px'><b>bold</b> link</a><p>no link"};
  page.parse();
  EXPECT_EQ(page.engine->link_at({.x = 5, .y = 10}), "http://b.test/y?q#f");
  EXPECT_EQ(page.engine->link_at({.x = 5, .y = 45}), std::nullopt);
  EXPECT_EQ(page.engine->link_at({.x = 5, .y = 100'000}), std::nullopt);
}

TEST(litehtml_engine, anchors_are_found_by_id_and_by_name) {
  Shown page{
      "<body style='margin:0'><div style='height:120px'></div><h1 id='a b' style='margin:0'>"
      "x</h1><div style='height:500px'></div><p style='margin:0'><a name=n>y</a>"};
  page.parse();
  EXPECT_EQ(page.engine->anchor("a b"), 120);
  EXPECT_GE(page.engine->anchor("n").value_or(0), 600);
  EXPECT_EQ(page.engine->anchor("none"), std::nullopt);
}

TEST(litehtml_engine, what_is_fixed_stays_in_the_viewport) {
  Shown page{
      "<body style='margin:0'><div style='position:fixed;top:10px;left:10px;width:20px;"
      "height:20px;background:red'></div><div style='height:2000px'></div>"};
  page.parse();
  EXPECT_EQ(page.at(15, 15), red);
  EXPECT_TRUE(page.engine->scrolled({.x = 0, .y = 500}));
  page.paint(500);
  EXPECT_EQ(page.at(15, 515), red);
}

TEST(litehtml_engine, media_queries_follow_the_viewport) {
  Shown page{
      "<style>@media (max-width: 300px) { body { background: red } } @media print { body { "
      "background: lime } }</style><body>"};
  page.parse();
  EXPECT_EQ(page.at(5, 5), white);
  page.engine->layout({.width = 200, .height = 300});
  page.paint();
  EXPECT_EQ(page.at(5, 5), red);
}

TEST(litehtml_engine, pages_without_sense_are_shown_somehow) {
  const std::string pages[] = {
      "",
      "<",
      "<table><tr><td><table><div></table></p></td>",
      "<img><a href><a href=''><link><base href='::'><style>@import;@import url(;a{b:</style>",
      std::string(2000, '<') + "div" + std::string(2000, '>'),
      "<img src='data:image/png;base64,!!!' width=-5 height=99999999>",
      "<div style='width:99999999px;height:99999999px;font-size:99999px;border-radius:-5px;"
      "border:9999px solid;background:url(x) -9999px 99999px'>x</div>",
      "\xf0\x28\x8c\x28 &#0; &#xffffffff; &nosuch;",
      "<ol start=-5><li value=x><li style='list-style-image:url(y)'>z</ol>",
      "<table border=1 cellpadding=99999 width=0%><tr><td colspan=1000 rowspan=1000>x</table>",
  };
  for (const std::string& html : pages) {
    Shown page{html, "http://a.test/"};
    page.parse();
    EXPECT_LE(page.engine->content().width, max_page_side);
    for (const std::string& url : page.asked.pictures) page.engine->picture(url, std::nullopt);
    page.lay_out();
    EXPECT_EQ(page.engine->link_at({.x = -1, .y = -1}), std::nullopt);
  }
}

TEST(litehtml_engine, one_engine_shows_one_page_after_the_other) {
  Shown page{"<body style='background:red'><img src=a.png>"};
  page.parse();
  page.engine->open("<body style='margin:0'>", "http://b.test/", page.asked);
  EXPECT_EQ(page.engine->picture("http://a.test/d/a.png", plain({1, 1}, red)), Redo::nothing);
  page.parse();
  EXPECT_EQ(page.at(5, 5), white);
}

}  // namespace
}  // namespace porthole
