// SPDX-License-Identifier: Apache-2.0
//
// How a barrier learns of a death. Each member's thread holds the robust mutex of its slot; when it
// ends, however, the kernel marks that mutex's word and wakes one sleeper on it. All who wait sleep
// on the word of the round and on the words of all other members at once (futex_waitv(2)).
//
// STATE of a round, for slots that are vacant, alive, dead or left
//   open      --arrive: slot.arrived = round + 1-->   open, or complete when all have
//   complete  --whoever sees it: word = round + 1-->  the next one, all woken by the kernel at once
// Both of two who arrive last may see it complete and both step: the word is set, not counted up,
// and nobody gets further ahead than one round without them. Who arrives stores, then looks, all
// sequentially consistent: at least the last one sees all. If that one dies before it steps, it
// wakes somebody who looks.
//   dead, left --whoever sees it: wakes all-->        each looks for itself
// The kernel's single wake goes to one of those who watch. If that one dies before it has woken the
// others, one of them is woken by its death: it was a member too.
//   vacant, dead, left --join: takes the mutex, wakes all-->  alive, and watched by those
// One that dies inside join, before it has told, has not come.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

#include <bulkhead/barrier.hpp>

#include "os/futex.hpp"

namespace bulkhead {
namespace {

enum Standing : std::uint32_t { vacant = 0, is_member = 1, has_left = 2 };

constexpr unsigned waiters_bit = 31;
static_assert(1U << waiters_bit == FUTEX_WAITERS);

/// The word of a robust mutex that the kernel knows (get_robust_list(2)); glibc has it first.
os::FutexWord& word_of(pthread_mutex_t& mutex) noexcept {
  static_assert(sizeof(mutex.__data.__lock) == sizeof(os::FutexWord));
  return reinterpret_cast<os::FutexWord&>(mutex.__data.__lock);
}

pid_t this_thread() noexcept { return static_cast<pid_t>(::syscall(SYS_gettid)); }

}  // namespace

/// What a member sees of the round that it has arrived in.
struct Barrier::Sight {
  enum class What { passed, complete, died, left, open };

