// SPDX-License-Identifier: Apache-2.0
//
// What the four decoders share: one function each (decode_png.cpp, decode_jpeg.cpp, ...), and how
// they refuse. All of it runs in the sandboxed child.
//
// The C libraries behind them report errors by longjmp. So every function that calls setjmp here
// holds nothing with a destructor: what must be freed belongs to an object of the caller.
#pragma once

#include <string>
#include <string_view>

#include <bulkhead/result.hpp>

#include "decode.hpp"

namespace contact_sheet {

bulkhead::Result<Picture> decode_png(std::string_view file, const Limits& limits);
bulkhead::Result<Picture> decode_jpeg(std::string_view file, const Limits& limits);
bulkhead::Result<Picture> decode_gif(std::string_view file, const Limits& limits);
bulkhead::Result<Picture> decode_webp(std::string_view file, const Limits& limits);

/// `invalid`, in words: "PNG damaged after 71 of 240 rows: bad CRC".
bulkhead::Error damaged(std::string_view format, std::string_view how);

/// "ends early", or, when some rows were read, "ends early after 71 of 240 rows".
std::string after_rows(std::string_view what, std::uint32_t rows, std::uint32_t height);

/// `too_large` naming the limit, before memory is asked for.
bulkhead::Result<void> check_size(std::string_view format, Size size, const Limits& limits);

}  // namespace contact_sheet
