// SPDX-License-Identifier: Apache-2.0
//
// The contact sheet: a card for every file, with its picture or with the cause of death.
//
// It runs in the parent, which never parses an image: what arrives here are pixels and sentences
// from a sandboxed child. They are believed as far as that goes: sizes are checked against the
// bytes that came, text is drawn as text.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include <bulkhead/result.hpp>

#include "decode.hpp"

namespace contact_sheet {

/// What became of one file.
struct Judged {
  std::string name;
  bulkhead::Result<Picture> picture;
  std::chrono::milliseconds took{0};
};

/// Two or three words for an error, the head of its card: "crashed", "sandbox violation".
std::string headline(const bulkhead::Error& error);

/// At most this many cards are drawn; the sheet says how many were left out.
inline constexpr std::size_t cards_at_most = 500;

/// Draws and writes the sheet, at least 600 x 300 pixels, PNG. Errors: those of writing.
bulkhead::Result<void> write_sheet(const std::vector<Judged>& files,
                                   const std::filesystem::path& path);

}  // namespace contact_sheet
