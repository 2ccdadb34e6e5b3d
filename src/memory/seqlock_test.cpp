// SPDX-License-Identifier: Apache-2.0
//
// Seqlock between processes: no reader sees half a value or waits for a dead or stopped writer.
#include <algorithm>
#include <atomic>
#include <csignal>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <thread>

#include <bulkhead/seqlock.hpp>
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

/// Twelve numbers that are equal in every value that was written.
struct Dozen {
  std::uint64_t numbers[12] = {};
  static Dozen of(std::uint64_t number) {
    Dozen dozen;
    for (auto& each : dozen.numbers) each = number;
    return dozen;
  }
  bool whole() const {
    for (const auto each : numbers) {
      if (each != numbers[0]) return false;
    }
    return true;
  }
};
using Lock = Seqlock<Dozen>;

Shared<Lock> make() { return or_throw(Shared<Lock>::create()); }

TEST(seqlock, reads_what_was_written_last) {
  auto lock = make();
  EXPECT_EQ(or_throw(lock->read()).numbers[11], 0);
  or_throw(lock->write(Dozen::of(5)));
  EXPECT_EQ(or_throw(lock->read()).numbers[11], 5);
  or_throw(lock->update([](Dozen& dozen) { dozen.numbers[3] += 2; }));
  EXPECT_EQ(or_throw(lock->read()).numbers[3], 7);
}

TEST(seqlock, a_value_of_odd_size_comes_back_whole) {
  struct Odd {
    char bytes[13] = "twelve chars";
  };
  auto lock = or_throw(Shared<Seqlock<Odd>>::create());
  EXPECT_STREQ(or_throw(lock->read()).bytes, "twelve chars");
}

