// SPDX-License-Identifier: Apache-2.0
//
// thumbnails FOLDER OUT.png [GOOD]: thumbnails of all pictures of a folder, in parallel, by decoders that nobody
// has to trust; and what became of those that are damaged or hostile. With GOOD, so many pictures are
// painted into FOLDER/painted first, for the bad ones to hide among.
//
// The decoders are those of examples/isolate, with their backdoor; each worker is sandboxed.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include <bulkhead/pool.hpp>

#include "../isolate/canvas.hpp"
#include "../isolate/decode.hpp"
#include "../isolate/folder.hpp"

namespace {

using namespace bulkhead;
using namespace contact_sheet;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr Limits limits{.box = {44, 32}};
constexpr int columns = 26;
constexpr int cell_width = 46;
constexpr int cell_height = 34;

/// An ordinary function; it may crash.
Result<Picture> thumbnail(const fs::path& file) {
  auto bytes = read_file(file);
  if (!bytes) return fail(std::move(bytes).error());
  return decode(*std::move(bytes), limits);
}

void paint(const fs::path& folder, int count) {
  fs::create_directories(folder);
  for (int i = 0; i < count; ++i) {
    const auto tone = [&](int step) { return static_cast<std::uint8_t>(40 + i * step % 200); };
    Canvas canvas{220, 160, {tone(3), tone(7), tone(11)}};
    canvas.fill_round({20, 20, 180, 120}, 20, {tone(13), tone(5), tone(2)});
    canvas.text(40, 60, std::to_string(i), 4, {255, 255, 255});
    or_exit(canvas.save_png(folder / ("painted-" + std::to_string(i) + ".png")));
  }
}

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator{folder}) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

/// TRUST: a worker decoded an untrusted file: its answer is drawn only where the pixels are there.
bool is_drawable(const Picture& picture) {
  const auto [width, height] = picture.thumbnail;
  return width <= limits.box.width && height <= limits.box.height &&
         picture.rgba.size() == std::size_t{width} * height * 4;
}

}  // namespace

int main(int argc, char** argv) {
  init(argc, argv);
  if (argc < 3) {
    std::cerr << "usage: thumbnails FOLDER OUT.png [GOOD]\n";
    return 2;
  }
  const fs::path folder = fs::absolute(argv[1]);
  if (argc > 3) paint(folder / "painted", std::atoi(argv[3]));
  const auto files = files_in(folder);
  const int rows = (static_cast<int>(files.size()) + columns - 1) / columns;
  Canvas sheet{columns * cell_width, rows * cell_height, {24, 28, 36}};

  Sandbox sandbox = sandbox::read_only(folder.string());
  sandbox.limits.memory_bytes = 256 << 20;
  Pool pool{{.time_limit = 3s, .sandbox = sandbox}};
  int place = 0;
  int bad = 0;
  for (auto& [file, picture] : pool.map<thumbnail>(files, {.progress = progress_bar()})) {
    const int x = place % columns * cell_width;
    const int y = place / columns * cell_height;
    ++place;
    if (picture && is_drawable(*picture)) {
      sheet.draw(x + 1, y + 1, picture->thumbnail, picture->rgba);
      continue;
    }
    ++bad;
    sheet.fill({x + 1, y + 1, 44, 32}, {150, 30, 30});
    std::cerr << file.filename().string() << ": "
              << (picture ? "no picture" : picture.error().sentence()) << '\n';
  }
  or_exit(sheet.save_png(argv[2]));
  std::cout << files.size() - static_cast<std::size_t>(bad) << " thumbnails, " << bad
            << " bad files, " << pool.statistics().workers_died + pool.statistics().workers_killed
            << " workers lost: " << argv[2] << '\n';
}
