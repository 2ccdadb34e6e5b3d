// SPDX-License-Identifier: Apache-2.0
#include "memory/diagnosing/cycle.hpp"

#include <algorithm>

#include "os/fence.hpp"

namespace bulkhead::memory::diagnosing {
namespace {

constexpr std::size_t most_threads = 4096;
constexpr std::size_t nobody = ~std::size_t{0};

std::uint64_t hash(const Record& lock) noexcept {
  return (lock.region ^ lock.offset * 0x9e3779b97f4a7c15U) * 0xff51afd7ed558ccdU;
}

bool is_same(const Record& a, const Record& b) noexcept {
  return a.region == b.region && a.offset == b.offset;
}

/// Who wants it alone waits for all that have it, a reader for its writer.
bool blocks(const Record& owned, const Record& wanted) noexcept {
  return is_same(owned, wanted) && (wanted.mode == 0 || owned.mode == 0);
}

const Record* blocking(const Entry& owner, const Record& wanted) noexcept {
  for (std::uint32_t i = 0; i < owner.held; ++i) {
    if (blocks(owner.has[i], wanted)) return &owner.has[i];
  }
  return nullptr;
}

}  // namespace

Waits::Waits(std::vector<SeenBoard> boards) : boards_(std::move(boards)) {
  for (const SeenBoard& board : boards_) {
    if (!board.whole || !board.lives) continue;
    for (std::uint32_t i = 0; i < board.entries && threads_.size() < most_threads; ++i) {
      const auto entry = read_entry(board, i);
      if (entry && entry->held != 0) threads_.push_back({&board, i, *entry, {}});
    }
  }
  for (std::size_t at = 0; at < threads_.size(); ++at) {
    const Entry& entry = threads_[at].entry;
    for (std::uint32_t i = 0; i < entry.held; ++i) holders_.emplace_back(hash(entry.has[i]), at);
  }
  std::sort(holders_.begin(), holders_.end());
  // A board may say that a thread has one lock thirty times.
  holders_.erase(std::unique(holders_.begin(), holders_.end()), holders_.end());
}

std::vector<std::size_t> Waits::followers(std::size_t of, std::size_t start, Followed& done) const {
  std::vector<std::size_t> found;
  const Entry& waiter = threads_[of].entry;
  const auto wait = std::tuple{waiter.wanted.region, waiter.wanted.offset, waiter.wanted.mode};
  if (waiter.waiting == 0 || done.contains(wait)) return found;
  bool all = true;  // are known from now on
  const std::uint64_t wanted = hash(waiter.wanted);
  auto at = std::lower_bound(holders_.begin(), holders_.end(), std::pair{wanted, std::size_t{0}});
  for (; at != holders_.end() && at->first == wanted; ++at) {
    if (blocking(threads_[at->second].entry, waiter.wanted) == nullptr) continue;
    // Who writes next has that turn already, and waits for the readers: not for itself.
    if (at->second == of) {
      all = of != start;  // which another one may find
    } else {
      found.push_back(at->second);
    }
  }
  if (all) done.insert(wait);
  return found;
}

std::vector<Member> Waits::circle_through(std::uint32_t own_index) const {
  const auto own = std::ranges::find_if(threads_, [&](const Member& thread) {
    return thread.index == own_index && thread.board->is_ours();
  });
  if (own == threads_.end()) return {};
  const auto start = static_cast<std::size_t>(own - threads_.begin());
  // Breadth first; each thread once, so it ends whatever the boards say.
  std::vector<std::size_t> from(threads_.size(), nobody);
  std::vector<std::size_t> queue{start};
  Followed done;
  for (std::size_t next = 0; next < queue.size(); ++next) {
    for (const std::size_t follower : followers(queue[next], start, done)) {
      if (from[follower] != nobody) continue;
      from[follower] = queue[next];
      if (follower != start) {
        queue.push_back(follower);
        continue;
      }
      std::vector<Member> circle;
      std::size_t at = start;
      do {
        circle.push_back(threads_[at]);
        const Record wanted = threads_[from[at]].entry.wanted;
        circle.back().has = *blocking(threads_[at].entry, wanted);
        at = from[at];
      } while (at != start);
      std::reverse(circle.begin() + 1, circle.end());
      return circle;
    }
  }
  return {};
}

std::vector<Member> Waits::owners(const Record& wanted) const {
  std::vector<Member> found;
  for (const Member& thread : threads_) {
    const Record* const owned = blocking(thread.entry, wanted);
    if (owned == nullptr) continue;
    found.push_back(thread);
    found.back().has = *owned;
  }
  return found;
}

bool stands(const std::vector<Member>& circle) {
  os::fence_seq_cst();
  const bool unchanged = std::ranges::all_of(circle, [](const Member& member) {
    return read_sequence(*member.board, member.index) == member.entry.sequence;
  });
  return unchanged && std::ranges::all_of(circle, [](const Member& member) {
           return lives(*member.board, member.entry);
         });
}

std::string words_of(const Header& process, const Entry& thread) {
  const std::string program = text_of(process.name);
  const std::string name = text_of(thread.name);
  std::string words = program + " (" + std::to_string(process.process) + ") thread " +
                      std::to_string(thread.thread);
  // A thread without a name of its own has the program's, cut to what fits.
  if (!name.empty() && !program.starts_with(name)) words += " \"" + name + "\"";
  return words;
}

std::string words_of(const std::vector<Member>& circle) {
  std::string words;
  for (const Member& member : circle) {
    if (!words.empty()) words += "; ";
    const Entry& entry = member.entry;
    words += words_of(member.board->header, entry);
    if (is_same(member.has, entry.wanted)) {
      words += " is the next to write " + name_of(member.has) + " (" + line_of(member.has) + ")";
      continue;
    }
    words += (member.has.mode == 0 ? " has " : " reads ") + name_of(member.has) + " (" +
             line_of(member.has) + ") and waits for " + name_of(entry.wanted) + " (" +
             line_of(entry.wanted) + ")";
  }
  return words;
}

}  // namespace bulkhead::memory::diagnosing
