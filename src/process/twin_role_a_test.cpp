// SPDX-License-Identifier: Apache-2.0
// A role that is known to its file alone, and has a namesake in the next one.
#include <gtest/gtest.h>

#include <bulkhead/process.hpp>

namespace {

using namespace bulkhead;
using namespace std::chrono_literals;

void twin(Bootstrap& boot) { or_exit(boot.channel().send(as_bytes("twin A"), 10s)); }

TEST(twin_roles, the_one_of_file_a_runs_when_file_a_names_it) {
  auto child = or_throw(spawn<twin>());
  EXPECT_EQ(or_throw(child.channel().receive(30s)).text(), "twin A");
}

}  // namespace
