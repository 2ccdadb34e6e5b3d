// SPDX-License-Identifier: Apache-2.0
//
// The first program of docs/snippets.md, as it stands there: the role and the lines of main are the
// same; only where the PNG comes from and where the image goes is the test's.
#include <chrono>
#include <csignal>
#include <gtest/gtest.h>
#include <iostream>
#include <sstream>
#include <string>

#include <bulkhead/bulkhead.hpp>

namespace {

using namespace bulkhead;
using namespace std::chrono_literals;

struct Size {
  int width = 0, height = 0;
};
struct Image {
  Size size;
  std::string pixels;
};

// clang-format off
struct Decoder { Result<Image> decode(std::string png, Size limit); };
BULKHEAD_INTERFACE(Decoder, decode)

/// Decodes "WIDTHxHEIGHT"; what begins with "crash" is its undoing.
struct PngDecoder {
  Result<Image> decode(const std::string& png, Size limit) {
    if (png.starts_with("crash")) *reinterpret_cast<volatile int*>(std::uintptr_t{0x10}) = 1;
    Image image;
    char by = 0;
    std::istringstream header(png);
    if (!(header >> image.size.width >> by >> image.size.height) || by != 'x')
      return fail(ErrorKind::invalid, {.operation = "decode", .cause = "not a picture"});
    if (image.size.width > limit.width || image.size.height > limit.height)
      return fail(ErrorKind::too_large);
    image.pixels.assign(static_cast<std::size_t>(image.size.width * image.size.height), 'p');
    return image;
  }
};

void decoder(Bootstrap& boot) { boot.serve<Decoder>(PngDecoder{}); }            // runs in the child

std::string decode_in_a_child(const std::string& png) {
  std::ostringstream out;
  Process child = or_exit(spawn<decoder>({.sandbox = sandbox::compute_only}));
  Remote<Decoder> remote{child.channel(), {.deadline = 20s}};
  if (auto image = remote.decode(png, {4096, 4096})) out << image->size.width << " wide, " << image->pixels.size() << " pixels";
  else out << image.error();                     // decode: decoder (4711) died: SIGSEGV at 0x10
  return out.str();
}
// clang-format on

TEST(snippet, a_picture_is_decoded_in_a_sandboxed_process) {
  EXPECT_EQ(decode_in_a_child("30x20"), "30 wide, 600 pixels");
}

TEST(snippet, an_error_of_the_decoder_comes_back_as_its_sentence) {
  EXPECT_EQ(decode_in_a_child("what"), "decode: not a picture");
}

TEST(snippet, a_crash_comes_back_as_a_sentence_that_says_how) {
  const std::string told = decode_in_a_child("crash");
  EXPECT_TRUE(told.starts_with("decode: decoder (")) << told;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_TRUE(told.ends_with(") died: SIGSEGV at 0x10")) << told;
#endif
}

}  // namespace
