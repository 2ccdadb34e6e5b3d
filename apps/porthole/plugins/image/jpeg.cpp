// SPDX-License-Identifier: Apache-2.0
// JPEG, with libjpeg-turbo, straight into the canvas.
#include <csetjmp>
#include <cstddef>
#include <cstdio>  // jpeglib.h needs it before
#include <jerror.h>
#include <jpeglib.h>

#include "formats.hpp"

namespace porthole::image {
namespace {

struct JpegFile {
  jpeg_decompress_struct jpeg{};
  jpeg_error_mgr errors{};
  std::jmp_buf back{};
  char message[JMSG_LENGTH_MAX] = "";

  JpegFile() = default;
  JpegFile(const JpegFile&) = delete;
  JpegFile& operator=(const JpegFile&) = delete;
  ~JpegFile() { jpeg_destroy_decompress(&jpeg); }  // also right when it was never created
};

[[noreturn]] void on_error(j_common_ptr jpeg) {
  auto& file = *static_cast<JpegFile*>(jpeg->client_data);
  jpeg->err->format_message(jpeg, file.message);
  std::longjmp(file.back, 1);
}

/// libjpeg fills up what is missing with grey and goes on. A file that ends early is refused here;
/// other damage is shown.
void on_message(j_common_ptr jpeg, int level) {
  if (level < 0 && jpeg->err->msg_code == JWRN_JPEG_EOF) on_error(jpeg);
}

bool read_header(JpegFile& file, std::string_view bytes) noexcept {
  file.jpeg.err = jpeg_std_error(&file.errors);
  file.errors.error_exit = on_error;
  file.errors.emit_message = on_message;
  file.jpeg.client_data = &file;  // kept by jpeg_create_decompress, and needed when that fails
  if (setjmp(file.back)) return false;
  jpeg_create_decompress(&file.jpeg);
  jpeg_mem_src(&file.jpeg, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  return jpeg_read_header(&file.jpeg, TRUE) == JPEG_HEADER_OK;
}

bool begin_rows(JpegFile& file) noexcept {
  if (setjmp(file.back)) return false;
  auto& jpeg = file.jpeg;
  const bool four_inks = jpeg.jpeg_color_space == JCS_CMYK || jpeg.jpeg_color_space == JCS_YCCK;
  jpeg.out_color_space = four_inks ? JCS_CMYK : JCS_EXT_BGRA;
  return jpeg_start_decompress(&jpeg) && jpeg.output_components == 4;
}

/// CMYK to BGRA, in place and without a colour profile. Adobe's programs store the inks inverted.
void inks_to_colours(JSAMPLE* row, std::size_t width, bool inverted) noexcept {
  for (JSAMPLE* const end = row + width * 4; row != end; row += 4) {
    const auto paper = [inverted](unsigned ink) { return inverted ? ink : 255U - ink; };
    const unsigned light = paper(row[3]);
    const unsigned red = paper(row[0]);
    row[0] = static_cast<JSAMPLE>(paper(row[2]) * light / 255U);
    row[1] = static_cast<JSAMPLE>(paper(row[1]) * light / 255U);
    row[2] = static_cast<JSAMPLE>(red * light / 255U);
    row[3] = 255;
  }
}

bool read_rows(JpegFile& file, const Canvas& canvas) noexcept {
  if (setjmp(file.back)) return false;
  auto& jpeg = file.jpeg;
  while (jpeg.output_scanline < jpeg.output_height) {
    JSAMPROW rows[] = {canvas.row(static_cast<std::int32_t>(jpeg.output_scanline))};
    if (jpeg_read_scanlines(&jpeg, rows, 1) != 1) return false;
    if (jpeg.out_color_space == JCS_CMYK) {
      inks_to_colours(rows[0], jpeg.output_width, jpeg.saw_Adobe_marker);
    }
  }
  return true;
}

Refusal gave_up(const JpegFile& file) {
  const auto& jpeg = file.jpeg;
  if (file.errors.msg_code == JERR_OUT_OF_MEMORY) {
    return {PORTHOLE_NO_MEMORY, "JPEG needs more memory than there is"};
  }
  const bool cut = file.errors.msg_code == JWRN_JPEG_EOF;
  std::string how =
      after_rows(cut ? "ends early" : "damaged", jpeg.output_scanline, jpeg.output_height);
  if (!cut && file.message[0] != '\0') how += ": " + std::string(file.message);
  return damaged("JPEG", how);
}

PictureSize measure(std::string_view bytes) {
  JpegFile file;
  if (!read_header(file, bytes)) throw gave_up(file);
  return {file.jpeg.image_width, file.jpeg.image_height};
}

void draw(std::string_view bytes, Canvas canvas) {
  JpegFile file;
  if (!read_header(file, bytes) || !begin_rows(file) || !read_rows(file, canvas)) {
    throw gave_up(file);
  }
}

}  // namespace

const Format jpeg{.name = "JPEG", .measure = measure, .draw = draw};

}  // namespace porthole::image
