// SPDX-License-Identifier: Apache-2.0
// The main job as a user has it: examples/isolate runs as a program on the shipped images and on
// odd folders; what it prints, its exit status and its sheet are checked.
#include <array>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <sstream>
#include <string>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "support/census.hpp"
#include "support/children.hpp"

namespace {

namespace fs = std::filesystem;
using bulkhead::test::temporary_folder;
using testing::AllOf;
using testing::HasSubstr;

const fs::path shipped = fs::path(__FILE__).parent_path().parent_path() / "examples/isolate/images";

#ifdef __SANITIZE_ADDRESS__
// Its operator new does not throw: it reports and exits.
const std::string out_of_memory = "died: exit code 1";
#else
const std::string out_of_memory = "died: out of memory (limit 512 MiB)";
#endif

struct Outcome {
  int status = -1;
  std::vector<std::string> lines;  // of both outputs

  std::string last() const { return lines.empty() ? "" : lines.back(); }

  /// The one line that begins with `name`; a failure when there is none or more.
  std::string line_of(const std::string& name) const {
    std::string found;
    int count = 0;
    for (const std::string& line : lines) {
      if (line.starts_with(name + " ")) found = line, ++count;
    }
    EXPECT_EQ(count, 1) << "lines about " << name;
    return found;
  }
};

std::string quoted(const std::string& text) { return "'" + text + "'"; }

Outcome run_isolate(const std::vector<std::string>& arguments) {
  std::string command = quoted(bulkhead::test::program_path("isolate"));
  for (const std::string& argument : arguments) command += ' ' + quoted(argument);
  Outcome outcome;
  std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (!pipe) return outcome;
  std::string text;
  std::array<char, 4096> block;
  while (const std::size_t size = std::fread(block.data(), 1, block.size(), pipe)) {
    text.append(block.data(), size);
  }
  const int status = ::pclose(pipe);
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) outcome.lines.push_back(line);
  return outcome;
}

