// SPDX-License-Identifier: Apache-2.0
//
// SharedMutex between processes: readers and writers that die inside, waiting and repairing; nobody
// starves; forged words (A7, A9, F1 to F4, F22 of the threat list).
#include <array>
#include <csignal>
#include <gtest/gtest.h>
#include <mutex>
#include <optional>
#include <random>
#include <shared_mutex>
#include <thread>
#include <vector>

#include <bulkhead/shared.hpp>
#include <bulkhead/shared_mutex.hpp>

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
  explicit Table(Place place) : lock(place, "table") {}
  SharedMutex lock;
  std::atomic<std::uint32_t> step{0};
  std::uint64_t first = 0;
  std::uint64_t second = 0;
};

Shared<Table> make() { return or_throw(Shared<Table>::create()); }

void until(const std::atomic<std::uint32_t>& step, std::uint32_t value) {
  while (step < value) std::this_thread::yield();
}

/// Kills a child once it has done `first` and stands.
template <class First> void kill_after(Table& table, First first) {
  Forked dies{[&] {
    auto held = first();
    table.step = 1;
    ::pause();
  }};
  until(table.step, 1);
  dies.kill();
  table.step = 0;
}

void die_reading(Table& table) {
  kill_after(table, [&] { return or_throw(table.lock.lock_shared()); });
}
void die_writing(Table& table) {
  kill_after(table, [&] {
    auto held = or_throw(table.lock.lock());
    ++table.first;
    return held;
  });
}

TEST(shared_mutex, many_read_at_once_and_nobody_writes_meanwhile) {
  auto table = make();
  auto mine = or_throw(table->lock.lock_shared());
  Forked other{[&] {
    const auto held = table->lock.lock_shared();
    return held && table->lock.readers() == 2 ? 0 : 1;
  }};
  EXPECT_EQ(other.wait(), 0);
  Forked writer{[&] { return table->lock.try_lock().error() == ErrorKind::full ? 0 : 1; }};
  EXPECT_EQ(writer.wait(), 0);
  Forked late{[&] { return table->lock.lock(1ms).error() == ErrorKind::timed_out ? 0 : 1; }};
  EXPECT_EQ(late.wait(), 0);
  // Who tried in vain keeps nobody out.
  Forked again{[&] { return table->lock.try_lock_shared() ? 0 : 1; }};
  EXPECT_EQ(again.wait(), 0);
}

TEST(shared_mutex, who_writes_is_alone) {
  auto table = make();
  auto held = or_throw(table->lock.lock());
  Forked other{[&] {
    if (table->lock.try_lock_shared().error() != ErrorKind::full) return 1;
    if (table->lock.lock_shared(1ms).error() != ErrorKind::timed_out) return 2;
    if (table->lock.try_lock().error() != ErrorKind::full) return 3;
    return table->lock.lock(1ms).error() == ErrorKind::timed_out ? 0 : 4;
  }};
  EXPECT_EQ(other.wait(), 0);
  Forked reader{[&] { return table->lock.lock_shared() ? 0 : 1; }};
  reader.until_asleep();
  held.unlock();
  EXPECT_EQ(reader.wait(), 0);
}

TEST(shared_mutex, a_dead_reader_keeps_no_writer_and_nobody_is_told) {
  auto table = make();
  die_reading(*table);
  auto held = or_throw(table->lock.try_lock());
  EXPECT_FALSE(held.owner_died());
  held.unlock();
  EXPECT_TRUE(table->lock.try_lock_shared());
  EXPECT_EQ(table->lock.readers(), 0U);
}

TEST(shared_mutex, a_reader_that_dies_lets_the_writer_in_that_waits_for_it) {
  auto table = make();
  Forked reader{[&] {
    auto held = or_throw(table->lock.lock_shared());
    table->step = 1;
    ::pause();
  }};
  until(table->step, 1);
  Forked writer{[&] { return or_throw(table->lock.lock()).owner_died() ? 1 : 0; }};
  writer.until_asleep();
  reader.kill();
  EXPECT_EQ(writer.wait(), 0);
}

