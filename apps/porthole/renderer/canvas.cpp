// SPDX-License-Identifier: Apache-2.0
#include "renderer/canvas.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace porthole {
namespace {

constexpr double right_angle = std::numbers::pi / 2;

void set_colour(cairo_t* cairo, Colour colour) {
  const auto part = [&](int shift) { return ((colour >> shift) & 0xff) / 255.0; };
  cairo_set_source_rgba(cairo, part(16), part(8), part(0), part(24));
}

bool is_round(const Corners& corners) {
  return std::ranges::any_of(corners, [](Corner corner) { return corner.x > 0 && corner.y > 0; });
}

/// Corners that do not overlap each other, as CSS wants it.
Corners fitted(const Rect& box, Corners corners) {
  double factor = 1;
  const auto fit = [&](int length, int a, int b) {
    if (a + b > length && a + b > 0) factor = std::min(factor, double(length) / (a + b));
  };
  fit(box.width, corners[0].x, corners[1].x);
  fit(box.width, corners[3].x, corners[2].x);
  fit(box.height, corners[0].y, corners[3].y);
  fit(box.height, corners[1].y, corners[2].y);
  if (factor < 1) {
    for (Corner& corner : corners) {
      corner = {.x = static_cast<int>(corner.x * factor), .y = static_cast<int>(corner.y * factor)};
    }
  }
  return corners;
}

void arc(cairo_t* cairo, double x, double y, Corner radius, double from) {
  if (radius.x <= 0 || radius.y <= 0) {
    cairo_line_to(cairo, x, y);
    return;
  }
  cairo_matrix_t before;
  cairo_get_matrix(cairo, &before);
  cairo_translate(cairo, x, y);
  cairo_scale(cairo, radius.x, radius.y);
  cairo_arc(cairo, 0, 0, 1, from, from + right_angle);
  cairo_set_matrix(cairo, &before);
}

void outline(cairo_t* cairo, const Rect& box, const Corners& wanted) {
  if (!is_round(wanted)) {
    cairo_rectangle(cairo, box.x, box.y, box.width, box.height);
    return;
  }
  const Corners c = fitted(box, wanted);
  const double right = double{1} * box.x + box.width;
  const double bottom = double{1} * box.y + box.height;
  cairo_new_sub_path(cairo);
  const auto inner = [](Corner corner) { return corner.x > 0 && corner.y > 0 ? corner : Corner{}; };
  arc(cairo, box.x + inner(c[0]).x, box.y + inner(c[0]).y, c[0], 2 * right_angle);
  arc(cairo, right - inner(c[1]).x, box.y + inner(c[1]).y, c[1], 3 * right_angle);
  arc(cairo, right - inner(c[2]).x, bottom - inner(c[2]).y, c[2], 0);
  arc(cairo, box.x + inner(c[3]).x, bottom - inner(c[3]).y, c[3], right_angle);
  cairo_close_path(cairo);
}

Rect inset(const Rect& box, const Edges& edges) {
  return {.x = box.x + edges[3].width,
          .y = box.y + edges[0].width,
          .width = std::max(0, box.width - edges[1].width - edges[3].width),
          .height = std::max(0, box.height - edges[0].width - edges[2].width)};
}

Corners inset(Corners corners, const Edges& edges) {
  const auto less = [](Corner& corner, int x, int y) {
    corner = {.x = std::max(0, corner.x - x), .y = std::max(0, corner.y - y)};
  };
  less(corners[0], edges[3].width, edges[0].width);
  less(corners[1], edges[1].width, edges[0].width);
  less(corners[2], edges[1].width, edges[2].width);
  less(corners[3], edges[3].width, edges[2].width);
  return corners;
}

Colour shade(Colour colour, double factor) {
  const auto part = [&](int shift) {
    return static_cast<Colour>(((colour >> shift) & 0xff) * factor) << shift;
  };
  return (colour & 0xff000000) | part(16) | part(8) | part(0);
}

bool is_even(const Edges& edges) {
  return std::ranges::all_of(edges, [&](const Edge& edge) {
    return edge.width == edges[0].width && edge.colour == edges[0].colour &&
           edge.stroke == edges[0].stroke;
  });
}

/// The colour of one side; those that look raised or sunk are lit from the upper left.
Colour lit(const Edge& edge, std::size_t side) {
  const bool upper_left = side == 0 || side == 3;
  const bool sunk = edge.stroke == Stroke::inset || edge.stroke == Stroke::groove;
  const bool raised = edge.stroke == Stroke::outset || edge.stroke == Stroke::ridge;
  return (sunk && upper_left) || (raised && !upper_left) ? shade(edge.colour, 0.6) : edge.colour;
}

/// The part of a border that belongs to one side: cut at the corners' diagonals.
void side_path(cairo_t* cairo, const Rect& box, const Rect& inner, std::size_t side) {
  const double x[] = {double(box.x), double(box.x) + box.width, double(inner.x),
                      double(inner.x) + inner.width};
  const double y[] = {double(box.y), double(box.y) + box.height, double(inner.y),
                      double(inner.y) + inner.height};
  struct Place {
    double x, y;
  };
  const Place outer_corner[] = {{x[0], y[0]}, {x[1], y[0]}, {x[1], y[1]}, {x[0], y[1]}};
  const Place inner_corner[] = {{x[2], y[2]}, {x[3], y[2]}, {x[3], y[3]}, {x[2], y[3]}};
  const std::size_t next = (side + 1) % 4;
  cairo_move_to(cairo, outer_corner[side].x, outer_corner[side].y);
  cairo_line_to(cairo, outer_corner[next].x, outer_corner[next].y);
  cairo_line_to(cairo, inner_corner[next].x, inner_corner[next].y);
  cairo_line_to(cairo, inner_corner[side].x, inner_corner[side].y);
  cairo_close_path(cairo);
}

void draw_dashes(cairo_t* cairo, const Rect& box, const Edges& edges, std::size_t side) {
  const Edge& edge = edges[side];
  const double half = edge.width / 2.0;
  const double dot[] = {0, 2.0 * edge.width};
  const double dash[] = {3.0 * edge.width, 3.0 * edge.width};
  const bool dotted = edge.stroke == Stroke::dotted;
  cairo_set_line_width(cairo, edge.width);
  cairo_set_line_cap(cairo, dotted ? CAIRO_LINE_CAP_ROUND : CAIRO_LINE_CAP_BUTT);
  if (dotted && edge.width == 1) {
    const double single[] = {1, 1};
    cairo_set_line_cap(cairo, CAIRO_LINE_CAP_BUTT);
    cairo_set_dash(cairo, single, 2, 0);
  } else {
    cairo_set_dash(cairo, dotted ? dot : dash, 2, 0);
  }
  const double right = double(box.x) + box.width;
  const double bottom = double(box.y) + box.height;
  if (side == 0 || side == 2) {
    const double y = side == 0 ? box.y + half : bottom - half;
    cairo_move_to(cairo, box.x + (dotted ? half : 0), y);
    cairo_line_to(cairo, right - (dotted ? half : 0), y);
  } else {
    const double x = side == 3 ? box.x + half : right - half;
    cairo_move_to(cairo, x, box.y + (dotted ? half : 0));
    cairo_line_to(cairo, x, bottom - (dotted ? half : 0));
  }
  set_colour(cairo, edge.colour);
  cairo_stroke(cairo);
  cairo_set_dash(cairo, nullptr, 0, 0);
}

/// Draws between the outer outline and one that lies `edges` further in.
void draw_ring(cairo_t* cairo, const Rect& box, const Edges& edges, const Corners& corners) {
  const Rect inner = inset(box, edges);
  cairo_set_fill_rule(cairo, CAIRO_FILL_RULE_EVEN_ODD);
  outline(cairo, box, corners);
  if (inner.width > 0 && inner.height > 0) outline(cairo, inner, inset(corners, edges));
  cairo_fill(cairo);
  cairo_set_fill_rule(cairo, CAIRO_FILL_RULE_WINDING);
}

Edges thinned(Edges edges, int parts) {
  for (Edge& edge : edges) edge.width = (edge.width + parts - 1) / parts;
  return edges;
}

void draw_side(cairo_t* cairo, const Rect& box, const Edges& edges, const Corners& corners,
               std::size_t side) {
  const Edge& edge = edges[side];
  if (edge.width <= 0 || edge.stroke == Stroke::none) return;
  if (edge.stroke == Stroke::dotted || edge.stroke == Stroke::dashed) {
    return draw_dashes(cairo, box, edges, side);
  }
  cairo_save(cairo);
  side_path(cairo, box, inset(box, edges), side);
  cairo_clip(cairo);
  set_colour(cairo, lit(edge, side));
  if (edge.stroke == Stroke::twice && edge.width >= 3) {
    const Edges third = thinned(edges, 3);
    draw_ring(cairo, box, third, corners);
    Edges rest = edges;
    for (std::size_t i = 0; i < 4; ++i) rest[i].width -= third[i].width;
    draw_ring(cairo, inset(box, rest), third, inset(corners, rest));
  } else {
    draw_ring(cairo, box, edges, corners);
  }
  cairo_restore(cairo);
}

}  // namespace

