// SPDX-License-Identifier: Apache-2.0
//
// Once between processes: done once, and done by another when who does it dies.
#include <atomic>
#include <csignal>
#include <gtest/gtest.h>
#include <random>
#include <thread>
#include <vector>

#include <bulkhead/once.hpp>
#include <bulkhead/shared.hpp>

#include "support/forked.hpp"
#include "support/soak.hpp"
#include "support/watchdog.hpp"

namespace bulkhead {
namespace {

using namespace std::chrono_literals;
using test::Forked;
using test::soaked;
using test::waiting_for;

struct Table {
  explicit Table(Place place) : filled(place, "table") {}
  Once filled;
  int numbers[8] = {};
  std::atomic<int> times{0};

  void fill() {
    for (int& number : numbers) number = 42;
    ++times;
  }
  bool whole() const {
    for (const int number : numbers) {
      if (number != 42) return false;
    }
    return true;
  }
};

TEST(once, of_many_processes_one_does_it_and_all_see_it_done) {
  for (int round = 0; round < soaked(20); ++round) {
    auto table = or_throw(Shared<Table>::create());
    std::vector<Forked> all;
    auto waiting = waiting_for("four processes");
    for (int i = 0; i < 4; ++i) {
      all.emplace_back([&] {
        or_throw(table->filled.call([&] { table->fill(); }, 60s));
        return table->whole() ? 0 : 1;
      });
    }
    for (Forked& each : all) EXPECT_EQ(each.wait(), 0);
    EXPECT_EQ(table->times, 1);
  }
}

TEST(once, the_next_one_does_it_when_who_does_it_dies) {
  auto table = or_throw(Shared<Table>::create());
  Forked victim{[&] {
    or_throw(table->filled.call([&] {
      table->numbers[0] = 42;
      ++table->times;
      for (;;) ::pause();
    }));
  }};
  auto waiting = waiting_for("work that has begun; then who does it instead");
  while (table->times == 0) {
  }
  const auto fill = [&] {
    or_throw(table->filled.call([&] { table->fill(); }, 60s));
    return table->whole() ? 0 : 1;
  };
  Forked one{fill};
  Forked two{fill};
  one.until_asleep();
  two.until_asleep();
  victim.kill();
  EXPECT_EQ(one.wait() + two.wait(), 0);
  EXPECT_EQ(table->times, 2);
}

TEST(once, killed_at_random_it_is_done_or_to_be_done) {
  for (int round = 0; round < soaked(30); ++round) {
    auto table = or_throw(Shared<Table>::create());
    Forked victim{[&] { or_throw(table->filled.call([&] { table->fill(); })); }};
    for (int i = 0; i < round * 60 && table->times == 0; ++i) std::this_thread::yield();
    victim.kill();
    const bool was_done = table->filled.done();
    const int before = table->times;
    or_throw(table->filled.call([&] { table->fill(); }, 60s));
    ASSERT_TRUE(table->whole());
    ASSERT_EQ(table->times, was_done ? before : before + 1);
  }
}

TEST(once, work_that_fails_is_not_done) {
  auto table = or_throw(Shared<Table>::create());
  auto failed = table->filled.call([]() -> Result<void> { return fail(ErrorKind::exhausted); });
  EXPECT_EQ(failed.error(), ErrorKind::exhausted);
  EXPECT_FALSE(table->filled.done());
  EXPECT_ANY_THROW(static_cast<void>(table->filled.call([] { throw 1; })));
  or_throw(table->filled.call([&] { table->fill(); }));
  EXPECT_TRUE(table->filled.done());
}

TEST(once, who_waits_for_the_work_waits_to_its_deadline) {
  auto table = or_throw(Shared<Table>::create());
  Forked slow{[&] {
    or_throw(table->filled.call([&] {
      ++table->times;
      for (;;) ::pause();
    }));
  }};
  auto waiting = waiting_for("work that has begun");
  while (table->times == 0) {
  }
  EXPECT_EQ(table->filled.call([] {}, 1ms).error(), ErrorKind::timed_out);
  EXPECT_FALSE(table->filled.done());
}

TEST(once, work_that_calls_for_itself_is_told) {
  auto table = or_throw(Shared<Table>::create());
  auto outcome = table->filled.call([&] { return table->filled.call([] {}, 60s); });
  EXPECT_EQ(outcome.error(), ErrorKind::deadlock);
}

TEST(once, no_state_but_done_keeps_the_work_from_being_done) {
  auto table = or_throw(Shared<Table>::create());
  auto& state = *reinterpret_cast<std::uint32_t*>(reinterpret_cast<std::byte*>(&table->filled) +
                                                  sizeof(Mutex));
  std::mt19937 random{7};
  for (int i = 0; i < soaked(100'000); ++i) {
    state = static_cast<std::uint32_t>(random());
    bool worked = false;
    const bool forged_done = state == 1;
    ASSERT_TRUE(table->filled.call([&] { worked = true; }, 60s).has_value());
    ASSERT_EQ(worked, !forged_done);
  }
}

}  // namespace
}  // namespace bulkhead
