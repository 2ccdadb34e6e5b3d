// SPDX-License-Identifier: Apache-2.0
// A role that is known to its file alone, and has a namesake in the one before.
#include <gtest/gtest.h>

#include <bulkhead/process.hpp>

namespace {

using namespace bulkhead;
using namespace std::chrono_literals;

void twin(Bootstrap& boot) { or_exit(boot.channel().send(as_bytes("twin B"), 10s)); }

TEST(twin_roles, the_one_of_file_b_runs_when_file_b_names_it) {
  auto child = or_throw(spawn<twin>());
  EXPECT_EQ(or_throw(child.channel().receive(30s)).text(), "twin B");
}

}  // namespace
