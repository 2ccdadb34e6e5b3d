// SPDX-License-Identifier: Apache-2.0
#include <png.h>

#include "tests/loopback_server.hpp"

namespace porthole::test {
namespace {

std::string hexadecimal(std::uint32_t colour) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text = "#";
  for (int shift = 20; shift >= 0; shift -= 4) text += digits[colour >> shift & 15];
  return text;
}

std::string page(int number) {
  const std::string n = std::to_string(number);
  return "<!DOCTYPE html>\n<html><head><title>Page " + n +
         "</title><link rel=\"stylesheet\" href=\"/style/" + n + ".css\"></head>\n<body><h1>Page " +
         n + "</h1><p>A <a href=\"/page/" + std::to_string(number % 10 + 1) +
         "\">link</a> and a picture.</p><img src=\"/picture/" + n + ".png\"></body></html>\n";
}

}  // namespace

std::string png_of_colour(std::uint32_t colour, int side) {
  const std::vector<std::uint32_t> pixels(static_cast<std::size_t>(side * side), colour);
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(side);
  image.height = static_cast<png_uint_32>(side);
  image.format = PNG_FORMAT_BGRA;
  png_alloc_size_t size = 0;
  png_image_write_to_memory(&image, nullptr, &size, 0, pixels.data(), 0, nullptr);
  std::string file(size, '\0');
  png_image_write_to_memory(&image, file.data(), &size, 0, pixels.data(), 0, nullptr);
  return file;
}

std::uint32_t background_of_page(int number) {
  const auto n = static_cast<std::uint32_t>(number);
  return 0xff000000U | (0x40 + n * 12) << 16 | (0xd0 - n * 9) << 8 | (0x60 + n * 5);
}

std::uint32_t picture_of_page(int number) {
  // No colour that lies between text and a background.
  return 0xffe010e0U | static_cast<std::uint32_t>(number);
}

void serve_ten_pages(LoopbackServer& server) {
  for (int number = 1; number <= 10; ++number) {
    const std::string n = std::to_string(number);
    server.serve("/page/" + n, {.body = page(number)});
    server.serve("/style/" + n + ".css",
                 {.type = "text/css",
                  .body = "body{background:" + hexadecimal(background_of_page(number)) + "}"});
    server.serve(
        "/picture/" + n + ".png",
        {.type = "image/png", .body = png_of_colour(picture_of_page(number), picture_side)});
  }
}

std::vector<std::string> ten_pages(const LoopbackServer& server) {
  std::vector<std::string> urls;
  for (int number = 1; number <= 10; ++number) {
    const std::string host{static_cast<char>('a' + (number - 1) / 2)};
    urls.push_back(server.url("/page/" + std::to_string(number), host + ".test"));
  }
  return urls;
}

}  // namespace porthole::test
