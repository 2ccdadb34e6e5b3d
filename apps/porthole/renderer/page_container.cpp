// SPDX-License-Identifier: Apache-2.0
#include "renderer/page_container.hpp"

#include <algorithm>
#include <el_image.h>
#include <glib.h>

#include "renderer/style_scan.hpp"
#include "renderer/url.hpp"

namespace porthole {
namespace {

constexpr Colour placeholder_fill = 0xfff0f0f0;
constexpr Colour placeholder_edge = 0xffb0b0b0;
constexpr Colour placeholder_text = 0xff505050;
constexpr int max_imports = 256;
constexpr int max_uses = 8;
/// Larger ones are scaled while they are drawn.
constexpr std::int64_t max_scaled_pixels = 8 << 20;

Colour colour_of(const litehtml::web_color& color) {
  return Colour{color.alpha} << 24 | Colour{color.red} << 16 | Colour{color.green} << 8 |
         Colour{color.blue};
}

Corners corners_of(const litehtml::border_radiuses& r) {
  return {{{.x = r.top_left_x, .y = r.top_left_y},
           {.x = r.top_right_x, .y = r.top_right_y},
           {.x = r.bottom_right_x, .y = r.bottom_right_y},
           {.x = r.bottom_left_x, .y = r.bottom_left_y}}};
}

Edge edge_of(const litehtml::border& border) {
  constexpr Stroke strokes[] = {Stroke::none,  Stroke::none,  Stroke::dotted, Stroke::dashed,
                                Stroke::solid, Stroke::twice, Stroke::groove, Stroke::ridge,
                                Stroke::inset, Stroke::outset};
  const auto style = static_cast<std::size_t>(border.style);
  const Stroke stroke = style < std::size(strokes) ? strokes[style] : Stroke::none;
  return {.width = stroke == Stroke::none ? 0 : border.width,
          .stroke = stroke,
          .colour = colour_of(border.color)};
}

/// <img>: shows what is missing as a box with the alternative text.
class PictureElement final : public litehtml::el_image {
 public:
  PictureElement(const std::shared_ptr<litehtml::document>& doc, PageContainer& container)
      : el_image(doc), container_(container) {}

  void parse_styles(bool again) override {
    el_image::parse_styles(again);  // which asks for the picture
    container_.set_alternative(get_attr("src", ""), get_attr("alt", ""));
  }

  void draw(litehtml::uint_ptr hdc, int x, int y, const litehtml::position* clip) override {
    el_image::draw(hdc, x, y, clip);
    if (!is_broken()) return;
    Rect box = rect_of(m_pos);
    box.x += x;
    box.y += y;
    container_.draw_broken(hdc, box, get_attr("alt", ""));
  }

 private:
  bool is_broken() const {
    const PagePicture* picture = container_.find_picture(get_attr("src", ""), {});
    return picture && picture->state == PagePicture::State::broken;
  }

  PageContainer& container_;
};

/// <link>: litehtml's own knows one spelling of `rel` only.
class LinkElement final : public litehtml::html_tag {
 public:
  LinkElement(const std::shared_ptr<litehtml::document>& doc, PageContainer& container)
      : html_tag(doc), container_(container) {}

  void parse_attributes() override {
    const std::string href = get_attr("href", "");
    if (href.empty() || !is_style_sheet(get_attr("rel", ""))) return;
    litehtml::tstring text;
    litehtml::tstring base;
    container_.import_css(text, href, base);
    get_document()->add_stylesheet(text.c_str(), base.c_str(), get_attr("media", ""));
  }