TEST(shared_mutex, nobody_reads_what_a_dead_writer_left_until_it_is_repaired) {
  auto table = make();
  die_writing(*table);
  for (const int attempt : {1, 2}) {
    const auto read = table->lock.lock_shared();
    ASSERT_FALSE(read) << attempt;
    EXPECT_EQ(read.error(), ErrorKind::peer_died) << read.error();
  }
  {
    auto held = or_throw(table->lock.lock());
    EXPECT_TRUE(held.owner_died());
    table->second = table->first;
    held.repaired();
    EXPECT_FALSE(held.owner_died());
  }
  EXPECT_TRUE(table->lock.try_lock_shared());
}

TEST(shared_mutex, what_nobody_repaired_is_poisoned_for_all) {
  auto table = make();
  die_writing(*table);
  or_throw(table->lock.lock()).unlock();
  EXPECT_TRUE(table->lock.poisoned());
  EXPECT_EQ(table->lock.lock().error(), ErrorKind::poisoned);
  EXPECT_EQ(table->lock.lock_shared().error(), ErrorKind::poisoned);
  Forked other{
      [&] { return table->lock.try_lock_shared().error() == ErrorKind::poisoned ? 0 : 1; }};
  EXPECT_EQ(other.wait(), 0);
}

TEST(shared_mutex, a_death_in_the_repair_leaves_it_to_be_repaired) {
  auto table = make();
  die_writing(*table);
  die_writing(*table);
  EXPECT_EQ(table->lock.lock_shared().error(), ErrorKind::peer_died);
  auto held = or_throw(table->lock.lock());
  EXPECT_TRUE(held.owner_died());
  held.repaired();
}

TEST(shared_mutex, a_writer_that_dies_waiting_for_readers_has_changed_nothing) {
  auto table = make();
  auto reading = or_throw(table->lock.lock_shared());
  Forked writer{[&] { static_cast<void>(table->lock.lock()); }};
  writer.until_asleep();
  Forked behind{[&] { return table->lock.lock_shared() ? 0 : 1; }};
  behind.until_asleep();
  writer.kill();
  EXPECT_EQ(behind.wait(), 0);
  Forked next{[&] { return or_throw(table->lock.lock()).owner_died() ? 1 : 0; }};
  next.until_asleep();
  reading.unlock();
  EXPECT_EQ(next.wait(), 0);
}

TEST(shared_mutex, a_writer_gets_in_however_many_go_on_reading) {
  auto table = make();
  const auto read = [&] {
    for (;;) {
      const auto held = table->lock.lock_shared();
      if (!held || table->first != table->second) ::_exit(1);
    }
  };
  std::vector<Forked> readers;
  for (int i = 0; i < 3; ++i) readers.emplace_back(read);
  auto waiting = waiting_for("the readers to let a writer in");
  for (int i = 0; i < 200; ++i) {
    auto held = or_throw(table->lock.lock());
    ++table->first;
    ++table->second;
  }
  for (Forked& reader : readers) EXPECT_EQ(reader.kill(), 128 + SIGKILL);
}

TEST(shared_mutex, the_thirty_third_reader_waits_for_one_to_leave) {
  auto table = make();
  std::vector<SharedMutex::SharedGuard> all;
  for (std::uint32_t i = 0; i < SharedMutex::most_readers; ++i) {
    all.push_back(or_throw(table->lock.lock_shared()));
  }
  Forked one_more{[&] {
    if (table->lock.try_lock_shared().error() != ErrorKind::full) return 1;
    return table->lock.lock_shared() ? 0 : 2;
  }};
  one_more.until_asleep();
  all.clear();
  EXPECT_EQ(one_more.wait(), 0);
}

TEST(shared_mutex, who_reads_and_wants_to_write_waits_for_itself) {
  auto table = make();
  auto reading = or_throw(table->lock.lock_shared());
  EXPECT_EQ(table->lock.lock().error(), ErrorKind::deadlock);
  EXPECT_EQ(table->lock.try_lock().error(), ErrorKind::deadlock);
  // And who reads once more behind a writer that waits for it.
  Forked writer{[&] { return table->lock.lock() ? 0 : 1; }};
  writer.until_asleep();
  EXPECT_EQ(table->lock.lock_shared().error(), ErrorKind::deadlock);
  reading.unlock();
  EXPECT_EQ(writer.wait(), 0);
}

