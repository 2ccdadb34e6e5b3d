// SPDX-License-Identifier: Apache-2.0
#include "pool/cpus.hpp"

#include <fstream>
#include <gtest/gtest.h>

#include <bulkhead/pool.hpp>

#include "support/census.hpp"

namespace {

using namespace bulkhead;
namespace fs = std::filesystem;

void write(const fs::path& file, const char* text) {
  fs::create_directories(file.parent_path());
  std::ofstream{file} << text << '\n';
}

TEST(pool_cpus, the_least_quota_on_the_way_up_counts) {
  const auto mount = test::temporary_folder();
  write(mount / "a/cpu.max", "250000 100000");
  write(mount / "a/b/cpu.max", "max 100000");
  EXPECT_EQ(pool::cpu_quota("0::/a/b\n", mount), 3u);
  write(mount / "a/b/cpu.max", "50000 100000");
  EXPECT_EQ(pool::cpu_quota("0::/a/b\n", mount), 1u);
}

TEST(pool_cpus, version_1_has_its_own_files_and_minus_one_is_no_quota) {
  const auto mount = test::temporary_folder();
  write(mount / "cpu/x/cpu.cfs_quota_us", "-1");
  write(mount / "cpu/x/cpu.cfs_period_us", "100000");
  EXPECT_EQ(pool::cpu_quota("4:memory:/y\n2:cpu:/x\n", mount), std::nullopt);
  write(mount / "cpu/x/cpu.cfs_quota_us", "400000");
  EXPECT_EQ(pool::cpu_quota("4:memory:/y\n2:cpu:/x\n", mount), 4u);
}

TEST(pool_cpus, never_more_than_the_affinity_allows) {
  const auto before = pool::allowed_cpus();
  ASSERT_FALSE(before.empty());
  ASSERT_TRUE(pool::pin(0, {before.front()}));
  EXPECT_EQ(available_cpus(), 1u);
  ASSERT_TRUE(pool::pin(0, before));
  EXPECT_LE(available_cpus(), before.size());
}

}  // namespace
