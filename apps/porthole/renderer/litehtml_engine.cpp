// SPDX-License-Identifier: Apache-2.0
//
// The engine in use: litehtml parses and places, PageContainer measures and draws.
#include <algorithm>
#include <litehtml.h>

#include "renderer/master_css.hpp"
#include "renderer/page_container.hpp"
#include "renderer/page_engine.hpp"
#include "renderer/style_scan.hpp"
#include "renderer/url.hpp"

namespace porthole {
namespace {

constexpr std::uint32_t white = 0xffffffff;

/// The first element, in the document's order, that is called so.
litehtml::element::ptr find_named(const litehtml::element::ptr& element, std::string_view name) {
  const char* id = element->get_attr("id");
  if (id && name == id) return element;
  const char* called = element->get_attr("name");
  if (called && name == called && std::string_view{element->get_tagName()} == "a") return element;
  const int children = static_cast<int>(element->get_children_count());
  for (int i = 0; i < children; ++i) {
    if (auto found = find_named(element->get_child(i), name)) return found;
  }
  return nullptr;
}

/// White space as HTML has it: one blank between words.
std::string one_line(std::string_view text) {
  constexpr std::string_view space = " \t\r\n\f";
  std::string line;
  while (true) {
    text.remove_prefix(std::min(text.find_first_not_of(space), text.size()));
    if (text.empty()) return line;
    const std::string_view word = text.substr(0, text.find_first_of(space));
    if (!line.empty()) line += ' ';
    line += word;
    text.remove_prefix(word.size());
  }
}

class LitehtmlEngine final : public PageEngine {
 public:
  LitehtmlEngine() : container_(fonts_) { context_.load_master_stylesheet(master_css); }
  ~LitehtmlEngine() override { document_.reset(); }

  void warm_up() override {
    for (const char* family : {"serif", "sans-serif", "monospace"}) {
      for (const int weight : {400, 700}) {
        fonts_.font({.family = family, .weight = weight}).shape("Warm");
      }
    }
  }

  void open(std::string html, std::string url, Resources& resources) override {
    document_.reset();
    html_ = std::move(html);
    scroll_ = {};
    container_.open(std::move(url), resources);
    const StyleScan scan = scan_html(html_);
    const std::string base = resolve_url(container_.base(), scan.base);
    for (const std::string& sheet : scan.style_sheets) {
      container_.want_sheet(resolve_url(base, sheet));
    }
  }

  bool waits_for_style() const override {
    const auto& sheets = const_cast<PageContainer&>(container_).sheets();
    return std::ranges::any_of(sheets, [](const auto& sheet) { return !sheet.second.is_here; });
  }

  void parse(Size viewport) override {
    document_.reset();
    container_.begin_parse(viewport);
    document_ = litehtml::document::createFromUTF8(html_.c_str(), &container_, &context_);
  }

  void layout(Size viewport) override {
    viewport_ = viewport;
    container_.set_viewport(viewport);
    if (!document_ || !document_->root()) return;
    document_->media_changed();
    document_->render(viewport.width);
  }

  std::string title() const override { return one_line(container_.title()); }

  Size content() const override {
    if (!document_) return viewport_;
    return {.width = std::clamp(document_->width(), viewport_.width, max_page_side),
            .height = std::clamp(document_->height(), viewport_.height, max_page_side)};
  }

  std::uint32_t background() const override {
    if (!document_ || !document_->root()) return white;
    const litehtml::background* own = document_->root()->get_background();
    if (!own || own->m_color.alpha != 255) return white;
    const auto& c = own->m_color;
    return 0xff000000U | std::uint32_t{c.red} << 16 | std::uint32_t{c.green} << 8 | c.blue;
  }

  void paint(std::span<const PaintTarget> targets) override {
    if (targets.empty()) return;
    Canvas canvas{targets, background()};
    if (!document_ || !document_->root()) return;
    container_.canvas = &canvas;
    const Rect all = canvas.bounds();
    const litehtml::position clip(all.x, all.y, all.width, all.height);
    document_->draw(reinterpret_cast<litehtml::uint_ptr>(&canvas), 0, 0, &clip);
    container_.canvas = nullptr;
  }

  bool scrolled(Point offset) override {
    scroll_ = offset;
    container_.set_scroll(offset);
    if (!document_) return false;
    litehtml::position::vector fixed;
    document_->get_fixed_boxes(fixed);
    return !fixed.empty();
  }

  std::optional<std::string> link_at(Point at) const override {
    if (!document_ || !document_->root()) return {};
    // What is fixed to the viewport is looked for there.
    auto element =
        document_->root()->get_element_by_point(at.x, at.y, at.x - scroll_.x, at.y - scroll_.y);
    for (; element; element = element->parent()) {
      if (std::string_view{element->get_tagName()} != "a") continue;
      if (const char* href = element->get_attr("href")) return resolve_url(container_.base(), href);
    }
    return {};
  }

  std::optional<std::int32_t> anchor(std::string_view name) const override {
    if (!document_ || !document_->root() || name.empty()) return {};
    const auto element = find_named(document_->root(), name);
    if (!element) return {};
    return std::clamp(element->get_placement().y, 0, max_page_side);
  }

  Redo style_sheet(const std::string& url, std::optional<std::string> text) override {
    const auto found = container_.sheets().find(url);
    if (found == container_.sheets().end() || found->second.is_here) return Redo::nothing;
    StyleSheet& sheet = found->second;
    sheet.is_here = true;
    if (!text || text->empty()) return Redo::nothing;
    sheet.text = std::move(*text);
    for (const std::string& import : scan_imports(sheet.text)) {
      container_.want_sheet(resolve_url(url, import));
    }
    return Redo::parse;
  }

  Redo picture(const std::string& url, std::optional<DecodedPicture> decoded) override {
    PagePicture* picture = container_.find_picture(url);
    if (!picture || picture->state != PagePicture::State::awaited) return Redo::nothing;
    if (!decoded) {
      picture->state = PagePicture::State::broken;
      return Redo::layout;  // the box that is shown instead has a size of its own
    }
    picture->state = PagePicture::State::here;
    picture->decoded = std::move(*decoded);
    const Size size = picture->decoded.size;
    // Cairo only reads; it has no type for that.
    auto* pixels =
        reinterpret_cast<unsigned char*>(const_cast<std::byte*>(picture->decoded.pixels));
    picture->surface.reset(cairo_image_surface_create_for_data(
        pixels, CAIRO_FORMAT_ARGB32, size.width, size.height, 4 * size.width));
    return picture->shapes_layout ? Redo::layout : Redo::paint;
  }

 private:
  Fonts fonts_;
  litehtml::context context_;
  PageContainer container_;
  std::string html_;
  Size viewport_{};
  Point scroll_{};
  litehtml::document::ptr document_;
};

}  // namespace

std::unique_ptr<PageEngine> make_page_engine() { return std::make_unique<LitehtmlEngine>(); }

}  // namespace porthole
