// SPDX-License-Identifier: Apache-2.0
#include "browser/chrome_canvas.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace porthole {

namespace {

constexpr double turn = 2 * std::numbers::pi;

double part_of(std::uint32_t rgb, unsigned shift) { return ((rgb >> shift) & 0xff) / 255.0; }

guint16 pango_part(std::uint32_t rgb, unsigned shift) {
  return static_cast<guint16>(((rgb >> shift) & 0xff) * 0x101);
}

}  // namespace

ChromeCanvas::ChromeCanvas(Size size, std::span<std::uint32_t> pixels)
    : surface_(cairo_image_surface_create_for_data(
          reinterpret_cast<unsigned char*>(pixels.data()), CAIRO_FORMAT_ARGB32, size.width,
          size.height, static_cast<int>(size.width * sizeof(std::uint32_t)))),
      cairo_(cairo_create(surface_.get())) {
  // Grey and unhinted: the same on every kind of screen, and in a file.
  cairo_font_options_t* options = cairo_font_options_create();
  cairo_font_options_set_antialias(options, CAIRO_ANTIALIAS_GRAY);
  cairo_font_options_set_hint_style(options, CAIRO_HINT_STYLE_SLIGHT);
  cairo_font_options_set_hint_metrics(options, CAIRO_HINT_METRICS_OFF);
  cairo_set_font_options(cairo_.get(), options);
  cairo_font_options_destroy(options);
}

void ChromeCanvas::set(Color color) {
  cairo_set_source_rgba(cairo(), part_of(color.rgb, 16), part_of(color.rgb, 8),
                        part_of(color.rgb, 0), color.alpha);
}

void ChromeCanvas::fill(const Box& box, Color color) {
  if (box.empty()) return;
  set(color);
  cairo_rectangle(cairo(), box.x, box.y, box.width, box.height);
  cairo_fill(cairo());
}

void ChromeCanvas::rounded_path(const Box& box, double radius) {
  const double r = std::max(0.0, std::min({radius, box.width / 2, box.height / 2}));
  cairo_new_sub_path(cairo());
  cairo_arc(cairo(), box.right() - r, box.y + r, r, -turn / 4, 0);
  cairo_arc(cairo(), box.right() - r, box.bottom() - r, r, 0, turn / 4);
  cairo_arc(cairo(), box.x + r, box.bottom() - r, r, turn / 4, turn / 2);
  cairo_arc(cairo(), box.x + r, box.y + r, r, turn / 2, 3 * turn / 4);
  cairo_close_path(cairo());
}

void ChromeCanvas::fill_rounded(const Box& box, double radius, Color color) {
  if (box.empty()) return;
  rounded_path(box, radius);
  set(color);
  cairo_fill(cairo());
}

void ChromeCanvas::outline_rounded(const Box& box, double radius, Color color) {
  if (box.empty()) return;
  rounded_path(box.inset(0.5), radius);
  set(color);
  cairo_set_line_width(cairo(), 1);
  cairo_stroke(cairo());
}

void ChromeCanvas::disc(double x, double y, double radius, Color color) {
  cairo_new_sub_path(cairo());
  cairo_arc(cairo(), x, y, radius, 0, turn);
  set(color);
  cairo_fill(cairo());
}

void ChromeCanvas::ring(double x, double y, double radius, double thickness, Color color) {
  cairo_new_sub_path(cairo());
  cairo_arc(cairo(), x, y, radius, 0, turn);
  set(color);
  cairo_set_line_width(cairo(), thickness);
  cairo_stroke(cairo());
}

void ChromeCanvas::stroke(std::span<const Point> points, double thickness, Color color) {
  cairo_new_path(cairo());
  for (const Point& point : points) cairo_line_to(cairo(), point.x, point.y);
  set(color);
  cairo_set_line_width(cairo(), thickness);
  cairo_set_line_cap(cairo(), CAIRO_LINE_CAP_ROUND);
  cairo_set_line_join(cairo(), CAIRO_LINE_JOIN_ROUND);
  cairo_stroke(cairo());
}

