// SPDX-License-Identifier: Apache-2.0
//
// Two kinds of plots as SVG, to stand in an HTML page: bars a group and lines over message size.
// Everything is drawn with plain shapes and attributes, so that any renderer shows it, and scaled by
// the page. Both axes have titles with units; a linear axis begins at zero, and one whose values are
// far apart is logarithmic and says so.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bulkhead::bench {

struct Bar {
  double value = 0;
  std::string text = {};          // behind its end
  std::string verdict = {};       // behind the text: "1.09 × raw"
  std::optional<bool> good = {};  // the verdict's colour; none: neither
  std::size_t series = 0;
};

struct BarGroup {
  std::string name = {};
  std::vector<Bar> bars = {};
};

struct Series {
  std::string name = {};
  std::string colour = {};
};

/// A vertical line across all groups: what no bar can be better than.
struct FloorLine {
  std::string name = {};
  double value = 0;
};

struct BarPlot {
  std::string title = {};
  std::string axis = {};  // "µs, less is better"
  std::vector<Series> series = {};
  std::vector<BarGroup> groups = {};
  std::vector<FloorLine> floors = {};
};

struct Curve {
  std::string name = {};
  std::string colour = {};
  bool dashed = false;
  bool emphasised = false;
  std::vector<std::pair<double, double>> points = {};  // bytes, value; at least one
};

struct LinePlot {
  std::string title = {};
  std::string axis = {};
  std::vector<Curve> curves = {};
};

std::string to_svg(const BarPlot& plot);
std::string to_svg(const LinePlot& plot);

/// With the characters replaced that mean something in SVG and HTML.
std::string escaped(const std::string& text);

/// "64 B", "4 KB", "1 MB".
std::string size_label(double bytes);

}  // namespace bulkhead::bench
