// SPDX-License-Identifier: Apache-2.0
#include "browser/chrome_overlay.hpp"

#include <algorithm>
#include <numbers>
#include <string>

#include "browser/chrome_text.hpp"

namespace porthole {

namespace {

constexpr double button_height = 36;
constexpr std::size_t longest_cause = 400;

enum class Emphasis : std::uint8_t { plain, strong, danger };

void paint_button(ChromeCanvas& canvas, const std::string& label, const Box& box,
                  Emphasis emphasis) {
  const bool plain = emphasis == Emphasis::plain;
  const Color color = emphasis == Emphasis::danger ? palette::red : palette::accent;
  canvas.fill_rounded(box, 6, plain ? palette::white : color);
  if (plain) canvas.outline_rounded(box, 6, palette::line);
  canvas.text(label, box,
              {.size_px = 13.5,
               .color = plain ? palette::ink : palette::white,
               .weight = Weight::bold,
               .align = Align::center});
}

/// A column in the middle of the content, as wide as it may be.
Box column(const Rect& content, double widest) {
  const double width = std::min(widest, content.width - 32.0);
  return {content.x + (content.width - width) / 2, static_cast<double>(content.y), width,
          static_cast<double>(content.height)};
}

void paint_sad_tab(ChromeCanvas& canvas, const Overlay& overlay, const Rect& content) {
  canvas.fill({0, static_cast<double>(content.y), static_cast<double>(content.width),
               static_cast<double>(content.height)},
              {0xf1f4f7});
  const Box place = column(content, 560);
  const double middle = place.x + place.width / 2;
  double y = place.y + std::max(24.0, (place.height - 300) * 0.42);
  // A porthole with the face behind its glass.
  canvas.disc(middle, y + 44, 44, {0xd5dee6});
  canvas.disc(middle, y + 44, 35, palette::accent);
  canvas.disc(middle, y + 44, 31, {0xe8f0f5});
  paint_sad_face(canvas, middle, y + 44, 31, {0xe8f0f5}, palette::accent);
  for (int bolt = 0; bolt < 8; ++bolt) {
    cairo_save(canvas.cairo());
    cairo_translate(canvas.cairo(), middle, y + 44);
    cairo_rotate(canvas.cairo(), bolt * std::numbers::pi / 4 + std::numbers::pi / 8);
    canvas.disc(39.5, 0, 1.8, palette::faint);
    cairo_restore(canvas.cairo());
  }
  y += 112;
  canvas.text("This page has stopped working", {place.x, y, place.width, 34},
              {.size_px = 23, .weight = Weight::bold, .align = Align::center});
  y += 48;
  y += canvas.paragraph(one_line_of(overlay.cause, longest_cause), {place.x, y, place.width, 80}, 3,
                        {.size_px = 14, .color = palette::soft, .align = Align::center});
  y += 10;
  y += canvas.paragraph("The other tabs are not affected.", {place.x, y, place.width, 40}, 1,
                        {.size_px = 12.5, .color = palette::faint, .align = Align::center});
  y += 26;
  paint_button(canvas, "Reload", {middle - 66, y, 132, button_height}, Emphasis::strong);
}

void paint_not_responding(ChromeCanvas& canvas, const Overlay& overlay, const Rect& content) {
  canvas.fill({0, static_cast<double>(content.y), static_cast<double>(content.width),
               static_cast<double>(content.height)},
              {0x1d2b38, 0.38});
  const Box place = column(content, 460);
  const Box card{place.x, place.y + std::max(8.0, (place.height - 190) * 0.36), place.width, 190};
  canvas.fill_rounded({card.x - 1, card.y + 2, card.width + 2, card.height + 2}, 11,
                      {0x0b1620, 0.30});
  canvas.fill_rounded(card, 10, palette::white);
  canvas.disc(card.x + 38, card.y + 42, 14, palette::amber);
  for (const double dot : {-6.0, 0.0, 6.0}) {
    canvas.disc(card.x + 38 + dot, card.y + 42, 2, palette::white);
  }
  const Box text{card.x + 66, card.y, card.width - 66 - 24, card.height};
  canvas.text("This page does not respond", {text.x, card.y + 24, text.width, 36},
              {.size_px = 17, .weight = Weight::bold});
  canvas.paragraph(one_line_of(overlay.cause, longest_cause), {text.x, card.y + 68, text.width, 56},
                   2, {.size_px = 13, .color = palette::soft});
  const double y = card.bottom() - button_height - 20;
  const double end_width = std::min(118.0, (card.width - 56) / 2);
  const Box end{card.right() - 24 - end_width, y, end_width, button_height};
  const double wait_width = std::min(96.0, end_width);
  paint_button(canvas, "Wait", {end.x - 12 - wait_width, y, wait_width, button_height},
               Emphasis::plain);
  paint_button(canvas, "End page", end, Emphasis::danger);
}

}  // namespace

void paint_sad_face(ChromeCanvas& canvas, double x, double y, double radius, Color face,
                    Color features) {
  canvas.disc(x, y, radius, face);
  for (const double side : {-0.36, 0.36}) {
    canvas.disc(x + side * radius, y - 0.2 * radius, radius * 0.12, features);
  }
  cairo_t* cairo = canvas.cairo();
  cairo_new_sub_path(cairo);
  cairo_arc(cairo, x, y + 0.68 * radius, radius * 0.42, 1.18 * std::numbers::pi,
            1.82 * std::numbers::pi);
  canvas.set(features);
  cairo_set_line_width(cairo, std::max(1.2, radius * 0.11));
  cairo_set_line_cap(cairo, CAIRO_LINE_CAP_ROUND);
  cairo_stroke(cairo);
}

void paint_overlay(ChromeCanvas& canvas, const Overlay& overlay, const Rect& content) {
  if (content.width <= 0 || content.height <= 0) return;
  cairo_save(canvas.cairo());
  cairo_rectangle(canvas.cairo(), content.x, content.y, content.width, content.height);
  cairo_clip(canvas.cairo());
  if (overlay.kind == Overlay::Kind::sad_tab) {
    paint_sad_tab(canvas, overlay, content);
  } else {
    paint_not_responding(canvas, overlay, content);
  }
  cairo_restore(canvas.cairo());
}

}  // namespace porthole