  What what = What::open;
  unsigned who = 0;          // who died or left
  std::uint32_t joined = 0;  // and in which membership
  bool narrow = false;       // somebody can watch only one word
  std::size_t count = 0;
  std::array<os::FutexSeen, most_members + 1> words;  // to watch; the round's first
  std::size_t missing = 0;                            // one of them: the first who has not arrived
};

Barrier::Barrier(Place, unsigned members, const char* name) noexcept
    : members_(std::clamp(members, 1U, most_members)) {
  std::strncpy(name_.data(), name, name_.size() - 1);
  pthread_mutexattr_t attributes;
  ::pthread_mutexattr_init(&attributes);
  ::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  ::pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  for (Slot& slot : slots_) ::pthread_mutex_init(&slot.life, &attributes);
  ::pthread_mutexattr_destroy(&attributes);
}

unsigned Barrier::members() const noexcept { return std::min(members_, most_members); }

Result<Barrier::Member> Barrier::join() {
  for (unsigned i = 0; i < members(); ++i) {
    Slot& slot = slots_[i];
    const int outcome = ::pthread_mutex_trylock(&slot.life);
    if (outcome != 0 && outcome != EOWNERDEAD) continue;
    if (outcome == EOWNERDEAD) ::pthread_mutex_consistent(&slot.life);
    slot.arrived = round_.load();
    slot.process = static_cast<std::uint32_t>(::getpid());
    slot.standing = is_member;
    ++slot.joined;
    tell_all();
    return Member{*this, i};
  }
  return fail(ErrorKind::full, {.operation = "join",
                                .object = label(),
                                .cause = "all its " + std::to_string(members()) + " members live",
                                .remedy = "make it for more members"});
}

/// Wakes all who wait, to look for themselves.
void Barrier::tell_all() noexcept {
  os::futex_wake_all(round_);
  if (narrow_ == 0) return;
  for (Slot& slot : slots_) os::futex_wake_all(word_of(slot.life));
}

Barrier::Sight Barrier::look(Member& member) noexcept {
  Sight sight;
  const std::uint32_t round = round_;
  if (round != member.round_) {
    sight.what = Sight::What::passed;
    return sight;
  }
  sight.narrow = narrow_ != 0;
  sight.words[sight.count++] = {&round_, round};
  bool all = true;
  for (unsigned i = 0; i < members(); ++i) {
    if (i == member.number_) continue;
    Slot& slot = slots_[i];
    os::FutexWord& life = word_of(slot.life);
    std::uint32_t seen = life;
    // Marked before it is looked whether the member has arrived: see sleep().
    const bool alive = (seen & FUTEX_TID_MASK) != 0;
    const auto has_arrived = [&] { return slot.arrived == (round + 1) % rounds; };
    if (alive && (seen & FUTEX_WAITERS) == 0 && !(sight.narrow && has_arrived())) {
      life.compare_exchange_strong(seen, seen | FUTEX_WAITERS);
      seen |= FUTEX_WAITERS;  // if it has changed, nobody falls asleep over this
      // It arrived meanwhile, and the mark is one that it had taken away.
      if (sight.narrow && has_arrived()) os::futex_clear_and_wake_all(life, waiters_bit);
    }
    const bool died = (seen & FUTEX_OWNER_DIED) != 0;
    const bool left = !alive && slot.standing == has_left;
    const std::uint32_t joined = slot.joined;
    const bool arrived = has_arrived();
    const bool news = (died || left) && member.told_[i] != joined;
    if (news && (sight.what == Sight::What::open || (died && sight.what == Sight::What::left))) {
      sight.what = died ? Sight::What::died : Sight::What::left;
      sight.who = i;
      sight.joined = joined;
    }
    if (!arrived && all) sight.missing = sight.count;
    all = all && arrived;
    sight.words[sight.count++] = {&life, seen};
  }
  if (all) sight.what = Sight::What::complete;
  return sight;
}

/// Until something that was seen has changed. False when the deadline came.
bool Barrier::sleep(const Sight& sight, Deadline deadline) noexcept {
  if (auto woken = os::futex_wait_any({sight.words.data(), sight.count}, deadline)) return *woken;
  // Linux before 5.16: the word of one who is missing. That one, when it arrives, finds `narrow_`
  // and takes the mark from its word, so that nobody falls asleep on a word that has told already.
  if (!sight.narrow) {
    narrow_ = 1;
    return true;  // who arrived before may not have seen it: look again
  }
  // Who passed meanwhile and has arrived in the next round already looked as if it were missing.
  if (round_ != sight.words[0].seen) return true;
  const os::FutexSeen& one = sight.words[sight.missing];
  return os::futex_wait(*one.word, one.seen, deadline);
}

Error Barrier::ended(const Sight& sight) const {
  const std::string who = "member " + std::to_string(sight.who) + " of " + label();
  const std::string process = std::to_string(slots_[sight.who].process);
  if (sight.what == Sight::What::died) {
    return Error::died("wait", who + " (process " + process + ")", Exit{});
  }
  return Error{
      ErrorKind::closed,
      {.operation = "wait",
       .object = label(),
       .cause = "member " + std::to_string(sight.who) + " (process " + process + ") has left",
       .remedy = "let another process join"}};
}

std::string Barrier::label() const {
  std::array<char, 32> name = name_;
  name.back() = '\0';
  return name[0] == '\0' ? "a barrier" : std::string("barrier ") + name.data();
}

Barrier::Member::Member(Barrier& barrier, unsigned number) noexcept
    : barrier_(&barrier), number_(number), thread_(this_thread()) {}

Barrier::Member::Member(Member&& other) noexcept
    : barrier_(std::exchange(other.barrier_, nullptr)),
      number_(other.number_),
      thread_(other.thread_),
      waits_(other.waits_),
      round_(other.round_),
      told_(other.told_) {}

Barrier::Member& Barrier::Member::operator=(Member&& other) noexcept {
  if (this == &other) return *this;
  leave();
  barrier_ = std::exchange(other.barrier_, nullptr);
  number_ = other.number_;
  thread_ = other.thread_;
  waits_ = other.waits_;
  round_ = other.round_;
  told_ = other.told_;
  return *this;
}

void Barrier::Member::leave() noexcept {
  // A copy in a forked child, or in another thread, does not hold the mutex.
  if (barrier_ == nullptr || thread_ != this_thread()) return;
  Slot& slot = barrier_->slots_[number_];
  slot.standing = has_left;
  ::pthread_mutex_unlock(&slot.life);
  barrier_->tell_all();
  barrier_ = nullptr;
}

void Barrier::Member::arrive() noexcept {
  round_ = barrier_->round_;
  waits_ = true;
  Slot& slot = barrier_->slots_[number_];
  slot.arrived = (round_ + 1) % rounds;
  if (barrier_->narrow_ != 0) os::futex_clear_and_wake_all(word_of(slot.life), waiters_bit);
}

void Barrier::Member::finish() noexcept {
  if (barrier_->members() == 1) {  // nobody else can have arrived: no call to wake them
    barrier_->round_ = (round_ + 1) % rounds;
    return;
  }
  os::futex_set_and_wake_all(barrier_->round_, static_cast<int>((round_ + 1) % rounds));
  if (barrier_->narrow_ != 0) barrier_->tell_all();
}

Result<void> Barrier::Member::arrive_and_wait(Deadline deadline) {
  if (!waits_) arrive();
  for (bool in_time = true;;) {
    const Sight sight = barrier_->look(*this);
    switch (sight.what) {
      case Sight::What::complete:
        finish();
        [[fallthrough]];
      case Sight::What::passed:
        waits_ = false;
        return {};
      case Sight::What::died:
      case Sight::What::left:
        told_[sight.who] = sight.joined;
        barrier_->tell_all();
        return fail(barrier_->ended(sight));
      case Sight::What::open:
        if (!in_time) {
          return fail(ErrorKind::timed_out, {.operation = "wait", .object = barrier_->label()});
        }
        in_time = barrier_->sleep(sight, deadline) && !deadline.expired();
    }
  }
}

}  // namespace bulkhead