 private:
  PageContainer& container_;
};

Canvas& canvas_of(litehtml::uint_ptr hdc) { return *reinterpret_cast<Canvas*>(hdc); }

}  // namespace

Rect rect_of(const litehtml::position& position) {
  return {.x = position.x, .y = position.y, .width = position.width, .height = position.height};
}

cairo_surface_t* PagePicture::at(Size size) {
  const std::int64_t wanted = std::int64_t{size.width} * size.height;
  if (size == decoded.size || size.width <= 0 || size.height <= 0 || wanted > max_scaled_pixels) {
    return surface.get();
  }
  if (scaled && cairo_image_surface_get_width(scaled.get()) == size.width &&
      cairo_image_surface_get_height(scaled.get()) == size.height) {
    return scaled.get();
  }
  scaled.reset(cairo_image_surface_create(CAIRO_FORMAT_ARGB32, size.width, size.height));
  const Owned<cairo_t, cairo_destroy> cairo{cairo_create(scaled.get())};
  cairo_scale(cairo.get(), double(size.width) / decoded.size.width,
              double(size.height) / decoded.size.height);
  cairo_set_source_surface(cairo.get(), surface.get(), 0, 0);
  cairo_pattern_set_extend(cairo_get_source(cairo.get()), CAIRO_EXTEND_PAD);
  cairo_pattern_set_filter(cairo_get_source(cairo.get()), CAIRO_FILTER_GOOD);
  cairo_paint(cairo.get());
  return scaled.get();
}

void PageContainer::open(std::string url, Resources& resources) {
  resources_ = &resources;
  url_ = std::move(url);
  base_ = url_;
  title_.clear();
  scroll_ = {};
  sheets_.clear();
  by_source_.clear();
  pictures_.clear();
}

void PageContainer::begin_parse(Size viewport) {
  viewport_ = viewport;
  base_ = url_;
  title_.clear();
  imports_ = 0;
  styles_.clear();
  by_source_.clear();
  for (auto& [url, sheet] : sheets_) sheet.uses = 0;
}

std::string PageContainer::absolute(std::string_view src, std::string_view base) const {
  return resolve_url(base.empty() ? std::string_view{base_} : base, src);
}

StyleSheet& PageContainer::want_sheet(const std::string& url) {
  const auto [at, is_new] = sheets_.try_emplace(url);
  if (is_new) resources_->want_style_sheet(url);
  return at->second;
}

PagePicture* PageContainer::find_picture(const std::string& url) {
  const auto found = pictures_.find(url);
  return found == pictures_.end() ? nullptr : &found->second;
}

PagePicture* PageContainer::find_picture(std::string_view src, std::string_view base) {
  std::string key{src};
  key += '\n';
  key += base;
  const auto [known, is_new] = by_source_.try_emplace(std::move(key), nullptr);
  if (is_new) known->second = find_picture(absolute(src, base));
  return known->second;
}

void PageContainer::draw_broken(litehtml::uint_ptr hdc, Rect box, const std::string& alt) {
  Canvas& target = canvas_of(hdc);
  if (box.width <= 2 || box.height <= 2) return;
  const Edge edge{.width = 1, .stroke = Stroke::solid, .colour = placeholder_edge};
  target.fill(box, {}, placeholder_fill);
  target.borders(box, {edge, edge, edge, edge}, {});
  if (alt.empty()) return;
  Font& font = fonts_.font({.family = "sans-serif", .size = 13});
  const Shaped& text = font.shape(alt);
  target.push_clip(box, {});
  const int height = font.ascent() + font.descent();
  target.text(text,
              {.x = box.x + std::max(4, (box.width - text.width) / 2),
               .y = box.y + (box.height - height) / 2 + font.ascent()},
              box, placeholder_text);
  target.pop_clip();
}

void PageContainer::set_alternative(std::string_view src, const std::string& alt) {
  PagePicture* picture = find_picture(src, {});
  if (!picture || picture->stand_in) return;
  Font& font = fonts_.font({.family = "sans-serif", .size = 13});
  picture->stand_in = Size{.width = std::clamp(font.shape(alt).width + 12, 24, 400),
                           .height = font.ascent() + font.descent() + 9};
}

const PageContainer::TextStyle& PageContainer::text_style(litehtml::uint_ptr font) {
  return *reinterpret_cast<const TextStyle*>(font);
}

litehtml::uint_ptr PageContainer::create_font(const char* family, int size, int weight,
                                              litehtml::font_style style, unsigned decoration,
                                              litehtml::font_metrics* metrics) {
  Font& font = fonts_.font({.family = family,
                            .size = size,
                            .weight = weight,
                            .italic = style == litehtml::fontStyleItalic});
  if (metrics) {
    metrics->ascent = font.ascent();
    metrics->descent = font.descent();
    metrics->height = font.ascent() + font.descent();
    metrics->x_height = font.x_height();
    metrics->draw_spaces = decoration != litehtml::font_decoration_none;
  }
  styles_.push_back({.font = &font, .decoration = decoration});
  return reinterpret_cast<litehtml::uint_ptr>(&styles_.back());
}

int PageContainer::text_width(const char* text, litehtml::uint_ptr font) {
  return text_style(font).font->shape(text).width;
}

void PageContainer::draw_text(litehtml::uint_ptr hdc, const char* text, litehtml::uint_ptr handle,
                              litehtml::web_color color, const litehtml::position& pos) {
  const TextStyle& style = text_style(handle);
  Font& font = *style.font;
  Canvas& target = canvas_of(hdc);
  const Shaped& shaped = font.shape(text);
  const int base = pos.y + font.ascent();
  // Letters may reach out of their box, slanted ones do.
  const int reach = font.ascent();
  target.text(shaped, {.x = pos.x, .y = base},
              {.x = pos.x - reach,
               .y = pos.y - reach / 2,
               .width = std::max(pos.width, shaped.width) + 2 * reach,
               .height = font.ascent() + font.descent() + reach},
              colour_of(color));
  const auto line = [&](int y) {
    target.fill({.x = pos.x, .y = y, .width = pos.width, .height = font.line_thickness()}, {},
                colour_of(color));
  };
  if (style.decoration & litehtml::font_decoration_underline) line(base + 1 + font.descent() / 4);
  if (style.decoration & litehtml::font_decoration_linethrough) line(base - font.x_height() / 2);
  if (style.decoration & litehtml::font_decoration_overline) line(pos.y);
}

void PageContainer::draw_list_marker(litehtml::uint_ptr hdc, const litehtml::list_marker& marker) {
  Canvas& target = canvas_of(hdc);
  const Rect box = rect_of(marker.pos);
  if (!marker.image.empty()) {
    PagePicture* picture = find_picture(marker.image, marker.baseurl ? marker.baseurl : "");
    if (picture && picture->state == PagePicture::State::here) {
      const Size size{.width = box.width, .height = box.height};
      return target.picture(picture->at(size), size, {.x = box.x, .y = box.y}, {}, box, {});
    }
  }
  const Colour colour = colour_of(marker.color);
  switch (marker.marker_type) {
    case litehtml::list_style_type_circle:
      return target.ellipse(box, colour, false);
    case litehtml::list_style_type_disc:
      return target.ellipse(box, colour, true);
    case litehtml::list_style_type_square:
      return target.fill(box, {}, colour);
    default:
      return;
  }
}

void PageContainer::load_image(const char* src, const char* baseurl, bool redraw_on_ready) {
  if (!src || !*src) return;
  const std::string url = absolute(src, baseurl ? baseurl : "");
  const auto [at, is_new] = pictures_.try_emplace(url);
  if (!redraw_on_ready) at->second.shapes_layout = true;
  if (is_new) resources_->want_picture(url);
}

void PageContainer::get_image_size(const char* src, const char* baseurl, litehtml::size& size) {
  const PagePicture* picture = find_picture(src ? src : "", baseurl ? baseurl : "");
  Size known{};
  if (picture && picture->state == PagePicture::State::here) known = picture->decoded.size;
  if (picture && picture->state == PagePicture::State::broken)
    known = picture->stand_in.value_or(Size{});
  size.width = known.width;
  size.height = known.height;
}

void PageContainer::draw_background(litehtml::uint_ptr hdc,
                                    const litehtml::background_paint& paint) {
  Canvas& target = canvas_of(hdc);
  const Corners corners = paint.is_root ? Corners{} : corners_of(paint.border_radius);
  const Rect box = paint.is_root ? target.bounds() : rect_of(paint.clip_box);
  target.fill(box, corners, colour_of(paint.color));
  if (paint.image.empty()) return;
  PagePicture* picture = find_picture(paint.image, paint.baseurl);
  if (!picture || picture->state != PagePicture::State::here) return;
  const Size size{.width = paint.image_size.width, .height = paint.image_size.height};
  const auto repeat = paint.repeat;
  const Tiling tiling{.across = repeat == litehtml::background_repeat_repeat ||
                                repeat == litehtml::background_repeat_repeat_x,
                      .down = repeat == litehtml::background_repeat_repeat ||
                              repeat == litehtml::background_repeat_repeat_y};
  target.picture(picture->at(size), size, {.x = paint.position_x, .y = paint.position_y}, tiling,
                 box, corners);
}

void PageContainer::draw_borders(litehtml::uint_ptr hdc, const litehtml::borders& borders,
                                 const litehtml::position& box, bool) {
  if (!borders.is_visible()) return;
  canvas_of(hdc).borders(rect_of(box),
                         {edge_of(borders.top), edge_of(borders.right), edge_of(borders.bottom),
                          edge_of(borders.left)},
                         corners_of(borders.radius));
}

void PageContainer::set_base_url(const char* url) {
  if (url && *url) base_ = resolve_url(url_, url);
}

void PageContainer::transform_text(litehtml::tstring& text, litehtml::text_transform how) {
  const auto replace = [&](gchar* made) {
    text = made;
    g_free(made);
  };
  const auto length = static_cast<gssize>(text.size());
  if (text.empty() || !g_utf8_validate(text.data(), length, nullptr)) return;
  if (how == litehtml::text_transform_uppercase) replace(g_utf8_strup(text.data(), length));
  if (how == litehtml::text_transform_lowercase) replace(g_utf8_strdown(text.data(), length));
  if (how == litehtml::text_transform_capitalize) {
    const auto first = static_cast<gssize>(g_utf8_next_char(text.data()) - text.data());
    gchar* upper = g_utf8_strup(text.data(), first);
    text.replace(0, static_cast<std::size_t>(first), upper);
    g_free(upper);
  }
}

void PageContainer::import_css(litehtml::tstring& text, const litehtml::tstring& url,
                               litehtml::tstring& baseurl) {
  std::string_view reference = url;
  // litehtml leaves the quotation marks of @import.
  const auto is_mark = [](char c) { return c == '"' || c == '\''; };
  while (!reference.empty() && is_mark(reference.front())) reference.remove_prefix(1);
  while (!reference.empty() && is_mark(reference.back())) reference.remove_suffix(1);
  const std::string from = absolute(reference, baseurl);
  baseurl = from;
  StyleSheet& sheet = want_sheet(from);
  if (!sheet.is_here || ++sheet.uses > max_uses || ++imports_ > max_imports) return;
  text = sheet.text;
}

void PageContainer::set_clip(const litehtml::position& box, const litehtml::border_radiuses& radius,
                             bool across, bool down) {
  if (!canvas) return;
  Rect clip = rect_of(box);
  const Rect all = canvas->bounds();
  if (!across) {
    clip.x = all.x;
    clip.width = all.width;
  }
  if (!down) {
    clip.y = all.y;
    clip.height = all.height;
  }
  canvas->push_clip(clip, corners_of(radius));
}

void PageContainer::del_clip() {
  if (canvas) canvas->pop_clip();
}

void PageContainer::get_client_rect(litehtml::position& client) const {
  client = litehtml::position(scroll_.x, scroll_.y, viewport_.width, viewport_.height);
}

litehtml::element::ptr PageContainer::create_element(
    const char* tag, const litehtml::string_map&, const std::shared_ptr<litehtml::document>& doc) {
  if (std::string_view{tag} == "img") return std::make_shared<PictureElement>(doc, *this);
  if (std::string_view{tag} == "link") return std::make_shared<LinkElement>(doc, *this);
  return nullptr;
}

void PageContainer::get_media_features(litehtml::media_features& media) const {
  media.type = litehtml::media_type_screen;
  media.width = media.device_width = viewport_.width;
  media.height = media.device_height = viewport_.height;
  media.color = 8;
  media.color_index = 256;
  media.monochrome = 0;
  media.resolution = 96;
}

void PageContainer::get_language(litehtml::tstring& language, litehtml::tstring& culture) const {
  language = "en";
  culture = "";
}

}  // namespace porthole
