// SPDX-License-Identifier: Apache-2.0
#include "renderer/fonts.hpp"

#include <algorithm>
#include <pango/pangocairo.h>
#include <pango/pangofc-fontmap.h>
#include <utility>

#include "renderer/font_config.hpp"

namespace porthole {
namespace {

/// As many different words of one font are kept; a page with more is shaped anew now and then.
constexpr std::size_t max_shaped = 100'000;
constexpr int smallest = 1;
constexpr int largest = 1000;

bool is_plain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
}

int pixels(int pango_units) { return PANGO_PIXELS(pango_units); }

Owned<PangoFontDescription, pango_font_description_free> describe(const FontStyle& style) {
  Owned<PangoFontDescription, pango_font_description_free> description{
      pango_font_description_new()};
  std::string family = style.family;
  std::erase_if(family, [](char c) { return c == '"' || c == '\''; });
  pango_font_description_set_family(description.get(), family.c_str());
  pango_font_description_set_absolute_size(
      description.get(), double{PANGO_SCALE} * std::clamp(style.size, smallest, largest));
  pango_font_description_set_weight(description.get(), static_cast<PangoWeight>(style.weight));
  pango_font_description_set_style(description.get(),
                                   style.italic ? PANGO_STYLE_ITALIC : PANGO_STYLE_NORMAL);
  return description;
}

/// The same on every surface: grey edges, so that a tile looks alike wherever it is shown.
void set_options(PangoContext* context) {
  const Owned<cairo_font_options_t, cairo_font_options_destroy> options{
      cairo_font_options_create()};
  cairo_font_options_set_antialias(options.get(), CAIRO_ANTIALIAS_GRAY);
  cairo_font_options_set_hint_style(options.get(), CAIRO_HINT_STYLE_SLIGHT);
  cairo_font_options_set_hint_metrics(options.get(), CAIRO_HINT_METRICS_ON);
  pango_cairo_context_set_font_options(context, options.get());
}

}  // namespace

Fonts::Fonts() : scratch_(pango_glyph_string_new()) {
  FcConfig* config = font_config();  // before there is a map, which would have another one loaded
  map_.reset(pango_cairo_font_map_new());
  pango_fc_font_map_set_config(PANGO_FC_FONT_MAP(map_.get()), config);
}

Fonts::~Fonts() {
  fonts_.clear();
  for (const auto& [font, scaled] : scaled_) {
    cairo_scaled_font_destroy(scaled);
    g_object_unref(font);
  }
}

Font& Fonts::font(const FontStyle& style) {
  auto& found = fonts_[style];
  if (!found) found = std::make_unique<Font>(*this, style);
  return *found;
}

Font::Font(Fonts& fonts, FontStyle style)
    : fonts_(fonts),
      style_(std::move(style)),
      context_(pango_font_map_create_context(fonts.map_.get())) {
  const auto description = describe(style_);
  pango_context_set_font_description(context_.get(), description.get());
  pango_context_set_language(context_.get(), pango_language_from_string("en"));
  set_options(context_.get());
  const Owned<PangoFontMetrics, pango_font_metrics_unref> metrics{
      pango_context_get_metrics(context_.get(), nullptr, nullptr)};
  ascent_ = pixels(pango_font_metrics_get_ascent(metrics.get()));
  descent_ = pixels(pango_font_metrics_get_descent(metrics.get()));
  line_thickness_ = std::max(1, pixels(pango_font_metrics_get_underline_thickness(metrics.get())));

  const Owned<PangoAttrList, pango_attr_list_unref> none{pango_attr_list_new()};
  GList* items = pango_itemize(context_.get(), "x", 0, 1, none.get(), nullptr);
  if (items) {
    latin_.reset(static_cast<PangoItem*>(items->data));
    PangoRectangle ink{};
    PangoGlyphString* glyphs = fonts_.scratch_.get();
    pango_shape_with_flags("x", 1, nullptr, 0, &latin_->analysis, glyphs, PANGO_SHAPE_NONE);
    pango_glyph_string_extents(glyphs, latin_->analysis.font, &ink, nullptr);
    x_height_ = pixels(PANGO_ASCENT(ink));
  }
  g_list_free(items);
}

const Shaped& Font::shape(std::string_view text) {
  if (const auto known = shaped_.find(text); known != shaped_.end()) return known->second;
  if (shaped_.size() >= max_shaped) shaped_.clear();
  return shaped_.emplace(std::string{text}, shape_anew(text)).first->second;
}

Shaped Font::shape_anew(std::string_view text) {
  Shaped shaped;
  if (text.empty()) return shaped;
  // Nearly all words: one font, from left to right, so nothing is to be found out about them.
  if (latin_ && is_plain(text)) {
    append(shaped, text, latin_->analysis);
    return shaped;
  }
  const std::string valid = [&] {
    gchar* made = g_utf8_make_valid(text.data(), static_cast<gssize>(text.size()));
    std::string copy{made};
    g_free(made);
    return copy;
  }();
  const Owned<PangoAttrList, pango_attr_list_unref> none{pango_attr_list_new()};
  GList* logical = pango_itemize(context_.get(), valid.c_str(), 0, static_cast<int>(valid.size()),
                                 none.get(), nullptr);
  GList* visual = pango_reorder_items(logical);
  for (GList* at = visual; at; at = at->next) {
    const auto* item = static_cast<PangoItem*>(at->data);
    append(shaped,
           std::string_view{valid}.substr(static_cast<std::size_t>(item->offset),
                                          static_cast<std::size_t>(item->length)),
           item->analysis);
  }
  g_list_free(visual);
  g_list_free_full(logical, [](gpointer item) { pango_item_free(static_cast<PangoItem*>(item)); });
  return shaped;
}

void Font::append(Shaped& shaped, std::string_view text, const PangoAnalysis& analysis) {
  PangoGlyphString* glyphs = fonts_.scratch_.get();
  pango_shape_with_flags(text.data(), static_cast<int>(text.size()), nullptr, 0, &analysis, glyphs,
                         PANGO_SHAPE_ROUND_POSITIONS);
  auto [known, is_new] = fonts_.scaled_.try_emplace(analysis.font, nullptr);
  if (is_new) {
    g_object_ref(analysis.font);
    known->second = cairo_scaled_font_reference(
        pango_cairo_font_get_scaled_font(PANGO_CAIRO_FONT(analysis.font)));
  }
  Shaped::Run run{.font = known->second, .glyphs = {}};
  run.glyphs.reserve(static_cast<std::size_t>(glyphs->num_glyphs));
  int x = 0;
  for (int i = 0; i < glyphs->num_glyphs; ++i) {
    const PangoGlyphInfo& glyph = glyphs->glyphs[i];
    if (glyph.glyph != PANGO_GLYPH_EMPTY) {
      // What no font has is drawn as the box that fonts have for that.
      const unsigned long index = (glyph.glyph & PANGO_GLYPH_UNKNOWN_FLAG) ? 0 : glyph.glyph;
      run.glyphs.push_back({.index = index,
                            .x = shaped.width + double(x + glyph.geometry.x_offset) / PANGO_SCALE,
                            .y = double(glyph.geometry.y_offset) / PANGO_SCALE});
    }
    x += glyph.geometry.width;
  }
  shaped.width += PANGO_PIXELS_CEIL(x);
  if (!run.glyphs.empty()) shaped.runs.push_back(std::move(run));
}

}  // namespace porthole