TEST(shared_mutex, a_forked_child_neither_reads_nor_writes_with_its_parents_guard) {
  auto table = make();
  auto reading = or_throw(table->lock.lock_shared());
  Forked child{[&] {
    reading.unlock();
    return table->lock.try_lock().error() == ErrorKind::full ? 0 : 1;
  }};
  EXPECT_EQ(child.wait(), 0);
  reading.unlock();
  auto writing = or_throw(table->lock.lock());
  Forked other{[&] {
    writing.unlock();
    return table->lock.try_lock_shared().error() == ErrorKind::full ? 0 : 1;
  }};
  EXPECT_EQ(other.wait(), 0);
}

TEST(shared_mutex, standard_locks_take_it) {
  auto table = make();
  SharedLockable lock{table->lock};
  {
    const std::shared_lock reading{lock};
    EXPECT_EQ(table->lock.readers(), 1U);
  }
  {
    const std::scoped_lock writing{lock};
    EXPECT_FALSE(lock.owner_died());
    EXPECT_EQ(table->lock.try_lock().error(), ErrorKind::deadlock);
  }
  EXPECT_TRUE(table->lock.try_lock());
}

TEST(shared_mutex, readers_see_whole_writes_while_both_are_killed_at_random) {
  auto table = make();
  const auto write = [&] {
    for (;;) {
      auto held = or_throw(table->lock.lock());
      if (held.owner_died()) table->second = table->first;
      held.repaired();
      if (table->first != table->second) ::_exit(1);
      ++table->first;
      ++table->second;
    }
  };
  const auto read = [&] {
    for (;;) {
      const auto held = table->lock.lock_shared();
      if (!held && held.error() != ErrorKind::peer_died) ::_exit(2);
      if (held && table->first != table->second) ::_exit(3);
    }
  };
  std::array<std::optional<Forked>, 5> workers;
  const auto start = [&](std::size_t i) {
    i < 2 ? workers[i].emplace(write) : workers[i].emplace(read);
  };
  for (std::size_t i = 0; i < workers.size(); ++i) start(i);
  std::minstd_rand random{6};
  for (int kill = 0; kill < soaked(60); ++kill) {
    const std::size_t i = random() % workers.size();
    EXPECT_EQ(workers[i]->kill(), 128 + SIGKILL);
    workers[i].reset();
    start(i);
  }
  auto waiting = waiting_for("somebody to write; then the lock after all have died");
  while (std::atomic_ref{table->first} == 0) std::this_thread::yield();
  for (auto& worker : workers) EXPECT_EQ(worker->kill(), 128 + SIGKILL);
  auto held = or_throw(table->lock.lock());
  EXPECT_EQ(table->lock.readers(), 0U);
  if (!held.owner_died()) {
    EXPECT_EQ(table->first, table->second);
  }
  held.repaired();
}

TEST(shared_mutex, forged_words_never_keep_anybody_beyond_the_deadline) {
  auto table = make();
  auto* const words = reinterpret_cast<std::atomic<std::uint32_t>*>(&table->lock);
  Forked vandal{[&] {
    std::minstd_rand random{10};
    for (;;) {
      // The writers' word, the gate, or a slot's word.
      const std::size_t where =
          std::array<std::size_t, 3>{0, 20, 32 + random() % 32 * 16}[random() % 3];
      words[where] = static_cast<std::uint32_t>(random() * 2654435761U) >> (random() % 2 * 30);
    }
  }};
  Forked user{[&] {
    for (int i = 0; i < soaked(5'000); ++i) {
      static_cast<void>(table->lock.lock(20us));
      static_cast<void>(table->lock.lock_shared(20us));
    }
  }};
  auto waiting = waiting_for("a lock whose words are forged");
  EXPECT_EQ(user.wait(), 0);
}

TEST(shared_mutex_threaded, threads_read_what_threads_write) {
  auto table = make();
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 500; ++n) {
        auto held = or_throw(table->lock.lock());
        ++table->first;
        ++table->second;
      }
    });
    threads.emplace_back([&] {
      for (int n = 0; n < 500; ++n) {
        const auto held = or_throw(table->lock.lock_shared());
        EXPECT_EQ(table->first, table->second);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(table->first, 1'000U);
}

}  // namespace
}  // namespace bulkhead
