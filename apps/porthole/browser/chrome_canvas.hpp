// SPDX-License-Identifier: Apache-2.0
//
// ChromeCanvas: the strokes and letters that the browser's own pixels are made of (Cairo, Pango),
// and their colours.
#pragma once

#include <cairo.h>
#include <cstdint>
#include <memory>
#include <pango/pangocairo.h>
#include <span>
#include <string>

#include "interfaces/types.hpp"

namespace porthole {

/// 0xRRGGBB and how much of it.
struct Color {
  std::uint32_t rgb = 0;
  double alpha = 1;
};

namespace palette {
inline constexpr Color strip{0xdbe2e9};
inline constexpr Color surface{0xf8fafb};
inline constexpr Color hover{0xe9eef3};
inline constexpr Color field{0xffffff};
inline constexpr Color line{0xcbd5de};
inline constexpr Color ink{0x1d2b38};
inline constexpr Color soft{0x52636f};
inline constexpr Color faint{0x8796a3};
inline constexpr Color disabled{0xb9c4cd};
inline constexpr Color accent{0x23678a};
inline constexpr Color amber{0xc98a1b};
inline constexpr Color red{0xb04438};
inline constexpr Color white{0xffffff};
}  // namespace palette

struct Box {
  double x = 0;
  double y = 0;
  double width = 0;
  double height = 0;

  double right() const { return x + width; }
  double bottom() const { return y + height; }
  bool empty() const { return width <= 0 || height <= 0; }
  Box inset(double by) const { return {x + by, y + by, width - 2 * by, height - 2 * by}; }
};

enum class Weight : std::uint8_t { normal, bold };
enum class Align : std::uint8_t { left, center };
/// Where a text that is too long is cut.
enum class Cut : std::uint8_t { start, end };

struct TextStyle {
  double size_px = 13;
  Color color = palette::ink;
  Weight weight = Weight::normal;
  Align align = Align::left;
  Cut cut = Cut::end;
};

/// A text of several colours: each piece in its own.
struct TextPiece {
  std::string text;
  Color color = palette::ink;
};

class ChromeCanvas {
 public:
  /// Draws into `pixels`, which must outlive it: rows of size.width without gaps.
  ChromeCanvas(Size size, std::span<std::uint32_t> pixels);
  ChromeCanvas(const ChromeCanvas&) = delete;
  ChromeCanvas& operator=(const ChromeCanvas&) = delete;

  /// For shapes that only one picture needs.
  cairo_t* cairo() { return cairo_.get(); }
  void set(Color color);

  void fill(const Box& box, Color color);
  void fill_rounded(const Box& box, double radius, Color color);
  void outline_rounded(const Box& box, double radius, Color color);
  void disc(double x, double y, double radius, Color color);
  void ring(double x, double y, double radius, double thickness, Color color);
  /// A path through points, with round ends.
  void stroke(std::span<const Point> points, double thickness, Color color);

  /// One line in the middle of the box's height, cut to its width.
  void text(const std::string& line, const Box& box, const TextStyle& style);
  void text(std::span<const TextPiece> line, const Box& box, const TextStyle& style);
  double text_width(const std::string& line, const TextStyle& style);
  /// Wrapped to at most `lines`, from the top of the box. The height that it took.
  double paragraph(const std::string& words, const Box& box, int lines, const TextStyle& style);

 private:
  struct Destroy {
    void operator()(cairo_surface_t* surface) const { cairo_surface_destroy(surface); }
    void operator()(cairo_t* cairo) const { cairo_destroy(cairo); }
    void operator()(PangoLayout* layout) const { g_object_unref(layout); }
  };
  using Layout = std::unique_ptr<PangoLayout, Destroy>;

  Layout layout(const std::string& words, const TextStyle& style);
  void rounded_path(const Box& box, double radius);
  void show(PangoLayout* layout, const Box& clip, double x, double y, Color color);

  std::unique_ptr<cairo_surface_t, Destroy> surface_;
  std::unique_ptr<cairo_t, Destroy> cairo_;
};

}  // namespace porthole
