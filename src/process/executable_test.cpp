// SPDX-License-Identifier: Apache-2.0
#include "process/executable.hpp"

#include <bit>
#include <gtest/gtest.h>
#include <stdlib.h>

namespace bulkhead::process {
namespace {

void first(Bootstrap&) {}
void second(Bootstrap& boot) { static_cast<void>(boot.name()); }

TEST(executable, finds_a_role_again_by_its_offset) {
  const auto offset = or_throw(offset_of(&detail::entry<first>));
  EXPECT_EQ(entry_at(offset), &detail::entry<first>);
  EXPECT_NE(offset, or_throw(offset_of(&detail::entry<second>)));
}

TEST(executable, a_function_of_a_shared_library_is_no_role) {
  const auto entry = std::bit_cast<detail::RoleEntry>(&::qsort);
  const auto offset = offset_of(entry);
  ASSERT_FALSE(offset);
  EXPECT_EQ(offset.error().kind(), ErrorKind::unsupported);
  EXPECT_EQ(offset.error().sentence(),
            "the role lies in a shared library; name a function of the executable as the role");
}

TEST(executable, an_offset_outside_of_the_code_is_no_role) {
  EXPECT_EQ(entry_at(0), nullptr);
  EXPECT_EQ(entry_at(~std::uint64_t{0} / 2), nullptr);
}

TEST(executable, has_a_build_id) { EXPECT_EQ(build_id().size(), 20u); }

TEST(role_names, are_the_last_part_of_what_the_compiler_spells) {
  EXPECT_EQ(detail::role_name<first>(), "first");
  EXPECT_EQ(detail::role_name<offset_of>(), "offset_of");
  EXPECT_EQ(detail::last_name("(anonymous namespace)::a::b<int, c::d>"), "b");
}

}  // namespace
}  // namespace bulkhead::process
