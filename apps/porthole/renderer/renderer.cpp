// SPDX-License-Identifier: Apache-2.0
#include "renderer/renderer.hpp"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include <bulkhead/asio.hpp>

#include "renderer/charset.hpp"
#include "renderer/documents.hpp"
#include "renderer/misbehave.hpp"
#include "renderer/url.hpp"

namespace porthole {
namespace {

using namespace std::chrono_literals;

/// So long a page waits for its style sheets before it is shown without them.
constexpr auto style_patience = 1s;
/// Pictures that come meanwhile are placed together.
constexpr std::chrono::nanoseconds longest_gathering = 250ms;
constexpr std::int64_t max_picture_bytes = std::int64_t{512} << 20;
/// Each holds descriptors while it is under way; each that is mapped holds one for good.
constexpr std::size_t max_busy_pictures = 32;
constexpr int max_mapped_pictures = 400;
/// Smaller ones are copied out of their Region, which costs less than a mapping.
constexpr std::size_t least_mapped_bytes = 64 << 10;
/// A page with more faults than that has told enough.
constexpr int max_reports = 100;
constexpr Size usual_viewport{.width = 1280, .height = 800};
constexpr auto ignore = [](const bulkhead::Result<void>&) {};  // the main channel's end ends all

std::string_view text_of(const std::optional<bulkhead::Region>& body) {
  return body ? bulkhead::as_text(body->bytes()) : std::string_view{};
}

bool is_html(const std::string& type) {
  return type.empty() || type == "text/html" || type == "application/xhtml+xml";
}

bool is_text(const std::string& type) {
  return type.starts_with("text/") || type.ends_with("json") || type.ends_with("xml") ||
         type.ends_with("javascript");
}

/// A name that fits a line: data URLs do not.
std::string shortened(std::string_view url) {
  constexpr std::size_t longest = 200;
  return url.size() <= longest ? std::string{url} : std::string{url.substr(0, 60)} + "...";
}

std::string one_line(std::string_view text) {
  std::string line = shortened(text);
  std::ranges::replace_if(line, [](char c) { return static_cast<unsigned char>(c) < ' '; }, ' ');
  return line;
}

}  // namespace

Renderer::Renderer(asio::io_context& loop, bulkhead::Channel& browser, bulkhead::Channel resources,
                   bulkhead::Channel plugins)
    : loop_(loop),
      host_(browser),
      fetcher_(loop, std::move(resources)),
      plugins_(loop, std::move(plugins)),
      layer_(loop,
             [this] {
               if (std::exchange(waits_for_slots_, false)) show();
             }),
      engine_(make_page_engine()),
      style_timer_(loop),
      work_timer_(loop) {}

void Renderer::warm_up() { engine_->warm_up(); }

void Renderer::commit(Commit commit) {
  misbehave_if_asked(commit.url);
  fetcher_.cancel_all();
  plugins_.reset();
  style_timer_.cancel();
  work_timer_.cancel();
  if (viewport_.width <= 0) resize(usual_viewport);
  navigation_ = commit.navigation;
  url_ = commit.url;
  wanted_scroll_ = commit.scroll;
  seeks_anchor_ = commit.scroll == Point{} && !fragment_of(url_).empty();
  document_picture_.reset();
  wanted_pictures_.clear();
  busy_pictures_ = 0;
  picture_bytes_ = 0;
  mapped_pictures_ = 0;
  reports_ = 0;
  layout_time_ = {};
  pending_ = Redo::nothing;
  has_page_ = is_parsed_ = is_shown_ = false;
  is_work_scheduled_ = waits_for_slots_ = told_complete_ = false;

  const std::string& type = commit.mime_type;
  if (is_html(type)) {
    open(to_utf8(text_of(commit.body), commit.charset, TextKind::html));
  } else if (type.starts_with("image/") && commit.body) {
    document_picture_ =
        Resource{.head = {.status = 200, .url = url_, .mime_type = type, .charset = {}},
                 .body = std::move(commit.body)};
    open(page_of_picture(url_));
  } else if (type == "text/markdown" && commit.body) {
    open_through_plugin(commit);
  } else if (is_text(type)) {
    open(page_of_text(url_, to_utf8(text_of(commit.body), commit.charset, TextKind::plain)));
  } else {
    const std::string reason = "Porthole cannot show documents of the type " + type + ".";
    report(url_, reason);
    open(page_of_reason(url_, reason));
  }
}

void Renderer::open_through_plugin(const Commit& commit) {
  auto body = commit.body->duplicate();
  if (!body) return open(page_of_reason(url_, body.error().sentence()));
  const auto show_made = [this](const Plugins::Outcome& outcome) {
    if (outcome && !outcome->html.empty()) {
      return open(page_of_fragment(url_, to_utf8(outcome->html, "utf-8", TextKind::html)));
    }
    const std::string reason = outcome ? "the plugin returned no document" : outcome.error();
    report(url_, reason);
    open(page_of_reason(url_, reason));
  };
  plugins_.render(commit.mime_type, *std::move(body), show_made);
}

void Renderer::open(std::string html) {
  has_page_ = true;
  engine_->open(std::move(html), url_, *this);
  if (!engine_->waits_for_style()) return redo(Redo::parse);
  style_timer_.expires_after(style_patience);
  style_timer_.async_wait([this](const std::error_code& error) {
    if (!error && !is_parsed_) redo(Redo::parse);
  });
}

void Renderer::stop(NavigationId navigation) {
  if (navigation != navigation_) return;
  fetcher_.cancel_all();
  plugins_.reset();
  wanted_pictures_.clear();
  if (has_page_ && !is_parsed_) return redo(Redo::parse);
  tell_if_complete();
}

void Renderer::resize(Size viewport) {
  viewport.width = std::clamp(viewport.width, 1, max_viewport_side);
  viewport.height = std::clamp(viewport.height, 1, max_viewport_side);
  if (viewport == viewport_) return;
  viewport_ = viewport;
  auto tiles = Tiles::create(viewport_);
  if (!tiles) return report(url_, tiles.error().sentence());
  layer_.set_tiles(*std::move(tiles));
  if (is_parsed_) redo(Redo::layout);
}

void Renderer::scroll_to(Point offset) {
  seeks_anchor_ = false;
  wanted_scroll_ = offset;
  if (is_parsed_ && pending_ == Redo::nothing) show();
}

void Renderer::click(Point at) {
  if (!is_parsed_) return;
  if (const auto url = engine_->link_at(at)) {
    host_.async_began_navigation(*url, asio::bind_executor(loop_, ignore));
  }
}

void Renderer::ping(std::uint64_t token) {
  host_.async_pong(token, asio::bind_executor(loop_, ignore));
}

void Renderer::attach_layer(bulkhead::Channel gpu) {
  layer_.attach(std::move(gpu));
  if (!is_parsed_) return;
  if (!is_shown_ || std::exchange(waits_for_slots_, false)) return show();
  tell_painted(told_complete_);  // it has been submitted again, under another number
}

void Renderer::want_style_sheet(const std::string& url) {
  fetcher_.fetch(navigation_, url, ResourceKind::style_sheet,
                 [this, url](std::optional<Resource> loaded, const std::string& reason) {
                   std::optional<std::string> text;
                   if (loaded) {
                     text = to_utf8(text_of(loaded->body), loaded->head.charset, TextKind::css);
                   } else {
                     report(url, reason);
                   }
                   const Redo what = engine_->style_sheet(url, std::move(text));
                   if (is_parsed_) return redo(what);
                   if (!engine_->waits_for_style()) redo(Redo::parse);
                 });
}

void Renderer::want_picture(const std::string& url) {
  wanted_pictures_.push_back(url);
  fetch_pictures();
}

void Renderer::fetch_pictures() {
  while (!wanted_pictures_.empty() && busy_pictures_ < max_busy_pictures) {
    const std::string url = std::move(wanted_pictures_.front());
    wanted_pictures_.pop_front();
    ++busy_pictures_;
    if (document_picture_) {
      Resource document = std::move(*std::exchange(document_picture_, std::nullopt));
      decode(url, document.head.mime_type, *std::move(document.body));
      continue;
    }
    fetcher_.fetch(navigation_, url, ResourceKind::image,
                   [this, url](std::optional<Resource> loaded, const std::string& reason) {
                     if (!loaded) return no_picture(url, reason);
                     const std::string& type = loaded->head.mime_type;
                     if (!type.starts_with("image/")) {
                       return no_picture(url, type + " is no picture");
                     }
                     if (!loaded->body) return no_picture(url, "the picture is empty");
                     decode(url, type, *std::move(loaded->body));
                   });
  }
}

void Renderer::decode(const std::string& url, const std::string& type, bulkhead::Region body) {
  plugins_.render(type, std::move(body),
                  [this, url](Plugins::Outcome outcome) { picture_came(url, std::move(outcome)); });
}

void Renderer::picture_came(const std::string& url, Plugins::Outcome outcome) {
  if (!outcome) return no_picture(url, outcome.error());
  if (!outcome->pixels) return no_picture(url, "the plugin returned no picture");
  DecodedPicture picture{.size = outcome->size, .pixels = nullptr, .owner = {}};
  const auto bytes = outcome->pixels->bytes();
  picture_bytes_ += static_cast<std::int64_t>(bytes.size());
  if (picture_bytes_ > max_picture_bytes) {
    return no_picture(url, "the page's pictures need more than 512 MiB");
  }
  if (bytes.size() < least_mapped_bytes || mapped_pictures_ >= max_mapped_pictures) {
    auto copy = std::make_shared<std::vector<std::byte>>(bytes.begin(), bytes.end());
    picture.pixels = copy->data();
    picture.owner = std::move(copy);
  } else {
    ++mapped_pictures_;
    picture.pixels = bytes.data();  // where they are, wherever the Region object is
    picture.owner = std::make_shared<bulkhead::Region>(*std::move(outcome->pixels));
  }
  --busy_pictures_;
  fetch_pictures();
  redo(engine_->picture(url, std::move(picture)));
}

void Renderer::no_picture(const std::string& url, const std::string& reason) {
  --busy_pictures_;
  fetch_pictures();
  report(url, reason);
  redo(engine_->picture(url, std::nullopt));
}

void Renderer::redo(Redo what) {
  pending_ = std::max(pending_, what);
  if (pending_ == Redo::nothing) return tell_if_complete();
  if (std::exchange(is_work_scheduled_, true)) return;
  const bool more_will_come = is_parsed_ && is_loading();
  work_timer_.expires_after(more_will_come ? std::min(layout_time_, longest_gathering) : 0ns);
  work_timer_.async_wait([this](const std::error_code& error) {
    if (!error) work();
  });
}

void Renderer::work() {
  is_work_scheduled_ = false;
  const Redo what = std::exchange(pending_, Redo::nothing);
  if (what >= Redo::parse) parse();
  if (what >= Redo::layout) layout();
  if (layer_.tiles()) layer_.tiles()->invalidate();
  show();
}

void Renderer::parse() {
  engine_->parse(viewport_);
  if (!std::exchange(is_parsed_, true)) {
    host_.async_did_commit(navigation_, engine_->title(), asio::bind_executor(loop_, ignore));
  }
}

void Renderer::layout() {
  const auto begin = std::chrono::steady_clock::now();
  engine_->layout(viewport_);
  layout_time_ = std::chrono::steady_clock::now() - begin;
  if (!seeks_anchor_) return;
  if (const auto y = engine_->anchor(fragment_of(url_))) wanted_scroll_ = {.x = 0, .y = *y};
}

Rect Renderer::visible() const {
  return {.x = scroll_.x, .y = scroll_.y, .width = viewport_.width, .height = viewport_.height};
}

/// With a row of tiles above and below, for scrolling.
Rect Renderer::around() const {
  Rect area = whole_tiles(visible());
  const std::int32_t above = std::min(area.y, tile_side);
  area.y -= above;
  area.height += above + tile_side;
  return area;
}

void Renderer::show() {
  if (!is_parsed_ || !layer_.is_attached() || !layer_.tiles()) return;
  const Size content = engine_->content();
  const Point before = scroll_;
  scroll_ = {.x = std::clamp(wanted_scroll_.x, 0, content.width - viewport_.width),
             .y = std::clamp(wanted_scroll_.y, 0, content.height - viewport_.height)};
  if (engine_->scrolled(scroll_) && !(scroll_ == before)) layer_.tiles()->invalidate();
  const Tiles::Work work = layer_.tiles()->prepare(visible(), content);
  engine_->paint(work.targets);
  if (!work.enough) {
    waits_for_slots_ = true;  // the gpu process holds them still, and will tell
    return;
  }
  layer_.submit(visible(), around(), content, engine_->background());
  is_shown_ = true;
  tell_painted(!is_loading() && pending_ == Redo::nothing);
}

/// What lies just outside is painted when nothing else is to be done, so that scrolling finds it.
void Renderer::paint_around() {
  if (std::exchange(is_around_scheduled_, true)) return;
  asio::post(loop_, [this] {
    is_around_scheduled_ = false;
    if (!is_shown_ || !layer_.tiles() || pending_ != Redo::nothing || waits_for_slots_) return;
    const Size content = engine_->content();
    const Tiles::Work work = layer_.tiles()->prepare(around(), content, Tiles::Use::in_advance);
    if (work.targets.empty()) return;
    engine_->paint(work.targets);
    layer_.submit(visible(), around(), content, engine_->background());
  });
}

void Renderer::tell_painted(bool complete) {
  told_complete_ = complete;
  host_.async_did_paint(navigation_, layer_.frame(), engine_->content(), complete,
                        asio::bind_executor(loop_, ignore));
  if (complete) paint_around();
}

void Renderer::tell_if_complete() {
  const bool complete = is_shown_ && !is_loading() && pending_ == Redo::nothing;
  if (complete && !told_complete_ && !waits_for_slots_) tell_painted(true);
}

bool Renderer::is_loading() const {
  return fetcher_.under_way() + plugins_.under_way() + wanted_pictures_.size() > 0;
}

void Renderer::report(std::string_view url, std::string_view reason) {
  if (++reports_ > max_reports) return;
  host_.async_report(navigation_, shortened(url) + ": " + one_line(reason),
                     asio::bind_executor(loop_, ignore));
}

}  // namespace porthole
