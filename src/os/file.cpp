// SPDX-License-Identifier: Apache-2.0
#include "os/file.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/draft.hpp"
#include "os/names.hpp"
#include "os/syscall.hpp"

namespace bulkhead::os {
namespace {

std::unexpected<Error> write_failed(const std::string& path) {
  if (errno == EFBIG) {
    return fail(ErrorKind::exhausted, {.operation = "write",
                                       .object = path,
                                       .cause = "the file would be larger than files may be here",
                                       .remedy = "choose smaller segments"});
  }
  if (errno == ENOSPC || errno == EDQUOT) {
    return failed("write", path, "make room; what was written before is kept");
  }
  return failed("write", path);
}

}  // namespace

Result<Fd> open_file(const std::string& path, int flags) {
  Fd file = Fd::adopt(retry_eintr(
      [&] { return ::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600); }));
  if (!file) return failed("open", path);
  struct stat found{};
  if (::fstat(file.native(), &found) != 0) return failed("open", path);
  if (!S_ISREG(found.st_mode)) {
    return fail(ErrorKind::invalid,
                {.operation = "open", .object = path, .cause = "it is not a file"});
  }
  // An odd umask of the host's is not ours to change, and would lock us out of our own file.
  if ((flags & O_CREAT) != 0 && (found.st_mode & 0600) != 0600 && found.st_uid == ::geteuid() &&
      ::fchmod(file.native(), 0600) != 0) {
    return failed("open", path);
  }
  return file;
}

Result<Fd> open_nameless() {
  const std::string folder = BULKHEAD_TRY(runtime_directory());
  auto draft = BULKHEAD_TRY(Draft::make(folder + "/log", folder));
  return std::move(draft.file);
}

Result<std::size_t> read_at(FdView file, std::uint64_t offset, MutableBytes into,
                            const std::string& path) {
  return read_at_least(file, offset, into, into.size(), path);
}

Result<std::size_t> read_at_least(FdView file, std::uint64_t offset, MutableBytes into,
                                  std::size_t least, const std::string& path) {
  std::size_t done = 0;
  while (done < least) {
    const auto got = retry_eintr([&] {
      return ::pread(file.native(), into.data() + done, into.size() - done,
                     static_cast<off_t>(offset + done));
    });
    if (got < 0) return failed("read", path);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

Result<void> write_at(FdView file, std::uint64_t offset, std::span<iovec> parts,
                      const std::string& path) {
  while (!parts.empty()) {
    if (parts.front().iov_len == 0) {
      parts = parts.subspan(1);
      continue;
    }
    const auto count = static_cast<int>(std::min<std::size_t>(parts.size(), IOV_MAX));
    const auto at = static_cast<off_t>(offset);
    const auto put = retry_eintr([&] {
      if (count > 1) return ::pwritev(file.native(), parts.data(), count, at);
      return ::pwrite(file.native(), parts.front().iov_base, parts.front().iov_len, at);
    });
    if (put < 0) return write_failed(path);
    offset += static_cast<std::uint64_t>(put);
    for (auto left = static_cast<std::size_t>(put); left > 0;) {
      auto& first = parts.front();
      const std::size_t part = std::min(left, first.iov_len);
      first.iov_base = static_cast<std::byte*>(first.iov_base) + part;
      first.iov_len -= part;
      left -= part;
      if (first.iov_len == 0) parts = parts.subspan(1);
    }
  }
  return {};
}

Result<void> write_at(FdView file, std::uint64_t offset, Bytes bytes, const std::string& path) {
  iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
  return write_at(file, offset, {&part, 1}, path);
}

Result<void> check_size_limit(std::uint64_t size, const std::string& path) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
      size <= limit.rlim_cur) {
    return {};
  }
  return fail(ErrorKind::exhausted,
              {.operation = "write",
               .object = path,
               .cause = "this process may not make files larger than " +
                        std::to_string(limit.rlim_cur) + " bytes",
               .remedy = "raise the limit (ulimit -f) or choose smaller segments"});
}

Result<void> cut(FdView file, std::uint64_t size, const std::string& path) {
  if (retry_eintr([&] { return ::ftruncate(file.native(), static_cast<off_t>(size)); }) != 0) {
    return failed("cut", path);
  }
  return {};
}

Result<std::uint64_t> size_of(FdView file, const std::string& path) {
  struct stat found{};
  if (::fstat(file.native(), &found) != 0) return failed("look at", path);
  return static_cast<std::uint64_t>(found.st_size);
}

Result<void> sync_data(FdView file, const std::string& path) {
  if (retry_eintr([&] { return ::fdatasync(file.native()); }) != 0) return failed("sync", path);
  return {};
}

Result<void> sync_folder(const std::string& folder) {
  const Fd opened = Fd::adopt(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened) return failed("open", folder);
  if (retry_eintr([&] { return ::fsync(opened.native()); }) != 0) return failed("sync", folder);
  return {};
}

Result<void> replace_file(const std::string& path, Bytes content, Durable durable) {
  const std::string aside = path + ".new";
  const Fd file = BULKHEAD_TRY(open_file(aside, O_WRONLY | O_CREAT | O_TRUNC));
  BULKHEAD_TRY(write_at(file, 0, content, aside));
  if (durable == Durable::yes) BULKHEAD_TRY(sync_data(file, aside));
  if (::rename(aside.c_str(), path.c_str()) != 0) return failed("replace", path);
  if (durable == Durable::yes) BULKHEAD_TRY(sync_folder(folder_of(path)));
  return {};
}

Result<std::vector<std::string>> names_in(const std::string& folder) {
  struct Close {
    void operator()(DIR* dir) const noexcept { ::closedir(dir); }
  };
  const std::unique_ptr<DIR, Close> dir{::opendir(folder.c_str())};
  if (!dir) return failed("list", folder);
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(dir.get());
    if (entry == nullptr) break;
    names.emplace_back(entry->d_name);
  }
  if (errno != 0) return failed("list", folder);
  std::ranges::sort(names);
  return names;
}

Result<void> make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0) {
    if (::chmod(path.c_str(), 0700) != 0) return failed("make folder", path);  // a umask of 0777
    return {};
  }
  if (errno != EEXIST) return failed("make folder", path);
  struct stat found{};
  if (::stat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode)) return {};
  return fail(ErrorKind::exists, {.operation = "make folder",
                                  .object = path,
                                  .cause = "something else has that name",
                                  .remedy = "choose another one; a log is a folder"});
}

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::uint64_t random_word() noexcept {
  std::uint64_t word = 0;
  if (retry_eintr([&] { return ::getrandom(&word, sizeof word, GRND_INSECURE); }) != sizeof word) {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    word = static_cast<std::uint64_t>(now.tv_nsec) * 0x9e3779b97f4a7c15U ^
           static_cast<std::uint64_t>(::getpid()) << 32;
  }
  return word;
}

}  // namespace bulkhead::os
