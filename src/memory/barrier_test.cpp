// SPDX-License-Identifier: Apache-2.0
//
// Barrier between processes: rounds, members that are killed working, asleep and in the hand-over,
// replacement, forged words, and a kernel that can watch one word at a time.
#include <csignal>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>
#include <seccomp.h>
#include <sys/syscall.h>
#include <thread>
#include <vector>

#include <bulkhead/barrier.hpp>
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
using testing::HasSubstr;

struct Field {
  Field(Place place, unsigned members) : barrier(place, members, "field") {}
  Barrier barrier;
  std::atomic<int> round[4] = {};
  std::atomic<int> told{0};
  std::atomic<int> here{0};
};

Shared<Field> make(unsigned members) {
  return or_throw(Shared<Field>::create({.name = "field"}, members));
}

/// No futex_waitv(2), as on Linux before 5.16.
void live_on_an_old_kernel() {
  scmp_filter_ctx filter = ::seccomp_init(SCMP_ACT_ALLOW);
  ::seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SYS_futex_waitv, 0);
  if (::seccomp_load(filter) != 0) ::_exit(99);
  ::seccomp_release(filter);
}

enum class Kernel { this_one, old };
class barrier_on : public testing::TestWithParam<Kernel> {
 public:
  static void begin() {
    if (GetParam() == Kernel::old) live_on_an_old_kernel();
  }
};
INSTANTIATE_TEST_SUITE_P(kernels, barrier_on, testing::Values(Kernel::this_one, Kernel::old),
                         [](const auto& kernel) {
                           return kernel.param == Kernel::old ? "old" : "this_one";
                         });

TEST_P(barrier_on, no_member_begins_a_round_before_all_have_ended_the_last) {
  constexpr int rounds = 1500;  // beyond the wrap of the count of rounds
  auto field = make(3);
  const auto take_part = [&] {
    begin();
    auto member = or_throw(field->barrier.join());
    for (int i = 1; i <= rounds; ++i) {
      field->round[member.number()] = i;
      if (!member.arrive_and_wait(60s)) return 1;
      for (int other = 0; other < 3; ++other) {
        if (field->round[other] < i || field->round[other] > i + 1) return 2;
      }
    }
    // A member that has left would be told to those who are still to look at the last round.
    ++field->here;
    while (field->here < 3) std::this_thread::yield();
    return 0;
  };
  auto waiting = waiting_for("three members");
  Forked one{take_part};
  Forked two{take_part};
  EXPECT_EQ(Forked{take_part}.wait(), 0);
  EXPECT_EQ(one.wait(), 0);
  EXPECT_EQ(two.wait(), 0);
}

TEST_P(barrier_on, a_dead_member_is_told_to_all_who_wait_for_it) {
  auto field = make(3);
  Forked victim{[&] {
    begin();
    auto member = or_throw(field->barrier.join());
    ++field->here;
    for (;;) ::pause();
  }};
  while (field->here < 1) std::this_thread::yield();
  const auto wait = [&] {
    begin();
    auto member = or_throw(field->barrier.join());
    auto arrived = member.arrive_and_wait(60s);
    const bool told =
        !arrived && arrived.error() == ErrorKind::peer_died &&
        arrived.error().sentence().find(std::to_string(victim.pid())) != std::string::npos;
    ++field->told;
    while (field->told < 2) std::this_thread::yield();
    return told ? 0 : 1;
  };
  auto waiting = waiting_for("two members whose third is dead");
  Forked one{wait};
  Forked two{wait};
  one.until_asleep();
  two.until_asleep();
  victim.kill();
  EXPECT_EQ(one.wait(), 0);
  EXPECT_EQ(two.wait(), 0);
}

/// Two die at once; the kernel's single wake may have gone to one of them.
TEST(barrier, one_that_dies_with_the_news_does_not_keep_it) {
  for (int round = 0; round < soaked(20); ++round) {
    auto field = make(4);
    Forked victim{[&] {
      auto member = or_throw(field->barrier.join());
      ++field->here;
      for (;;) ::pause();
    }};
    const auto wait = [&] {
      auto member = or_throw(field->barrier.join());
      auto arrived = member.arrive_and_wait(60s);
      ++field->told;
      while (field->told < 2) std::this_thread::yield();
      return !arrived && arrived.error() == ErrorKind::peer_died ? 0 : 1;
    };
    Forked messenger{[&] {
      auto member = or_throw(field->barrier.join());
      static_cast<void>(member.arrive_and_wait(60s));
      for (;;) ::pause();  // rather than leave, which is told too
    }};
    Forked one{wait};
    Forked two{wait};
    auto waiting = waiting_for("members of whom two die");
    while (field->here < 1) std::this_thread::yield();
    messenger.until_asleep();
    one.until_asleep();
    two.until_asleep();
    ::kill(victim.pid(), SIGKILL);
    messenger.kill();
    ASSERT_EQ(one.wait(), 0);
    ASSERT_EQ(two.wait(), 0);
  }
}

