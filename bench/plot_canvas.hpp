// SPDX-License-Identifier: Apache-2.0
//
// What plots are drawn with: shapes appended to a text, and an axis.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace bulkhead::bench {

enum class Anchor { start, middle, end };

class Canvas {
 public:
  Canvas(double width, double height);

  void line(double x1, double y1, double x2, double y2, const char* colour, double thickness,
            const char* dashes = "");
  void rectangle(double x, double y, double width, double height, const std::string& colour);
  void dot(double x, double y, double radius, const std::string& colour);
  void path(const std::vector<std::pair<double, double>>& points, const std::string& colour,
            double thickness, const char* dashes);
  /// `y` is the line the letters stand on.
  void text(double x, double y, const std::string& words, Anchor anchor, double size,
            const char* colour, bool bold = false);
  /// Read from below.
  void text_upwards(double x, double y, const std::string& words, double size, const char* colour);

  std::string finish() &&;

 private:
  std::string svg_;
};

/// About how wide that is in the page's font.
double width_of(const std::string& words, double size);

/// From values to a place between `from` and `to`, which may lie before it.
class Axis {
 public:
  /// Linear from zero, or, where the values are further apart than a tenth, logarithmic.
  Axis(double least, double most, double from, double to);
  static Axis logarithmic(double least, double most, double from, double to);

  double place(double value) const;
  bool is_logarithmic() const noexcept { return logarithmic_; }
  /// Where lines and numbers stand.
  const std::vector<double>& ticks() const noexcept { return ticks_; }

 private:
  Axis() = default;
  void choose_linear_ticks(double most);
  void choose_logarithmic_ticks(double least, double most);

  bool logarithmic_ = false;
  double low_ = 0;
  double high_ = 1;
  double from_ = 0;
  double to_ = 1;
  std::vector<double> ticks_;
};

/// "0", "20", "0.5", "2 M": short, without noise digits.
std::string tick_label(double value);

}  // namespace bulkhead::bench
