// SPDX-License-Identifier: Apache-2.0
// PNG, with libpng, straight into the canvas.
#include <csetjmp>
#include <cstring>
#include <png.h>
#include <vector>

#include "formats.hpp"

namespace porthole::image {
namespace {

struct PngFile {
  std::string_view rest;   // what libpng has not read yet
  char message[160] = "";  // what libpng said before it jumped
  PictureSize size{};
  std::uint32_t rows = 0;  // of the last pass, read so far
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

/// Everything before the pixels. False when libpng gave up. No destructors in here (formats.hpp).
bool read_header(PngFile& file) noexcept {
  if (setjmp(png_jmpbuf(file.png))) return false;
  // Its own limits are 1,000,000 a side; the host's are checked by the caller.
  png_set_read_fn(file.png, &file, read_bytes);
  png_read_info(file.png, file.info);
  file.size = {png_get_image_width(file.png, file.info), png_get_image_height(file.png, file.info)};
  return true;
}

/// Whatever the file has, rows shall be BGRA with 8 bits.
bool begin_rows(PngFile& file) noexcept {
  if (setjmp(png_jmpbuf(file.png))) return false;
  png_set_expand(file.png);
  png_set_scale_16(file.png);
  png_set_gray_to_rgb(file.png);
  png_set_bgr(file.png);
  png_set_add_alpha(file.png, 0xff, PNG_FILLER_AFTER);
  png_set_interlace_handling(file.png);
  png_read_update_info(file.png, file.info);
  return png_get_rowbytes(file.png, file.info) == std::size_t{file.size.width} * 4;
}

bool read_rows(PngFile& file, const Canvas& canvas) noexcept {
  if (setjmp(png_jmpbuf(file.png))) return false;
  const bool interlaced = png_get_interlace_type(file.png, file.info) != PNG_INTERLACE_NONE;
  const int passes = interlaced ? PNG_INTERLACE_ADAM7_PASSES : 1;
  for (int pass = 0; pass < passes; ++pass) {
    for (file.rows = 0; file.rows < file.size.height; ++file.rows) {
      png_read_row(file.png, canvas.row(static_cast<std::int32_t>(file.rows)), nullptr);
    }
  }
  return true;
}

Refusal gave_up(const PngFile& file) {
  std::string how = after_rows("damaged", file.rows, file.size.height);
  if (file.message[0] != '\0') how += ": " + std::string(file.message);
  return damaged("PNG", how);
}

void open(PngFile& file, std::string_view bytes) {
  file.rest = bytes;
  file.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &file, on_error, on_warning);
  if (!file.png) throw std::bad_alloc{};
  file.info = png_create_info_struct(file.png);
  if (!file.info) throw std::bad_alloc{};
  if (!read_header(file)) throw gave_up(file);
}

PictureSize measure(std::string_view bytes) {
  PngFile file;
  open(file, bytes);
  return file.size;
}

void draw(std::string_view bytes, Canvas canvas) {
  PngFile file;
  open(file, bytes);
  if (!begin_rows(file) || !read_rows(file, canvas)) throw gave_up(file);
  for (std::int32_t y = 0; y < canvas.height; ++y) premultiply(canvas.row(y), file.size.width);
}

}  // namespace

const Format png{.name = "PNG", .measure = measure, .draw = draw};

}  // namespace porthole::image
