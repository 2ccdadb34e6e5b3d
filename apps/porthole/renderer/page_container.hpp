// SPDX-License-Identifier: Apache-2.0
//
// PageContainer: what litehtml asks of its host: fonts, the width of text, pictures, style sheets,
// and to draw. It knows what of a page has come and what is still awaited.
//
// Threads: one. litehtml never waits here: what has not come is left out, asked for, and told by
// the engine as something to do again.
#pragma once

#include <deque>
#include <litehtml.h>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "renderer/canvas.hpp"
#include "renderer/fonts.hpp"
#include "renderer/page_engine.hpp"

namespace porthole {

/// A picture that the page refers to.
struct PagePicture {
  enum class State : std::uint8_t { awaited, here, broken };
  State state = State::awaited;
  /// The page's layout depends on its size.
  bool shapes_layout = false;
  /// What is shown instead, of <img>; backgrounds show nothing.
  std::optional<Size> stand_in{};
  DecodedPicture decoded{};
  Owned<cairo_surface_t, cairo_surface_destroy> surface;
  /// The same at the size at which it was last drawn, so that scaling costs once.
  Owned<cairo_surface_t, cairo_surface_destroy> scaled;

  /// At this size, or as it is when that is better scaled by the drawing.
  cairo_surface_t* at(Size size);
};

struct StyleSheet {
  bool is_here = false;
  std::string text;
  /// How often the present parse has used it: one that imports itself comes to an end.
  int uses = 0;
};

class PageContainer final : public litehtml::document_container {
 public:
  explicit PageContainer(Fonts& fonts) : fonts_(fonts) {}

  void open(std::string url, Resources& resources);
  void begin_parse(Size viewport);
  void set_viewport(Size viewport) { viewport_ = viewport; }
  void set_scroll(Point scroll) { scroll_ = scroll; }
  void set_base(std::string base) { base_ = std::move(base); }

  const std::string& base() const noexcept { return base_; }
  const std::string& title() const noexcept { return title_; }

  /// Asks for it unless it was asked for before.
  StyleSheet& want_sheet(const std::string& url);
  std::map<std::string, StyleSheet>& sheets() noexcept { return sheets_; }
  /// Null when the page does not refer to it.
  PagePicture* find_picture(std::string_view src, std::string_view base);
  PagePicture* find_picture(const std::string& url);

  /// An <img> was met: how large the box is that stands in for its picture.
  void set_alternative(std::string_view src, const std::string& alt);
  void draw_broken(litehtml::uint_ptr hdc, Rect box, const std::string& alt);

  // litehtml::document_container
  litehtml::uint_ptr create_font(const char* family, int size, int weight,
                                 litehtml::font_style style, unsigned decoration,
                                 litehtml::font_metrics* metrics) override;
  void delete_font(litehtml::uint_ptr) override {}
  int text_width(const char* text, litehtml::uint_ptr font) override;
  void draw_text(litehtml::uint_ptr hdc, const char* text, litehtml::uint_ptr font,
                 litehtml::web_color color, const litehtml::position& pos) override;
  int pt_to_px(int pt) const override { return pt * 96 / 72; }
  int get_default_font_size() const override { return 16; }
  const char* get_default_font_name() const override { return "serif"; }
  void draw_list_marker(litehtml::uint_ptr hdc, const litehtml::list_marker& marker) override;
  void load_image(const char* src, const char* baseurl, bool redraw_on_ready) override;
  void get_image_size(const char* src, const char* baseurl, litehtml::size& size) override;
  void draw_background(litehtml::uint_ptr hdc, const litehtml::background_paint& paint) override;
  void draw_borders(litehtml::uint_ptr hdc, const litehtml::borders& borders,
                    const litehtml::position& box, bool root) override;
  void set_caption(const char* caption) override { title_ = caption ? caption : ""; }
  void set_base_url(const char* url) override;
  void link(const std::shared_ptr<litehtml::document>&, const litehtml::element::ptr&) override {}
  void on_anchor_click(const char*, const litehtml::element::ptr&) override {}
  void set_cursor(const char*) override {}
  void transform_text(litehtml::tstring& text, litehtml::text_transform how) override;
  void import_css(litehtml::tstring& text, const litehtml::tstring& url,
                  litehtml::tstring& baseurl) override;
  void set_clip(const litehtml::position& box, const litehtml::border_radiuses& radius, bool across,
                bool down) override;
  void del_clip() override;
  void get_client_rect(litehtml::position& client) const override;
  litehtml::element::ptr create_element(const char* tag, const litehtml::string_map& attributes,
                                        const std::shared_ptr<litehtml::document>& doc) override;
  void get_media_features(litehtml::media_features& media) const override;
  void get_language(litehtml::tstring& language, litehtml::tstring& culture) const override;

  /// What the present paint draws on.
  Canvas* canvas = nullptr;

 private:
  struct TextStyle {
    Font* font;
    unsigned decoration;
  };
  static const TextStyle& text_style(litehtml::uint_ptr font);
  std::string absolute(std::string_view src, std::string_view base) const;

  Fonts& fonts_;
  Resources* resources_ = nullptr;
  std::deque<TextStyle> styles_;
  std::string url_;
  std::string base_;
  std::string title_;
  Size viewport_{};
  Point scroll_{};
  std::map<std::string, StyleSheet> sheets_;
  std::unordered_map<std::string, PagePicture> pictures_;
  /// What documents write to where it leads; found out once for each.
  std::unordered_map<std::string, PagePicture*> by_source_;
  int imports_ = 0;
};

Rect rect_of(const litehtml::position& position);

}  // namespace porthole
