// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <atomic>
#include <cstring>
#include <sys/prctl.h>
#include <unistd.h>

#include "memory/diagnosing/own_board.hpp"
#include "memory/diagnosing/words.hpp"
#include "os/process_identity.hpp"

namespace bulkhead::memory::diagnosing {
namespace {

constinit thread_local OwnEntry entry;
constinit thread_local bool without_entry = false;  // no room, or the thread is ending

}  // namespace

struct ThreadEnd {
  ~ThreadEnd() {
    without_entry = true;
    entry.move_out();
  }
  void touch() const noexcept {}
};

class OwnEntry::Writing {
 public:
  explicit Writing(OwnEntry& own_entry) noexcept : entry_(own_entry) {
    store(entry_.page_, ++entry_.sequence_);
  }
  Writing(const Writing&) = delete;
  Writing& operator=(const Writing&) = delete;
  ~Writing() { store(entry_.page_, ++entry_.sequence_); }

  void held() const noexcept {
    store(entry_.page_ + offsetof(Entry, thread),
          two(static_cast<std::uint32_t>(tid_), entry_.held_));
  }
  void waiting() const noexcept {
    store(entry_.page_ + offsetof(Entry, waiting), two(entry_.waits_ ? 1 : 0, entry_.unnoted_));
  }
  void wanted(const Record& record) const noexcept {
    store_all(entry_.page_ + offsetof(Entry, wanted), record);
  }

 private:
  OwnEntry& entry_;
  pid_t tid_ = entry_.tid_;
};

void OwnEntry::forget() noexcept {
  entry = OwnEntry{};
  without_entry = false;
}

OwnEntry* OwnEntry::mine() noexcept {
  if (entry.page_ != nullptr) return &entry;
  if (without_entry) return nullptr;
  without_entry = !entry.move_in();
  return without_entry ? nullptr : &entry;
}

bool OwnEntry::move_in() noexcept {
  static thread_local ThreadEnd end;
  end.touch();
  const auto room = take_room();
  if (!room) return false;
  *this = OwnEntry{};
  index_ = room->index;
  page_ = room->page;
  tid_ = ::gettid();
  // The one thing read back, for it must only grow: whoever reads across two threads would be deceived.
  sequence_ = std::atomic_ref{*reinterpret_cast<std::uint64_t*>(page_)}.load() + 1;
  sequence_ -= sequence_ & 1;
  std::array<char, 16> name{};
  ::prctl(PR_GET_NAME, name.data());
  const Writing writing{*this};
  store(page_ + offsetof(Entry, start), os::start_of(::getpid(), tid_));
  store_all(page_ + offsetof(Entry, name), name);
  writing.waiting();
  writing.held();
  return true;
}

void OwnEntry::move_out() noexcept {
  if (page_ == nullptr) return;
  held_ = 0;
  waits_ = false;
  tid_ = 0;
  {
    const Writing writing{*this};
    writing.waiting();
    writing.held();
  }
  page_ = nullptr;
  give_room(index_);
}

/// held_ when it is not there.
std::uint32_t OwnEntry::find(const Lock& lock) const noexcept {
  std::uint32_t i = 0;
  while (i < held_ && (kept_[i].region != lock.region || kept_[i].offset != lock.offset ||
                       kept_[i].mode != lock.mode)) {
    ++i;
  }
  return i;
}

void OwnEntry::tell_depth(std::uint32_t index, std::uint32_t depth) noexcept {
  const std::uint32_t shown = std::min<std::uint32_t>(depth, UINT16_MAX);
  store(page_ + offset_of_record(index) + offsetof(Record, line),
        two(kept_[index].line, static_cast<std::uint32_t>(kept_[index].mode) | shown << 16));
}

void OwnEntry::add(const Lock& lock, std::uint32_t depth,
                   const std::source_location& where) noexcept {
  const Writing writing{*this};
  put(lock, depth, where);
  writing.held();
  if (unnoted_ != 0) writing.waiting();
}

void OwnEntry::put(const Lock& lock, std::uint32_t depth,
                   const std::source_location& where) noexcept {
  const std::uint32_t index = depth > 1 ? find(lock) : held_;
  if (index < held_) {
    tell_depth(index, depth);
  } else if (held_ == most_held) {
    ++unnoted_;
  } else {
    kept_[held_] = {lock.region, lock.offset, lock.mode, where.line()};
    store_all(page_ + offset_of_record(held_), record_of(lock, now_coarse(), where));
    ++held_;
  }
}

void OwnEntry::remove(const Lock& lock, std::uint32_t left) noexcept {
  const std::uint32_t index = find(lock);
  const Writing writing{*this};
  if (index == held_) {  // from before diagnosing was on, or one too many to be noted
    if (left == 0 && unnoted_ != 0) --unnoted_;
    writing.waiting();
  } else if (left != 0) {
    tell_depth(index, left);
  } else {
    --held_;
    kept_[index] = kept_[held_];  // the last one takes its place
    const std::byte* const from = page_ + offset_of_record(held_);
    for (std::size_t at = 0; index != held_ && at < sizeof(Record); at += sizeof(std::uint64_t)) {
      std::uint64_t word = 0;
      std::memcpy(&word, from + at, sizeof word);
      store(page_ + offset_of_record(index) + at, word);
    }
    writing.held();
  }
}

void OwnEntry::wait(const Lock& lock, Deadline deadline,
                    const std::source_location& where) noexcept {
  Record record = record_of(lock, now(), where);
  if (!deadline.is_never()) record.until = deadline.at().time_since_epoch().count();
  waits_ = true;
  const Writing writing{*this};
  writing.wanted(record);
  writing.waiting();
}

void OwnEntry::end_wait() noexcept {
  waits_ = false;
  const Writing writing{*this};
  writing.waiting();
}

void OwnEntry::obtain(const Lock& lock, const std::source_location& where) noexcept {
  waits_ = false;
  const Writing writing{*this};
  // A writer among readers has noted it when it came to be the next one.
  if (lock.mode == Mode::shared || find(lock) == held_) put(lock, 1, where);
  writing.waiting();
  writing.held();
}

}  // namespace bulkhead::memory::diagnosing
