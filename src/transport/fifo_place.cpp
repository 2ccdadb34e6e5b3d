// SPDX-License-Identifier: Apache-2.0
#include "transport/fifo_place.hpp"

#include <algorithm>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

#include "os/pipe.hpp"
#include "os/syscall.hpp"
#include "transport/parameters.hpp"

namespace bulkhead::transport {
namespace {

namespace fs = std::filesystem;

/// The longest path, with room for what is put behind it.
constexpr std::size_t longest_path = 4000;

constexpr mode_t mark_of(FifoUse use) { return use == FifoUse::gathering ? S_ISUID : 0; }

/// Somebody may read there who does not know of our lock files.
Result<void> remove_stale_fifo(const std::string& path) {
  struct stat found{};
  if (::lstat(path.c_str(), &found) != 0) {
    return errno == ENOENT ? Result<void>{} : os::failed("look at", path);
  }
  if (!S_ISFIFO(found.st_mode)) {
    return fail(ErrorKind::exists, {.cause = "there is a file that is no named pipe",
                                    .remedy = "remove it or choose another name"});
  }
  if (os::open_fifo(path, os::FifoEnd::writing)) {
    return fail(ErrorKind::exists, {.cause = "a process reads from a named pipe of that name",
                                    .remedy = "stop it or choose another name"});
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return os::failed("remove stale", path);
  return {};
}

bool is_instance_of(const std::string& file, const std::string& server) {
  constexpr std::size_t digits = 2 * sizeof(fifo_frame::Token);
  if (!file.starts_with(server + ".")) return false;
  const std::string rest = file.substr(server.size() + 1);
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  return rest.size() > digits && std::all_of(rest.begin(), rest.begin() + digits, is_digit) &&
         (rest.substr(digits) == ".up" || rest.substr(digits) == ".down");
}

/// No client can be of this server yet: whoever has names here waits for one that died.
void remove_stale_instances(const fs::path& path) {
  std::error_code ignored;
  for (fs::directory_iterator at{path.parent_path(), ignored}, end; !ignored && at != end;
       at.increment(ignored)) {
    const std::string file = at->path().filename().string();
    struct stat found{};
    if (is_instance_of(file, path.filename().string()) &&
        ::lstat(at->path().c_str(), &found) == 0 && S_ISFIFO(found.st_mode) &&
        found.st_uid == ::geteuid()) {
      ::unlink(at->path().c_str());
    }
  }
}

bool is_same(FdView fd, const std::string& path) {
  struct stat held{};
  struct stat named{};
  return ::fstat(fd.native(), &held) == 0 && ::lstat(path.c_str(), &named) == 0 &&
         held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

}  // namespace

Result<FifoPlace> FifoPlace::claim(const std::string& path, FifoUse use) {
  auto lock = BULKHEAD_TRY(os::NameLock::take(path + ".lock", "fifo", os::Named::fifo, path));
  BULKHEAD_TRY(remove_stale_fifo(path));
  remove_stale_instances(path);
  BULKHEAD_TRY(os::make_fifo(path, mark_of(use)));
  lock.made();
  auto mouth = os::open_fifo(path, os::FifoEnd::reading);
  if (!mouth) {
    ::unlink(path.c_str());
    return fail(std::move(mouth).error());
  }
  os::sign(*mouth);
  return FifoPlace{path, std::move(lock), *std::move(mouth)};
}

FifoPlace::~FifoPlace() {
  if (!lock_.is_ours()) return;
  if (marks_) os::mark_closed(mouth_, os::PipeEnd::reading);
  if (is_same(mouth_, path_)) ::unlink(path_.c_str());
}

Result<std::string> fifo_path(std::string name) {
  auto parameters = BULKHEAD_TRY(Parameters::cut_from(name));
  BULKHEAD_TRY(parameters.expect_none_left());
  const bool is_path = name.size() > 1 && name.front() == '/' && name.back() != '/' &&
                       name.find('\0') == name.npos && name.size() <= longest_path &&
                       fs::path{name}.filename().string().size() <= 200;
  if (is_path) return name;
  return fail(ErrorKind::invalid,
              {.cause = "it is not the absolute path of a file", .remedy = "write fifo:///path"});
}

Result<Fd> open_server(const std::string& path, FifoUse use) {
  auto server = os::open_fifo(path, os::FifoEnd::writing);
  if (!server) {
    if (server.error() != ErrorKind::not_found) return server;
    return fail(ErrorKind::not_found,
                {.cause = "nobody listens there", .remedy = "start the one that does"});
  }
  struct stat found{};
  if (::fstat(server->native(), &found) != 0) return os::failed("look at", path);
  if ((found.st_mode & S_ISUID) == mark_of(use)) return server;
  const bool gathers = use == FifoUse::instances;
  return fail(
      ErrorKind::incompatible,
      {.cause = gathers ? "the server only receives, from many writers into one pipe"
                        : "the server has a pair of pipes for each client",
       .remedy = gathers ? "connect with Direction::send" : "connect with Direction::both"});
}

pid_t server_pid(FdView server, const std::string& path) noexcept {
  const pid_t signer = os::signer_of(server);
  if (signer != 0) return signer;
  // Its own locks the kernel does not tell a process.
  const bool is_own = os::NameLock::owner_written_in(path + ".lock") == ::getpid();
  return is_own ? ::getpid() : 0;
}

InstanceNames::InstanceNames(const std::string& path, const fifo_frame::Token& token) {
  constexpr char digits[] = "0123456789abcdef";
  std::string base = path + ".";
  for (const std::uint8_t byte : token) {
    base += digits[byte >> 4];
    base += digits[byte & 15];
  }
  up = base + ".up";
  down = base + ".down";
}

void InstanceNames::remove() const noexcept {
  ::unlink(up.c_str());
  ::unlink(down.c_str());
}

}  // namespace bulkhead::transport
