// SPDX-License-Identifier: Apache-2.0
#include "bench/plot.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>

#include "bench/plot_canvas.hpp"

namespace bulkhead::bench {

namespace {

constexpr const char* ink = "#1d2b38";
constexpr const char* faint = "#5c6f7d";
constexpr const char* grid = "#e1e8ed";
constexpr const char* floor_ink = "#b3392f";
constexpr const char* good_ink = "#1b7a3d";
constexpr const char* bad_ink = "#b3392f";

constexpr double page_width = 1020;
constexpr double letters = 12.5;
constexpr double heading = 46;  // title and legend
constexpr double below = 48;    // numbers and title of the axis

struct Span {
  double least = std::numeric_limits<double>::infinity();
  double most = 0;

  void take(double value) {
    if (value <= 0) return;
    least = std::min(least, value);
    most = std::max(most, value);
  }
};

void draw_heading(Canvas& canvas, const std::string& title, const std::vector<Series>& series) {
  canvas.text(0, 17, title, Anchor::start, 16, "#17405a", true);
  double x = 0;
  for (const Series& one : series) {
    canvas.rectangle(x, 27, 12, 12, one.colour);
    canvas.text(x + 18, 38, one.name, Anchor::start, letters, ink);
    x += 18 + width_of(one.name, letters) + 24;
  }
}

std::string axis_title(const std::string& title, const Axis& axis) {
  return axis.is_logarithmic() ? title + " (logarithmic)" : title;
}

class BarDrawing {
 public:
  explicit BarDrawing(const BarPlot& plot)
      : plot_{plot},
        canvas_{page_width, height_of(plot)},
        axis_{span().least, span().most, left, page_width - right} {}

  std::string draw() && {
    draw_heading(canvas_, plot_.title, plot_.series);
    draw_grid();
    double y = top() + gap / 2;
    for (const BarGroup& group : plot_.groups) y = draw_bars(group, y);
    for (std::size_t i = 0; i < plot_.floors.size(); ++i) draw_floor(plot_.floors[i], i);
    y = top() + gap / 2;  // words stand over everything
    for (const BarGroup& group : plot_.groups) y = draw_words(group, y);
    return std::move(canvas_).finish();
  }

 private:
  static constexpr double left = 118;
  static constexpr double right = 210;  // for what stands behind the longest bar
  static constexpr double thickness = 14;
  static constexpr double gap = 10;  // between two groups

  double top() const { return heading + 20 * static_cast<double>(plot_.floors.size()); }
  double bottom() const { return height_of(plot_) - below; }
  static double height_of(const BarPlot& plot) {
    double height = heading + 20 * static_cast<double>(plot.floors.size()) + below;
    for (const BarGroup& group : plot.groups) {
      height += thickness * static_cast<double>(group.bars.size()) + gap;
    }
    return height;
  }

  Span span() const {
    Span all;
    for (const BarGroup& group : plot_.groups) {
      for (const Bar& bar : group.bars) all.take(bar.value);
    }
    for (const FloorLine& floor : plot_.floors) all.take(floor.value);
    return all;
  }

  void draw_grid() {
    for (const double tick : axis_.ticks()) {
      const double x = axis_.place(tick);
      canvas_.line(x, top(), x, bottom(), grid, 1);
      canvas_.text(x, bottom() + 18, tick_label(tick), Anchor::middle, 12, faint);
    }
    canvas_.line(left, top(), left, bottom(), faint, 1);
    canvas_.text((left + page_width - right) / 2, bottom() + 40, axis_title(plot_.axis, axis_),
                 Anchor::middle, letters, faint);
  }

  double draw_bars(const BarGroup& group, double y) {
    for (const Bar& bar : group.bars) {
      canvas_.rectangle(left, y + 1, axis_.place(bar.value) - left, thickness - 2,
                        plot_.series[bar.series].colour);
      y += thickness;
    }
    return y + gap;
  }

  double draw_words(const BarGroup& group, double y) {
    const double height = thickness * static_cast<double>(group.bars.size());
    canvas_.text(left - 10, y + height / 2 + 4.5, group.name, Anchor::end, 13, ink, true);
    for (const Bar& bar : group.bars) {
      const double at = axis_.place(bar.value) + 6;
      const double then = at + width_of(bar.text, 11.5) + 10;
      const double end = bar.verdict.empty() ? then - 8 : then + width_of(bar.verdict, 11.5);
      canvas_.rectangle(at - 3, y + 1, end - at + 3, thickness - 2, "#ffffff");
      const char* const colour = !bar.good ? faint : *bar.good ? good_ink : bad_ink;
      canvas_.text(at, y + thickness - 3, bar.text, Anchor::start, 11.5, ink);
      canvas_.text(then, y + thickness - 3, bar.verdict, Anchor::start, 11.5, colour);
      y += thickness;
    }
    return y + gap;
  }

  void draw_floor(const FloorLine& floor, std::size_t place) {
    const double x = axis_.place(floor.value);
    const double y = heading + 14 + 20 * static_cast<double>(place);
    canvas_.line(x, y - 9, x, bottom(), floor_ink, 1.5, "6 4");
    canvas_.text(x + 6, y, floor.name, Anchor::start, 12, floor_ink);
  }

