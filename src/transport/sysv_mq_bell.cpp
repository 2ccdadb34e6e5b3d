// SPDX-License-Identifier: Apache-2.0
#include "transport/sysv_mq_bell.hpp"

#include <new>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

#include "memory/memory_file.hpp"
#include "os/fence.hpp"
#include "os/syscall.hpp"

namespace bulkhead::transport::sysv_mq {
namespace {

std::size_t page_bytes() { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }

std::size_t index(For what) { return what == For::data ? 0 : 1; }

}  // namespace

OwnBells::OwnBells(Fd file, void* page, shm::Bell data, shm::Bell room) noexcept
    : file_(std::move(file)),
      page_(new(page) Page),
      data_(std::move(data)),
      room_(std::move(room)) {}

OwnBells::OwnBells(OwnBells&& other) noexcept
    : file_(std::move(other.file_)),
      page_(std::exchange(other.page_, nullptr)),
      data_(std::move(other.data_)),
      room_(std::move(other.room_)),
      last_(other.last_) {}

OwnBells::~OwnBells() {
  if (page_ != nullptr) ::munmap(page_, page_bytes());
}

Result<OwnBells> OwnBells::create(Trust peer) {
  auto data = BULKHEAD_TRY(shm::Bell::create(peer));
  auto room = BULKHEAD_TRY(shm::Bell::create(peer));
  Fd file = BULKHEAD_TRY(memory::make_memory_file("sysv", page_bytes()));
  void* const page =
      ::mmap(nullptr, page_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, file.native(), 0);
  if (page == MAP_FAILED) return os::failed("map", "page");
  OwnBells bells{std::move(file), page, std::move(data), std::move(room)};
  ::madvise(page, page_bytes(), MADV_DONTFORK);  // a forked child would be a second writer
  BULKHEAD_TRY(memory::seal(bells.file_, Region::State::published));
  return bells;
}

void OwnBells::arm(For what) noexcept {
  auto& last = last_[index(what)];
  if (++last == 0) last = 1;
  word(what).store(last);
  os::fence_seq_cst();
}

void OwnBells::disarm(For what) noexcept {
  // ORDER(sysv.awake): relaxed; a peer that sees the old number rings once too much; pairs with
  // ORDER(sysv.asked).
  word(what).store(0, std::memory_order_relaxed);
}

void OwnBells::passed() noexcept {
  file_.close();
  data_.passed();
  room_.passed();
}

PeerBells::PeerBells(PeerBells&& other) noexcept
    : page_(std::exchange(other.page_, nullptr)),
      data_(std::move(other.data_)),
      room_(std::move(other.room_)),
      rung_(other.rung_) {}

PeerBells::~PeerBells() {
  if (page_ != nullptr) ::munmap(const_cast<Page*>(page_), page_bytes());
}

Result<PeerBells> PeerBells::adopt(std::vector<Fd> passed) {
  if (passed.size() != 3)
    return fail(ErrorKind::corrupt, {.cause = "the peer's bells are missing"});
  const auto found = BULKHEAD_TRY(memory::inspect(passed[0]));
  if (found.size < sizeof(Page)) {
    return fail(ErrorKind::corrupt, {.cause = "the peer's page is too small"});
  }
  auto data = BULKHEAD_TRY(shm::BellWatch::adopt(std::move(passed[1])));
  auto room = BULKHEAD_TRY(shm::BellWatch::adopt(std::move(passed[2])));
  void* const page = ::mmap(nullptr, page_bytes(), PROT_READ, MAP_SHARED, passed[0].native(), 0);
  if (page == MAP_FAILED) return os::failed("map", "the peer's page");
  return PeerBells{page, std::move(data), std::move(room)};
}

bool PeerBells::wants_ring(For what) noexcept {
  os::fence_seq_cst();
  const auto& word = what == For::data ? page_->data_wait : page_->room_wait;
  // ORDER(sysv.asked): relaxed; behind the fence above, which pairs with that of arm(), and the
  // number alone is looked at; pairs with ORDER(sysv.awake).
  const auto now = word.load(std::memory_order_relaxed);
  auto& rung = rung_[index(what)];
  if (now == 0 || now == rung) return false;
  rung = now;
  return true;
}

}  // namespace bulkhead::transport::sysv_mq
