// SPDX-License-Identifier: Apache-2.0
#include "pool/reproducer.hpp"

#include <algorithm>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <sys/stat.h>
#include <unistd.h>

#include "os/syscall.hpp"

namespace bulkhead::pool {
namespace {

namespace fs = std::filesystem;
using detail::Reproducer;
using detail::Task;

constexpr int most_of_one_name = 1000;

Reproducer reproducer(Task& task) {
  return task.request.reproduce != nullptr ? task.request.reproduce(task) : Reproducer{};
}

std::string numbered(const Task& task) {
  return std::string(task.request.name) + "-" + std::to_string(task.number);
}

Result<std::string> content_of(const fs::path& file) {
  std::error_code failed;
  if (!fs::is_regular_file(file, failed)) {
    return fail(ErrorKind::invalid, {.operation = "read", .object = file.string()});
  }
  std::ifstream in{file, std::ios::binary};
  std::string content{std::istreambuf_iterator<char>{in}, {}};
  if (!in) return fail(ErrorKind::system, {.operation = "read", .object = file.string()});
  return content;
}

Result<void> write_new(const fs::path& path, std::string_view content) {
  Fd file =
      Fd::adopt(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return os::failed("save", path.string());
  while (!content.empty()) {
    const auto written =
        os::retry_eintr([&] { return ::write(file.native(), content.data(), content.size()); });
    if (written < 0) return os::failed("save", path.string());
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Result<fs::path> save_as(const fs::path& folder, const fs::path& name, std::string_view content) {
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return os::failed("make folder", folder.string());
  }
  for (int i = 1; i <= most_of_one_name; ++i) {
    const std::string number = i == 1 ? "" : "-" + std::to_string(i);
    const fs::path path = folder / (name.stem().string() + number + name.extension().string());
    auto written = write_new(path, content);
    if (written) return path;
    if (written.error() != ErrorKind::exists) return fail(std::move(written).error());
    const auto there = content_of(path);
    if (there && *there == content) return path;
  }
  return fail(ErrorKind::exists, {.operation = "save", .object = (folder / name).string()});
}

std::string_view arguments_of(const Task& task) {
  return as_text(Bytes{task.request.bytes}.subspan(detail::task_header_bytes));
}

}  // namespace

std::string task_name(Task& task) {
  const auto input = reproducer(task);
  return input.kind == Reproducer::Kind::file ? input.text : numbered(task);
}

Result<fs::path> save(Task& task, const fs::path& folder) {
  const auto input = reproducer(task);
  switch (input.kind) {
    case Reproducer::Kind::file: {
      const fs::path file{input.text};
      const auto content = BULKHEAD_TRY(content_of(file));
      return save_as(folder, file.filename(), content);
    }
    case Reproducer::Kind::text:
      return save_as(folder, numbered(task) + ".input", input.text);
    case Reproducer::Kind::encoded:
      break;
  }
  return save_as(folder, numbered(task) + ".encoded", arguments_of(task));
}

}  // namespace bulkhead::pool