std::optional<Rect> intersection(const Rect& a, const Rect& b) {
  const auto end = [](int from, int length) { return std::int64_t{from} + length; };
  const std::int32_t x = std::max(a.x, b.x);
  const std::int32_t y = std::max(a.y, b.y);
  const std::int64_t width = std::min(end(a.x, a.width), end(b.x, b.width)) - x;
  const std::int64_t height = std::min(end(a.y, a.height), end(b.y, b.height)) - y;
  if (width <= 0 || height <= 0) return {};
  return Rect{.x = x,
              .y = y,
              .width = static_cast<std::int32_t>(width),
              .height = static_cast<std::int32_t>(height)};
}

Canvas::Canvas(std::span<const PaintTarget> targets, Colour background) {
  targets_.reserve(targets.size());
  int right = 0;
  int bottom = 0;
  for (const PaintTarget& target : targets) {
    const Rect& area = target.area;
    Target made{.area = area, .surface = {}, .cairo = {}};
    made.surface.reset(cairo_image_surface_create_for_data(
        reinterpret_cast<unsigned char*>(target.pixels), CAIRO_FORMAT_ARGB32, area.width,
        area.height, target.stride_bytes));
    made.cairo.reset(cairo_create(made.surface.get()));
    set_colour(made.cairo.get(), background);
    cairo_set_operator(made.cairo.get(), CAIRO_OPERATOR_SOURCE);
    cairo_paint(made.cairo.get());
    cairo_set_operator(made.cairo.get(), CAIRO_OPERATOR_OVER);
    cairo_translate(made.cairo.get(), -area.x, -area.y);
    if (targets_.empty()) bounds_ = area;
    bounds_.x = std::min(bounds_.x, area.x);
    bounds_.y = std::min(bounds_.y, area.y);
    right = std::max(right, area.x + area.width);
    bottom = std::max(bottom, area.y + area.height);
    targets_.push_back(std::move(made));
  }
  bounds_.width = right - bounds_.x;
  bounds_.height = bottom - bounds_.y;
}

