// SPDX-License-Identifier: Apache-2.0
#include "memory/diagnosing/diagnosing.hpp"

#include <cstdlib>
#include <new>
#include <string>
#include <string_view>
#include <sys/syscall.h>
#include <unistd.h>

#include <bulkhead/diagnosing.hpp>

#include "memory/diagnosing/cycle.hpp"
#include "memory/diagnosing/own_board.hpp"
#include "os/fence.hpp"

namespace bulkhead::memory::diagnosing {

constinit std::atomic<Setting> setting{Setting::undecided};

namespace {

constexpr std::uint64_t starved_after = 100;

/// LAYOUT struct sched_attr of sched_getattr(2), its first version, 48 bytes, written by the kernel.
struct Scheduling {
  std::uint32_t size, policy;
  std::uint64_t flags;
  std::int32_t nice;
  std::uint32_t priority;
  std::uint64_t runtime, deadline, period;
};
static_assert(sizeof(Scheduling) == 48);

/// More is more urgent: nice 19 to -20 is 0 to 39, real-time 1 to 99 is 101 to 199, deadline 200;
/// -1: cannot be seen.
int urgency_of(pid_t thread) noexcept {
  Scheduling found{};
  if (::syscall(SYS_sched_getattr, thread, &found, sizeof found, 0) != 0) return -1;
  constexpr unsigned deadline_policy = 6;
  if (found.policy == deadline_policy) return 200;
  return found.priority > 0 ? static_cast<int>(found.priority) + 100 : 19 - found.nice;
}

/// The thread `owner` is less urgent than the calling one.
bool is_outranked(std::uint32_t owner) noexcept {
  const int theirs = urgency_of(static_cast<pid_t>(owner));
  return theirs >= 0 && theirs < urgency_of(0);
}

/// Where each of those has taken it who are in the way.
std::string owners_in_words(const Waits& waits, const Lock& lock) {
  Record wanted;
  wanted.region = lock.region;
  wanted.offset = lock.offset;
  wanted.mode = static_cast<std::uint16_t>(lock.mode);
  constexpr std::size_t enough = 4;
  std::string words;
  const auto owners = waits.owners(wanted);
  for (std::size_t i = 0; i < owners.size() && i < enough; ++i) {
    words += (i == 0 ? "" : ", ") + words_of(owners[i].board->header, owners[i].entry) +
             " took it at " + line_of(owners[i].has);
  }
  if (owners.size() > enough) words += " and " + std::to_string(owners.size() - enough) + " others";
  return words;
}

/// What the boards say about a wait that failed; empty when nothing.
std::string told_by_boards(ErrorKind kind, const OwnEntry& me, const Lock& lock) {
  // The kernel holds all members of a circle where they are, but for one that just times out.
  const Waits waits{see_boards(own_board_folder())};
  if (kind == ErrorKind::timed_out) return owners_in_words(waits, lock);
  const auto circle = waits.circle_through(me.index());
  return circle.empty() || !stands(circle) ? std::string{} : words_of(circle);
}

}  // namespace

bool decide() noexcept {
  const char* const wish = ::getenv("BULKHEAD_DIAGNOSE_LOCKS");
  const bool on = wish != nullptr && *wish != 0 && std::string_view{wish} != "0";
  Setting expected = Setting::undecided;
  setting.compare_exchange_strong(expected, on ? Setting::on : Setting::off);
  return setting.load() == Setting::on;
}

void took(const Lock& lock, std::uint32_t depth, const std::source_location& where) noexcept {
  OwnEntry* const me = OwnEntry::mine();
  if (me != nullptr) me->add(lock, depth, where);
}

void gives(const Lock& lock, std::uint32_t left) noexcept {
  OwnEntry* const me = OwnEntry::mine();
  if (me != nullptr) me->remove(lock, left);
}

Waiting::Waiting(const Lock& lock, std::uint32_t owner, Deadline deadline,
                 const std::source_location& where) noexcept
    : lock_(lock), where_(where) {
  OwnEntry* const me = enabled() ? OwnEntry::mine() : nullptr;
  if (me == nullptr || me->waits()) return;
  noted_ = true;
  since_ = now();
  if (owner != 0 && is_outranked(owner)) outranked_ = owner;
  me->wait(lock, deadline, where);
  os::fence_seq_cst();  // ORDER: board.hpp
}

Waiting::~Waiting() {
  if (!noted_) return;
  OwnEntry::mine()->end_wait();
  note_how_long(0);
}

void Waiting::took(std::uint64_t turns) noexcept {
  if (!noted_) {
    lock_.turns = turns;
    if (enabled()) diagnosing::took(lock_, 1, where_);
    return;
  }
  // The first to give it up was its owner when we came.
  const std::uint64_t given_up = turns - lock_.turns;
  lock_.turns = turns;
  OwnEntry::mine()->obtain(lock_, where_);
  noted_ = false;
  note_how_long(given_up > 1 ? given_up - 1 : 0);
}

Error Waiting::explain(Error error) const noexcept {
  if (!noted_ || (error != ErrorKind::deadlock && error != ErrorKind::timed_out)) return error;
  try {
    const std::string words = told_by_boards(error.kind(), *OwnEntry::mine(), lock_);
    if (words.empty()) return error;
    const bool deadlock = error == ErrorKind::deadlock;
    return Error{
        error.kind(),
        {.operation = error.operation(),
         .object = error.object(),
         .cause = deadlock ? "deadlock: " + words : words,
         .remedy = deadlock ? "take these locks in the same order everywhere" : error.remedy()}};
  } catch (const std::bad_alloc&) {
    return error;
  }
}

void Waiting::note_how_long(std::uint64_t passed_over) noexcept {
  const std::int64_t lasted = now() - since_;
  notice(Notice::long_wait, lasted, passed_over, 0, lock_, where_);
  if (outranked_ != 0) notice(Notice::inversion, lasted, passed_over, outranked_, lock_, where_);
  if (passed_over > starved_after)
    notice(Notice::starvation, lasted, passed_over, 0, lock_, where_);
}

}  // namespace bulkhead::memory::diagnosing

namespace bulkhead {

Result<void> diagnose_locks() {
  BULKHEAD_TRY(memory::diagnosing::make_own_board());
  memory::diagnosing::setting.store(memory::diagnosing::Setting::on);
  return {};
}

bool diagnoses_locks() noexcept { return memory::diagnosing::enabled(); }

}  // namespace bulkhead
