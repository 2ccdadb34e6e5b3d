// SPDX-License-Identifier: Apache-2.0
#include "bench/plot_canvas.hpp"

#include <cmath>
#include <fmt/format.h>

#include "bench/plot.hpp"

namespace bulkhead::bench {

namespace {

const char* name_of(Anchor anchor) {
  switch (anchor) {
    case Anchor::start:
      return "start";
    case Anchor::middle:
      return "middle";
    case Anchor::end:
      return "end";
  }
  return "start";
}

std::string dashes_of(const char* dashes) {
  return *dashes == '\0' ? std::string{} : fmt::format(" stroke-dasharray=\"{}\"", dashes);
}

}  // namespace

Canvas::Canvas(double width, double height)
    : svg_{fmt::format("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" "
                       "height=\"{1:.0f}\" viewBox=\"0 0 {0:.0f} {1:.0f}\" "
                       "font-family=\"DejaVu Sans, Verdana, sans-serif\">\n",
                       width, height)} {}

void Canvas::line(double x1, double y1, double x2, double y2, const char* colour, double thickness,
                  const char* dashes) {
  svg_ += fmt::format(
      "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\" "
      "stroke-width=\"{}\"{}/>\n",
      x1, y1, x2, y2, colour, thickness, dashes_of(dashes));
}

void Canvas::rectangle(double x, double y, double width, double height, const std::string& colour) {
  svg_ += fmt::format(
      "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\"/>\n", x, y,
      width, height, colour);
}

void Canvas::dot(double x, double y, double radius, const std::string& colour) {
  svg_ += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\" fill=\"{}\"/>\n", x, y, radius,
                      colour);
}

void Canvas::path(const std::vector<std::pair<double, double>>& points, const std::string& colour,
                  double thickness, const char* dashes) {
  std::string steps;
  for (const auto& [x, y] : points) {
    steps += fmt::format("{}{:.1f} {:.1f}", steps.empty() ? "M" : " L", x, y);
  }
  svg_ += fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\"{}/>\n", steps,
                      colour, thickness, dashes_of(dashes));
}

void Canvas::text(double x, double y, const std::string& words, Anchor anchor, double size,
                  const char* colour, bool bold) {
  svg_ += fmt::format(
      "<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"{}\" text-anchor=\"{}\" fill=\"{}\"{}>{}</text>"
      "\n",
      x, y, size, name_of(anchor), colour, bold ? " font-weight=\"bold\"" : "", escaped(words));
}

void Canvas::text_upwards(double x, double y, const std::string& words, double size,
                          const char* colour) {
  svg_ += fmt::format(
      "<text transform=\"translate({:.1f} {:.1f}) rotate(-90)\" font-size=\"{}\" "
      "text-anchor=\"middle\" fill=\"{}\">{}</text>\n",
      x, y, size, colour, escaped(words));
}

std::string Canvas::finish() && {
  svg_ += "</svg>\n";
  return std::move(svg_);
}

double width_of(const std::string& words, double size) {
  std::size_t letters = 0;
  for (const char byte : words) letters += (static_cast<unsigned char>(byte) & 0xc0) != 0x80;
  return static_cast<double>(letters) * size * 0.61;
}

Axis::Axis(double least, double most, double from, double to) : from_{from}, to_{to} {
  logarithmic_ = most > 10 * least;
  logarithmic_ ? choose_logarithmic_ticks(least, most) : choose_linear_ticks(most);
}

Axis Axis::logarithmic(double least, double most, double from, double to) {
  Axis axis;
  axis.logarithmic_ = true;
  axis.from_ = from;
  axis.to_ = to;
  axis.choose_logarithmic_ticks(least, most);
  return axis;
}

void Axis::choose_linear_ticks(double most) {
  double step = std::pow(10, std::floor(std::log10(most)));
  if (most / step < 2) step /= 5;
  if (most / step < 5) step /= 2;
  for (double at = 0; at < most + step; at += step) ticks_.push_back(at);
  low_ = 0;
  high_ = ticks_.back();
}

void Axis::choose_logarithmic_ticks(double least, double most) {
  const double first = std::floor(std::log10(least));
  const double last = std::ceil(std::log10(most * 1.001));
  // A bar of the least value is to be seen, too.
  low_ = std::log10(least) - first < 0.15 ? std::pow(10, first) * 0.7 : std::pow(10, first);
  high_ = std::pow(10, last);
  if (most * 2.2 < high_) high_ = std::pow(10, last - 1) * (most < high_ * 0.19 ? 2 : 5);
  for (double power = first; power <= last; ++power) {
    for (const double digit : {1.0, 2.0, 5.0}) {
      if (digit > 1 && last - first > 3) continue;
      const double at = std::pow(10, power) * digit;
      if (at >= low_ && at <= high_ * 1.001) ticks_.push_back(at);
    }
  }
}

double Axis::place(double value) const {
  const double share = logarithmic_ ? std::log(value / low_) / std::log(high_ / low_)
                                    : (value - low_) / (high_ - low_);
  return from_ + share * (to_ - from_);
}

std::string tick_label(double value) {
  if (value >= 1e6) return fmt::format("{:.3g} M", value / 1e6);
  if (value >= 1e4) return fmt::format("{:.3g} k", value / 1e3);
  return fmt::format("{:.3g}", value);
}

}  // namespace bulkhead::bench
