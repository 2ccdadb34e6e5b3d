// SPDX-License-Identifier: Apache-2.0
#include "transport/fifo_place.hpp"

#include <charconv>
#include <cstring>
#include <filesystem>
#include <optional>
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

/// The token in the name of an instance's FIFO; nothing when it is none of that server's.
std::optional<fifo_frame::Token> token_in(const std::string& file, const std::string& server) {
  fifo_frame::Token token;
  if (!file.starts_with(server + ".")) return std::nullopt;
  std::string_view rest = std::string_view{file}.substr(server.size() + 1);
  if (rest.size() <= 2 * token.size()) return std::nullopt;
  for (std::uint8_t& byte : token) {
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + 2, byte, 16);
    if (error != std::errc{} || end != rest.data() + 2) return std::nullopt;
    rest.remove_prefix(2);
  }
  if (rest != ".up" && rest != ".down") return std::nullopt;
  return token;
}

/// Calls `visit` with the path and the token of each FIFO of a client beside the server's.
template <class Visit> void for_each_instance(const fs::path& path, const Visit& visit) {
  std::error_code ignored;
  for (fs::directory_iterator at{path.parent_path(), ignored}, end; !ignored && at != end;
       at.increment(ignored)) {
    const auto token = token_in(at->path().filename().string(), path.filename().string());
    struct stat found{};
    if (token && ::lstat(at->path().c_str(), &found) == 0 && S_ISFIFO(found.st_mode) &&
        found.st_uid == ::geteuid()) {
      visit(at->path().string(), *token);
    }
  }
}

/// No client can be of this server yet: whoever has names here waits for one that died.
void remove_stale_instances(const std::string& path) {
  for_each_instance(path, [](const std::string& name, const auto&) { ::unlink(name.c_str()); });
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

std::vector<os::NamedThing> left_by_fifo_clients(const std::string& path, os::NamedThing::Do,
                                                 bool server_lives) {
  std::vector<os::NamedThing> left;
  // To write: one more reader would tell clients that the server lives.
  const Fd server = server_lives ? os::open_fifo(path, os::FifoEnd::writing).value_or(Fd{}) : Fd{};
  if (server_lives && !server) return left;
  for_each_instance(path, [&](const std::string& name, const fifo_frame::Token& token) {
    if (server && os::is_place_held(server, place_of(token))) return;
    left.push_back({os::Named::fifo, name, {}});
  });
  return left;
}

std::uint64_t place_of(const fifo_frame::Token& token) noexcept {
  std::uint64_t place = 0;
  std::memcpy(&place, token.data(), sizeof place);
  return place;
}

FifoPlace::~FifoPlace() {
  if (!lock_.is_ours()) return;
  for (const os::NamedThing& left : left_by_fifo_clients(path_, os::NamedThing::Do::look, true)) {
    ::unlink(left.name.c_str());
  }
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
