// SPDX-License-Identifier: Apache-2.0
//
// Shared<T>: what is an object of that type, and what is refused.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bulkhead/shared.hpp>

namespace bulkhead {
namespace {

struct Pair {
  std::int32_t first = 1;
  std::int32_t second = 2;
};

struct Located {
  explicit Located(Place place, int given) : region(place.region()), value(given) {
    offset = place.offset_of(this);
  }
  std::uint64_t region;
  std::uint64_t offset;
  int value;
};

TEST(shared, object_is_the_same_through_every_mapping_of_it) {
  auto here = or_throw(Shared<Pair>::create());
  auto there = or_throw(here.duplicate());
  EXPECT_NE(here.get(), there.get());
  EXPECT_EQ(there->second, 2);
  here->first = 7;
  EXPECT_EQ(there->first, 7);
  EXPECT_EQ(here.region().identity(), there.region().identity());
}

TEST(shared, object_that_takes_a_place_learns_where_it_is) {
  auto object = or_throw(Shared<Located>::create({}, 5));
  EXPECT_EQ(object->value, 5);
  EXPECT_EQ(object->region, object.region().identity());
  EXPECT_EQ(object->offset, 64U);
}

TEST(shared, object_of_a_dead_maker_lives_on) {
  auto object =
      or_throw(Shared<Pair>::create(SharedRegion::Options{.kind = SharedRegion::Kind::anonymous}));
  const pid_t child = ::fork();
  if (child == 0) {
    object->first = 9;
    ::_exit(0);
  }
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_EQ(object->first, 9);
}

TEST(shared, object_travels_as_a_handle_between_equals_only) {
  auto object = or_throw(Shared<Pair>::create());
  auto copy = or_throw(object.duplicate());
  auto there =
      or_throw(Shared<Pair>::from_handle(or_throw(std::move(copy).into_handle()), Trust::equal));
  EXPECT_EQ(there->first, 1);
  const auto refused =
      Shared<Pair>::from_handle(or_throw(std::move(object).into_handle()), Trust::untrusted);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), ErrorKind::denied);
}

}  // namespace
}  // namespace bulkhead
