// SPDX-License-Identifier: Apache-2.0
//
// Shared<T>: what is an object of that type, and what is refused.
#include <array>
#include <atomic>
#include <csignal>
#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <span>
#include <string>
#include <string_view>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <bulkhead/latch.hpp>
#include <bulkhead/mutex.hpp>
#include <bulkhead/names.hpp>
#include <bulkhead/shared.hpp>

#include "support/census.hpp"
#include "support/forked.hpp"

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

using test::Forked;
using testing::HasSubstr;

std::vector<MemoryName> all_names() {
  return {posix_memory("bh-shared-" + std::to_string(::getpid())),
          system_v_memory(0x424a0000 + (::getpid() & 0xffff)),
          file_memory((test::temporary_folder() / "shared").string())};
}

/// Says what happened to it, slowly enough to be caught half-way.
struct Counted {
  Counted(Place place, std::uint32_t* made, bool dies) : lock(place, "counted") {
    __atomic_add_fetch(made, 1, __ATOMIC_SEQ_CST);
    first = 1;
    if (dies) ::kill(::getpid(), SIGKILL);
    ::sched_yield();
    second = 1;
  }
  Mutex lock;
  std::uint32_t first;
  std::uint32_t second;
  std::uint32_t users = 0;
};

TEST(shared, object_with_a_name_is_made_once_by_many_at_once_and_never_seen_half) {
  auto made = or_throw(Shared<std::uint32_t>::create({.kind = SharedRegion::Kind::anonymous}));
  for (const auto& name : all_names()) {
    for (int round = 0; round < 3; ++round) {
      // Everybody has it before anybody leaves.
      auto all_here = or_throw(Shared<Latch>::create({.kind = SharedRegion::Kind::anonymous}, 6U));
      std::vector<Forked> users;
      for (int i = 0; i < 6; ++i) {
        users.emplace_back([&name = name, &made, &all_here] {
          auto object = Shared<Counted>::open_or_create(name, {}, made.get(), false);
          const bool whole = object && (*object)->first == 1 && (*object)->second == 1;
          if (object) __atomic_add_fetch(&(*object)->users, 1, __ATOMIC_SEQ_CST);
          or_throw(all_here->arrive_and_wait());
          return whole && (*object)->users == 6 ? 0 : 1;  // the same one for all
        });
      }
      for (auto& user : users) EXPECT_EQ(user.wait(), 0);
      static_cast<void>(SharedRegion::remove(name));
    }
  }
  EXPECT_GE(*made, 9U);
}

TEST(shared, object_whose_maker_died_half_way_is_made_anew) {
  auto made = or_throw(Shared<std::uint32_t>::create({.kind = SharedRegion::Kind::anonymous}));
  for (const auto keep : {SharedRegion::Keep::while_used, SharedRegion::Keep::until_removed}) {
    for (const auto& name : all_names()) {
      const SharedRegion::Options options{.keep = keep};
      for (int round = 0; round < 3; ++round) {
        Forked maker{[&] {
          static_cast<void>(Shared<Counted>::open_or_create(name, options, made.get(), true));
        }};
        EXPECT_EQ(maker.wait(), 128 + SIGKILL);
        EXPECT_EQ(Shared<Counted>::open(name).error(), ErrorKind::not_found);
      }
      auto object = or_throw(Shared<Counted>::open_or_create(name, options, made.get(), false));
      EXPECT_EQ(object->second, 1U);
      EXPECT_TRUE(object->lock.lock());
      EXPECT_TRUE(Shared<Counted>::open(name));
      static_cast<void>(SharedRegion::remove(name));
    }
  }
  EXPECT_TRUE(remove_stale_names());
}

