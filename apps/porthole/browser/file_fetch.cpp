// SPDX-License-Identifier: Apache-2.0
#include "browser/file_fetch.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include <bulkhead/fd.hpp>

#include "browser/url.hpp"

namespace porthole {
namespace {

using bulkhead::ErrorKind;
using bulkhead::fail;
using bulkhead::Fd;
using bulkhead::Region;
using bulkhead::Result;

constexpr std::size_t max_listed = 10'000;
constexpr std::size_t read_at_once = 1 << 20;

std::unexpected<bulkhead::Error> bad(ErrorKind kind, const std::filesystem::path& path,
                                     std::string cause) {
  return fail(kind, {.operation = "open", .object = path.string(), .cause = std::move(cause)});
}

std::unexpected<bulkhead::Error> failed(const std::filesystem::path& path, int number) {
  if (number == ENOENT) return bad(ErrorKind::not_found, path, "there is no such file");
  if (number == ENOTDIR) return bad(ErrorKind::not_found, path, "there is no such folder");
  if (number == EACCES) return bad(ErrorKind::denied, path, "you may not read this file");
  return fail(bulkhead::Error::from_errno(number, {.operation = "open", .object = path.string()}));
}

/// Reads exactly what fits; fewer bytes when the file has become shorter.
Result<std::size_t> read_into(const Fd& file, bulkhead::MutableBytes to,
                              const std::filesystem::path& path, const std::atomic<bool>& stop) {
  std::size_t filled = 0;
  while (filled < to.size()) {
    if (stop.load()) return fail(ErrorKind::cancelled);
    const auto step = std::min(read_at_once, to.size() - filled);
    const auto got = ::read(file.native(), to.data() + filled, step);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed(path, errno);
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  return filled;
}

Result<FetchedFile> read_regular(const Fd& file, std::size_t size, LoadKind kind,
                                 const std::filesystem::path& path, const std::atomic<bool>& stop) {
  FetchedFile result;
  if (size == 0) {
    result.type = decide_type({.name = path.native(), .kind = kind});
    return result;
  }
  auto region = BULKHEAD_TRY(Region::create(size, {.name = "file"}));
  const auto filled = BULKHEAD_TRY(read_into(file, region.mutable_bytes(), path, stop));
  if (filled < size) return bad(ErrorKind::closed, path, "it became shorter while it was read");
  BULKHEAD_TRY(region.freeze());
  result.type = decide_type({.name = path.native(),
                             .first = region.bytes().first(std::min(size, sniffed_bytes)),
                             .kind = kind});
  result.body = std::move(region);
  return result;
}

struct Entry {
  std::string name;
  bool is_folder;
};

std::string listing(const std::filesystem::path& path, std::vector<Entry> entries, bool cut) {
  std::ranges::sort(entries, [](const Entry& a, const Entry& b) {
    return a.is_folder != b.is_folder ? a.is_folder : a.name < b.name;
  });
  const std::string title = html_escaped(path.string());
  std::string html = "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>" + title +
                     "</title></head>\n<body><h1>" + title + "</h1>\n<ul>\n";
  if (path.has_relative_path()) html += "<li><a href=\"../\">../</a></li>\n";
  for (const auto& entry : entries) {
    // As a path of its own: a name may contain whatever a URL gives a meaning to.
    const std::string link = "./" + file_url("/" + entry.name).path.substr(1);
    const std::string_view slash = entry.is_folder ? "/" : "";
    html.append("<li><a href=\"").append(html_escaped(link)).append(slash).append("\">");
    html.append(html_escaped(entry.name)).append(slash).append("</a></li>\n");
  }
  if (cut) html += "<li>and more</li>\n";
  return html + "</ul></body></html>\n";
}

Result<FetchedFile> list_folder(const std::filesystem::path& path, const std::atomic<bool>& stop) {
  std::vector<Entry> entries;
  std::error_code error;
  std::filesystem::directory_iterator it{path, error};
  for (; !error && it != std::filesystem::directory_iterator{}; it.increment(error)) {
    if (stop.load()) return fail(ErrorKind::cancelled);
    if (entries.size() == max_listed) break;
    std::error_code ignored;
    entries.push_back({it->path().filename().string(), it->is_directory(ignored)});
  }
  if (error) return failed(path, error.value());
  const bool cut = entries.size() == max_listed;
  const std::string html = listing(path, std::move(entries), cut);
  return FetchedFile{.type = {"text/html", "utf-8"},
                     .body = BULKHEAD_TRY(frozen(bulkhead::as_bytes(html))),
                     .is_folder = true};
}

}  // namespace

std::string html_escaped(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

Result<std::optional<Region>> frozen(bulkhead::Bytes bytes) {
  if (bytes.empty()) return std::nullopt;
  auto region = BULKHEAD_TRY(Region::create(bytes.size(), {.name = "body"}));
  std::memcpy(region.mutable_bytes().data(), bytes.data(), bytes.size());
  BULKHEAD_TRY(region.freeze());
  return std::optional<Region>{std::move(region)};
}

Result<FetchedFile> fetch_file(const std::filesystem::path& path, LoadKind kind,
                               std::size_t max_bytes, const std::atomic<bool>& stop) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return failed(path, errno);
  if (S_ISDIR(status.st_mode)) {
    if (kind == LoadKind::page) return list_folder(path, stop);
    return bad(ErrorKind::unsupported, path, "it is a folder");
  }
  // Asked before it is opened, which may have effects on a device; and not blocking, in case it has
  // become a pipe since.
  if (!S_ISREG(status.st_mode)) return bad(ErrorKind::unsupported, path, "it is not a file");
  const Fd file = Fd::adopt(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file || ::fstat(file.native(), &status) != 0) return failed(path, errno);
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size > max_bytes) {
    return bad(ErrorKind::too_large, path,
               "its " + std::to_string(size) + " bytes are more than the " +
                   std::to_string(max_bytes) + " that are loaded");
  }
  return read_regular(file, size, kind, path, stop);
}

}  // namespace porthole
