// SPDX-License-Identifier: Apache-2.0
//
// The svg plugin: drawings, with librsvg and cairo. Text is drawn with the system's fonts, which
// this plugin's sandbox lets it read; other files that a drawing refers to do not exist for it.
#include <algorithm>
#include <cmath>
#include <librsvg/rsvg.h>
#include <memory>

#include "plugin/adapter.hpp"

namespace porthole::svg {
namespace {

using plugin::Canvas;
using plugin::Measure;
using plugin::Refusal;

template <auto Release> struct By {
  template <class T> void operator()(T* thing) const { Release(thing); }
};
using Handle = std::unique_ptr<RsvgHandle, By<g_object_unref>>;
using Surface = std::unique_ptr<cairo_surface_t, By<cairo_surface_destroy>>;
using Context = std::unique_ptr<cairo_t, By<cairo_destroy>>;

/// What CSS gives a drawing that says nothing about its size.
constexpr double default_width = 300;
constexpr double default_height = 150;
constexpr double pixels_per_inch = 96;

Refusal damaged(GError* error) {
  const std::string why = error ? error->message : "no reason given";
  g_clear_error(&error);
  return {PORTHOLE_INVALID, "SVG damaged: " + why};
}

struct Extent {
  double width = 0;
  double height = 0;
  bool known() const { return width > 0 && height > 0; }
};

/// In pixels, or by its proportions alone when that is all it says.
Extent extent_of(RsvgHandle* handle) {
  Extent extent;
  if (rsvg_handle_get_intrinsic_size_in_pixels(handle, &extent.width, &extent.height) &&
      extent.known()) {
    return extent;
  }
  gboolean has_box = FALSE;
  gboolean ignored = FALSE;
  RsvgLength length{};
  RsvgRectangle box{};
  rsvg_handle_get_intrinsic_dimensions(handle, &ignored, &length, &ignored, &length, &has_box,
                                       &box);
  if (has_box && box.width > 0 && box.height > 0) {
    return {default_width, default_width * box.height / box.width};
  }
  return {default_width, default_height};
}

/// As wanted; where one side is open, in proportion.
Extent fit(Extent own, const porthole_request& request) {
  const double width = request.wanted_width;
  const double height = request.wanted_height;
  if (width > 0 && height > 0) return {width, height};
  if (width > 0) return {width, width * own.height / own.width};
  if (height > 0) return {height * own.width / own.height, height};
  return own;
}

class Drawing final : public plugin::Document {
 public:
  Measure measure(std::string_view, std::string_view bytes,
                  const porthole_request& request) override {
    GError* error = nullptr;
    handle_.reset(rsvg_handle_new_from_data(reinterpret_cast<const guint8*>(bytes.data()),
                                            bytes.size(), &error));
    if (!handle_) throw damaged(error);
    rsvg_handle_set_dpi(handle_.get(), pixels_per_inch);
    const Extent extent = fit(extent_of(handle_.get()), request);
    // As doubles: a drawing may say 1e300.
    const double side = request.max_side;
    const auto pixels = static_cast<double>(request.max_pixels);
    if (!(extent.width <= side && extent.height <= side &&
          std::ceil(extent.width) * std::ceil(extent.height) <= pixels)) {
      throw Refusal{PORTHOLE_TOO_LARGE, "the drawing is larger than what is shown"};
    }
    return {.width = std::max(1, static_cast<std::int32_t>(std::ceil(extent.width))),
            .height = std::max(1, static_cast<std::int32_t>(std::ceil(extent.height)))};
  }

  void render(Canvas canvas) override {
    const Surface surface{cairo_image_surface_create_for_data(canvas.pixels, CAIRO_FORMAT_ARGB32,
                                                              canvas.width, canvas.height,
                                                              static_cast<int>(canvas.stride))};
    const Context context{cairo_create(surface.get())};
    const RsvgRectangle whole{0, 0, static_cast<double>(canvas.width),
                              static_cast<double>(canvas.height)};
    GError* error = nullptr;
    const bool drawn =
        rsvg_handle_render_document(handle_.get(), context.get(), &whole, &error) != FALSE;
    cairo_surface_finish(surface.get());
    if (!drawn) throw damaged(error);
  }

 private:
  Handle handle_;
};

}  // namespace
}  // namespace porthole::svg

PORTHOLE_PLUGIN("svg", porthole::svg::Drawing, "image/svg+xml")
