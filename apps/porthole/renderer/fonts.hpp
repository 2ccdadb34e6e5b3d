// SPDX-License-Identifier: Apache-2.0
//
// Fonts: fonts by CSS's description, and text shaped with them. Layout asks for the width of every
// word of a page, most of them many times: each is shaped once, and its glyphs are kept for
// painting too.
//
// Threads: one. What is returned belongs to the Fonts and stays as long as it; a Shaped until the
// next shape().
#pragma once

#include <cairo/cairo.h>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <pango/pango.h>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace porthole {

template <auto Free> struct Freeing {
  template <class T> void operator()(T* object) const { Free(object); }
};
template <class T, auto Free> using Owned = std::unique_ptr<T, Freeing<Free>>;

/// Text as glyphs: from the left, the origin on the base line.
struct Shaped {
  struct Run {
    cairo_scaled_font_t* font = nullptr;  // owned by the Fonts' map
    std::vector<cairo_glyph_t> glyphs;
  };
  int width = 0;
  std::vector<Run> runs;
};

struct FontStyle {
  /// As in CSS: names with commas between them.
  std::string family;
  int size = 16;
  int weight = 400;
  bool italic = false;
  friend auto operator<=>(const FontStyle&, const FontStyle&) = default;
};

class Fonts;

class Font {
 public:
  Font(Fonts& fonts, FontStyle style);

  const FontStyle& style() const noexcept { return style_; }
  int ascent() const noexcept { return ascent_; }
  int descent() const noexcept { return descent_; }
  int x_height() const noexcept { return x_height_; }
  /// Of lines under or through text.
  int line_thickness() const noexcept { return line_thickness_; }

  const Shaped& shape(std::string_view text);

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };
  Shaped shape_anew(std::string_view text);
  void append(Shaped& shaped, std::string_view text, const PangoAnalysis& analysis);

  Fonts& fonts_;
  FontStyle style_;
  Owned<PangoContext, g_object_unref> context_;
  Owned<PangoItem, pango_item_free> latin_;
  int ascent_ = 0;
  int descent_ = 0;
  int x_height_ = 0;
  int line_thickness_ = 1;
  std::unordered_map<std::string, Shaped, Hash, std::equal_to<>> shaped_;
};

class Fonts {
 public:
  Fonts();
  Fonts(const Fonts&) = delete;
  Fonts& operator=(const Fonts&) = delete;
  ~Fonts();

  Font& font(const FontStyle& style);

 private:
  friend class Font;
  Owned<PangoFontMap, g_object_unref> map_;
  Owned<PangoGlyphString, pango_glyph_string_free> scratch_;
  std::map<FontStyle, std::unique_ptr<Font>> fonts_;
  std::unordered_map<PangoFont*, cairo_scaled_font_t*> scaled_;
};

}  // namespace porthole