TEST(seqlock, readers_in_other_processes_see_whole_values_in_order) {
  auto lock = make();
  const auto read = [&] {
    std::uint64_t last = 0;
    while (last < 20'000) {
      const Dozen now = or_throw(lock->read(60s));
      if (!now.whole() || now.numbers[0] < last) return 1;
      last = now.numbers[0];
    }
    return 0;
  };
  auto waiting = waiting_for("two readers");
  Forked one{read};
  Forked two{read};
  for (std::uint64_t i = 1; i <= 20'000; ++i) or_throw(lock->write(Dozen::of(i)));
  EXPECT_EQ(one.wait(), 0);
  EXPECT_EQ(two.wait(), 0);
}

TEST(seqlock, no_update_of_two_writers_is_lost) {
  constexpr int each = 3000;
  auto lock = make();
  const auto raise = [&] {
    for (int i = 0; i < each; ++i) {
      or_throw(lock->update([](Dozen& dozen) {
        for (auto& number : dozen.numbers) ++number;
      }));
    }
  };
  auto waiting = waiting_for("two writers");
  Forked one{raise};
  Forked two{raise};
  EXPECT_EQ(one.wait() + two.wait(), 0);
  EXPECT_EQ(or_throw(lock->read()).numbers[7], 2 * each);
}

/// Killed or stopped anywhere in a write, between any two of its words: what is read is whole, and
/// read at once.
TEST(seqlock, a_writer_that_is_killed_or_stopped_anywhere_delays_no_reader) {
  auto lock = make();
  std::uint64_t last = 0;
  for (int round = 0; round < soaked(30); ++round) {
    Forked writer{[&] {
      for (std::uint64_t i = last + 1;; ++i) or_throw(lock->write(Dozen::of(i)));
    }};
    auto waiting = waiting_for("a writer's first values");
    while (or_throw(lock->read()).numbers[0] < last + 10) {
    }
    if (round % 2 == 0) {
      ::kill(writer.pid(), SIGSTOP);
      int status = 0;
      ::waitpid(writer.pid(), &status, WUNTRACED);
    } else {
      writer.kill();
    }
    Dozen now;
    ASSERT_TRUE(lock->try_read(now));
    ASSERT_TRUE(now.whole());
    ASSERT_GE(now.numbers[0], last);
    last = now.numbers[0];
  }
  or_throw(lock->write(Dozen::of(last + 1), 60s));  // and the next writer has nothing to repair
  EXPECT_EQ(or_throw(lock->read()).numbers[0], last + 1);
}

TEST(seqlock, a_writer_waits_for_the_other_one_to_its_deadline) {
  auto lock = make();
  or_throw(lock->write(Dozen::of(2)));
  Forked writer{[&] {
    or_throw(lock->update([](Dozen& dozen) {
      dozen = Dozen::of(1);
      for (;;) ::pause();
    }));
  }};
  auto waiting = waiting_for("a writer that holds the lock");
  for (;;) {
    if (auto written = lock->write(Dozen::of(2), 1ms); !written) {
      EXPECT_EQ(written.error(), ErrorKind::timed_out);
      break;
    }
  }
  EXPECT_EQ(or_throw(lock->read()).numbers[0], 2);
}

std::uint64_t& sequence_of(Lock& lock) {
  return *reinterpret_cast<std::uint64_t*>(reinterpret_cast<std::byte*>(&lock) + sizeof(Mutex));
}

TEST(seqlock, its_sequence_may_wrap) {
  auto lock = make();
  sequence_of(*lock) = UINT64_MAX - 999;
  for (std::uint64_t i = 1; i <= 2000; ++i) {
    or_throw(lock->write(Dozen::of(i)));
    ASSERT_EQ(or_throw(lock->read()).numbers[5], i);
  }
}

TEST(seqlock, no_bytes_crash_a_reader_or_keep_it) {
  auto lock = make();
  Forked victim{[&] {
    std::mt19937_64 random{7};
    auto* const words = &sequence_of(*lock);
    for (int i = 0; i < soaked(100'000); ++i) {
      for (std::size_t word = 0; word < 25; ++word) words[word] = random();
      if (!lock->read(Deadline{Deadline::Clock::time_point::min()})) return 1;
    }
    return 0;
  }};
  auto waiting = waiting_for("reads of random bytes");
  EXPECT_EQ(victim.wait(), 0);
}

/// Long enough to be written over while it is read: a reader that did not look at the sequence again
/// would hand out a torn one within some tens of reads.
struct Page {
  std::uint64_t numbers[4096] = {};
};

TEST(seqlock_threaded, a_copy_that_was_written_over_is_found_out) {
  auto lock = or_throw(Shared<Seqlock<Page>>::create());
  std::atomic<bool> enough{false};
  std::thread writer{[&] {
    auto page = std::make_unique<Page>();
    for (std::uint64_t i = 1; !enough; ++i) {
      std::ranges::fill(page->numbers, i);
      or_throw(lock->write(*page));
      if (i % 8 == 0) std::this_thread::yield();  // on one processor, and for a read that succeeds
    }
  }};
  auto page = std::make_unique<Page>();
  int found_out = 0;
  bool whole = true;
  auto waiting = waiting_for("reads that come in the way of writes, and reads that do not");
  for (int read = 0; whole && (found_out < 5 || read < 5);) {
    if (!lock->try_read(*page)) {
      ++found_out;
      continue;
    }
    ++read;
    whole = std::ranges::count(page->numbers, page->numbers[0]) == std::ssize(page->numbers);
  }
  enough = true;
  writer.join();
  EXPECT_TRUE(whole);
}

TEST(seqlock_threaded, readers_and_writers_are_no_data_race) {
  auto lock = make();
  std::thread writer{[&] {
    for (std::uint64_t i = 1; i <= 2000; ++i) or_throw(lock->write(Dozen::of(i)));
  }};
  while (true) {
    const Dozen now = or_throw(lock->read());
    ASSERT_TRUE(now.whole());
    if (now.numbers[0] == 2000) break;
  }
  writer.join();
}

}  // namespace
}  // namespace bulkhead