TEST(shared, object_is_refused_when_any_bit_of_its_header_is_another) {  // A11
  auto object = or_throw(Shared<Pair>::create());
  auto region = or_throw(object.region().duplicate());
  constexpr std::size_t header = 64;
  for (std::size_t bit = 0; bit < header * 8; ++bit) {
    region.bytes()[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    const auto refused = Shared<Pair>::open(or_throw(region.duplicate()));
    EXPECT_FALSE(refused) << "bit " << bit;
    if (!refused) {
      EXPECT_TRUE(refused.error() == ErrorKind::corrupt ||
                  refused.error() == ErrorKind::incompatible)
          << refused.error();
    }
    region.bytes()[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
  }
  EXPECT_TRUE(Shared<Pair>::open(std::move(region)));
}

TEST(shared, object_where_its_locks_could_not_lie_is_refused) {
  const auto path = (test::temporary_folder() / "odd").string();
  const auto odd = file_memory(path, 5);
  EXPECT_EQ(Shared<Pair>::create(odd).error(), ErrorKind::invalid);
  or_throw(Shared<Pair>::create(file_memory(path, 64)));
  EXPECT_EQ(Shared<Pair>::open(odd).error(), ErrorKind::invalid);
  EXPECT_EQ(or_throw(Shared<Pair>::open(file_memory(path, 64)))->second, 2);
}

struct Wider {
  std::int64_t first = 1;
};
struct Unsigned {
  std::uint32_t first = 1;
  std::int32_t second = 2;
};
class Numbered {
 public:
  static constexpr int shared_layout = 1;
  explicit Numbered(int given) : value_(given) {}

 private:
  int value_;
};
class Renumbered {
 public:
  static constexpr int shared_layout = 2;
  explicit Renumbered(int given) : value_(given) {}

 private:
  int value_;
};

TEST(shared, object_of_another_type_or_layout_is_incompatible) {
  auto object = or_throw(Shared<Pair>::create());
  const auto other = [&]<class T>(const T*) {
    const auto refused = Shared<T>::open(or_throw(object.region().duplicate()));
    EXPECT_FALSE(refused);
    return refused ? std::string{} : refused.error().sentence();
  };
  EXPECT_THAT(other(static_cast<const Wider*>(nullptr)), HasSubstr("another type or layout"));
  EXPECT_THAT(other(static_cast<const Unsigned*>(nullptr)), HasSubstr("another type or layout"));
  EXPECT_THAT(other(static_cast<const std::array<std::int32_t, 2>*>(nullptr)),
              HasSubstr("another type or layout"));
  auto numbered = or_throw(Shared<Numbered>::create({}, 1));
  EXPECT_EQ(Shared<Renumbered>::open(or_throw(numbered.region().duplicate())).error(),
            ErrorKind::incompatible);
  auto empty = or_throw(SharedRegion::create(4096));
  EXPECT_EQ(Shared<Pair>::open(or_throw(empty.duplicate())).error(), ErrorKind::not_found);
  std::memset(empty.bytes().data(), 'x', empty.size());
  EXPECT_EQ(Shared<Pair>::open(std::move(empty)).error(), ErrorKind::corrupt);
  EXPECT_EQ(Shared<Pair>::open(or_throw(SharedRegion::create(16))).error(), ErrorKind::corrupt);
  EXPECT_EQ(Shared<Pair>::create_in(or_throw(SharedRegion::create(16))).error(),
            ErrorKind::exhausted);
}

struct Node {
  std::int32_t value;
  Node* next;
};
struct Deep {
  std::array<Node, 2> nodes;
};
struct Flat {
  std::array<Pair, 2> pairs;
  enum class Colour : std::uint8_t { red } colour;
};
static_assert(Shareable<Flat> && Shareable<int> && Shareable<double[4]> && Shareable<Located>);
static_assert(Shareable<std::atomic<int>> && Shareable<Counted>);
static_assert(!Shareable<Node> && !Shareable<Deep> && !Shareable<int*> && !Shareable<int&>);
static_assert(!Shareable<std::string> && !Shareable<std::string_view> &&
              !Shareable<std::vector<int>> && !Shareable<std::span<int>>);

}  // namespace
}  // namespace bulkhead
