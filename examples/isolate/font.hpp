// SPDX-License-Identifier: Apache-2.0
//
// A bitmap font for ASCII, five by nine pixels a glyph, and what it takes to fit text into cards.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace contact_sheet {

inline constexpr int glyph_width = 5;
inline constexpr int glyph_height = 9;
inline constexpr int glyph_advance = 6;

using Glyph = std::array<std::uint8_t, glyph_height>;

/// The glyph of a printable ASCII character; the question mark's for every other.
const Glyph& glyph(char c);

/// The text with everything but printable ASCII replaced, one question mark a character. Names
/// of files pass through here before they reach a terminal: they may hold escape sequences.
std::string printable(std::string_view text);

/// Lines of at most `columns` characters, broken at spaces where there are some.
std::vector<std::string> wrap(std::string_view text, std::size_t columns);

/// At most `columns` (4 or more) characters: the middle is left out where it is longer.
std::string shorten(std::string_view text, std::size_t columns);

}  // namespace contact_sheet
