// SPDX-License-Identifier: Apache-2.0
#include "bench/advice_lines.hpp"

#include <algorithm>
#include <cmath>

namespace bulkhead::bench {

namespace {

/// The value at x on the straight line between two points of log-log paper. Nothing is free: a cost
/// of zero, too small to be measured, counts as a tenth of a nanosecond.
double on_paper(double x, double x0, double y0, double x1, double y1) {
  constexpr double least = 0.1;
  if (x1 <= x0) return y1;
  const double part = (std::log(x) - std::log(x0)) / (std::log(x1) - std::log(x0));
  y0 = std::max(y0, least);
  y1 = std::max(y1, least);
  return std::exp(std::log(y0) + part * (std::log(y1) - std::log(y0)));
}

std::optional<double> on_paper(double x, double x0, std::optional<double> y0, double x1,
                               std::optional<double> y1) {
  if (!y0 || !y1) return y0 ? y0 : y1;  // the stream has none: there it is the queue's length
  return on_paper(x, x0, *y0, x1, *y1);
}

Pace between(const Pace& slow, const Pace& fast, double rate) {
  return {.rate = rate,
          .send_ns = on_paper(rate, slow.rate, slow.send_ns, fast.rate, fast.send_ns),
          .receive_ns = on_paper(rate, slow.rate, slow.receive_ns, fast.rate, fast.receive_ns),
          .delay_ns = on_paper(rate, slow.rate, slow.delay_ns, fast.rate, fast.delay_ns)};
}

Estimate at_pace(const Line& line, double rate) {
  const auto& paces = line.paces;
  Pace pace = paces.front();
  if (rate >= paces.back().rate) {
    pace = paces.back();
    for (const Pace& slower : paces) {
      if (!pace.delay_ns || slower.delay_ns) pace.delay_ns = slower.delay_ns;
    }
  } else if (rate > paces.front().rate) {
    const auto faster = std::upper_bound(paces.begin(), paces.end(), rate,
                                         [](double r, const Pace& p) { return r < p.rate; });
    pace = between(*(faster - 1), *faster, rate);
  }
  return {.capacity = paces.back().rate,
          .send_ns = pace.send_ns,
          .receive_ns = pace.receive_ns,
          .delay_ns = pace.delay_ns};
}

/// A message of k times the largest size is as k messages of the largest.
Estimate by_bandwidth(const Line& largest, double times, double rate) {
  Estimate whole = at_pace(largest, rate * times);
  whole.capacity /= times;
  whole.send_ns *= times;
  whole.receive_ns *= times;
  if (whole.delay_ns) *whole.delay_ns += (times - 1) * 1e9 / largest.paces.back().rate;
  whole.beyond = true;
  return whole;
}

/// Of one mechanism, the smallest size first.
std::vector<const Line*> lines_of(const Measurements& measurements, Mechanism mechanism) {
  std::vector<const Line*> lines;
  for (const Line& line : measurements.lines) {
    if (line.mechanism == mechanism && !line.paces.empty()) lines.push_back(&line);
  }
  std::sort(lines.begin(), lines.end(),
            [](const Line* a, const Line* b) { return a->bytes < b->bytes; });
  return lines;
}

}  // namespace

std::optional<Estimate> estimate(const Measurements& measurements, Mechanism mechanism,
                                 std::size_t bytes, double rate) {
  const auto lines = lines_of(measurements, mechanism);
  if (lines.empty()) return std::nullopt;
  if (bytes <= lines.front()->bytes) return at_pace(*lines.front(), rate);
  const auto size = static_cast<double>(bytes);
  if (bytes > lines.back()->bytes) {
    return by_bandwidth(*lines.back(), size / static_cast<double>(lines.back()->bytes), rate);
  }
  const auto larger = std::lower_bound(lines.begin(), lines.end(), bytes,
                                       [](const Line* l, std::size_t b) { return l->bytes < b; });
  const Estimate low = at_pace(**(larger - 1), rate);
  const Estimate high = at_pace(**larger, rate);
  const auto x0 = static_cast<double>((*(larger - 1))->bytes);
  const auto x1 = static_cast<double>((*larger)->bytes);
  return Estimate{.capacity = on_paper(size, x0, low.capacity, x1, high.capacity),
                  .send_ns = on_paper(size, x0, low.send_ns, x1, high.send_ns),
                  .receive_ns = on_paper(size, x0, low.receive_ns, x1, high.receive_ns),
                  .delay_ns = on_paper(size, x0, low.delay_ns, x1, high.delay_ns)};
}

std::size_t largest_measured(const Measurements& measurements, Mechanism mechanism) {
  const auto lines = lines_of(measurements, mechanism);
  return lines.empty() ? 0 : lines.back()->bytes;
}

}  // namespace bulkhead::bench
