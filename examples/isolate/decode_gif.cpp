// SPDX-License-Identifier: Apache-2.0
// GIF, with giflib: the first frame, laid on its transparent screen, and a count of the others.
#include <algorithm>
#include <array>
#include <cstring>
#include <gif_lib.h>
#include <utility>
#include <vector>

#include "formats.hpp"
#include "shrink.hpp"

namespace contact_sheet {
namespace {

using bulkhead::Result;

struct GifFile {
  std::string_view rest;  // what giflib has not read yet
  GifFileType* gif = nullptr;

  GifFile() = default;
  GifFile(const GifFile&) = delete;
  GifFile& operator=(const GifFile&) = delete;
  ~GifFile() {
    if (gif) DGifCloseFile(gif, nullptr);
  }
};

int read_bytes(GifFileType* gif, GifByteType* to, int count) {
  auto& file = *static_cast<GifFile*>(gif->UserData);
  const std::size_t size = std::min(file.rest.size(), static_cast<std::size_t>(count));
  std::memcpy(to, file.rest.data(), size);
  file.rest.remove_prefix(size);
  return static_cast<int>(size);
}

bulkhead::Error gave_up(int code, std::string_view where) {
  const char* text = GifErrorString(code);
  return damaged("GIF", std::string(where) + (text ? ": " + std::string(text) : ""));
}

/// Skips to the next frame's description. False at the end of the file. `transparent` gets the
/// colour that the frame leaves open.
Result<bool> next_frame(GifFileType* gif, int& transparent) {
  for (;;) {
    GifRecordType type = UNDEFINED_RECORD_TYPE;
    if (DGifGetRecordType(gif, &type) == GIF_ERROR) {
      return bulkhead::fail(gave_up(gif->Error, "damaged between frames"));
    }
    if (type == TERMINATE_RECORD_TYPE) return false;
    if (type == IMAGE_DESC_RECORD_TYPE) {
      if (DGifGetImageDesc(gif) == GIF_OK) return true;
      return bulkhead::fail(gave_up(gif->Error, "damaged at a frame's head"));
    }
    if (type != EXTENSION_RECORD_TYPE) continue;
    int code = 0;
    GifByteType* block = nullptr;
    int read = DGifGetExtension(gif, &code, &block);
    for (; read == GIF_OK && block; read = DGifGetExtensionNext(gif, &block)) {
      GraphicsControlBlock control{};
      if (code == GRAPHICS_EXT_FUNC_CODE &&
          DGifExtensionToGCB(block[0], block + 1, &control) == GIF_OK) {
        transparent = control.TransparentColor;
      }
    }
    if (read == GIF_ERROR) return bulkhead::fail(gave_up(gif->Error, "damaged in an extension"));
  }
}

/// The rows of an interlaced frame in the order in which they stand in the file.
std::vector<int> order_of_rows(int height, bool interlaced) {
  std::vector<int> order;
  if (!interlaced) {
    for (int y = 0; y < height; ++y) order.push_back(y);
    return order;
  }
  constexpr std::array<std::pair<int, int>, 4> passes{{{0, 8}, {4, 8}, {2, 4}, {1, 2}}};
  for (const auto& [first, step] : passes) {
    for (int y = first; y < height; y += step) order.push_back(y);
  }
  return order;
}

/// RGBA of one colour of a palette; open (transparent) when it is that or has no entry.
std::array<std::uint8_t, 4> colour(const ColorMapObject& map, int index, int transparent) {
  if (index == transparent || index >= map.ColorCount) return {0, 0, 0, 0};
  const GifColorType& entry = map.Colors[index];
  return {entry.Red, entry.Green, entry.Blue, 255};
}

/// Reads the current frame and lays it onto `pixels`, a screen of RGBA; what sticks out is cut.
Result<void> read_frame(GifFileType* gif, int transparent, Size screen,
                        std::vector<std::uint8_t>& pixels) {
  const GifImageDesc& frame = gif->Image;
  const ColorMapObject* map = frame.ColorMap ? frame.ColorMap : gif->SColorMap;
  if (!map) return bulkhead::fail(damaged("GIF", "has no palette"));
  std::vector<GifPixelType> row(static_cast<std::size_t>(frame.Width));
  std::uint32_t rows = 0;
  for (const int y : order_of_rows(frame.Height, frame.Interlace)) {
    if (DGifGetLine(gif, row.data(), frame.Width) == GIF_ERROR) {
      const auto height = static_cast<std::uint32_t>(frame.Height);
      return bulkhead::fail(gave_up(gif->Error, after_rows("damaged", rows, height)));
    }
    ++rows;
    const auto to_y = static_cast<std::size_t>(frame.Top + y);
    for (int x = 0; x < frame.Width; ++x) {
      const auto to_x = static_cast<std::size_t>(frame.Left + x);
      if (to_x >= screen.width || to_y >= screen.height) break;
      const auto rgba = colour(*map, row[static_cast<std::size_t>(x)], transparent);
      std::ranges::copy(rgba, &pixels[(to_y * screen.width + to_x) * 4]);
    }
  }
  return {};
}

/// Counts the frames behind the first, without unpacking them.
std::string count_frames(GifFileType* gif) {
  int frames = 1;
  for (int ignored = 0;;) {
    const Result<bool> more = next_frame(gif, ignored);
    if (!more) return "first frame; what follows frame " + std::to_string(frames) + " is damaged";
    if (!*more) break;
    ++frames;
    int size = 0;
    GifByteType* block = nullptr;
    int read = DGifGetCode(gif, &size, &block);
    while (read == GIF_OK && block) read = DGifGetCodeNext(gif, &block);
    if (read == GIF_ERROR) return "first frame; frame " + std::to_string(frames) + " is damaged";
  }
  return frames > 1 ? "first of " + std::to_string(frames) + " frames" : "";
}

}  // namespace

Result<Picture> decode_gif(std::string_view bytes, const Limits& limits) {
  GifFile file;
  file.rest = bytes;
  int code = 0;
  file.gif = DGifOpen(&file, read_bytes, &code);
  if (!file.gif) return bulkhead::fail(gave_up(code, "damaged at its head"));
  int transparent = NO_TRANSPARENT_COLOR;
  const bool has_frame = BULKHEAD_TRY(next_frame(file.gif, transparent));
  if (!has_frame) return bulkhead::fail(damaged("GIF", "has no frame"));

  const GifImageDesc& frame = file.gif->Image;
  const Size first{static_cast<std::uint32_t>(frame.Width),
                   static_cast<std::uint32_t>(frame.Height)};
  Size screen{static_cast<std::uint32_t>(file.gif->SWidth),
              static_cast<std::uint32_t>(file.gif->SHeight)};
  if (screen.width == 0 || screen.height == 0) screen = first;
  BULKHEAD_TRY(check_size("GIF", screen, limits));
  BULKHEAD_TRY(check_size("GIF", first, limits));

  std::vector<std::uint8_t> pixels(std::size_t{screen.width} * screen.height * 4);
  BULKHEAD_TRY(read_frame(file.gif, transparent, screen, pixels));
  Shrinker shrinker(screen, limits.box);
  const std::size_t stride = std::size_t{screen.width} * 4;
  for (std::size_t y = 0; y < screen.height; ++y) shrinker.add(&pixels[y * stride]);
  Picture picture{.size = screen, .format = "GIF", .remark = count_frames(file.gif)};
  std::move(shrinker).finish(picture);
  return picture;
}

}  // namespace contact_sheet
