// SPDX-License-Identifier: Apache-2.0
//
// How the browser's bars and overlays look. Draws and knows nothing of tiles or processes.
// The same state gives the same pixels on one machine: it depends on the fonts there.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "browser/chrome_layer.hpp"
#include "interfaces/types.hpp"

namespace porthole {

/// Rows of `size.width` pixels without gaps. With an overlay the window, else the bars, which have
/// no more rows than the window; what is not drawn lets the page through.
struct ChromeImage {
  Size size{};
  std::vector<std::uint32_t> pixels;
};

/// `window` is positive and at most max_viewport_side.
ChromeImage paint_chrome(const ChromeState& state, Size window,
                         const std::optional<Overlay>& overlay);

}  // namespace porthole
