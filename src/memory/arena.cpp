// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <utility>

#include <bulkhead/arena.hpp>
#include <bulkhead/shared.hpp>

#include "memory/arena_session.hpp"
#include "memory/heap.hpp"
#include "memory/shared_header.hpp"
#include "os/own_pid.hpp"

namespace bulkhead {

using memory::ArenaHead;
using memory::Heap;

namespace {

/// The sessions of this thread, the last one first. A forked child has none of its parent's.
Heap*& sessions() {
  thread_local Heap* last = nullptr;
  thread_local pid_t process = 0;
  if (const pid_t now = os::own_pid(); process != now) {
    process = now;
    last = nullptr;
  }
  return last;
}

/// This thread's in the arena whose head is there; null when it has none.
Heap* session_of(const void* head) {
  Heap* heap = sessions();
  while (heap != nullptr && &heap->head() != head) heap = heap->outer;
  return heap;
}

std::unexpected<Error> refused(ErrorKind kind, const char* operation, const char* cause,
                               const char* remedy) {
  return fail(kind, {.operation = operation, .object = "arena", .cause = cause, .remedy = remedy});
}

std::unexpected<Error> is_poisoned() {
  return refused(ErrorKind::poisoned, "use",
                 "a process died while it changed what is in it, or gave it up half changed",
                 "rebuild() it, which empties it");
}

}  // namespace

struct Arena::State {
  Shared<ArenaHead> head;
  Heap heap;
};

Arena::Arena(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
Arena::Arena(Arena&&) noexcept = default;
Arena& Arena::operator=(Arena&&) noexcept = default;
Arena::~Arena() = default;

const SharedRegion& Arena::region() const noexcept { return state_->head.region(); }
std::uint64_t Arena::generation() const noexcept { return state_->head->generation; }

namespace {

/// Over as much of the region as it had when the arena was made: it may have grown since.
Result<Heap> heap_in(const Shared<ArenaHead>& head) {
  const MutableBytes bytes = head.region().bytes();
  const std::uint64_t size = memory::capacity_of(head.region());
  if (size > bytes.size()) {
    return refused(ErrorKind::corrupt, "open", "its region is smaller than when it was made",
                   "make it anew");
  }
  return Heap::over(*head, bytes.data(), size);
}

}  // namespace

Result<Arena> Arena::open(SharedRegion region) {
  auto head = BULKHEAD_TRY(Shared<ArenaHead>::open(std::move(region)));
  const Heap heap = BULKHEAD_TRY(heap_in(head));
  return Arena{std::unique_ptr<State>{new State{std::move(head), heap}}};
}

Result<Arena> Arena::make(SharedRegion region) {
  auto head = BULKHEAD_TRY(Shared<ArenaHead>::create_in(std::move(region)));
  const Heap heap = BULKHEAD_TRY(heap_in(head));
  return Arena{std::unique_ptr<State>{new State{std::move(head), heap}}};
}

namespace {

/// Before there is one: a region that is too small says how small an object may be.
Result<void> check_size(std::size_t size) {
  constexpr std::size_t least = 2 * Arena::most_alignment;
  if (size >= least) return {};
  return fail(ErrorKind::exhausted, {.operation = "make",
                                     .object = "arena",
                                     .cause = std::to_string(size) + " bytes are too few",
                                     .remedy = "16384 bytes are enough"});
}

}  // namespace

Result<Arena> Arena::create(std::size_t size, Options options) {
  BULKHEAD_TRY(check_size(size));
  return make(BULKHEAD_TRY(SharedRegion::create(size, options)));
}

Result<Arena> Arena::create(const MemoryName& name, std::size_t size, Options options) {
  BULKHEAD_TRY(check_size(size));
  auto region = BULKHEAD_TRY(
      SharedRegion::prepare(name, size, options, bulkhead::detail::shared_is_unfinished));
  auto head = BULKHEAD_TRY(Shared<ArenaHead>::create_in(std::move(region)));
  const Heap heap = BULKHEAD_TRY(heap_in(head));
  BULKHEAD_TRY(head.appear());
  return Arena{std::unique_ptr<State>{new State{std::move(head), heap}}};
}

Result<Arena> Arena::open(const MemoryName& name, Options options) {
  return open(BULKHEAD_TRY(SharedRegion::open(name, options)));
}

Result<Arena> Arena::open_or_create(const MemoryName& name, std::size_t size, Options options) {
  // Each turn is one in which another process has made or removed it.
  constexpr int most_turns = 1000;
  for (int turn = 0;; ++turn) {
    auto found = open(name, options);
    if (found || found.error() != ErrorKind::not_found) return found;
    auto made = create(name, size, options);
    if (made || made.error() != ErrorKind::exists || turn == most_turns) return made;
  }
}

/// The lock, with what a dead holder was about finished: then the heap is in order, and what lies in
/// it is unless that one died in a Session.
Result<Mutex::Guard> Arena::lock(Deadline deadline) {
  ArenaHead& head = *state_->head;
  if (session_of(&head) != nullptr) {
    return refused(ErrorKind::deadlock, "use", "this thread has a session in it",
                   "use that session, or end it");
  }
  auto guard = BULKHEAD_TRY(head.lock.lock(deadline));
  if (guard.owner_died()) {
    const bool finished = state_->heap.recover();
    if (!finished || head.condition != ArenaHead::sound) head.condition = ArenaHead::poisoned;
    guard.repaired();
  }
  return guard;
}

template <class Work> auto Arena::with_lock(Deadline deadline, Work&& work) {
  return [&]() -> decltype(work()) {
    const auto guard = BULKHEAD_TRY(lock(deadline));
    if (state_->head->condition != ArenaHead::sound) return is_poisoned();
    return work();
  }();
}

Result<void*> Arena::allocate(std::size_t size, std::size_t alignment, Deadline deadline) {
  return with_lock(deadline, [&] { return state_->heap.allocate(size, alignment); });
}

Result<void> Arena::deallocate(void* at, Deadline deadline) {
  return with_lock(deadline, [&] { return state_->heap.deallocate(at); });
}

Result<Arena::Room> Arena::room(Deadline deadline) {
  return with_lock(deadline, [&]() -> Result<Room> {
    const Heap& heap = state_->heap;
    return Room{.bytes = heap.pieces() * Heap::piece,
                .taken = heap.taken() * Heap::piece,
                .longest = heap.longest_free() * Heap::piece};
  });
}

Result<Arena::Session> Arena::enter(Deadline deadline) {
  auto guard = BULKHEAD_TRY(lock(deadline));
  if (state_->head->condition != ArenaHead::sound) return is_poisoned();
  state_->head->condition = ArenaHead::in_session;
  return Session{state_->heap, std::move(guard)};
}

Result<void> Arena::rebuild(Deadline deadline) {
  const auto guard = BULKHEAD_TRY(lock(deadline));
  ArenaHead& head = *state_->head;
  // Half of this is worse than what there was: until it is done it is poisoned.
  head.condition = ArenaHead::poisoned;
  ++head.generation;
  state_->heap.clear();
  head.condition = ArenaHead::sound;
  return {};
}

Result<Arena> Arena::duplicate() const {
  return open(BULKHEAD_TRY(state_->head.region().duplicate()));
}

Result<Handle> Arena::into_handle() && { return std::move(state_->head).into_handle(); }

Result<Arena> Arena::from_handle(Handle handle, Trust trust) {
  return open(BULKHEAD_TRY(SharedRegion::from_handle(std::move(handle), trust)));
}

Arena::Session::Session(Heap& heap, Mutex::Guard guard) noexcept
    : heap_(&heap), guard_(std::move(guard)), process_(os::own_pid()) {
  heap.outer = std::exchange(sessions(), &heap);
}

Arena::Session::Session(Session&& other) noexcept
    : heap_(std::exchange(other.heap_, nullptr)),
      guard_(std::move(other.guard_)),
      process_(other.process_) {}

Arena::Session::~Session() { leave(); }

void Arena::Session::leave() noexcept {
  if (heap_ == nullptr) return;
  if (process_ != os::own_pid()) {  // the copy of a forked child
    heap_ = nullptr;
    return guard_.unlock();  // nothing: that is a copy too
  }
  Heap** link = &sessions();
  while (*link != nullptr && *link != heap_) link = &(*link)->outer;
  if (*link != nullptr) *link = heap_->outer;
  ArenaHead& head = std::exchange(heap_, nullptr)->head();
  if (head.condition == ArenaHead::in_session) head.condition = ArenaHead::sound;
  guard_.unlock();
}

void Arena::Session::give_up() noexcept {
  if (heap_ != nullptr && process_ == os::own_pid()) {
    heap_->head().condition = ArenaHead::poisoned;
  }
  leave();
}

Result<void*> Arena::Session::allocate(std::size_t size, std::size_t alignment) {
  return heap_->allocate(size, alignment);
}

Result<void> Arena::Session::deallocate(void* at) { return heap_->deallocate(at); }

std::uint64_t Arena::Session::offset_of(const void* at) const noexcept {
  return heap_->offset_of(at);
}

void* Arena::Session::at(std::uint64_t offset) const noexcept { return heap_->at(offset); }

Result<void*> Arena::Session::find_root(std::size_t size, std::size_t alignment) {
  const ArenaHead& head = heap_->head();
  const std::uint64_t root = head.root;
  if (root == 0) return nullptr;
  void* const at = heap_->at(root);
  if (at == nullptr) {
    return refused(ErrorKind::corrupt, "open the root of", "it is not in the arena",
                   "rebuild() it");
  }
  if (head.root_size != size || head.root_alignment != alignment) {
    return refused(ErrorKind::incompatible, "open the root of", "it is of another type",
                   "build both programs from the same declaration");
  }
  return at;
}

void Arena::Session::set_root(void* at, std::size_t size, std::size_t alignment) noexcept {
  ArenaHead& head = heap_->head();
  head.root_size = size;
  head.root_alignment = alignment;
  head.root = heap_->offset_of(at);
}

namespace detail {

void* arena_of(const Heap& heap) noexcept { return &heap.head(); }

Result<void*> arena_allocate(const void* arena, std::size_t size, std::size_t alignment) {
  if (Heap* const heap = session_of(arena)) return heap->allocate(size, alignment);
  return refused(ErrorKind::invalid, "allocate", "this thread has no session in it",
                 "enter() it before its containers are used");
}

Result<void> arena_deallocate(const void* arena, void* at) {
  if (Heap* const heap = session_of(arena)) return heap->deallocate(at);
  return refused(ErrorKind::invalid, "deallocate", "this thread has no session in it",
                 "enter() it before its containers are used");
}

}  // namespace detail
}  // namespace bulkhead
