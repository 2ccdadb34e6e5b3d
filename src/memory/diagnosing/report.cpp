// SPDX-License-Identifier: Apache-2.0
//
// What all boards say, put together by lock.
#include <algorithm>
#include <map>
#include <unistd.h>

#include <bulkhead/diagnosing.hpp>

#include "memory/diagnosing/boards.hpp"
#include "memory/diagnosing/own_board.hpp"
#include "os/names.hpp"
#include "os/process_identity.hpp"
#include "os/syscall.hpp"

namespace bulkhead {
namespace {

using namespace memory::diagnosing;
using Place = std::pair<std::uint64_t, std::uint64_t>;
using States = std::map<Place, LockReport::State>;

constexpr std::size_t most_uses = 100'000;

LockReport::Lock lock_of(const Record& record) {
  return {.region = record.region, .offset = record.offset, .name = text_of(record.name)};
}

std::chrono::nanoseconds since(std::int64_t moment, std::int64_t at) {
  return std::chrono::nanoseconds{moment > 0 && moment < at ? at - moment : 0};
}

LockReport::Thread thread_of(const SeenBoard& board, const Entry& entry) {
  return {.process = static_cast<pid_t>(board.header.process),
          .program = text_of(board.header.name),
          .thread = static_cast<pid_t>(entry.thread),
          .name = text_of(entry.name)};
}

LockReport::Use use_of(const SeenBoard& board, const Entry& entry, const Record& record) {
  LockReport::Use use;
  use.who = thread_of(board, entry);
  use.file = text_of(record.file);
  use.line = record.line;
  use.shared = record.mode != 0;
  use.depth = record.depth;
  use.lasts = since(record.since, now());
  return use;
}

LockReport::State& state_of(States& states, const Record& record) {
  LockReport::State& state = states[{record.region, record.offset}];
  if (state.lock.name.empty()) state.lock = lock_of(record);
  return state;
}

/// One that is written at this moment is looked at again; one whose writer was stopped there is not
/// shown.
std::optional<Entry> read_patiently(const SeenBoard& board, std::uint32_t index) {
  for (int looks = 0; looks < 8; ++looks) {
    if (auto entry = read_entry(board, index)) return entry;
  }
  return std::nullopt;
}

/// How often others came first can be seen while somebody has the lock: by the number of his turn.
void count_passed_over(States& states, const std::map<Place, std::uint64_t>& turns,
                       const std::vector<std::pair<Place, std::uint64_t>>& began) {
  std::map<Place, std::size_t> nth;
  for (const auto& [place, turn] : began) {
    LockReport::Use& waiter = states[place].waiters[nth[place]++];
    const auto last = turns.find(place);
    if (last != turns.end() && last->second > turn) waiter.passed_over = last->second - turn;
  }
}

class Gathering {
 public:
  void add(const SeenBoard& board) {
    LockReport::Process process{.process = static_cast<pid_t>(board.header.process),
                                .program = text_of(board.header.name)};
    std::uint64_t unseen = std::uint64_t{board.header.unnoted} + board.cut_off;
    for (std::uint32_t i = 0; i < board.entries; ++i) {
      const auto entry = read_patiently(board, i);
      if (!entry || !lives(board, *entry)) continue;
      ++process.threads;
      unseen += entry->unnoted;
      if (uses_ + entry->held < most_uses) {
        add(board, *entry);
      } else {
        unseen += entry->held + 1;
      }
    }
    process.unseen = static_cast<std::uint32_t>(std::min<std::uint64_t>(unseen, UINT32_MAX));
    for (std::size_t i = 0; i < most_notices; ++i) {
      if (const auto notice = read_notice(board, i)) add(board, *notice);
    }
    report.processes.push_back(std::move(process));
  }

  LockReport finish() {
    count_passed_over(states_, turns_, began_);
    for (auto& [place, state] : states_) {
      std::ranges::stable_sort(state.waiters, std::greater{}, &LockReport::Use::lasts);
      report.locks.push_back(std::move(state));
    }
    std::ranges::stable_sort(report.locks, std::greater{}, [](const LockReport::State& state) {
      return state.waiters.empty() ? std::chrono::nanoseconds{-1} : state.waiters.front().lasts;
    });
    std::ranges::stable_sort(report.seen, std::greater{}, &LockReport::Seen::longest);
    return std::move(report);
  }

  LockReport report;

 private:
  void add(const SeenBoard& board, const Entry& entry) {
    uses_ += entry.held + 1;
    for (std::uint32_t i = 0; i < entry.held; ++i) {
      const Record& record = entry.has[i];
      // The next writer of a SharedMutex: it has its turn, not the lock yet.
      const bool waits_for_it = entry.waiting != 0 && record.region == entry.wanted.region &&
                                record.offset == entry.wanted.offset;
      if (waits_for_it && record.mode == 0) continue;
      state_of(states_, record).owners.push_back(use_of(board, entry, record));
      std::uint64_t& turn = turns_[{record.region, record.offset}];
      turn = std::max(turn, record.turn);
    }
    if (entry.waiting == 0) return;
    const Record& wanted = entry.wanted;
    LockReport::Use use = use_of(board, entry, wanted);
    if (wanted.until != no_deadline) {
      use.left = std::chrono::nanoseconds{std::max<std::int64_t>(wanted.until, 0)} -
                 std::chrono::nanoseconds{now()};
    }
    state_of(states_, wanted).waiters.push_back(std::move(use));
    began_.emplace_back(Place{wanted.region, wanted.offset}, wanted.turn);
  }

  void add(const SeenBoard& board, const Notice& notice) {
    LockReport::Seen seen;
    seen.kind = static_cast<LockReport::Seen::Kind>(notice.kind - Notice::long_wait);
    seen.lock = lock_of(notice.record);
    Entry of_whom;
    of_whom.thread = notice.thread;
    seen.who = thread_of(board, of_whom);
    seen.file = text_of(notice.record.file);
    seen.line = notice.record.line;
    seen.longest = std::chrono::nanoseconds{std::max<std::int64_t>(notice.longest, 0)};
    seen.times = notice.times;
    seen.passed_over = notice.passed;
    seen.whom = static_cast<pid_t>(notice.other_thread);
    report.seen.push_back(std::move(seen));
  }

  States states_;
  std::map<Place, std::uint64_t> turns_;                // the last that was seen
  std::vector<std::pair<Place, std::uint64_t>> began_;  // of each waiter, in their order
  std::size_t uses_ = 0;
};

}  // namespace

std::string_view to_string(LockReport::Seen::Kind kind) noexcept {
  switch (kind) {
    case LockReport::Seen::Kind::long_wait:
      return "long wait";
    case LockReport::Seen::Kind::inversion:
      return "priority inversion";
    case LockReport::Seen::Kind::starvation:
      break;
  }
  return "starvation";
}

Result<LockReport> report_locks() {
  const std::string folder = BULKHEAD_TRY(os::runtime_directory()) + board_folder;
  const std::vector<std::string> paths = BULKHEAD_TRY(board_paths(folder));
  Gathering gathering;
  for (const std::string& path : paths) {
    const auto board = BULKHEAD_TRY(see_board(path));
    if (!board) continue;
    // Else all would be taken for dead.
    if (os::start_of(::getpid()) == 0) return os::failed("read", "/proc");
    if (!board->lives) continue;
    if (board->whole) {
      gathering.add(*board);
    } else if (board->size != 0) {
      gathering.report.unreadable.push_back(path);
    }
  }
  return gathering.finish();
}

}  // namespace bulkhead
