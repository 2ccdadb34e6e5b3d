// SPDX-License-Identifier: Apache-2.0
#include "pool/topology.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pool/cpus.hpp"

namespace {

using namespace bulkhead::pool;
using testing::ElementsAre;

TEST(pool_topology, hardware_threads_of_a_core_belong_together) {
  if (!has_topology()) GTEST_SKIP() << "hwloc is not here";
  EXPECT_THAT(cores_of({0, 1, 2, 3}, "core:2 pu:2"), ElementsAre(Core{0, 1}, Core{2, 3}));
  // Of those that this process may use only.
  EXPECT_THAT(cores_of({1, 2, 3}, "core:2 pu:2"), ElementsAre(Core{1}, Core{2, 3}));
}

TEST(pool_topology, a_cpu_that_is_in_no_core_is_one_of_its_own) {
  EXPECT_THAT(cores_of({0, 9}, "core:2 pu:2"), ElementsAre(Core{0}, Core{9}));
}

TEST(pool_topology, this_machine_has_all_cpus_in_cores) {
  const auto cpus = allowed_cpus();
  std::vector<unsigned> found;
  for (const Core& core : cores_of(cpus)) found.insert(found.end(), core.begin(), core.end());
  EXPECT_THAT(found, testing::UnorderedElementsAreArray(cpus));
}

TEST(pool_topology, a_master_has_a_core_of_its_own_where_there_are_several) {
  const auto roomy = split({{0, 4}, {1, 5}});
  EXPECT_EQ(roomy.master, 0u);
  EXPECT_THAT(roomy.workers, ElementsAre(1u, 5u));
  const auto narrow = split({{0, 1}});
  EXPECT_EQ(narrow.master, 0u);
  EXPECT_THAT(narrow.workers, ElementsAre(1u));
}

}  // namespace
