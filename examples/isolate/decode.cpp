// SPDX-License-Identifier: Apache-2.0
// Which decoder a file is for, and words for the files that are for none.
#include "decode.hpp"

#include <algorithm>
#include <array>

#include "formats.hpp"

namespace contact_sheet {
namespace {

using namespace std::literals;

using Decoder = bulkhead::Result<Picture> (*)(std::string_view, const Limits&);

struct Signature {
  std::size_t offset;
  std::string_view bytes;
  std::string_view name;
  Decoder decoder;  // null: known by name only
};

constexpr std::array signatures{
    Signature{0, "\x89PNG\r\n\x1a\n"sv, "PNG", decode_png},
    Signature{0, "\xff\xd8\xff"sv, "JPEG", decode_jpeg},
    Signature{0, "GIF87a"sv, "GIF", decode_gif},
    Signature{0, "GIF89a"sv, "GIF", decode_gif},
    Signature{8, "WEBP"sv, "WebP", decode_webp},
    Signature{4, "ftypavif"sv, "an AVIF image", nullptr},
    Signature{4, "ftyphei"sv, "a HEIC image", nullptr},
    Signature{4, "ftyp"sv, "a video", nullptr},
    Signature{0, "II*\0"sv, "a TIFF image", nullptr},
    Signature{0, "MM\0*"sv, "a TIFF image", nullptr},
    Signature{0, "%PDF"sv, "a PDF document", nullptr},
    Signature{0, "PK\3\4"sv, "a ZIP archive", nullptr},
    Signature{0, "\x1f\x8b"sv, "a gzip archive", nullptr},
    Signature{0,
              "\x7f"
              "ELF"sv,
              "a program", nullptr},
    Signature{0, "<svg"sv, "an SVG drawing", nullptr},
    Signature{0, "<?xml"sv, "an XML file", nullptr},
};

const Signature* recognise(std::string_view file) {
  const auto* found = std::ranges::find_if(signatures, [&](const Signature& signature) {
    return file.size() >= signature.offset &&
           file.substr(signature.offset).starts_with(signature.bytes);
  });
  return found == signatures.end() ? nullptr : found;
}

/// Text in any encoding that leaves ASCII's control characters alone.
bool looks_like_text(std::string_view file) {
  return std::ranges::all_of(file.substr(0, 1024), [](char c) {
    return static_cast<unsigned char>(c) >= ' ' || c == '\n' || c == '\r' || c == '\t';
  });
}

std::string describe(std::string_view file, const Signature* signature) {
  if (file.empty()) return "the file is empty";
  if (signature) return "this is " + std::string(signature->name);
  return looks_like_text(file) ? "this is text" : "the first bytes are of no known kind";
}

}  // namespace

bulkhead::Result<Picture> decode(std::string file, Limits limits) {
  const Signature* signature = recognise(file);
  if (signature && signature->decoder) return signature->decoder(file, limits);
  return bulkhead::fail(
      bulkhead::ErrorKind::unsupported,
      {.cause = "not an image that this program knows: " + describe(file, signature),
       .remedy = "it reads PNG, JPEG, GIF and WebP"});
}

bulkhead::Error damaged(std::string_view format, std::string_view how) {
  return {bulkhead::ErrorKind::invalid, {.cause = std::string(format) + ' ' + std::string(how)}};
}

std::string after_rows(std::string_view what, std::uint32_t rows, std::uint32_t height) {
  std::string text(what);
  if (rows == 0) return text;
  return text + " after " + std::to_string(rows) + " of " + std::to_string(height) + " rows";
}

bulkhead::Result<void> check_size(std::string_view format, Size size, const Limits& limits) {
  if (size.width == 0 || size.height == 0) return bulkhead::fail(damaged(format, "has no pixels"));
  if (std::uint64_t{size.width} * size.height <= limits.pixels) return {};
  return bulkhead::fail(bulkhead::ErrorKind::too_large,
                        {.cause = std::string(format) + " of " + std::to_string(size.width) +
                                  " x " + std::to_string(size.height) + " pixels, the limit is " +
                                  std::to_string(limits.pixels / 1'000'000) + " million"});
}

}  // namespace contact_sheet
