// SPDX-License-Identifier: Apache-2.0
#include "misbehave.hpp"

#include <atomic>
#include <cstdint>
#include <fcntl.h>
#include <memory>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

namespace contact_sheet {
namespace {

void crash() {
  // The address passes through a volatile, or the compiler would see through the plan.
  const volatile std::uintptr_t address = 0x10;
  *reinterpret_cast<volatile int*>(address) = 1;
}

[[noreturn]] void spin() {
  for (std::atomic<unsigned> turns{0};; ++turns) {
  }
}

/// Writes to one page in sixteen: the limit counts what was asked for, and to fill it whole takes
/// seconds where memory is slow. Without a limit it gets all the same to where it hurts.
[[noreturn]] void eat() {
  constexpr std::size_t bite = 8U << 20, step = 16 * 4096;
  for (std::vector<std::unique_ptr<char[]>> eaten;;) {
    eaten.emplace_back(new char[bite]);
    volatile char* bytes = eaten.back().get();
    for (std::size_t i = 0; i < bite; i += step) bytes[i] = 1;
  }
}

std::string_view open_file() {
  const int fd = ::open("/etc/passwd", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "was refused /etc/passwd";
  ::close(fd);
  return "NO SANDBOX: opened /etc/passwd";
}

std::string_view open_socket() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return "was refused a socket";
  ::close(fd);
  return "NO SANDBOX: opened a socket";
}

}  // namespace

std::string_view obey(std::string_view order) {
  if (order == "crash") crash();
  if (order == "spin") spin();
  if (order == "eat") eat();
  if (order == "open") return open_file();
  if (order == "socket") return open_socket();
  return {};
}

}  // namespace contact_sheet
