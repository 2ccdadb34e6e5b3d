// SPDX-License-Identifier: Apache-2.0
#include "os/inet_owner.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <netinet/in.h>
#include <sstream>
#include <unistd.h>

namespace bulkhead::os {
namespace {

namespace fs = std::filesystem;

/// As the kernel prints it: the bytes in words of the machine, "0100007F:1267".
std::string as_in_proc(std::string_view raw, std::uint16_t port) {
  std::array<char, 48> text{};
  std::size_t size = 0;
  for (std::size_t at = 0; at < raw.size(); at += 4) {
    std::uint32_t word = 0;
    std::memcpy(&word, raw.data() + at, sizeof word);
    size += static_cast<std::size_t>(
        std::snprintf(text.data() + size, text.size() - size, "%08X", word));
  }
  std::snprintf(text.data() + size, text.size() - size, ":%04X", unsigned{port});
  return text.data();
}

/// The inode of the socket, "" for none. Columns: number, local, remote, state, three of counters,
/// uid, timeout, inode (proc(5)).
std::string inode_of(const InetAddress& address, int socket_type) {
  const bool six = address.family() == AF_INET6;
  const bool stream = socket_type == SOCK_STREAM;
  std::ifstream table{std::string{"/proc/net/"} + (stream ? "tcp" : "udp") + (six ? "6" : "")};
  const std::string wanted = as_in_proc(address.raw(), address.port());
  const std::string any = as_in_proc(std::string(address.raw().size(), '\0'), address.port());
  const std::string state = stream ? "0A" : "07";  // TCP_LISTEN, TCP_CLOSE: not connected
  for (std::string line; std::getline(table, line);) {
    std::istringstream columns{line};
    std::array<std::string, 10> column;
    for (auto& one : column) columns >> one;
    if ((column[1] == wanted || column[1] == any) && column[3] == state) return column[9];
  }
  return {};
}

bool holds(const fs::path& process, const std::string& link) {
  std::error_code ignored;
  for (fs::directory_iterator fd{process / "fd", ignored}, end; fd != end; fd.increment(ignored)) {
    if (ignored) return false;
    if (fs::read_symlink(fd->path(), ignored) == link) return true;
  }
  return false;
}

}  // namespace

pid_t owner_of(const InetAddress& address, int socket_type) {
  const std::string inode = inode_of(address, socket_type);
  if (inode.empty()) return 0;
  const std::string link = "socket:[" + inode + "]";
  if (holds("/proc/self", link)) return ::getpid();
  std::error_code ignored;
  for (fs::directory_iterator entry{"/proc", ignored}, end; entry != end;
       entry.increment(ignored)) {
    if (ignored) return 0;
    const std::string name = entry->path().filename();
    pid_t pid = 0;
    const auto [stop, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc{} || stop != name.data() + name.size()) continue;
    if (holds(entry->path(), link)) return pid;
  }
  return 0;
}

bool is_listened_at(const InetAddress& address, int socket_type) {
  return !inode_of(address, socket_type).empty();
}

std::unexpected<Error> address_in_use(const InetAddress& address, int socket_type) {
  const pid_t pid = owner_of(address, socket_type);
  return fail(ErrorKind::exists,
              {.cause = "address in use by " +
                        (pid > 0 ? "pid " + std::to_string(pid) : std::string{"a process"}),
               .remedy = "stop it, or choose another port (0: the system chooses one)"});
}

}  // namespace bulkhead::os
