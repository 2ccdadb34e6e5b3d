// SPDX-License-Identifier: Apache-2.0
#include "browser/png_file.hpp"

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <png.h>
#include <string>
#include <vector>

#include "support/census.hpp"

namespace {

using namespace bulkhead;
using namespace porthole;

Bytes bytes_of(const std::vector<std::uint32_t>& pixels) {
  return std::as_bytes(std::span{pixels});
}

/// Decoded by libpng's simple interface: RGBA, row after row.
std::vector<std::uint8_t> read_back(const std::filesystem::path& file, Size& size) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  EXPECT_TRUE(png_image_begin_read_from_file(&image, file.c_str()));
  image.format = PNG_FORMAT_RGBA;
  std::vector<std::uint8_t> pixels(PNG_IMAGE_SIZE(image));
  EXPECT_TRUE(png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr));
  size = {static_cast<std::int32_t>(image.width), static_cast<std::int32_t>(image.height)};
  return pixels;
}

std::size_t files_in(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

TEST(png_file, what_is_written_is_what_is_read) {
  const auto file = bulkhead::test::temporary_folder() / "a.png";
  const std::vector<std::uint32_t> pixels{0xffff0000, 0xff00ff00, 0xff0000ff,
                                          0xff102030, 0x80400000, 0x00000000};
  const auto written = write_png({3, 2}, bytes_of(pixels), file);
  ASSERT_TRUE(written) << written.error();
  Size size;
  const std::vector<std::uint8_t> expected{255, 0,  0,  255, 0,   255, 0, 255, 0, 0, 255, 255,
                                           16,  32, 48, 255, 128, 0,   0, 128, 0, 0, 0,   0};
  EXPECT_EQ(read_back(file, size), expected);
  EXPECT_EQ(size, (Size{3, 2}));
  EXPECT_EQ(files_in(file.parent_path()), 1U);
}

TEST(png_file, an_earlier_file_is_replaced) {
  const auto file = bulkhead::test::temporary_folder() / "a.png";
  std::ofstream(file) << "something else";
  ASSERT_TRUE(write_png({1, 1}, bytes_of({0xff123456}), file));
  Size size;
  EXPECT_EQ(read_back(file, size), (std::vector<std::uint8_t>{0x12, 0x34, 0x56, 0xff}));
  EXPECT_EQ(files_in(file.parent_path()), 1U);
}

TEST(png_file, what_cannot_be_written_is_an_error_that_names_the_file) {
  const auto folder = bulkhead::test::temporary_folder();
  const auto missing = write_png({1, 1}, bytes_of({0xff000000}), folder / "no" / "a.png");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error(), ErrorKind::not_found);
  EXPECT_NE(missing.error().sentence().find("no/a.png"), std::string::npos);
  const auto a_folder = write_png({1, 1}, bytes_of({0xff000000}), folder);
  ASSERT_FALSE(a_folder);
  EXPECT_EQ(a_folder.error(), ErrorKind::invalid);
  EXPECT_EQ(files_in(folder), 0U);
}

TEST(png_file, a_device_is_not_replaced_by_a_file) {
  EXPECT_EQ(write_png({1, 1}, bytes_of({0xff000000}), "/dev/full").error(), ErrorKind::invalid);
}

TEST(png_file, a_picture_whose_pixels_do_not_fit_its_size_is_refused) {
  const auto file = bulkhead::test::temporary_folder() / "a.png";
  for (const Size& size : {Size{2, 1}, Size{0, 1}, Size{-1, 1}, Size{1, max_picture_side + 1}}) {
    EXPECT_EQ(write_png(size, bytes_of({0xff000000}), file).error(), ErrorKind::invalid);
  }
  EXPECT_FALSE(std::filesystem::exists(file));
}

}  // namespace
