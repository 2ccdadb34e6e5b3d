// SPDX-License-Identifier: Apache-2.0
//
// PageEngine: what turns HTML into pixels, behind a face that lets another engine take its place.
//
// An engine shows one document: open() asks for what it can see that it needs, parse() and layout()
// do what they say, paint() draws. It never waits: style sheets and pictures are asked for through
// Resources and handed in when they have come, and each says what has to be done anew.
// Threads: one. Several engines in several threads of one process do not share anything.
// TRUST: the document is a stranger's. The engine runs where that does no harm: in a sandbox.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "interfaces/types.hpp"

namespace porthole {

/// Whom the engine asks. URLs are absolute; each is asked for once a document. Not answered from
/// within the call.
class Resources {
 public:
  virtual ~Resources() = default;
  virtual void want_style_sheet(const std::string& url) = 0;
  virtual void want_picture(const std::string& url) = 0;
};

/// A decoded picture: rows of `size.width` pixels without gaps, as interfaces/types.hpp says.
/// REQUIRES: as many bytes as `size` needs, for as long as `owner` lives.
struct DecodedPicture {
  Size size{};
  const std::byte* pixels = nullptr;
  std::shared_ptr<const void> owner{};
};

/// Where to draw: a rectangle of the page, into memory of ARGB32.
struct PaintTarget {
  Rect area{};
  std::byte* pixels = nullptr;
  std::int32_t stride_bytes = 0;
};

/// What has to be done before the next paint. Each includes the ones before it.
enum class Redo : std::uint8_t { nothing, paint, layout, parse };

class PageEngine {
 public:
  virtual ~PageEngine() = default;

  /// Loads what every page needs, before there is one.
  virtual void warm_up() = 0;
  /// Takes a document (UTF-8) and asks for the style sheets that it names.
  virtual void open(std::string html, std::string url, Resources& resources) = 0;
  /// Style sheets were asked for that have not come: parsing now would show the page without them.
  virtual bool waits_for_style() const = 0;
  /// Reads document and style sheets; asks for pictures. After more style sheets: again.
  virtual void parse(Size viewport) = 0;
  /// Places everything for a viewport.
  virtual void layout(Size viewport) = 0;

  /// After parse().
  virtual std::string title() const = 0;
  /// After layout(): what can be scrolled over, at least the viewport.
  virtual Size content() const = 0;
  /// 0xAARRGGBB, opaque: the page's own, where nothing else is drawn.
  virtual std::uint32_t background() const = 0;
  /// Draws the page into all targets; in one go, as the way through the document costs once.
  virtual void paint(std::span<const PaintTarget> targets) = 0;
  /// Where the viewport stands; true when what is painted depends on it.
  virtual bool scrolled(Point offset) = 0;

  /// The absolute URL of the link at a point of the page.
  virtual std::optional<std::string> link_at(Point at) const = 0;
  /// How far down the element with this name or id begins.
  virtual std::optional<std::int32_t> anchor(std::string_view name) const = 0;

  /// What has come; nothing when it could not be had.
  virtual Redo style_sheet(const std::string& url, std::optional<std::string> text) = 0;
  virtual Redo picture(const std::string& url, std::optional<DecodedPicture> picture) = 0;
};

/// The engine in use: litehtml, drawn with Cairo and Pango.
std::unique_ptr<PageEngine> make_page_engine();

}  // namespace porthole
