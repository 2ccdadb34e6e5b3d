// SPDX-License-Identifier: Apache-2.0
//
// Arena: memory and containers that several processes share, and what deaths and vandals leave.
#include <algorithm>
#include <csignal>
#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <string>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

#include <bulkhead/arena.hpp>
#include <bulkhead/arena_containers.hpp>
#include <bulkhead/shared.hpp>

#include "memory/heap.hpp"
#include "support/census.hpp"
#include "support/forked.hpp"
#include "support/soak.hpp"

namespace bulkhead {
namespace {

using namespace std::chrono_literals;
using test::Forked;
using testing::HasSubstr;

constexpr std::size_t small = 64 * 1024;

struct Words {
  explicit Words(ArenaAllocator<std::byte> in) : list(in), index(in) {}
  ArenaVector<int> list;
  ArenaMap<int, ArenaString> index;
};

bool is_all(const void* at, std::size_t size, int value) {
  const auto* const bytes = static_cast<const unsigned char*>(at);
  return std::all_of(bytes, bytes + size, [value](unsigned char byte) { return byte == value; });
}

TEST(arena, gives_memory_that_nobody_else_has_and_takes_it_back) {
  auto arena = or_throw(Arena::create(small));
  std::mt19937 random{1};
  std::map<std::byte*, std::size_t> had;
  for (int step = 0; step < 4000; ++step) {
    const std::size_t size = 1 + random() % 700;
    const std::size_t alignment = std::size_t{1} << random() % 9;
    const auto got = arena.allocate(size, alignment, 1s);
    if (got) {
      auto* const at = static_cast<std::byte*>(*got);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(at) % alignment, 0U);
      std::memset(at, static_cast<int>(size % 251), size);
      EXPECT_TRUE(had.emplace(at, size).second);
    }
    while (!had.empty() && (!got || random() % 3 == 0)) {
      const auto victim = std::next(had.begin(), static_cast<long>(random() % had.size()));
      EXPECT_TRUE(is_all(victim->first, victim->second, static_cast<int>(victim->second % 251)));
      EXPECT_TRUE(arena.deallocate(victim->first, 1s));
      had.erase(victim);
      if (random() % 8 == 0) break;
    }
  }
  for (const auto& [at, size] : had) EXPECT_TRUE(arena.deallocate(at, 1s));
  const auto room = or_throw(arena.room(1s));
  EXPECT_EQ(room.taken, 0U);
  EXPECT_EQ(room.longest, room.bytes);
  EXPECT_GT(room.bytes, small * 3 / 4);
}

TEST(arena, refuses_what_it_did_not_give) {
  auto arena = or_throw(Arena::create(small));
  auto* const at = static_cast<std::byte*>(or_throw(arena.allocate(100, 8, 1s)));
  int elsewhere = 0;
  for (void* const wrong : {static_cast<void*>(at + 32), static_cast<void*>(at + 1),
                            static_cast<void*>(&elsewhere), static_cast<void*>(nullptr)}) {
    EXPECT_EQ(arena.deallocate(wrong, 1s).error(), ErrorKind::invalid);
  }
  EXPECT_TRUE(arena.deallocate(at, 1s));
  EXPECT_EQ(arena.deallocate(at, 1s).error(), ErrorKind::invalid);
  EXPECT_EQ(arena.allocate(small, 8, 1s).error(), ErrorKind::exhausted);
  EXPECT_EQ(arena.allocate(~std::size_t{0}, 8, 1s).error(), ErrorKind::exhausted);
  EXPECT_EQ(arena.allocate(8, 3, 1s).error(), ErrorKind::invalid);
  EXPECT_EQ(arena.allocate(8, 8192, 1s).error(), ErrorKind::invalid);
  EXPECT_EQ(Arena::create(4096).error(), ErrorKind::exhausted);
}

TEST(arena, has_containers_that_every_process_finds_and_changes) {
  const auto name = posix_memory("bh-arena-" + std::to_string(::getpid()));
  auto here = or_throw(Arena::create(name, 1 << 20));
  std::vector<Forked> writers;
  for (int writer = 0; writer < 4; ++writer) {
    writers.emplace_back([&name, writer] {
      auto arena = or_throw(Arena::open_or_create(name, 1 << 20));  // mapped anew, elsewhere
      for (int i = 0; i < 50; ++i) {
        auto session = or_throw(arena.enter(60s));
        Words& words = *or_throw(session.root<Words>());
        words.list.push_back(writer);
        const int key = writer * 1000 + i;
        const auto text = "a text that is long enough for memory of its own " + std::to_string(key);
        words.index.emplace(key, ArenaString(text.c_str(), words.list.get_allocator()));
        if (i % 10 == 9) words.index.erase(key - 5);
      }
    });
  }
  for (auto& writer : writers) EXPECT_EQ(writer.wait(), 0);
  auto session = or_throw(here.enter(1s));
  const Words& words = *or_throw(session.root<Words>());
  EXPECT_EQ(words.list.size(), 200U);
  EXPECT_EQ(std::count(words.list.begin(), words.list.end(), 3), 50);
  EXPECT_EQ(words.index.size(), 180U);
  for (const auto& [key, text] : words.index) {
    EXPECT_THAT(text.c_str(), testing::EndsWith(std::to_string(key)));
  }
  EXPECT_EQ(session.root<int>().error(), ErrorKind::incompatible);
}

TEST(arena, in_memory_that_has_grown_since_is_where_it_was) {
  const auto path = (test::temporary_folder() / "arena").string();
  const auto name = file_memory(path);
  {
    auto arena = or_throw(Arena::create(name, small));
    or_throw(or_throw(arena.enter(1s)).root<Words>())->list.push_back(5);
  }
  ASSERT_EQ(::truncate(path.c_str(), 4 * small), 0);
  {
    auto arena = or_throw(Arena::open(name));
    auto session = or_throw(arena.enter(1s));
    auto& list = or_throw(session.root<Words>())->list;
    ASSERT_EQ(list.size(), 1U);
    EXPECT_EQ(list[0], 5);
    list.push_back(6);
  }
  ASSERT_EQ(::truncate(path.c_str(), small / 2), 0);
  EXPECT_EQ(Arena::open(name).error(), ErrorKind::corrupt);
  EXPECT_EQ(Arena::create(file_memory(path + "2", 64), small).error(), ErrorKind::invalid);
}

TEST(arena, containers_outside_of_a_session_get_no_memory) {
  auto arena = or_throw(Arena::create(small));
  Words* words = nullptr;
  {
    auto session = or_throw(arena.enter(1s));
    words = or_throw(session.root<Words>());
  }
  EXPECT_THROW(words->list.push_back(1), std::bad_alloc);
  auto session = or_throw(arena.enter(1s));
  words->list.push_back(1);
  EXPECT_EQ(arena.enter(1s).error(), ErrorKind::deadlock);
  EXPECT_THROW(words->list.resize(small), std::bad_alloc);
  EXPECT_EQ(words->list.size(), 1U);
  EXPECT_EQ(session.at(session.offset_of(words)), words);
  EXPECT_EQ(session.at(0), nullptr);
  EXPECT_EQ(session.at(~std::uint64_t{0}), nullptr);
}

TEST(arena, is_a_memory_resource_of_this_process) {
  auto arena = or_throw(Arena::create(small));
  ArenaResource resource{arena};
  {
    std::pmr::vector<std::pmr::string> lines{&resource};
    for (int i = 0; i < 100; ++i) lines.emplace_back("a line that does not fit into the string");
    EXPECT_GT(or_throw(arena.room(1s)).taken, 4000U);
    EXPECT_THROW(lines.resize(100000), std::bad_alloc);
  }
  EXPECT_EQ(or_throw(arena.room(1s)).taken, 0U);
}

TEST(arena, of_a_process_that_died_in_a_session_is_poisoned_until_it_is_rebuilt) {
  auto arena = or_throw(Arena::create(small));
  Forked holder{[&arena] {
    auto session = or_throw(arena.enter(1s));
    or_throw(session.root<Words>())->list.push_back(7);
    ::kill(::getpid(), SIGKILL);
  }};
  holder.wait();
  const auto refused = arena.enter(1s);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), ErrorKind::poisoned);
  EXPECT_THAT(refused.error().sentence(), HasSubstr("rebuild()"));
  EXPECT_EQ(arena.allocate(1, 1, 1s).error(), ErrorKind::poisoned);
  EXPECT_TRUE(arena.rebuild(1s));
  EXPECT_EQ(arena.generation(), 1U);
  auto session = or_throw(arena.enter(1s));
  EXPECT_TRUE(or_throw(session.root<Words>())->list.empty());
  session.give_up();
  EXPECT_EQ(arena.enter(1s).error(), ErrorKind::poisoned);
}

