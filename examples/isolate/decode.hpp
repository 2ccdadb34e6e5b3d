// SPDX-License-Identifier: Apache-2.0
//
// decode: an ordinary function that turns the bytes of an image file into a thumbnail. It knows
// PNG, JPEG, GIF and WebP, by their first bytes and never by their names.
//
// It is written like any program's decoder: it checks what it can and trusts four libraries for
// the rest. And it has a backdoor: a private chunk in a PNG makes it crash, spin, eat memory, open
// a file or open a socket (misbehave.hpp), as a real hole in a decoder would. That is why main
// never calls it: it runs in a sandboxed process only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <bulkhead/result.hpp>

namespace contact_sheet {

struct Size {
  std::uint32_t width = 0;
  std::uint32_t height = 0;

  friend bool operator==(const Size&, const Size&) = default;
};

struct Limits {
  Size box{236, 176};                 ///< the thumbnail fits in here; it is never enlarged
  std::uint64_t pixels = 64'000'000;  ///< images with more are refused before any is decoded
};

struct Picture {
  Size size{};                       ///< of the image in the file
  std::string format{};              ///< "PNG"
  std::string remark{};              ///< what else is worth telling: "first of 12 frames"
  Size thumbnail{};                  ///< of `rgba`
  std::vector<std::uint8_t> rgba{};  ///< rows from the top, four bytes a pixel, alpha last
};

/// Errors: `unsupported` (no image that is known here), `too_large` (more pixels than the limit),
/// `invalid` (damaged or cut short; the cause says where).
bulkhead::Result<Picture> decode(std::string file, Limits limits);

}  // namespace contact_sheet
