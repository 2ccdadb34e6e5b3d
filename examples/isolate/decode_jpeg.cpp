// SPDX-License-Identifier: Apache-2.0
// JPEG, with libjpeg-turbo. Large images are shrunk by its own transform first.
#include <csetjmp>
#include <cstddef>
#include <cstdio>  // jpeglib.h needs it before
#include <jerror.h>
#include <jpeglib.h>
#include <vector>

#include "formats.hpp"
#include "orientation.hpp"
#include "shrink.hpp"

namespace contact_sheet {
namespace {

constexpr int exif_marker = JPEG_APP0 + 1;

struct JpegFile {
  jpeg_decompress_struct jpeg{};
  jpeg_error_mgr errors{};
  std::jmp_buf back{};
  char message[JMSG_LENGTH_MAX] = "";  // the error, or the first warning

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
/// other damage is told as a remark.
void on_message(j_common_ptr jpeg, int level) {
  if (level >= 0) return;
  auto& file = *static_cast<JpegFile*>(jpeg->client_data);
  if (jpeg->err->msg_code == JWRN_JPEG_EOF) on_error(jpeg);
  if (jpeg->err->num_warnings++ == 0) jpeg->err->format_message(jpeg, file.message);
}

bool read_header(JpegFile& file, std::string_view bytes) noexcept {
  file.jpeg.err = jpeg_std_error(&file.errors);
  file.errors.error_exit = on_error;
  file.errors.emit_message = on_message;
  if (setjmp(file.back)) return false;
  jpeg_create_decompress(&file.jpeg);
  file.jpeg.client_data = &file;
  jpeg_mem_src(&file.jpeg, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_save_markers(&file.jpeg, exif_marker, 0xffff);
  return jpeg_read_header(&file.jpeg, TRUE) == JPEG_HEADER_OK;
}

/// The smallest of its scales that still fills the thumbnail; colours as RGBA (or CMYK).
bool begin_rows(JpegFile& file, Size thumbnail) noexcept {
  if (setjmp(file.back)) return false;
  auto& jpeg = file.jpeg;
  while (jpeg.scale_denom < 8 && jpeg.image_width / (jpeg.scale_denom * 2) >= thumbnail.width &&
         jpeg.image_height / (jpeg.scale_denom * 2) >= thumbnail.height) {
    jpeg.scale_denom *= 2;
  }
  const bool four_inks = jpeg.jpeg_color_space == JCS_CMYK || jpeg.jpeg_color_space == JCS_YCCK;
  jpeg.out_color_space = four_inks ? JCS_CMYK : JCS_EXT_RGBA;
  return jpeg_start_decompress(&jpeg) && jpeg.output_components == 4;
}

/// CMYK to RGBA, in place and without a colour profile. Adobe's programs store the inks inverted.
void inks_to_colours(JSAMPLE* row, std::size_t width, bool inverted) noexcept {
  for (JSAMPLE* end = row + width * 4; row != end; row += 4) {
    const auto paper = [inverted](unsigned ink) { return inverted ? ink : 255U - ink; };
    const unsigned light = paper(row[3]);
    for (int i = 0; i < 3; ++i) row[i] = static_cast<JSAMPLE>(paper(row[i]) * light / 255U);
    row[3] = 255;
  }
}

bool read_rows(JpegFile& file, JSAMPLE* row, Shrinker& shrinker) noexcept {
  if (setjmp(file.back)) return false;
  while (file.jpeg.output_scanline < file.jpeg.output_height) {
    JSAMPROW rows[] = {row};
    if (jpeg_read_scanlines(&file.jpeg, rows, 1) != 1) return false;
    if (file.jpeg.out_color_space == JCS_CMYK) {
      inks_to_colours(row, file.jpeg.output_width, file.jpeg.saw_Adobe_marker);
    }
    shrinker.add(row);
  }
  return true;
}

int orientation_of(const jpeg_decompress_struct& jpeg) {
  for (auto* marker = jpeg.marker_list; marker; marker = marker->next) {
    if (marker->marker != exif_marker) continue;
    return read_orientation({reinterpret_cast<const char*>(marker->data), marker->data_length});
  }
  return 1;
}

bulkhead::Error gave_up(const JpegFile& file) {
  const auto& jpeg = file.jpeg;
  if (file.errors.msg_code == JERR_OUT_OF_MEMORY) {
    return {bulkhead::ErrorKind::exhausted, {.cause = "JPEG needs more memory than there is"}};
  }
  const bool cut = file.errors.msg_code == JWRN_JPEG_EOF;
  std::string cause =
      after_rows(cut ? "ends early" : "damaged", jpeg.output_scanline, jpeg.output_height);
  if (!cut && file.message[0] != '\0') cause += ": " + std::string(file.message);
  return damaged("JPEG", cause);
}

}  // namespace

bulkhead::Result<Picture> decode_jpeg(std::string_view bytes, const Limits& limits) {
  JpegFile file;
  if (!read_header(file, bytes)) return bulkhead::fail(gave_up(file));
  const Size size{file.jpeg.image_width, file.jpeg.image_height};
  BULKHEAD_TRY(check_size("JPEG", size, limits));
  const int orientation = orientation_of(file.jpeg);
  Size box = limits.box;
  if (lies_on_its_side(orientation)) std::swap(box.width, box.height);
  if (!begin_rows(file, fit(size, box))) return bulkhead::fail(gave_up(file));

  Picture picture{.size = size, .format = "JPEG"};
  const Size scaled{file.jpeg.output_width, file.jpeg.output_height};
  Shrinker shrinker(scaled, box);
  std::vector<JSAMPLE> row(std::size_t{scaled.width} * 4);
  if (!read_rows(file, row.data(), shrinker)) return bulkhead::fail(gave_up(file));
  std::move(shrinker).finish(picture);
  turn_upright(picture, orientation);
  if (file.errors.num_warnings > 0) picture.remark = "warning: " + std::string(file.message);
  return picture;
}

}  // namespace contact_sheet