TEST(arena, session_is_not_a_forked_childs) {
  auto arena = or_throw(Arena::create(small));
  auto other = or_throw(Arena::create(small));
  Forked parent{[&] {
    auto session = or_throw(arena.enter(1s));
    Words& words = *or_throw(session.root<Words>());
    words.list.push_back(1);
    Forked child{[&] {
      if (arena.allocate(1, 1, 2ms).error() != ErrorKind::timed_out) return 1;
      try {
        words.list.push_back(2);
        words.list.push_back(3);
        return 2;
      } catch (const std::bad_alloc&) {
      }
      session.give_up();
      return 0;
    }};
    if (const int outcome = child.wait(); outcome != 0) return outcome;
    words.list.push_back(4);
    Forked{[&] { session.leave(); }}.wait();
    Forked heir{[&] {  // enters what its parent has just left, with the parent's copy still there
      auto mine = or_throw(arena.enter(60s));
      auto second = or_throw(other.enter(60s));
      or_throw(second.allocate(1, 1));
      or_throw(mine.root<Words>())->list.push_back(5);
      or_throw(second.root<Words>())->list.push_back(6);
      return 0;
    }};
    heir.until_asleep();
    session.leave();
    if (const int outcome = heir.wait(); outcome != 0) return outcome;
    auto again = or_throw(arena.enter(60s));
    Forked{[&] { again.leave(); }}.wait();
    ::kill(::getpid(), SIGKILL);  // in its session, whatever the child did
    return 0;
  }};
  EXPECT_EQ(parent.wait(), 128 + SIGKILL);
  EXPECT_EQ(arena.enter(1s).error(), ErrorKind::poisoned);
}