void write(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

/// Width and height in the header of a PNG; zeros when it is none.
std::pair<std::uint32_t, std::uint32_t> png_size(const fs::path& path) {
  std::array<unsigned char, 24> head{};
  std::ifstream file(path, std::ios::binary);
  if (!file.read(reinterpret_cast<char*>(head.data()), head.size())) return {0, 0};
  if (std::string(head.begin(), head.begin() + 8) != "\x89PNG\r\n\x1a\n") return {0, 0};
  const auto number = [&](std::size_t at) {
    return std::uint32_t{head[at]} << 24U | std::uint32_t{head[at + 1]} << 16U |
           std::uint32_t{head[at + 2]} << 8U | head[at + 3];
  };
  return {number(16), number(20)};
}

void expect_sheet(const fs::path& path) {
  const auto [width, height] = png_size(path);
  EXPECT_GE(width, 600U);
  EXPECT_GE(height, 300U);
}

TEST(example_isolate, decodes_the_shipped_images_and_tells_each_cause_of_death) {
  const fs::path sheet = temporary_folder() / "sheet.png";
  const Outcome outcome =
      run_isolate({shipped.string(), "--out", sheet.string(), "--deadline", "10"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.last(), "13 decoded, 11 failed, 0 left behind");
  expect_sheet(sheet);

  const std::map<std::string, std::string> expected{
      {"aurora.webp", "320 x 224 WebP"},
      {"bulkheads.png", "336 x 230 PNG"},
      {"glass.png", "300 x 215 PNG"},
      {"lighthouse.gif", "160 x 160 GIF, first of 12 frames"},
      {"mandelbrot.gif", "240 x 168 GIF"},
      {"maze.png", "400 x 280 PNG"},
      {"moon.png", "280 x 210 PNG"},
      {"mountains.png", "320 x 224 PNG"},
      {"plasma.jpg", "320 x 224 JPEG"},
      {"seigaiha.webp", "320 x 224 WebP"},
      {"sunset.jpg", "320 x 224 JPEG"},
      {"trap-crash.png", "died: SIGSEGV at 0x10"},
      {"trap-eat.png", out_of_memory},
      {"trap-open.png", "sandbox violation: openat"},
      {"trap-socket.png", "sandbox violation: socket"},
      {"wreck-bomb.png", "PNG of 60000 x 60000 pixels, the limit is 64 million"},
      {"wreck-cut-short.jpg", "JPEG ends early after 126 of 224 rows"},
      {"wreck-cut-short.png", "PNG damaged after 84 of 224 rows: the file ends early"},
      {"wreck-flipped.gif", "GIF damaged after 47 of 168 rows"},
      {"wreck-flipped.jpg", "320 x 224 JPEG, warning: Corrupt JPEG data"},
      {"wreck-flipped.png", "PNG damaged after 141 of 224 rows: IDAT: CRC error"},
      {"wreck-flipped.webp", "320 x 224 WebP"},
      {"wreck-text.png", "not an image that this program knows: this is text"},
  };
  for (const auto& [name, words] : expected) {
    EXPECT_THAT(outcome.line_of(name), AllOf(HasSubstr(" ms  "), HasSubstr(words)));
  }
  EXPECT_THAT(outcome.line_of("trap-spin.png"), testing::ContainsRegex("hang|timed out"));

  std::size_t files = 0;
  for (const auto& entry : fs::directory_iterator(shipped)) files += entry.is_regular_file();
  EXPECT_EQ(files, expected.size() + 1) << "a shipped image without an expectation";
}

TEST(example_isolate, judges_whatever_lies_in_a_folder_without_hanging) {
  const fs::path folder = temporary_folder() / "odd";
  fs::create_directories(folder / "subfolder");
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  fs::create_symlink("pipe", folder / "link-to-pipe");
  fs::create_symlink(shipped / "maze.png", folder / "link-to-image");
  fs::create_symlink("nowhere", folder / "link-to-nothing");
  fs::create_symlink("loop", folder / "loop");
  fs::create_symlink("/proc/self/mem", folder / "unreadable");  // an error for root, too
  fs::create_symlink("/dev/zero", folder / "endless");
  write(folder / "empty.png", "");
  write(folder / "notes.jpg", "only words\n");
  write(folder / "document.gif", "%PDF-1.7\n\x01\x02");
  write(folder / "noise", std::string("\x00\x01\x02\xff", 4));
  write(folder / "stub.gif", "GIF89a");
  write(folder / "stub.jpg", "\xff\xd8\xff\xe0");
  write(folder / "stub.png", "\x89PNG\r\n\x1a\n");
  write(folder / "stub.webp", "RIFF\x04\x01\x01\x01WEBPVP8 ");
  write(folder / "esc\x1b[31m\nape", "words");

  const fs::path sheet = temporary_folder() / "sheet.png";
  const Outcome outcome = run_isolate({folder.string(), "--out", sheet.string()});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.last(), "1 decoded, 12 failed, 0 left behind");
  expect_sheet(sheet);

  const std::map<std::string, std::string> expected{
      {"link-to-image", "400 x 280 PNG"},
      {"link-to-nothing", "read: "},
      {"loop", "read: "},
      {"unreadable", "read: "},
      {"empty.png", "the file is empty"},
      {"notes.jpg", "this is text"},
      {"document.gif", "this is a PDF document"},
      {"noise", "of no known kind"},
      {"stub.gif", "GIF damaged"},
      {"stub.jpg", "JPEG ends early"},
      {"stub.png", "PNG damaged: the file ends early"},
      {"stub.webp", "WebP ends early"},
      {"esc?[31m?ape", "this is text"},
  };
  for (const auto& [name, words] : expected) {
    EXPECT_THAT(outcome.line_of(name), HasSubstr(words));
  }
  for (const char* skipped : {"subfolder: a folder", "pipe: a named pipe",
                              "link-to-pipe: a named pipe", "endless: a device"}) {
    EXPECT_THAT(outcome.lines, testing::Contains("skipped " + std::string(skipped)));
  }
}

TEST(example_isolate, tells_a_file_that_it_may_not_read) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read everything";
  const fs::path folder = temporary_folder();
  write(folder / "secret.png", "x");
  ASSERT_EQ(::chmod((folder / "secret.png").c_str(), 0), 0);
  const Outcome outcome = run_isolate({folder.string(), "--out", (folder / "sheet").string()});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.line_of("secret.png"), HasSubstr("ermission denied"));
}

TEST(example_isolate, makes_a_sheet_of_an_empty_folder) {
  const fs::path folder = temporary_folder() / "empty";
  fs::create_directory(folder);
  const fs::path sheet = temporary_folder() / "sheet.png";
  const Outcome outcome = run_isolate({folder.string(), "--out", sheet.string()});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.last(), "0 decoded, 0 failed, 0 left behind");
  expect_sheet(sheet);
}

TEST(example_isolate, tells_what_is_wrong_with_its_arguments) {
  const fs::path folder = temporary_folder();
  const Outcome missing = run_isolate({(folder / "missing").string()});
  EXPECT_EQ(missing.status, 1);
  EXPECT_THAT(missing.last(), HasSubstr("list " + (folder / "missing").string()));
  write(folder / "file", "");
  EXPECT_EQ(run_isolate({(folder / "file").string()}).status, 1);

  fs::create_directory(folder / "empty");
  const std::string nowhere = (folder / "missing" / "sheet.png").string();
  const Outcome unwritable = run_isolate({(folder / "empty").string(), "--out", nowhere});
  EXPECT_EQ(unwritable.status, 1);
  EXPECT_THAT(unwritable.last(), HasSubstr("write " + nowhere));

  for (const auto& wrong : std::vector<std::vector<std::string>>{
           {}, {"a", "b"}, {"--out"}, {"a", "--deadline", "soon"}, {"a", "--unknown"}}) {
    const Outcome outcome = run_isolate(wrong);
    EXPECT_EQ(outcome.status, 2);
    EXPECT_THAT(outcome.lines.at(0), HasSubstr("usage: isolate FOLDER"));
  }
}

}  // namespace
