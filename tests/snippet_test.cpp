// SPDX-License-Identifier: Apache-2.0
//
// The first and the third program of docs/snippets.md, as they stand there: the role and the lines of
// main are the same; only where pictures come from and where they go is the test's.
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include <bulkhead/bulkhead.hpp>

#include "support/census.hpp"

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

/// What is called bad is its undoing.
Image thumbnail(const std::filesystem::path& file) {
  std::ifstream in{file};
  std::string text;
  in >> text;
  if (text == "bad") std::raise(SIGSEGV);
  return {{1, 1}, text};
}

std::vector<std::filesystem::path> files_in(const std::string& folder) {
  std::vector<std::filesystem::path> files;
  for (const char* name : {"a.png", "b.png", "c.png"}) files.push_back(folder + "/" + name);
  return files;
}

/// Changes to a folder of the test's own, as `crashes` is made where the program runs.
class Elsewhere {
 public:
  explicit Elsewhere(const std::filesystem::path& folder) { std::filesystem::current_path(folder); }
  Elsewhere(const Elsewhere&) = delete;
  ~Elsewhere() { std::filesystem::current_path(before_); }

 private:
  std::filesystem::path before_ = std::filesystem::current_path();
};

std::string thumbnails_of(const std::string& folder) {
  std::ostringstream out;
  const auto save = [&](const std::filesystem::path& file, const Image& image) {
    out << file.filename().string() << " is " << image.pixels << '\n';
  };
  // clang-format off
  Pool pool{{.workers = 8, .time_limit = 10s, .sandbox = sandbox::read_only(folder)}};
  for (auto& [file, image] : pool.map<thumbnail>(files_in(folder)))
    if (image) save(file, *image);
    else out << file.filename().string() << ": " << image.error() << '\n';   // b.png: poisoned: SIGSEGV twice, saved as crashes/b.png
  // clang-format on
  return out.str();
}

TEST(snippet, a_folder_of_pictures_is_worked_on_in_parallel_and_a_bad_one_is_named) {
  const auto folder = test::temporary_folder();
  for (const auto& file : files_in(folder)) {
    std::ofstream{file} << (file.filename() == "b.png" ? "bad" : "good");
  }
  const Elsewhere there{folder};
  const std::string told = thumbnails_of(folder);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_EQ(
      told,
      "a.png is good\nb.png: poisoned: SIGSEGV twice, saved as crashes/b.png\nc.png is good\n");
#endif
  EXPECT_NE(told.find("b.png: poisoned: "), told.npos) << told;
  EXPECT_TRUE(std::filesystem::exists(folder / "crashes" / "b.png"));
}

}  // namespace
