// SPDX-License-Identifier: Apache-2.0
//
// What is shown where a page crashed, and over one that does not respond.
#pragma once

#include "browser/chrome_canvas.hpp"
#include "browser/chrome_layer.hpp"

namespace porthole {

void paint_overlay(ChromeCanvas& canvas, const Overlay& overlay, const Rect& content);

/// Also the mark of a tab whose page crashed.
void paint_sad_face(ChromeCanvas& canvas, double x, double y, double radius, Color face,
                    Color features);

}  // namespace porthole
