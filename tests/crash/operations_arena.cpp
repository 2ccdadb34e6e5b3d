// SPDX-License-Identifier: Apache-2.0
//
// Allocating, giving back and changing a container in an Arena.
//
// The survivors are promised: a death in allocate() or deallocate() leaves a heap in which each piece
// is taken by somebody or free, nothing that was there before is lost, and that is used on at once;
// one in a Session leaves the containers whole, or says `poisoned`, and is rebuilt.
#include <chrono>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <utility>

#include <bulkhead/arena.hpp>
#include <bulkhead/arena_containers.hpp>
#include <bulkhead/shared.hpp>

#include "crash/operation.hpp"
#include "crash/survivors.hpp"
#include "memory/heap.hpp"

namespace bulkhead::crash {
namespace {

constexpr std::size_t size = 32 * 1024;
constexpr std::size_t wanted = 300;  // ten pieces
constexpr std::size_t rounded = 320;

struct Words {
  explicit Words(ArenaAllocator<std::byte> in) : list(in) {}
  ArenaVector<int> list;
};

Arena inherited_arena() {
  return or_throw(Arena::open(or_throw(SharedRegion::attach(Fd::adopt(3), Trust::equal))));
}

/// Before the victim there is one block, of a survivor's.
class Allocates : public Scene {
 public:
  Allocates() { std::memset(kept_, 7, wanted); }
  std::vector<FdView> inherited() override { return {handle_.fd()}; }
  std::vector<FdView> inherited_again() override {
    died_before_ = true;
    return inherited();
  }

  void after_death(bool finished, Verdict& verdict) override {
    const auto room = arena_.room(patience);
    if (!room) return verdict.violation("is not usable: " + room.error().sentence());
    if (died_before_) return judge_two_deaths(room->taken, finished, verdict);
    const bool before = room->taken == rounded;
    const bool after = room->taken == 2 * rounded;
    verdict.expect(finished ? after : before || after, "pieces are lost, or taken by nobody");
    judge_use(verdict);
  }

 protected:
  /// What a victim had, and died with, stays taken: the first one's too.
  void judge_two_deaths(std::size_t taken, bool finished, Verdict& verdict) {
    verdict.expect(taken % rounded == 0 && taken <= 3 * rounded, "pieces are lost");
    verdict.expect(taken >= (finished ? 2 : 1) * rounded, "taken by nobody");
    judge_use(verdict);
  }

  /// Everything that is free can be had, and the survivor's block is as it was.
  void judge_use(Verdict& verdict) {
    for (std::size_t i = 0; i < wanted; ++i) {
      if (static_cast<unsigned char*>(kept_)[i] != 7) return verdict.violation("written over");
    }
    verdict.expect(arena_.deallocate(kept_, patience).has_value(), "a block of another is lost");
    const auto room = or_throw(arena_.room(patience));
    const auto got = arena_.allocate(room.longest, 32, patience);
    verdict.expect(got && arena_.deallocate(*got, patience), "what is free cannot be had");
  }

  Arena arena_ = or_throw(Arena::create(size));
  void* kept_ = or_throw(arena_.allocate(wanted, 1, patience));
  Handle handle_ = or_throw(or_throw(arena_.duplicate()).into_handle());
  bool died_before_ = false;
};

/// The victim has a second block, and gives it back.
class GivesBack final : public Allocates {
 public:
  void after_death(bool finished, Verdict& verdict) override {
    const auto room = arena_.room(patience);
    if (!room) return verdict.violation("is not usable: " + room.error().sentence());
    const bool before = room->taken == 2 * rounded;
    const bool after = room->taken == rounded;
    verdict.expect(finished ? after : before || after, "pieces are lost, or free twice");
    judge_use(verdict);
  }
};

/// Somebody has died before, in the middle of taking ten pieces behind the first ten.
class AllocatesAfterDeath final : public Allocates {
 public:
  void begin() override {
    auto head = or_throw(Shared<memory::ArenaHead>::open(or_throw(arena_.region().duplicate())));
    std::thread{[&head] {
      alignas(Mutex::Guard) static thread_local std::byte place[sizeof(Mutex::Guard)];
      ::new (place) Mutex::Guard(or_throw(head->lock.lock()));
    }}.join();
    static_cast<void>(or_throw(heap_in(head).allocate(wanted, 1)));
    head->note = memory::ArenaHead::taking;
  }

 private:
  static memory::Heap heap_in(const Shared<memory::ArenaHead>& head) {
    const auto bytes = head.region().bytes();
    return or_throw(memory::Heap::over(*head, bytes.data(), bytes.size()));
  }
};

/// There is a list of two numbers, and the victim adds a third, for which it needs memory.
class Changes final : public Allocates {
 public:
  Changes() {
    auto session = or_throw(arena_.enter(patience));
    Words& words = *or_throw(session.root<Words>());
    words.list.push_back(1);
    words.list.push_back(2);
  }

  void after_death(bool finished, Verdict& verdict) override {
    auto session = arena_.enter(patience);
    if (session) {
      const auto& list = or_throw(session->root<Words>())->list;
      verdict.expect(list.size() == 3U || (!finished && list.size() == 2U), "half changed");
      for (std::size_t i = 0; i < list.size(); ++i) {
        verdict.expect(list[i] == static_cast<int>(i) + 1, "what was in the list is another");
      }
      return;
    }
    verdict.expect(!finished && session.error() == ErrorKind::poisoned,
                   "is neither whole nor poisoned");
    verdict.expect(arena_.rebuild(patience).has_value(), "cannot be rebuilt");
    verdict.expect(or_throw(arena_.room(patience)).taken == 0, "is rebuilt, and not empty");
  }
};

void allocate_victim() {
  auto arena = inherited_arena();
  mark(Mark::begin);
  static_cast<void>(or_throw(arena.allocate(wanted, 1, patience)));
  mark(Mark::end);
}

void give_back_victim() {
  auto arena = inherited_arena();
  void* const mine = or_throw(arena.allocate(wanted, 1, patience));
  mark(Mark::begin);
  or_throw(arena.deallocate(mine, patience));
  mark(Mark::end);
}

void change_victim() {
  auto arena = inherited_arena();
  mark(Mark::begin);
  {
    auto session = or_throw(arena.enter(patience));
    or_throw(session.root<Words>())->list.push_back(3);
  }
  mark(Mark::end);
}

template <class Of> Operation operation(std::string name, void (*victim)()) {
  return {.name = std::move(name),
          .stage = [] { return std::make_unique<Of>(); },
          .victim = victim,
          .least_deaths = 150};
}

}  // namespace

std::vector<Operation> arena_operations() {
  return {
      operation<Allocates>("arena: allocate", allocate_victim),
      operation<GivesBack>("arena: give back", give_back_victim),
      operation<AllocatesAfterDeath>("arena: allocate after a death (recovery)", allocate_victim),
      operation<Changes>("arena: session, add to a list", change_victim),
  };
}

}  // namespace bulkhead::crash
