// SPDX-License-Identifier: Apache-2.0
// The example of the Pool as a user has it: thumbnails of the shipped images, the bad ones among
// them, hidden in a folder of good ones.
#include <algorithm>
#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bulkhead/fd.hpp>

#include "support/census.hpp"
#include "support/children.hpp"
#include "support/watchdog.hpp"

namespace {

namespace fs = std::filesystem;
using bulkhead::Fd;
using bulkhead::test::Child;
using testing::HasSubstr;

const fs::path shipped = fs::path(__FILE__).parent_path().parent_path() / "examples/isolate/images";

std::string text_in(const Fd& file) {
  std::string text(static_cast<std::size_t>(::lseek(file.native(), 0, SEEK_END)), '\0');
  EXPECT_EQ(::pread(file.native(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  return text;
}

TEST(pool_example, names_each_bad_picture_and_draws_all_the_others) {
  if (::access(bulkhead::test::program_path("thumbnails").c_str(), X_OK) != 0) {
    GTEST_SKIP() << "the example is not part of this build";
  }
  const fs::path folder = bulkhead::test::temporary_folder();
  fs::copy(shipped, folder / "images");
  const fs::path sheet = folder / "sheet.png";
  const Fd error = Fd::adopt(::memfd_create("standard error", MFD_CLOEXEC));
  const fs::path before = fs::current_path();
  fs::current_path(folder);  // where the inputs that ended workers are saved
  Child example =
      Child::start("thumbnails", {(folder / "images").string(), sheet.string(), "60"}, {}, error);
  fs::current_path(before);
  example.close_input();
  const auto waiting = bulkhead::test::waiting_for("the thumbnails");
  const std::string output = example.read_all();
  EXPECT_EQ(example.wait(), 0);
  const std::string told = text_in(error);

  std::size_t pictures = 0;
  for (const auto& file : fs::recursive_directory_iterator{folder / "images"}) {
    pictures += file.is_regular_file() ? 1 : 0;
  }
  const auto bad = static_cast<std::size_t>(std::count(told.begin(), told.end(), '\n'));
  EXPECT_GT(bad, 5U);
  EXPECT_THAT(output, HasSubstr(std::to_string(pictures - bad) + " thumbnails, " +
                                std::to_string(bad) + " bad files"));
  EXPECT_THAT(told, HasSubstr("poisoned: SIGSEGV"));
  EXPECT_THAT(told, HasSubstr("no result within 3 s"));
  EXPECT_GT(fs::file_size(sheet), 1000U);
  EXPECT_FALSE(fs::is_empty(folder / "crashes"));
}

}  // namespace
