// SPDX-License-Identifier: Apache-2.0
//
// What the four decoders share. Each is a pair of functions: `measure` reads the head, `draw`
// decodes into the host's buffer, without another one of the picture's size. They are told the
// whole file both times and keep nothing in between.
//
// The C libraries behind them report errors by longjmp. So every function that calls setjmp here
// holds nothing with a destructor: what must be freed belongs to an object of the caller.
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

#include "plugin/adapter.hpp"

namespace porthole::image {

// The decoders write bytes in the order blue, green, red, alpha.
static_assert(std::endian::native == std::endian::little);

using plugin::Canvas;
using plugin::Refusal;

struct PictureSize {
  std::uint32_t width = 0;
  std::uint32_t height = 0;
};

struct Format {
  std::string_view name;
  PictureSize (*measure)(std::string_view file);
  void (*draw)(std::string_view file, Canvas canvas);
};

extern const Format png;
extern const Format jpeg;
extern const Format gif;
extern const Format webp;

/// To throw: "PNG damaged: bad CRC".
Refusal damaged(std::string_view format, std::string_view how);

/// "damaged", or, when some rows were read, "damaged after 71 of 240 rows".
std::string after_rows(std::string_view what, std::uint32_t rows, std::uint32_t height);

/// Multiplies the colours of one row by its alpha.
void premultiply(std::uint8_t* row, std::uint32_t width);

}  // namespace porthole::image
