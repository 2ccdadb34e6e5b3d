// SPDX-License-Identifier: Apache-2.0
// GIF, with giflib: the first frame, laid on its transparent screen.
#include <algorithm>
#include <cstring>
#include <gif_lib.h>
#include <vector>

#include "formats.hpp"

namespace porthole::image {
namespace {

constexpr std::int64_t most_frame_pixels = std::int64_t{64} << 20;

struct GifFile {
  std::string_view rest;  // what giflib has not read yet
  GifFileType* gif = nullptr;
  int transparent = NO_TRANSPARENT_COLOR;

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

Refusal gave_up(int code, std::string_view where) {
  const char* text = GifErrorString(code);
  return damaged("GIF", std::string(where) + (text ? ": " + std::string(text) : ""));
}

/// The colour that the next frame leaves open is told in an extension before it.
void read_extension(GifFile& file) {
  int code = 0;
  GifByteType* block = nullptr;
  int read = DGifGetExtension(file.gif, &code, &block);
  for (; read == GIF_OK && block; read = DGifGetExtensionNext(file.gif, &block)) {
    GraphicsControlBlock control{};
    if (code == GRAPHICS_EXT_FUNC_CODE &&
        DGifExtensionToGCB(block[0], block + 1, &control) == GIF_OK) {
      file.transparent = control.TransparentColor;
    }
  }
  if (read == GIF_ERROR) throw gave_up(file.gif->Error, "damaged in an extension");
}

void find_frame(GifFile& file) {
  for (;;) {
    GifRecordType type = UNDEFINED_RECORD_TYPE;
    if (DGifGetRecordType(file.gif, &type) == GIF_ERROR) {
      throw gave_up(file.gif->Error, "damaged before its frame");
    }
    if (type == TERMINATE_RECORD_TYPE) throw damaged("GIF", "has no frame");
    if (type == EXTENSION_RECORD_TYPE) read_extension(file);
    if (type != IMAGE_DESC_RECORD_TYPE) continue;
    if (DGifGetImageDesc(file.gif) == GIF_OK) return;
    throw gave_up(file.gif->Error, "damaged at its frame's head");
  }
}

/// Up to the first frame's pixels.
void open(GifFile& file, std::string_view bytes) {
  file.rest = bytes;
  int code = 0;
  file.gif = DGifOpen(&file, read_bytes, &code);
  if (!file.gif) throw gave_up(code, "damaged at its head");
  find_frame(file);
}

/// Where the rows of an interlaced frame lie, in the order in which they stand in the file.
std::vector<int> order_of_rows(int height, bool interlaced) {
  std::vector<int> order;
  order.reserve(static_cast<std::size_t>(height));
  struct Pass {
    int first;
    int step;
  };
  constexpr Pass interlaced_passes[] = {{0, 8}, {4, 8}, {2, 4}, {1, 2}};
  constexpr Pass whole{0, 1};
  for (const auto& [first, step] :
       interlaced ? std::vector<Pass>(std::begin(interlaced_passes), std::end(interlaced_passes))
                  : std::vector<Pass>{whole}) {
    for (int y = first; y < height; y += step) order.push_back(y);
  }
  return order;
}

void put_pixel(std::uint8_t* to, const ColorMapObject& map, int index, int transparent) {
  if (index == transparent || index >= map.ColorCount) return;
  const GifColorType& colour = map.Colors[index];
  to[0] = colour.Blue;
  to[1] = colour.Green;
  to[2] = colour.Red;
  to[3] = 255;
}

/// What sticks out of the canvas is cut.
void draw_frame(GifFile& file, const Canvas& canvas) {
  const GifImageDesc& frame = file.gif->Image;
  // A small screen may have a frame of 4 thousand million pixels, which some kilobytes can fill.
  if (std::int64_t{frame.Width} * frame.Height > most_frame_pixels) {
    throw Refusal{PORTHOLE_TOO_LARGE, "GIF has a frame that is larger than what is shown"};
  }
  const ColorMapObject* map = frame.ColorMap ? frame.ColorMap : file.gif->SColorMap;
  if (!map) throw damaged("GIF", "has no palette");
  std::vector<GifPixelType> row(static_cast<std::size_t>(frame.Width));
  std::uint32_t rows = 0;
  for (const int y : order_of_rows(frame.Height, frame.Interlace)) {
    if (DGifGetLine(file.gif, row.data(), frame.Width) == GIF_ERROR) {
      throw gave_up(file.gif->Error,
                    after_rows("damaged", rows, static_cast<std::uint32_t>(frame.Height)));
    }
    ++rows;
    if (frame.Top + y >= canvas.height) continue;
    std::uint8_t* const to = canvas.row(frame.Top + y);
    const int end = std::min(frame.Width, canvas.width - frame.Left);
    for (int x = 0; x < end; ++x) {
      put_pixel(to + static_cast<std::ptrdiff_t>(frame.Left + x) * 4, *map,
                row[static_cast<std::size_t>(x)], file.transparent);
    }
  }
}

PictureSize measure(std::string_view bytes) {
  GifFile file;
  open(file, bytes);
  // Some writers leave the screen's size at 0 and mean the frame's.
  const bool has_screen = file.gif->SWidth > 0 && file.gif->SHeight > 0;
  const int width = has_screen ? file.gif->SWidth : file.gif->Image.Width;
  const int height = has_screen ? file.gif->SHeight : file.gif->Image.Height;
  return {static_cast<std::uint32_t>(width), static_cast<std::uint32_t>(height)};
}

void draw(std::string_view bytes, Canvas canvas) {
  GifFile file;
  open(file, bytes);
  draw_frame(file, canvas);
}

}  // namespace

const Format gif{.name = "GIF", .measure = measure, .draw = draw};

}  // namespace porthole::image
