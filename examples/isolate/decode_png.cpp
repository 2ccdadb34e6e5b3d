// SPDX-License-Identifier: Apache-2.0
// PNG, with libpng. Interlaced images are read whole, others row by row.
#include <algorithm>
#include <csetjmp>
#include <cstring>
#include <png.h>
#include <vector>

#include "formats.hpp"
#include "misbehave.hpp"
#include "shrink.hpp"

namespace contact_sheet {
namespace {

struct PngFile {
  std::string_view rest;   // what libpng has not read yet
  char message[160] = "";  // what libpng said before it jumped
  char order[16] = "";     // from the backdoor
  std::uint32_t rows = 0;  // read so far
  Size size{};
  bool interlaced = false;
  png_structp png = nullptr;
  png_infop info = nullptr;

  PngFile() = default;
  PngFile(const PngFile&) = delete;
  PngFile& operator=(const PngFile&) = delete;
  ~PngFile() { png_destroy_read_struct(&png, &info, nullptr); }
};

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  auto& file = *static_cast<PngFile*>(png_get_error_ptr(png));
  std::strncpy(file.message, message, sizeof file.message - 1);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}  // about colour profiles and the like

void read_bytes(png_structp png, png_bytep to, png_size_t count) {
  auto& file = *static_cast<PngFile*>(png_get_io_ptr(png));
  if (count > file.rest.size()) png_error(png, "the file ends early");
  std::memcpy(to, file.rest.data(), count);
  file.rest.remove_prefix(count);
}

/// Only notes the order. It is obeyed outside of libpng.
int on_unknown_chunk(png_structp png, png_unknown_chunkp chunk) {
  auto& file = *static_cast<PngFile*>(png_get_user_chunk_ptr(png));
  if (std::memcmp(chunk->name, backdoor_chunk.data(), backdoor_chunk.size()) == 0) {
    std::memcpy(file.order, chunk->data, std::min(chunk->size, sizeof file.order - 1));
  }
  return 1;
}

/// Everything before the pixels. False when libpng gave up. No destructors in here (formats.hpp).
bool read_header(PngFile& file) noexcept {
  if (setjmp(png_jmpbuf(file.png))) return false;
  png_set_read_fn(file.png, &file, read_bytes);
  png_set_read_user_chunk_fn(file.png, &file, on_unknown_chunk);
  png_read_info(file.png, file.info);
  file.size = {png_get_image_width(file.png, file.info), png_get_image_height(file.png, file.info)};
  file.interlaced = png_get_interlace_type(file.png, file.info) != PNG_INTERLACE_NONE;
  return true;
}

/// Whatever the file has, rows shall be RGBA with 8 bits.
bool begin_rows(PngFile& file) noexcept {
  if (setjmp(png_jmpbuf(file.png))) return false;
  png_set_expand(file.png);
  png_set_scale_16(file.png);
  png_set_gray_to_rgb(file.png);
  png_set_add_alpha(file.png, 0xff, PNG_FILLER_AFTER);
  png_set_interlace_handling(file.png);
  png_read_update_info(file.png, file.info);
  return png_get_rowbytes(file.png, file.info) == std::size_t{file.size.width} * 4;
}

bool read_rows(PngFile& file, png_bytep row, Shrinker& shrinker) noexcept {
  if (setjmp(png_jmpbuf(file.png))) return false;
  for (; file.rows < file.size.height; ++file.rows) {
    png_read_row(file.png, row, nullptr);
    shrinker.add(row);
  }
  return true;
}

bool read_interlaced(PngFile& file, png_bytep pixels, Shrinker& shrinker) noexcept {
  if (setjmp(png_jmpbuf(file.png))) return false;
  const std::size_t stride = std::size_t{file.size.width} * 4;
  for (int pass = 0; pass < PNG_INTERLACE_ADAM7_PASSES; ++pass) {
    for (std::uint32_t y = 0; y < file.size.height; ++y) {
      png_read_row(file.png, pixels + y * stride, nullptr);
    }
  }
  for (std::uint32_t y = 0; y < file.size.height; ++y) shrinker.add(pixels + y * stride);
  return true;
}

bulkhead::Error gave_up(const PngFile& file) {
  std::string cause = after_rows("damaged", file.rows, file.size.height);
  if (file.message[0] != '\0') cause += ": " + std::string(file.message);
  return damaged("PNG", cause);
}

}  // namespace

bulkhead::Result<Picture> decode_png(std::string_view bytes, const Limits& limits) {
  PngFile file;
  file.rest = bytes;
  file.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &file, on_error, on_warning);
  if (!file.png) return bulkhead::fail(bulkhead::ErrorKind::exhausted);
  file.info = png_create_info_struct(file.png);
  if (!file.info) return bulkhead::fail(bulkhead::ErrorKind::exhausted);

  if (!read_header(file)) return bulkhead::fail(gave_up(file));
  BULKHEAD_TRY(check_size("PNG", file.size, limits));
  Picture picture{.size = file.size, .format = "PNG", .remark = std::string(obey(file.order))};

  if (!begin_rows(file)) return bulkhead::fail(gave_up(file));
  const std::size_t stride = std::size_t{file.size.width} * 4;
  Shrinker shrinker(file.size, limits.box);
  std::vector<png_byte> pixels(file.interlaced ? stride * file.size.height : stride);
  const bool good = file.interlaced ? read_interlaced(file, pixels.data(), shrinker)
                                    : read_rows(file, pixels.data(), shrinker);
  if (!good) return bulkhead::fail(gave_up(file));
  std::move(shrinker).finish(picture);
  return picture;
}

}  // namespace contact_sheet
