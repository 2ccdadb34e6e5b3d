// SPDX-License-Identifier: Apache-2.0
//
// isolate FOLDER: a contact sheet of a folder of images, made by decoders that nobody has to trust.
//
// Every file is decoded in a sandboxed process of its own, by an ordinary function call:
//
//   bulkhead::isolate<decode>({.sandbox = ..., .deadline = 3s}, bytes, limits)
//
// What comes back is a picture, or an Error that says how the decoder died. This process reads
// files, prints lines and draws cards; it never looks inside an image.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <iomanip>
#include <iostream>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <bulkhead/isolate.hpp>

#include "decode.hpp"
#include "folder.hpp"
#include "font.hpp"
#include "left_behind.hpp"
#include "sheet.hpp"

namespace {

using namespace contact_sheet;
using bulkhead::Result;

constexpr std::string_view usage =
    "usage: isolate FOLDER [--out FILE] [--deadline SECONDS]\n"
    "\n"
    "Decodes every file of FOLDER in a sandboxed process of its own and writes a contact sheet.\n"
    "  --out FILE           the sheet, a PNG (contact-sheet.png)\n"
    "  --deadline SECONDS   for each file (3)\n";

struct Options {
  std::filesystem::path folder;
  std::filesystem::path out = "contact-sheet.png";
  std::chrono::milliseconds deadline = std::chrono::seconds(3);
};

/// TRUST: the child decoded an untrusted file, so its answer is one too. It is believed only if
/// the pixels are there and fit on a card, and the words are few. Errors come from there as well:
/// they are shortened where they are shown.
Result<Picture> believe(Picture picture, const Limits& limits) {
  const auto [width, height] = picture.thumbnail;
  if (width <= limits.box.width && height <= limits.box.height &&
      picture.rgba.size() == std::size_t{width} * height * 4 && picture.format.size() <= 16 &&
      picture.remark.size() <= 200) {
    return picture;
  }
  return bulkhead::fail(bulkhead::ErrorKind::corrupt,
                        {.operation = "decode", .cause = "the answer makes no sense"});
}

/// The whole point, for one file.
Result<Picture> decode_in_sandbox(const std::filesystem::path& file, const Options& options) {
  const Limits limits;
  std::string bytes = BULKHEAD_TRY(read_file(file));
  Picture picture = BULKHEAD_TRY(bulkhead::isolate<decode>(
      {.sandbox = bulkhead::sandbox::compute_only, .deadline = options.deadline}, std::move(bytes),
      limits));
  return believe(std::move(picture), limits);
}

Judged judge(const std::filesystem::path& file, const Options& options) {
  const auto begin = std::chrono::steady_clock::now();
  Result<Picture> picture = decode_in_sandbox(file, options);
  const auto took = std::chrono::steady_clock::now() - begin;
  return {file.filename().string(), std::move(picture),
          std::chrono::duration_cast<std::chrono::milliseconds>(took)};
}

void print(const Judged& file, std::size_t name_width) {
  std::cout << std::left << std::setw(static_cast<int>(name_width) + 1)
            << shorten(printable(file.name), name_width) << std::right << std::setw(6)
            << file.took.count() << " ms  ";
  if (!file.picture) {
    std::cout << shorten(printable(file.picture.error().sentence()), 400) << std::endl;
    return;
  }
  std::cout << file.picture->size.width << " x " << file.picture->size.height << ' '
            << printable(file.picture->format);
  if (!file.picture->remark.empty()) std::cout << ", " << printable(file.picture->remark);
  std::cout << std::endl;
}

/// As many files at a time as there are CPUs for us; lines in the order of the names.
std::vector<Judged> judge_all(const std::vector<std::filesystem::path>& files,
                              const Options& options) {
  std::vector<std::packaged_task<Judged()>> tasks;
  std::size_t name_width = 4;
  for (const auto& file : files) {
    tasks.emplace_back([&file, &options] { return judge(file, options); });
    name_width = std::clamp(file.filename().string().size(), name_width, std::size_t{32});
  }
  std::atomic<std::size_t> next{0};
  std::vector<std::jthread> workers(
      std::min<std::size_t>(tasks.size(), std::max(1U, std::thread::hardware_concurrency())));
  for (auto& worker : workers) {
    worker = std::jthread([&tasks, &next] {
      for (std::size_t i = next++; i < tasks.size(); i = next++) tasks[i]();
    });
  }
  std::vector<Judged> judged;
  for (auto& task : tasks) {
    judged.push_back(task.get_future().get());
    print(judged.back(), name_width);
  }
  return judged;
}

/// Prints, and returns the exit status.
int run(const Options& options) {
  const std::set<std::string> before = holdings();
  const Folder folder = bulkhead::or_exit(list_folder(options.folder));
  for (const std::string& skipped : folder.skipped) {
    std::cout << "skipped " << printable(skipped) << '\n';
  }
  const std::vector<Judged> judged = judge_all(folder.files, options);
  bulkhead::or_exit(write_sheet(judged, options.out));

  const std::set<std::string> left = left_behind(before);
  for (const std::string& line : left) std::cout << "left behind: " << printable(line) << '\n';
  const auto decoded =
      std::ranges::count_if(judged, [](const Judged& file) { return file.picture.has_value(); });
  std::cout << "see " << options.out.string() << '\n'
            << decoded << " decoded, " << std::ssize(judged) - decoded << " failed, " << left.size()
            << " left behind" << std::endl;
  return left.empty() ? 0 : 1;
}

int wrong_usage() {
  std::cerr << usage;
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  bulkhead::init(argc, argv);  // a child goes no further

  Options options;
  const std::vector<std::string_view> arguments(argv + 1, argv + argc);
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const bool has_value = i + 1 < arguments.size();
    if (arguments[i] == "--help") {
      std::cout << usage;
      return 0;
    } else if (arguments[i] == "--out" && has_value) {
      options.out = arguments[++i];
    } else if (arguments[i] == "--deadline" && has_value) {
      const double seconds = std::atof(std::string(arguments[++i]).c_str());
      if (!(seconds > 0 && seconds < 1e6)) return wrong_usage();
      options.deadline = std::chrono::milliseconds(static_cast<long>(seconds * 1000));
    } else if (options.folder.empty() && !arguments[i].starts_with('-')) {
      options.folder = arguments[i];
    } else {
      return wrong_usage();
    }
  }
  return options.folder.empty() ? wrong_usage() : run(options);
}