Canvas::~Canvas() {
  for (Target& target : targets_) {
    target.cairo.reset();
    cairo_surface_flush(target.surface.get());
  }
}

template <class Draw> void Canvas::each(Rect box, Draw draw) {
  for (Target& target : targets_) {
    if (intersection(target.area, box)) draw(target.cairo.get());
  }
}

void Canvas::push_clip(Rect box, const Corners& corners) {
  for (Target& target : targets_) {
    cairo_save(target.cairo.get());
    outline(target.cairo.get(), box, corners);
    cairo_clip(target.cairo.get());
  }
}

void Canvas::pop_clip() {
  for (Target& target : targets_) cairo_restore(target.cairo.get());
}

void Canvas::fill(Rect box, const Corners& corners, Colour colour) {
  if ((colour >> 24) == 0) return;
  each(box, [&](cairo_t* cairo) {
    set_colour(cairo, colour);
    outline(cairo, box, corners);
    cairo_fill(cairo);
  });
}

void Canvas::ellipse(Rect box, Colour colour, bool filled) {
  each(box, [&](cairo_t* cairo) {
    cairo_save(cairo);
    cairo_translate(cairo, box.x + box.width / 2.0, box.y + box.height / 2.0);
    cairo_scale(cairo, box.width / 2.0, box.height / 2.0);
    cairo_new_path(cairo);
    cairo_arc(cairo, 0, 0, filled ? 1 : 0.9, 0, 4 * right_angle);
    cairo_restore(cairo);
    set_colour(cairo, colour);
    cairo_set_line_width(cairo, 1);
    filled ? cairo_fill(cairo) : cairo_stroke(cairo);
  });
}

