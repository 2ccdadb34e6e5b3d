// SPDX-License-Identifier: Apache-2.0
//
// A page for measuring: a manual of any length, the same each time.
#pragma once

#include <cstddef>
#include <string>

namespace porthole {

/// HTML of about `bytes`: chapters with paragraphs, links, code, lists and tables, and a contents
/// list at the top. Refers to nothing outside.
std::string make_manual(std::size_t bytes);

/// What the figures are told for.
inline constexpr std::size_t short_page_bytes = 20'000;
inline constexpr std::size_t manual_bytes = 755'000;

}  // namespace porthole
