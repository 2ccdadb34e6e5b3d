// SPDX-License-Identifier: Apache-2.0
#include "sandbox/landlock.hpp"

#include <cstdint>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bulkhead/fd.hpp>

#include "os/syscall.hpp"

namespace bulkhead::sandbox {
namespace {

// Own constants: Debian 12's headers know ABI 3, kernels have 7. Bits of landlock(7), by ABI.
constexpr unsigned version_query = 1;
constexpr unsigned rule_path_beneath = 1;

constexpr std::uint64_t file_execute = 1U << 0;
constexpr std::uint64_t file_write = 1U << 1;
constexpr std::uint64_t file_read = 1U << 2;
constexpr std::uint64_t folder_read = 1U << 3;
constexpr std::uint64_t all_of_abi_1 = (1U << 13) - 1;
constexpr std::uint64_t refer = 1U << 13;         // ABI 2: rename and link between folders
constexpr std::uint64_t truncate = 1U << 14;      // ABI 3
constexpr std::uint64_t device_ioctl = 1U << 15;  // ABI 5
constexpr std::uint64_t make_character_device = 1U << 6;
constexpr std::uint64_t make_socket = 1U << 9;
constexpr std::uint64_t make_fifo = 1U << 10;
constexpr std::uint64_t make_block_device = 1U << 11;
constexpr std::uint64_t network_tcp = 3;     // ABI 4: bind, connect
constexpr std::uint64_t scope_abstract = 1;  // ABI 6
constexpr std::uint64_t scope_signal = 2;    // ABI 6

struct Ruleset {
  std::uint64_t files = 0;
  std::uint64_t network = 0;
  std::uint64_t scopes = 0;
};
struct [[gnu::packed]] PathRule {
  std::uint64_t allowed = 0;
  std::int32_t parent = -1;
};

Ruleset everything(int abi, Sandbox::Network network) {
  Ruleset set{.files = all_of_abi_1};
  if (abi >= 2) set.files |= refer;
  if (abi >= 3) set.files |= truncate;
  if (abi >= 5) set.files |= device_ioctl;
  if (abi >= 4 && network == Sandbox::Network::none) set.network = network_tcp;
  if (abi >= 6) set.scopes = scope_signal;
  if (abi >= 6 && network == Sandbox::Network::none) set.scopes |= scope_abstract;
  return set;
}

/// Never to start programs or to make devices; nor special files that others may open. Which
/// control calls of a declared device there are, the filter says.
std::uint64_t rights(Grant::Use use, bool folder, std::uint64_t handled) {
  constexpr auto reading = file_read | folder_read;
  constexpr auto never = file_execute | device_ioctl | make_character_device | make_block_device |
                         make_socket | make_fifo;
  auto wanted = use == Grant::Use::write ? handled & ~never : reading;
  if (use == Grant::Use::device) wanted |= file_write | device_ioctl;
  constexpr auto of_files = file_read | file_write | truncate | device_ioctl;
  return wanted & handled & (folder ? ~std::uint64_t{0} : of_files);
}

Result<void> add_rule(FdView ruleset, const Grant& grant, std::uint64_t handled) {
  const Fd place = Fd::adopt(::open(grant.path.c_str(), O_PATH | O_CLOEXEC));
  struct stat status{};
  if (!place || ::fstat(place.native(), &status) != 0) return os::failed("grant", grant.path);
  const PathRule rule{.allowed = rights(grant.use, S_ISDIR(status.st_mode), handled),
                      .parent = place.native()};
  if (::syscall(SYS_landlock_add_rule, ruleset.native(), rule_path_beneath, &rule, 0) != 0) {
    return os::failed("grant", grant.path);
  }
  return {};
}

}  // namespace

Result<int> landlock_abi() {
  const auto abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, version_query);
  if (abi < 1) return os::failed("use", "Landlock", "boot a kernel with it (lsm=...,landlock)");
  return static_cast<int>(abi);
}

Result<void> restrict_with_landlock(const std::vector<Grant>& granted, Sandbox::Network network) {
  const int abi = BULKHEAD_TRY(landlock_abi());
  const Ruleset set = everything(abi, network);
  // The kernel refuses bytes that it does not know, unless they are 0.
  const Fd ruleset =
      Fd::adopt(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &set, sizeof set, 0)));
  if (!ruleset) return os::failed("make", "Landlock rules");
  for (const auto& grant : granted) BULKHEAD_TRY(add_rule(ruleset, grant, set.files));
  if (::syscall(SYS_landlock_restrict_self, ruleset.native(), 0) != 0) {
    return os::failed("enforce", "Landlock rules");
  }
  return {};
}

}  // namespace bulkhead::sandbox