void Canvas::borders(Rect box, const Edges& edges, const Corners& corners) {
  const bool at_once = is_even(edges) && edges[0].stroke == Stroke::solid;
  each(box, [&](cairo_t* cairo) {
    if (at_once) {
      set_colour(cairo, edges[0].colour);
      draw_ring(cairo, box, edges, corners);
      return;
    }
    for (std::size_t side = 0; side < 4; ++side) draw_side(cairo, box, edges, corners, side);
  });
}

void Canvas::picture(cairo_surface_t* picture, Size size, Point at, Tiling tiling, Rect box,
                     const Corners& corners) {
  const int width = cairo_image_surface_get_width(picture);
  const int height = cairo_image_surface_get_height(picture);
  if (size.width <= 0 || size.height <= 0 || width <= 0 || height <= 0) return;
  Rect seen = box;
  if (!tiling.across || !tiling.down) {
    const Rect once{.x = tiling.across ? box.x : at.x,
                    .y = tiling.down ? box.y : at.y,
                    .width = tiling.across ? box.width : size.width,
                    .height = tiling.down ? box.height : size.height};
    const auto both = intersection(box, once);
    if (!both) return;
    seen = *both;
  }
  each(seen, [&](cairo_t* cairo) {
    cairo_save(cairo);
    if (is_round(corners)) {
      outline(cairo, box, corners);
      cairo_clip(cairo);
    }
    cairo_rectangle(cairo, seen.x, seen.y, seen.width, seen.height);
    cairo_clip(cairo);
    cairo_translate(cairo, at.x, at.y);
    cairo_scale(cairo, double(size.width) / width, double(size.height) / height);
    cairo_set_source_surface(cairo, picture, 0, 0);
    const bool scaled = size.width != width || size.height != height;
    cairo_pattern_set_filter(cairo_get_source(cairo),
                             scaled ? CAIRO_FILTER_GOOD : CAIRO_FILTER_NEAREST);
    cairo_pattern_set_extend(cairo_get_source(cairo),
                             tiling.across || tiling.down ? CAIRO_EXTEND_REPEAT : CAIRO_EXTEND_PAD);
    cairo_paint(cairo);
    cairo_restore(cairo);
  });
}

void Canvas::text(const Shaped& shaped, Point base, Rect around, Colour colour) {
  each(around, [&](cairo_t* cairo) {
    set_colour(cairo, colour);
    for (const Shaped::Run& run : shaped.runs) {
      glyphs_.assign(run.glyphs.begin(), run.glyphs.end());
      for (cairo_glyph_t& glyph : glyphs_) {
        glyph.x += base.x;
        glyph.y += base.y;
      }
      cairo_set_scaled_font(cairo, run.font);
      cairo_show_glyphs(cairo, glyphs_.data(), static_cast<int>(glyphs_.size()));
    }
  });
}

}  // namespace porthole