ChromeCanvas::Layout ChromeCanvas::layout(const std::string& words, const TextStyle& style) {
  Layout layout(pango_cairo_create_layout(cairo()));
  PangoFontDescription* font = pango_font_description_new();
  pango_font_description_set_family(font, "DejaVu Sans,Sans");
  pango_font_description_set_absolute_size(font, style.size_px * PANGO_SCALE);
  pango_font_description_set_weight(
      font, style.weight == Weight::bold ? PANGO_WEIGHT_BOLD : PANGO_WEIGHT_NORMAL);
  pango_layout_set_font_description(layout.get(), font);
  pango_font_description_free(font);
  // Left to right whatever the text is: a page's words do not turn the bars around.
  pango_layout_set_auto_dir(layout.get(), FALSE);
  pango_layout_set_ellipsize(layout.get(),
                             style.cut == Cut::start ? PANGO_ELLIPSIZE_START : PANGO_ELLIPSIZE_END);
  pango_layout_set_alignment(layout.get(),
                             style.align == Align::center ? PANGO_ALIGN_CENTER : PANGO_ALIGN_LEFT);
  pango_layout_set_text(layout.get(), words.data(), static_cast<int>(words.size()));
  return layout;
}

void ChromeCanvas::show(PangoLayout* layout, const Box& clip, double x, double y, Color color) {
  cairo_save(cairo());
  cairo_rectangle(cairo(), clip.x, clip.y, clip.width, clip.height);
  cairo_clip(cairo());
  set(color);
  cairo_move_to(cairo(), x, y);
  pango_cairo_show_layout(cairo(), layout);
  cairo_restore(cairo());
}

void ChromeCanvas::text(const std::string& line, const Box& box, const TextStyle& style) {
  const TextPiece piece{.text = line, .color = style.color};
  text(std::span{&piece, 1}, box, style);
}

void ChromeCanvas::text(std::span<const TextPiece> line, const Box& box, const TextStyle& style) {
  if (box.empty()) return;
  std::string all;
  PangoAttrList* colors = pango_attr_list_new();
  for (const TextPiece& piece : line) {
    PangoAttribute* color =
        pango_attr_foreground_new(pango_part(piece.color.rgb, 16), pango_part(piece.color.rgb, 8),
                                  pango_part(piece.color.rgb, 0));
    color->start_index = static_cast<guint>(all.size());
    all += piece.text;
    color->end_index = static_cast<guint>(all.size());
    pango_attr_list_insert(colors, color);
  }
  const Layout laid_out = layout(all, style);
  pango_layout_set_attributes(laid_out.get(), colors);
  pango_attr_list_unref(colors);
  pango_layout_set_single_paragraph_mode(laid_out.get(), TRUE);
  pango_layout_set_width(laid_out.get(), static_cast<int>(box.width * PANGO_SCALE));
  // By the font's own line, so that letters of another script do not push the line up or down.
  const double baseline = pango_layout_get_baseline(laid_out.get()) / double{PANGO_SCALE};
  const double y = std::round(box.y + box.height / 2 + style.size_px * 0.36);
  show(laid_out.get(), box, box.x, y - baseline, style.color);
}

double ChromeCanvas::text_width(const std::string& line, const TextStyle& style) {
  const Layout laid_out = layout(line, style);
  pango_layout_set_single_paragraph_mode(laid_out.get(), TRUE);
  int width = 0;
  pango_layout_get_size(laid_out.get(), &width, nullptr);
  return std::ceil(width / double{PANGO_SCALE});
}

double ChromeCanvas::paragraph(const std::string& words, const Box& box, int lines,
                               const TextStyle& style) {
  if (box.empty()) return 0;
  const Layout laid_out = layout(words, style);
  pango_layout_set_width(laid_out.get(), static_cast<int>(box.width * PANGO_SCALE));
  pango_layout_set_wrap(laid_out.get(), PANGO_WRAP_WORD_CHAR);
  pango_layout_set_height(laid_out.get(), -lines);
  pango_layout_set_line_spacing(laid_out.get(), 1.35F);
  int height = 0;
  pango_layout_get_size(laid_out.get(), nullptr, &height);
  show(laid_out.get(), box, box.x, box.y, style.color);
  return std::ceil(height / double{PANGO_SCALE});
}

}  // namespace porthole