/// Dies at a random moment of a row of calls, so in the middle of them often enough.
TEST(arena, of_processes_that_died_while_they_allocated_is_usable) {
  auto arena = or_throw(Arena::create(small));
  std::mt19937 random{2};
  for (int round = 0; round < 60; ++round) {
    Forked worker{[&arena, round] {
      std::mt19937 own{static_cast<unsigned>(round)};
      std::vector<void*> had;
      for (;;) {
        if (auto got = arena.allocate(1 + own() % 3000, 1, 1s)) had.push_back(*got);
        if (had.size() > 4) {
          static_cast<void>(arena.deallocate(had.front(), 1s));
          had.erase(had.begin());
        }
      }
    }};
    for (auto turn = random() % 200; turn > 0; --turn) ASSERT_TRUE(arena.room(10s));
    EXPECT_EQ(worker.kill(), 128 + SIGKILL);
    EXPECT_TRUE(arena.room(10s)) << round;
    ASSERT_TRUE(arena.rebuild(10s));  // what the dead had stays taken
    EXPECT_EQ(or_throw(arena.room(1s)).taken, 0U);
  }
}

/// Stops at each step of the note in turn: what the next with the lock finds.
TEST(arena, note_of_a_dead_process_is_finished_by_the_next) {
  constexpr std::size_t size = small;
  auto region = or_throw(SharedRegion::create(size));
  auto head = or_throw(Shared<memory::ArenaHead>::create_in(std::move(region)));
  auto heap = or_throw(memory::Heap::over(*head, head.region().bytes().data(), size));
  void* const kept = or_throw(heap.allocate(100, 1));
  const auto taken = heap.taken();
  for (const auto note : {memory::ArenaHead::taking, memory::ArenaHead::giving}) {
    void* const lost = or_throw(heap.allocate(1000, 1));
    head->note = note;  // killed behind the bits, before the end
    EXPECT_TRUE(heap.recover());
    EXPECT_EQ(heap.taken(), taken);
    EXPECT_TRUE(heap.recover());
    EXPECT_EQ(heap.deallocate(lost).error(), ErrorKind::invalid);
  }
  head->note = memory::ArenaHead::giving;
  head->first = ~std::uint64_t{0};
  EXPECT_FALSE(heap.recover());
  head->note = memory::ArenaHead::none;
  EXPECT_TRUE(heap.deallocate(kept));
}

/// A10. A page on each side that cannot be touched; what is written over is all of the bookkeeping.
TEST(arena, corrupted_by_a_vandal_touches_nothing_outside_and_ends_every_search) {
  constexpr std::size_t size = small;
  constexpr std::size_t page = 4096;
  auto* const around = static_cast<std::byte*>(
      ::mmap(nullptr, size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(static_cast<void*>(around), MAP_FAILED);
  std::byte* const at = around + page;
  ASSERT_EQ(::mprotect(at, size, PROT_READ | PROT_WRITE), 0);
  auto model = or_throw(Shared<memory::ArenaHead>::create());
  auto& head = *reinterpret_cast<memory::ArenaHead*>(at + 64);
  std::memcpy(static_cast<void*>(&head), model.get(), sizeof head);
  auto heap = or_throw(memory::Heap::over(head, at, size));
  const auto behind_lock = reinterpret_cast<std::byte*>(&head) + sizeof(Mutex);
  const std::size_t bookkeeping = static_cast<std::size_t>(at + page - behind_lock);
  std::mt19937_64 random{3};
  for (int round = 0; round < test::soaked(20000); ++round) {
    for (std::size_t i = 0; i + 8 <= bookkeeping; i += 8) {
      const std::uint64_t word = round % 3 == 0 ? random() : random() & random() & random();
      if (round % 2 == 0 || random() % 16 == 0) std::memcpy(behind_lock + i, &word, 8);
    }
    for (int step = 0; step < 4; ++step) {
      const std::size_t wanted = 1 + random() % 5000;
      if (const auto got = heap.allocate(wanted, std::size_t{1} << random() % 13)) {
        auto* const first = static_cast<std::byte*>(*got);
        ASSERT_TRUE(heap.holds(first) && heap.holds(first + wanted - 1));
        if (random() % 2 == 0) static_cast<void>(heap.deallocate(first));
      }
      static_cast<void>(heap.deallocate(heap.at(random() % size)));
    }
    static_cast<void>(heap.recover());
    ASSERT_LE(heap.longest_free(), heap.pieces());
  }
  ::munmap(around, size + 2 * page);
}

}  // namespace
}  // namespace bulkhead
