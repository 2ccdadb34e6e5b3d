// SPDX-License-Identifier: Apache-2.0
#include "os/process_identity.hpp"

#include <array>
#include <charconv>
#include <cstdio>
#include <fcntl.h>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

#include <bulkhead/fd.hpp>

#include "os/syscall.hpp"

namespace bulkhead::os {
namespace {

using Text = std::array<char, 1024>;

std::string_view read_small(const char* path, Text& text) noexcept {
  const Fd file = Fd::adopt(::open(path, O_RDONLY | O_CLOEXEC));
  if (!file) return {};
  const auto got = retry_eintr([&] { return ::read(file.native(), text.data(), text.size()); });
  return {text.data(), got > 0 ? static_cast<std::size_t>(got) : 0};
}

struct Stat {
  std::uint64_t flags = 0;
  std::uint64_t start = 0;
};

/// Fields 9 and 22 of a stat file, proc(5).
Stat read_stat(const char* path) noexcept {
  Text space;
  const std::string_view text = read_small(path, space);
  auto at = text.rfind(')');  // the command may contain anything
  Stat stat;
  for (int field = 3; field <= 22 && at != text.npos; ++field) {
    at = text.find(' ', at + 1);
    if (at == text.npos) return {};
    if (field != 9 && field != 22) continue;
    std::from_chars(text.data() + at + 1, text.data() + text.size(),
                    field == 9 ? stat.flags : stat.start);
  }
  return stat;
}

}  // namespace

std::uint64_t start_of(pid_t process) noexcept {
  std::array<char, 64> path;
  std::snprintf(path.data(), path.size(), "/proc/%d/stat", process);
  return read_stat(path.data()).start;
}

std::uint64_t start_of(pid_t process, pid_t thread) noexcept {
  std::array<char, 64> path;
  std::snprintf(path.data(), path.size(), "/proc/%d/task/%d/stat", process, thread);
  constexpr std::uint64_t exiting = 4;  // PF_EXITING
  const Stat stat = read_stat(path.data());
  return (stat.flags & exiting) != 0 ? 0 : stat.start;
}

std::uint64_t this_boot() noexcept {
  static const std::uint64_t boot = [] {
    Text space;
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char letter : read_small("/proc/sys/kernel/random/boot_id", space)) {
      hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001b3;
    }
    return hash;
  }();
  return boot;
}

std::uint64_t process_namespace() noexcept {
  struct stat found{};
  return ::stat("/proc/self/ns/pid", &found) == 0 ? found.st_ino : 0;
}

}  // namespace bulkhead::os
