// SPDX-License-Identifier: Apache-2.0
//
// Regions between real processes: what a peer that holds one can do to it (tests/children/
// region_attacker.cpp), and what is left of one. Attacks A15 to A17, fault F8 of the threat list.
#include <algorithm>
#include <cerrno>
#include <csetjmp>
#include <csignal>
#include <fcntl.h>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numeric>
#include <sched.h>
#include <string>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <bulkhead/region.hpp>

#include "support/children.hpp"

namespace bulkhead::test {
namespace {

using testing::HasSubstr;

constexpr std::size_t page = 4096;

Region filled(std::size_t size) {
  auto region = or_throw(Region::create(size));
  std::ranges::fill(region.mutable_bytes(), std::byte{0x5a});
  return region;
}

bool untouched(const Region& region) {
  return std::ranges::all_of(region.bytes(), [](std::byte b) { return b == std::byte{0x5a}; });
}

std::string attack(FdView fd) {
  Child attacker = Child::start("region_attacker", {"attack"}, {fd});
  auto told = attacker.read_all();
  attacker.wait();
  return told;
}

TEST(region_between_processes, that_is_not_sealed_loses_to_the_attacker) {
  // The attack works: a memory file as most programs make one.
  const Fd naive = Fd::adopt(::memfd_create("naive", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(naive.native(), 4 * page), 0);
  const auto told = attack(naive);
  for (const char* way : {"won write", "won truncate", "won punch", "won map", "won mprotect"}) {
    EXPECT_THAT(told, HasSubstr(way));
  }
}

TEST(region_between_processes, that_is_published_is_changed_by_its_maker_alone) {
  auto region = filled(4 * page);
  ASSERT_TRUE(region.publish());
  EXPECT_EQ(attack(region.descriptor()), "done\n");
  EXPECT_TRUE(untouched(region));
  region.mutable_bytes()[0] = std::byte{1};
}

TEST(region_between_processes, that_is_frozen_is_changed_by_nobody) {
  auto region = filled(4 * page);
  ASSERT_TRUE(region.freeze());
  EXPECT_EQ(attack(region.descriptor()), "done\n");
  EXPECT_TRUE(untouched(region));
}

TEST(region_between_processes, never_faults_while_an_attacker_cuts_and_punches) {
  auto region = filled(16 * page);
  ASSERT_TRUE(region.publish());
  Child attacker = Child::start("region_attacker", {"race"}, {region.descriptor()});
  ASSERT_EQ(attacker.read_line(), "ready");
  for (int round = 0; round < 2000; ++round) ASSERT_TRUE(untouched(region)) << round;
  attacker.close_input();
  EXPECT_EQ(attacker.read_all(), "done\n");
  EXPECT_EQ(attacker.wait(), 0);
}

TEST(region_between_processes, is_not_frozen_while_another_process_can_write_it) {
  auto region = filled(page);
  {
    Child writer = Child::start("region_attacker", {"hold"}, {region.descriptor()});
    ASSERT_EQ(writer.read_line(), "held");
    EXPECT_EQ(region.freeze().error(), ErrorKind::invalid);
    EXPECT_TRUE(region.writable());
  }
  // The writer is dead and reaped, and its mapping with it.
  EXPECT_TRUE(region.freeze());
  Child late = Child::start("region_attacker", {"hold"}, {region.descriptor()});
  EXPECT_EQ(late.read_line(), "refused");
}

TEST(region_between_processes, outlives_a_reader_that_is_killed) {
  auto region = filled(page);
  ASSERT_TRUE(region.publish());
  {
    Child reader = Child::start("region_attacker", {"race"}, {region.descriptor()});
    ASSERT_EQ(reader.read_line(), "ready");
    reader.kill();
  }
  EXPECT_TRUE(untouched(region));
}

bool own_mounts() {
  if (::unshare(CLONE_NEWNS) == 0) return true;
  const auto uid = std::to_string(::geteuid());
  const auto gid = std::to_string(::getegid());
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  std::ofstream{"/proc/self/setgroups"} << "deny";
  std::ofstream{"/proc/self/gid_map"} << gid << ' ' << gid << " 1\n";
  std::ofstream{"/proc/self/uid_map"} << uid << ' ' << uid << " 1\n";
  return true;
}

/// In a process of its own: true when it went as it should.
bool with_a_full_shared_memory_folder() {
  if (!own_mounts()) ::_exit(77);
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("none", "/dev/shm", "tmpfs", 0, "size=64k") != 0) {
    ::_exit(77);
  }
  const int filler = ::open("/dev/shm/filler", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  const std::vector<char> block(64 << 10);
  while (::write(filler, block.data(), block.size()) > 0) {
  }
  if (errno != ENOSPC) return false;
  auto region = Region::create(1 << 20);
  if (!region || !region->publish()) return false;
  region->mutable_bytes().back() = std::byte{1};
  return true;
}

TEST(region_between_processes, needs_no_room_in_the_shared_memory_folder) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(with_a_full_shared_memory_folder() ? 0 : 1);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
    GTEST_SKIP() << "no mount namespace to be had here";
  }
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace bulkhead::test