TEST(barrier, one_that_is_killed_anywhere_ends_no_wait_wrongly_and_every_wait) {
  for (int round = 0; round < soaked(20); ++round) {
    auto field = make(2);
    Forked victim{[&] {
      auto member = or_throw(field->barrier.join());
      while (member.arrive_and_wait(60s)) ++field->round[0];
    }};
    Forked other{[&] {
      auto member = or_throw(field->barrier.join());
      for (;;) {
        auto arrived = member.arrive_and_wait(60s);
        if (!arrived) return arrived.error() == ErrorKind::peer_died ? 0 : 1;
        ++field->round[1];
      }
    }};
    auto waiting = waiting_for("a member whose other one is killed");
    while (field->round[1] < round * 3 + 1) {
    }
    victim.kill();
    ASSERT_EQ(other.wait(), 0);
    EXPECT_LE(field->round[0], field->round[1]);
    EXPECT_LE(field->round[1], field->round[0] + 1);
  }
}

TEST(barrier, the_place_of_a_dead_member_is_taken_and_the_round_goes_on) {
  auto field = make(2);
  auto member = or_throw(field->barrier.join());
  Forked victim{[&] {
    auto theirs = or_throw(field->barrier.join());
    ::raise(SIGKILL);
  }};
  victim.wait();
  auto arrived = member.arrive_and_wait(60s);
  ASSERT_FALSE(arrived);
  EXPECT_THAT(arrived.error().sentence(), HasSubstr("member 1 of barrier field"));
  Forked replacement{[&] {
    auto theirs = or_throw(field->barrier.join());
    ++field->here;
    if (!theirs.arrive_and_wait(60s)) return 1;
    while (field->told == 0) std::this_thread::yield();
    return 0;
  }};
  auto waiting = waiting_for("the replacement");
  EXPECT_TRUE(member.arrive_and_wait(60s).has_value());
  field->told = 1;
  EXPECT_EQ(replacement.wait(), 0);
}

TEST(barrier, a_dead_process_is_told_while_another_one_takes_its_time) {
  auto field = make(3);
  const auto idle = [&] {
    auto theirs = or_throw(field->barrier.join());
    ++field->here;
    for (;;) ::pause();
  };
  Forked slow{idle};
  while (field->here < 1) std::this_thread::yield();
  Forked victim{idle};
  while (field->here < 2) std::this_thread::yield();
  Forked other{[&] {
    auto theirs = or_throw(field->barrier.join());
    return theirs.arrive_and_wait(60s).error() == ErrorKind::peer_died ? 0 : 1;
  }};
  auto waiting = waiting_for("a member that waits for a slow one and a dead one");
  other.until_asleep();
  victim.kill();
  EXPECT_EQ(other.wait(), 0);
}

TEST(barrier, one_that_leaves_is_told_and_one_too_many_is_refused) {
  auto field = make(1);
  auto member = std::make_unique<Barrier::Member>(or_throw(field->barrier.join()));
  EXPECT_EQ(field->barrier.join().error(), ErrorKind::full);
  EXPECT_TRUE(member->arrive_and_wait().has_value());
  member.reset();

  auto pair = make(2);
  auto stays = or_throw(pair->barrier.join());
  or_throw(pair->barrier.join());  // and leaves
  EXPECT_EQ(stays.arrive_and_wait(60s).error(), ErrorKind::closed);
  EXPECT_EQ(stays.arrive_and_wait(1ms).error(), ErrorKind::timed_out);
}

TEST(barrier, a_thread_that_ends_without_leaving_is_dead) {
  auto field = make(2);
  auto member = or_throw(field->barrier.join());
  alignas(Barrier::Member) std::byte never_destroyed[sizeof(Barrier::Member)];
  std::thread{[&] {
    ::new (never_destroyed) Barrier::Member(or_throw(field->barrier.join()));
  }}.join();
  EXPECT_EQ(member.arrive_and_wait(60s).error(), ErrorKind::peer_died);
}

TEST(barrier, an_arrival_outlives_its_deadline) {
  auto field = make(2);
  auto member = or_throw(field->barrier.join());
  EXPECT_EQ(member.arrive_and_wait(1ms).error(), ErrorKind::timed_out);
  Forked other{[&] {
    auto theirs = or_throw(field->barrier.join());
    return theirs.arrive_and_wait(60s) ? 0 : 1;
  }};
  EXPECT_EQ(other.wait(), 0);
  EXPECT_TRUE(member.arrive_and_wait(60s).has_value());
}

/// The words of the protocol; the insides of a robust mutex are beyond what equal trust forges.
TEST(barrier, no_words_crash_a_process_or_keep_it_beyond_its_deadline) {
  auto field = make(3);
  Forked victim{[&] {
    auto random = [engine = std::mt19937{7}]() mutable {
      return static_cast<std::uint32_t>(engine());
    };
    auto member = or_throw(field->barrier.join());
    auto* const words = reinterpret_cast<std::atomic<std::uint32_t>*>(&field->barrier);
    constexpr std::size_t slot = 16;
    for (int i = 0; i < soaked(100'000); ++i) {
      words[0] = random() >> (i % 32);
      words[1] = random() % 5;
      words[2] = random() % 2;
      for (std::size_t other = 2; other < 4; ++other) {
        words[other * slot] = random() >> (i % 32) << (i % 5);
        for (std::size_t field_of = 10; field_of < 14; ++field_of) {
          words[other * slot + field_of] = random() >> (i % 31);
        }
      }
      // At once; for some, in a while that shows whether it is kept.
      static_cast<void>(member.arrive_and_wait(
          i % 500 == 0 ? Deadline{1ms} : Deadline{Deadline::Clock::time_point::min()}));
    }
    return 0;
  }};
  auto waiting = waiting_for("calls on random words");
  EXPECT_EQ(victim.wait(), 0);
}

}  // namespace
}  // namespace bulkhead
