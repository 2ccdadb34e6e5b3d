// SPDX-License-Identifier: Apache-2.0
//
// The bars: tab strip, toolbar, bookmarks bar, from the top. Overlays: chrome_overlay.cpp.
#include "browser/chrome_paint.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <string>

#include "browser/chrome_canvas.hpp"
#include "browser/chrome_overlay.hpp"
#include "browser/chrome_text.hpp"

namespace porthole {

namespace {

constexpr double strip_height = 38;
constexpr double toolbar_height = 38;
constexpr double tab_top = 6;
constexpr double widest_tab = 232;
constexpr double narrowest_tab = 48;
constexpr double margin = 8;
constexpr double button = 30;
constexpr std::size_t most_bookmarks = 64;

// Tab strip --------------------------------------------------------------------------------------

/// The porthole that stands for a page, or what is the matter with it.
void paint_mark(ChromeCanvas& canvas, double x, double y, ChromeTab::Mark mark) {
  switch (mark) {
    case ChromeTab::Mark::none:
      canvas.ring(x, y, 5.5, 2.2, palette::accent);
      canvas.disc(x, y, 1.6, palette::accent);
      return;
    case ChromeTab::Mark::loading:
      canvas.ring(x, y, 5.5, 2.2, palette::line);
      cairo_new_sub_path(canvas.cairo());
      cairo_arc(canvas.cairo(), x, y, 5.5, -std::numbers::pi / 2, std::numbers::pi / 3);
      canvas.set(palette::accent);
      cairo_set_line_width(canvas.cairo(), 2.2);
      cairo_stroke(canvas.cairo());
      return;
    case ChromeTab::Mark::busy:
      canvas.disc(x, y, 7, palette::amber);
      for (const double dot : {-3.2, 0.0, 3.2}) canvas.disc(x + dot, y, 1.1, palette::white);
      return;
    case ChromeTab::Mark::sad:
      paint_sad_face(canvas, x, y, 7.5, palette::red, palette::white);
  }
}

void paint_tab(ChromeCanvas& canvas, const ChromeTab& tab, const Box& box, bool active,
               bool separated) {
  const Box body{box.x, tab_top, box.width, strip_height - tab_top};
  if (active) {
    // Rounded above; below it runs into the toolbar.
    canvas.fill_rounded({body.x, body.y, body.width, body.height + 12}, 9, palette::surface);
  } else if (separated) {
    canvas.fill({box.right() - 0.5, tab_top + 9, 1, body.height - 18}, palette::disabled);
  }
  const double middle = body.y + body.height / 2;
  paint_mark(canvas, box.x + 18, middle, tab.mark);
  const TextStyle style{.size_px = 12.5, .color = active ? palette::ink : palette::soft};
  canvas.text(one_line_of(tab.title), {box.x + 33, body.y, box.width - 33 - 12, body.height},
              style);
}

void paint_strip(ChromeCanvas& canvas, const ChromeState& state, double width) {
  canvas.fill({0, 0, width, strip_height}, palette::strip);
  if (state.tabs.empty()) return;
  const double room = width - 2 * margin;
  const double each = std::floor(
      std::clamp(room / static_cast<double>(state.tabs.size()), narrowest_tab, widest_tab));
  const auto shown = std::max<std::size_t>(1, static_cast<std::size_t>(std::max(0.0, room / each)));
  // The active tab is always among those that fit.
  const std::size_t first = state.active >= shown ? state.active - shown + 1 : 0;
  const std::size_t end = std::min(state.tabs.size(), first + shown);
  for (std::size_t i = first; i < end; ++i) {
    const Box box{margin + static_cast<double>(i - first) * each, 0, each, strip_height};
    paint_tab(canvas, state.tabs[i], box, i == state.active, i + 1 != state.active);
  }
}

// Toolbar ----------------------------------------------------------------------------------------

enum class Direction : std::uint8_t { back, forward };

void paint_arrow(ChromeCanvas& canvas, double x, double y, Direction direction, bool possible) {
  const auto at = [&](int right, int down) {
    const int side = direction == Direction::back ? right : -right;
    return Point{static_cast<std::int32_t>(x) + side, static_cast<std::int32_t>(y) + down};
  };
  const Color color = possible ? palette::ink : palette::disabled;
  canvas.stroke(std::array{at(-1, -5), at(-6, 0), at(-1, 5)}, 1.8, color);
  canvas.stroke(std::array{at(-6, 0), at(6, 0)}, 1.8, color);
}

void paint_reload(ChromeCanvas& canvas, double x, double y) {
  cairo_t* cairo = canvas.cairo();
  cairo_new_sub_path(cairo);
  cairo_arc(cairo, x, y, 5.8, -0.2 * std::numbers::pi, 1.55 * std::numbers::pi);
  canvas.set(palette::ink);
  cairo_set_line_width(cairo, 1.8);
  cairo_set_line_cap(cairo, CAIRO_LINE_CAP_ROUND);
  cairo_stroke(cairo);
  // Its head, at the arc's end near the top.
  cairo_move_to(cairo, x + 0.3, y - 9.2);
  cairo_line_to(cairo, x + 5.2, y - 5.9);
  cairo_line_to(cairo, x + 0.3, y - 2.6);
  cairo_close_path(cairo);
  cairo_fill(cairo);
}

void paint_stop(ChromeCanvas& canvas, double x, double y) {
  const auto at = [&](int right, int down) {
    return Point{static_cast<std::int32_t>(x) + right, static_cast<std::int32_t>(y) + down};
  };
  canvas.stroke(std::array{at(-5, -5), at(5, 5)}, 1.8, palette::ink);
  canvas.stroke(std::array{at(5, -5), at(-5, 5)}, 1.8, palette::ink);
}

void paint_address(ChromeCanvas& canvas, const std::string& url, const Box& box) {
  canvas.fill_rounded(box, box.height / 2, palette::field);
  canvas.outline_rounded(box, box.height / 2, palette::line);
  const Box inner{box.x + 16, box.y, box.width - 32, box.height};
  const std::string line = one_line_of(url, 2048);
  const AddressParts parts = split_address(line);
  const std::string host(parts.host);
  const TextStyle style{.size_px = 13};
  if (host.empty()) return canvas.text(line, inner, style);
  const double needed = canvas.text_width(std::string(parts.before) + host, style);
  if (needed > inner.width) {
    // Who a long name belongs to is at its end.
    TextStyle end = style;
    end.cut = Cut::start;
    return canvas.text(host, inner, end);
  }
  const std::array pieces{TextPiece{std::string(parts.before), palette::faint},
                          TextPiece{host, palette::ink},
                          TextPiece{std::string(parts.after), palette::faint}};
  canvas.text(pieces, inner, style);
}

void paint_toolbar(ChromeCanvas& canvas, const ChromeState& state, double width) {
  canvas.fill({0, strip_height, width, toolbar_height}, palette::surface);
  const double middle = strip_height + toolbar_height / 2;
  double x = margin + button / 2;
  paint_arrow(canvas, x, middle, Direction::back, state.can_back);
  x += button;
  paint_arrow(canvas, x, middle, Direction::forward, state.can_forward);
  x += button;
  state.loading ? paint_stop(canvas, x, middle) : paint_reload(canvas, x, middle);
  x += button / 2 + 8;
  paint_address(canvas, state.url, {x, strip_height + 4, width - x - margin - 4, 30});
}

// Bookmarks bar ----------------------------------------------------------------------------------

void paint_bookmarks(ChromeCanvas& canvas, const ChromeState& state, double width) {
  const double top = strip_height + toolbar_height;
  const double height = chrome_height - top - 1;
  canvas.fill({0, top, width, height}, palette::surface);
  canvas.fill({0, top + height, width, 1}, palette::line);
  const TextStyle style{.size_px = 12, .color = palette::soft};
  double x = margin + 8;
  for (std::size_t i = 0; i < std::min(state.bookmarks.size(), most_bookmarks); ++i) {
    const std::string title = one_line_of(state.bookmarks[i], 64);
    const double text = std::min(canvas.text_width(title, style), 160.0);
    if (x + 16 + text > width - margin) break;  // an entry is shown whole or not at all
    const double middle = top + height / 2 - 1;
    canvas.outline_rounded({x, middle - 5, 10, 11}, 2, palette::accent);
    canvas.fill({x + 3, middle - 2, 4, 1}, palette::accent);
    canvas.fill({x + 3, middle + 1, 4, 1}, palette::accent);
    canvas.text(title, {x + 16, top, text, height - 2}, style);
    x += 16 + text + 20;
  }
}

}  // namespace

ChromeImage paint_chrome(const ChromeState& state, Size window,
                         const std::optional<Overlay>& overlay) {
  ChromeImage image{
      .size = {.width = window.width,
               .height = overlay ? window.height : std::min(window.height, chrome_height)},
      .pixels = {}};
  image.pixels.resize(static_cast<std::size_t>(image.size.width) *
                      static_cast<std::size_t>(image.size.height));
  ChromeCanvas canvas(image.size, image.pixels);
  const double width = window.width;
  paint_strip(canvas, state, width);
  paint_toolbar(canvas, state, width);
  paint_bookmarks(canvas, state, width);
  if (overlay) paint_overlay(canvas, *overlay, content_place(window));
  return image;
}

}  // namespace porthole
