// SPDX-License-Identifier: Apache-2.0
//
// The image plugin: PNG, JPEG, GIF and WebP. Which of them a file is, its first bytes tell and not
// its MIME type: servers err, and browsers have never minded.
#include <algorithm>
#include <array>

#include "formats.hpp"

namespace porthole::image {
namespace {

using namespace std::literals;

struct Signature {
  std::size_t offset;
  std::string_view bytes;
  const Format* format;
};

const std::array signatures{
    Signature{0, "\x89PNG\r\n\x1a\n"sv, &png},
    Signature{0, "\xff\xd8\xff"sv, &jpeg},
    Signature{0, "GIF87a"sv, &gif},
    Signature{0, "GIF89a"sv, &gif},
    Signature{8, "WEBP"sv, &webp},
};

const Format& format_of(std::string_view file) {
  const auto* found = std::ranges::find_if(signatures, [&](const Signature& signature) {
    return file.size() >= signature.offset &&
           file.substr(signature.offset).starts_with(signature.bytes);
  });
  if (found != signatures.end()) return *found->format;
  throw Refusal{PORTHOLE_UNSUPPORTED,
                file.empty() ? "the picture is empty" : "the first bytes are of no picture"};
}

std::string in_words(PictureSize size) {
  return std::to_string(size.width) + " x " + std::to_string(size.height);
}

class Picture final : public plugin::Document {
 public:
  plugin::Measure measure(std::string_view, std::string_view bytes,
                          const porthole_request& request) override {
    file_ = bytes;
    format_ = &format_of(bytes);
    const PictureSize size = format_->measure(bytes);
    if (size.width == 0 || size.height == 0) throw damaged(format_->name, "has no pixels");
    const auto side = static_cast<std::uint32_t>(request.max_side);
    const auto pixels = static_cast<std::uint64_t>(request.max_pixels);
    if (size.width > side || size.height > side ||
        std::uint64_t{size.width} * size.height > pixels) {
      throw Refusal{PORTHOLE_TOO_LARGE, std::string{format_->name} + " of " + in_words(size) +
                                            " pixels is larger than what is shown"};
    }
    return {.width = static_cast<std::int32_t>(size.width),
            .height = static_cast<std::int32_t>(size.height)};
  }

  void render(Canvas canvas) override { format_->draw(file_, canvas); }

 private:
  std::string_view file_;
  const Format* format_ = nullptr;
};

}  // namespace

Refusal damaged(std::string_view format, std::string_view how) {
  return {PORTHOLE_INVALID, std::string(format) + ' ' + std::string(how)};
}

std::string after_rows(std::string_view what, std::uint32_t rows, std::uint32_t height) {
  std::string text(what);
  if (rows == 0) return text;
  return text + " after " + std::to_string(rows) + " of " + std::to_string(height) + " rows";
}

void premultiply(std::uint8_t* row, std::uint32_t width) {
  for (std::uint8_t* const end = row + std::size_t{width} * 4; row != end; row += 4) {
    const unsigned alpha = row[3];
    if (alpha == 255) continue;
    for (int i = 0; i < 3; ++i) row[i] = static_cast<std::uint8_t>((row[i] * alpha + 127) / 255);
  }
}

}  // namespace porthole::image

PORTHOLE_PLUGIN("image", porthole::image::Picture, "image/png", "image/jpeg", "image/gif",
                "image/webp", "image/jpg", "image/apng", "image/x-png", "image/pjpeg")
