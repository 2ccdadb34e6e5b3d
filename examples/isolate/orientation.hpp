// SPDX-License-Identifier: Apache-2.0
//
// Which way up a photograph is: cameras store the pixels as the sensor lay, and a note beside them
// (Exif 2.3, tag 0x0112). In the sandboxed child, too: such notes have sunk decoders before.
#pragma once

#include <string_view>

#include "decode.hpp"

namespace contact_sheet {

/// From 1 (as it is) to 8. `segment` is the content of a JPEG's APP1 segment, all of it untrusted;
/// what cannot be understood is 1.
int read_orientation(std::string_view segment);

/// Whether width and height change places.
constexpr bool lies_on_its_side(int orientation) { return orientation >= 5; }

/// Turns the thumbnail, and tells the size of the image as it is seen.
void turn_upright(Picture& picture, int orientation);

}  // namespace contact_sheet