  const BarPlot& plot_;
  Canvas canvas_;
  Axis axis_;
};

class LineDrawing {
 public:
  explicit LineDrawing(const LinePlot& plot)
      : plot_{plot},
        canvas_{page_width, height},
        x_{Axis::logarithmic(sizes().least, sizes().most, left + 14, page_width - right - 14)},
        y_{Axis::logarithmic(values().least, values().most, bottom, top)} {}

  std::string draw() && {
    draw_heading(canvas_, plot_.title, {});
    draw_grid();
    for (const Curve& curve : plot_.curves) draw_curve(curve);
    draw_names();
    return std::move(canvas_).finish();
  }

 private:
  static constexpr double height = 520;
  static constexpr double left = 78;
  static constexpr double right = 150;  // for the names of the curves
  static constexpr double top = 34;
  static constexpr double bottom = height - below;
  static constexpr double line_height = 16;

  Span sizes() const {
    Span all;
    for (const Curve& curve : plot_.curves) {
      for (const auto& [bytes, value] : curve.points) all.take(bytes);
    }
    return all;
  }
  Span values() const {
    Span all;
    for (const Curve& curve : plot_.curves) {
      for (const auto& [bytes, value] : curve.points) all.take(value);
    }
    return all;
  }

  void draw_grid() {
    for (const double tick : y_.ticks()) {
      const double y = y_.place(tick);
      canvas_.line(left, y, page_width - right, y, grid, 1);
      canvas_.text(left - 8, y + 4, tick_label(tick), Anchor::end, 12, faint);
    }
    for (const double bytes : all_sizes()) {
      const double x = x_.place(bytes);
      canvas_.line(x, top, x, bottom, grid, 1);
      canvas_.text(x, bottom + 18, size_label(bytes), Anchor::middle, 12, faint);
    }
    canvas_.line(left, top, left, bottom, faint, 1);
    canvas_.line(left, bottom, page_width - right, bottom, faint, 1);
    canvas_.text((left + page_width - right) / 2, bottom + 40, "size of a message (logarithmic)",
                 Anchor::middle, letters, faint);
    canvas_.text_upwards(18, (top + bottom) / 2, axis_title(plot_.axis, y_), letters, faint);
  }

  std::vector<double> all_sizes() const {
    std::vector<double> found;
    for (const Curve& curve : plot_.curves) {
      for (const auto& [bytes, value] : curve.points) found.push_back(bytes);
    }
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    return found;
  }

  void draw_curve(const Curve& curve) {
    std::vector<std::pair<double, double>> places;
    for (const auto& [bytes, value] : curve.points) {
      places.emplace_back(x_.place(bytes), y_.place(value));
    }
    canvas_.path(places, curve.colour, curve.emphasised ? 3.5 : 1.8, curve.dashed ? "5 4" : "");
    for (const auto& [x, y] : places) canvas_.dot(x, y, curve.emphasised ? 4.5 : 3, curve.colour);
  }

  /// At the right, in the order of the ends of the curves, none over another.
  void draw_names() {
    std::vector<std::pair<double, const Curve*>> names;
    for (const Curve& curve : plot_.curves) {
      const auto& [bytes, value] = curve.points.back();
      if (bytes < sizes().most) {  // it ends in the middle
        canvas_.text(x_.place(bytes) + 8, y_.place(value) + 4, curve.name, Anchor::start, letters,
                     curve.colour.c_str());
      } else {
        names.emplace_back(y_.place(value), &curve);
      }
    }
    std::sort(names.begin(), names.end());
    double lowest = bottom;
    for (std::size_t i = 1; i < names.size(); ++i) {
      names[i].first = std::max(names[i].first, names[i - 1].first + line_height);
    }
    for (auto name = names.rbegin(); name != names.rend(); ++name) {
      name->first = std::min(name->first, lowest);
      lowest = name->first - line_height;
    }
    for (const auto& [y, curve] : names) {
      const auto& [bytes, value] = curve->points.back();
      const double x = page_width - right + 10;
      canvas_.line(x_.place(bytes) + 6, y_.place(value), x, y, curve->colour.c_str(), 0.7);
      canvas_.text(x + 5, y + 4, curve->name, Anchor::start, letters, curve->colour.c_str(),
                   curve->emphasised);
    }
  }

  const LinePlot& plot_;
  Canvas canvas_;
  Axis x_;
  Axis y_;
};

}  // namespace

std::string to_svg(const BarPlot& plot) { return BarDrawing{plot}.draw(); }
std::string to_svg(const LinePlot& plot) { return LineDrawing{plot}.draw(); }

std::string escaped(const std::string& text) {
  std::string safe;
  for (const char letter : text) {
    switch (letter) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      default:
        safe += letter;
    }
  }
  return safe;
}

std::string size_label(double bytes) {
  if (bytes >= 1048576) return fmt::format("{:.0f} MB", bytes / 1048576);
  return bytes >= 1024 ? fmt::format("{:.0f} KB", bytes / 1024) : fmt::format("{:.0f} B", bytes);
}

}  // namespace bulkhead::bench
