// SPDX-License-Identifier: Apache-2.0
#include "os/draft.hpp"

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <memory>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "os/file.hpp"
#include "os/syscall.hpp"

namespace bulkhead::os {
namespace {

constexpr std::string_view prefix = ".bulkhead-draft-";

std::string random_name() {
  return std::string{prefix} + std::to_string(random_word()) + "-" + std::to_string(random_word());
}

/// For a record, which is read by processes with other working folders.
Result<std::string> absolute(const std::string& folder) {
  const std::unique_ptr<char, void (*)(void*)> path{::realpath(folder.c_str(), nullptr), std::free};
  if (!path) return failed("look at folder", folder);
  return std::string{path.get()};
}

/// Nobody but this user can write it. FAT has no modes of its own files, and refuses to change them.
Result<void> make_private(FdView file, const std::string& object) {
  struct stat found{};
  if (::fchmod(file.native(), 0600) == 0) return {};
  const int number = errno;
  if (::fstat(file.native(), &found) == 0 && found.st_uid == ::geteuid() &&
      (found.st_mode & 022) == 0) {
    return {};
  }
  errno = number;
  return failed("set the mode of", object);
}

int rename_to_free(const std::string& from, const std::string& to) {
  return ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE);
}

}  // namespace

Aside::Aside(Aside&& other) noexcept
    : path_(std::exchange(other.path_, {})),
      record_(std::exchange(other.record_, std::nullopt)),
      owner_(other.owner_) {}

Aside& Aside::operator=(Aside&& other) noexcept {
  if (this != &other) {
    release();
    path_ = std::exchange(other.path_, {});
    record_ = std::exchange(other.record_, std::nullopt);
    owner_ = other.owner_;
  }
  return *this;
}

void Aside::release() noexcept {
  if (!path_.empty() && owner_ == ::getpid()) ::unlink(path_.c_str());
  path_.clear();
  record_.reset();
}

bool is_name_of_draft(std::string_view name) noexcept { return name.starts_with(prefix); }

Result<Draft> Draft::make_aside(const std::string& folder, const std::string& object) {
  Draft draft;
  auto record = BULKHEAD_TRY(NameRecord::create("file"));
  std::string path = BULKHEAD_TRY(absolute(folder)) + "/" + random_name();
  BULKHEAD_TRY(record.add(Named::draft, path));
  draft.file =
      Fd::adopt(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!draft.file) return failed("make", object);
  record.made();
  draft.aside.path_ = std::move(path);
  draft.aside.record_ = std::move(record);
  draft.aside.owner_ = ::getpid();
  return draft;
}

Result<Draft> Draft::make(const std::string& path, const std::string& object) {
  const std::string folder = folder_of(path);
  Draft draft;
  draft.file = Fd::adopt(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  // EISDIR: a kernel or a file system (FUSE, 9P) that takes O_TMPFILE for O_DIRECTORY.
  if (!draft.file && errno != EOPNOTSUPP && errno != EISDIR) return failed("make", object);
  if (!draft.file) draft = BULKHEAD_TRY(make_aside(folder, object));
  BULKHEAD_TRY(make_private(draft.file, object));
  return draft;
}

Result<void> name_draft(FdView file, Aside& aside, const std::string& path,
                        const std::string& object) {
  if (aside.path().empty()) {
    const std::string itself = "/proc/self/fd/" + std::to_string(file.native());
    if (::linkat(AT_FDCWD, itself.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) == 0) {
      return {};
    }
    return failed("name", object);
  }
  const bool linked = ::link(aside.path().c_str(), path.c_str()) == 0;
  if (!linked && errno == EEXIST) return failed("name", object);
  if (!linked && rename_to_free(aside.path(), path) != 0) return failed("name", object);
  aside.release();
  return {};
}

}  // namespace bulkhead::os
