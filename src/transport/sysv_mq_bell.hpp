// SPDX-License-Identifier: Apache-2.0
//
// The bells beside a queue of System V, which cannot be polled: a sleeper says on a page of its own
// that it sleeps, and who puts something into the queue, or takes something out, looks at that page
// and rings only then. The messages stay in the queue; a hot one costs a look at a word in memory
// and no system call more.
//
// LAYOUT of the page (a memory file that its owner alone can write; the peer maps it read-only)
//   offset  size  field       written by  read by
//   0       4     data_wait   receiver    the peer's sender
//   64      4     room_wait   sender      the peer's receiver
// STATE of a wait word
//   0  awake --arm()--> n  asleep, a number not used before --disarm()--> 0
// A number is rung for once. One that is left armed costs a ring that nobody needs.
//
// Why no wake-up is lost: the sleeper stores the word, fences, and looks at the queue once more;
// the waker changes the queue, fences, and looks at the word. One of the two sees the other's.
// TRUST: a peer's page only says whether we ring; it is sealed, so that reading it cannot fault.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <bulkhead/fd.hpp>
#include <bulkhead/result.hpp>

#include "transport/shm/bell.hpp"

namespace bulkhead::transport::sysv_mq {

enum class For : std::uint8_t { data, room };

struct Page {
  alignas(64) std::atomic<std::uint32_t> data_wait{0};
  alignas(64) std::atomic<std::uint32_t> room_wait{0};
};
static_assert(sizeof(Page) == 128 && offsetof(Page, data_wait) == 0 &&
              offsetof(Page, room_wait) == 64 && std::atomic<std::uint32_t>::is_always_lock_free);

/// What this end has: its page, and the bells by which it wakes the peer.
class OwnBells {
 public:
  static Result<OwnBells> create(Trust peer);
  OwnBells(OwnBells&& other) noexcept;
  OwnBells& operator=(OwnBells&&) = delete;
  ~OwnBells();

  /// From now on the peer rings: look at the queue once more before sleeping.
  void arm(For what) noexcept;
  void disarm(For what) noexcept;
  void ring(For what) const noexcept { (what == For::data ? data_ : room_).ring(); }

  /// For the hello, in this order: the page, the bells for data and for room.
  std::array<int, 3> passing() const noexcept {
    return {file_.native(), data_.passing().native(), room_.passing().native()};
  }
  void passed() noexcept;

 private:
  OwnBells(Fd file, void* page, shm::Bell data, shm::Bell room) noexcept;
  std::atomic<std::uint32_t>& word(For what) const noexcept {
    return what == For::data ? page_->data_wait : page_->room_wait;
  }

  Fd file_;
  Page* page_;
  shm::Bell data_;
  shm::Bell room_;
  std::array<std::uint32_t, 2> last_{};
};

/// What the peer passed.
class PeerBells {
 public:
  /// `corrupt` unless they are what OwnBells::passing() passes.
  static Result<PeerBells> adopt(std::vector<Fd> passed);
  PeerBells(PeerBells&& other) noexcept;
  PeerBells& operator=(PeerBells&&) = delete;
  ~PeerBells();

  /// The peer sleeps and has not been rung for it: once for each sleep. After the queue changed.
  bool wants_ring(For what) noexcept;

  /// What the peer rings.
  const shm::BellWatch& watch(For what) const noexcept { return what == For::data ? data_ : room_; }

 private:
  PeerBells(const void* page, shm::BellWatch data, shm::BellWatch room) noexcept
      : page_(static_cast<const Page*>(page)), data_(std::move(data)), room_(std::move(room)) {}

  const Page* page_;
  shm::BellWatch data_;
  shm::BellWatch room_;
  std::array<std::uint32_t, 2> rung_{};
};

}  // namespace bulkhead::transport::sysv_mq
