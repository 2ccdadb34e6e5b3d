// SPDX-License-Identifier: Apache-2.0
#include "folder.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bulkhead/fd.hpp>

namespace contact_sheet {
namespace {

namespace fs = std::filesystem;

/// Empty for what can be read as a file, and for what cannot be told before it is tried.
std::string reason_to_skip(const fs::directory_entry& entry) {
  std::error_code error;
  switch (entry.status(error).type()) {
    case fs::file_type::directory:
      return "a folder";
    case fs::file_type::fifo:
      return "a named pipe";
    case fs::file_type::socket:
      return "a socket";
    case fs::file_type::block:
    case fs::file_type::character:
      return "a device";
    default:
      return {};
  }
}

bulkhead::Error cannot_read(int number) {
  return bulkhead::Error::from_errno(number, {.operation = "read"});
}

bulkhead::Error too_large() {
  return {bulkhead::ErrorKind::too_large,
          {.operation = "read",
           .cause = "more than " + std::to_string(file_bytes_at_most >> 20) + " MiB"}};
}

}  // namespace

bulkhead::Result<Folder> list_folder(const fs::path& folder) {
  Folder found;
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string reason = reason_to_skip(*entry);
    if (reason.empty()) {
      found.files.push_back(entry->path());
    } else {
      found.skipped.push_back(entry->path().filename().string() + ": " + reason);
    }
  }
  if (error) {
    return bulkhead::fail(bulkhead::Error::from_errno(
        error.value(), {.operation = "list", .object = folder.string()}));
  }
  std::ranges::sort(found.files);
  std::ranges::sort(found.skipped);
  return found;
}

bulkhead::Result<std::string> read_file(const fs::path& path) {
  // Not blocking, for the case that a pipe has taken the file's place since it was listed.
  const auto fd =
      bulkhead::Fd::adopt(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat status{};
  if (!fd || ::fstat(fd.native(), &status) != 0) return bulkhead::fail(cannot_read(errno));
  if (!S_ISREG(status.st_mode)) {
    return bulkhead::fail(bulkhead::ErrorKind::unsupported,
                          {.operation = "read", .cause = "no file"});
  }
  // The size that a file tells may be wrong (in /proc it is 0): what counts is what comes.
  std::string bytes;
  std::array<char, 1 << 16> block;
  for (;;) {
    const ssize_t size = ::read(fd.native(), block.data(), block.size());
    if (size == 0) return bytes;
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return bulkhead::fail(cannot_read(errno));
    bytes.append(block.data(), static_cast<std::size_t>(size));
    if (bytes.size() > file_bytes_at_most) return bulkhead::fail(too_large());
  }
}

}  // namespace contact_sheet
