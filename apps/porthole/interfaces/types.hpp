// SPDX-License-Identifier: Apache-2.0
//
// What the interfaces between Porthole's processes share: numbers, places and sizes.
//
// Every message between the processes is one-way, except what a child asks a plugin: nobody waits
// for a process that it does not trust. Replies are messages of their own that carry the number of
// the request. All lengths are in CSS pixels, which are device pixels here; the origin is at the
// upper left. Pixels are 32 bits, native byte order, 0xAARRGGBB, colours multiplied by alpha
// (cairo's ARGB32, pixman's a8r8g8b8).
#pragma once

#include <cstdint>

namespace porthole {

/// Given by the browser process, never used again within one run.
enum class TabId : std::uint32_t {};
enum class LayerId : std::uint32_t {};
enum class NavigationId : std::uint64_t {};
/// Given by who asks; unique within its channel.
enum class RequestId : std::uint64_t {};

struct Size {
  std::int32_t width = 0;
  std::int32_t height = 0;
  friend bool operator==(const Size&, const Size&) = default;
};

struct Point {
  std::int32_t x = 0;
  std::int32_t y = 0;
  friend bool operator==(const Point&, const Point&) = default;
};

struct Rect {
  std::int32_t x = 0;
  std::int32_t y = 0;
  std::int32_t width = 0;
  std::int32_t height = 0;
  friend bool operator==(const Rect&, const Rect&) = default;
};

/// The most that either side accepts of a viewport, page or picture: a peer's size is checked
/// against it before anything is computed from it.
inline constexpr std::int32_t max_viewport_side = 8192;
inline constexpr std::int32_t max_page_side = 8 << 20;
inline constexpr std::int32_t max_picture_side = 16384;
inline constexpr std::int64_t max_picture_pixels = 64 << 20;

}  // namespace porthole
