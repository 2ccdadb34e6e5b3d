// SPDX-License-Identifier: Apache-2.0
//
// The handler makes one system call, mmap(2), which Linux makes as well from a signal handler as
// anywhere, and touches only atomics that are always lock-free.
#include "memory/sigbus_guard.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <mutex>
#include <sys/mman.h>
#include <unistd.h>

#include <bulkhead/sigbus_guard.hpp>

#include "os/syscall.hpp"

namespace bulkhead {
namespace {

struct Slot {
  std::atomic<bool> taken;
  std::atomic<std::uintptr_t> begin;
  std::atomic<std::uintptr_t> end;
  std::atomic<bool> damaged;
};

constexpr std::size_t most_slots = 4096;
std::array<Slot, most_slots> slots;
std::atomic<std::size_t> used_slots;  // none behind this one was ever taken
std::atomic<bool> is_on;
std::uintptr_t page_size;
struct sigaction before;

Slot* slot_of(std::uintptr_t address) {
  const std::size_t count = used_slots.load();
  for (std::size_t i = 0; i < count; ++i) {
    Slot& slot = slots[i];
    const auto begin = slot.begin.load();
    if (begin == 0 || address < begin || address >= slot.end.load()) continue;
    if (slot.begin.load() == begin) return &slot;
  }
  return nullptr;
}

/// Gives the thread zeros to go on with. Nothing is known of the mapping's protection: a page that
/// can be written serves readers too.
bool replace_page(std::uintptr_t address) {
  void* const page = reinterpret_cast<void*>(address & ~(page_size - 1));
  return ::mmap(page, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
                -1, 0) != MAP_FAILED;
}

/// As if this handler had never been there.
void pass_on(int number, siginfo_t* info, void* context) {
  if ((before.sa_flags & SA_SIGINFO) != 0) {
    before.sa_sigaction(number, info, context);
  } else if (before.sa_handler == SIG_DFL || (before.sa_handler == SIG_IGN && info->si_code > 0)) {
    // The kernel ends the process when the instruction is made again; what kill(2) sent is sent anew.
    struct sigaction plain{};
    plain.sa_handler = SIG_DFL;
    ::sigaction(SIGBUS, &plain, nullptr);
    if (info->si_code <= 0) ::raise(SIGBUS);
  } else if (before.sa_handler != SIG_IGN) {
    before.sa_handler(number);
  }
}

void on_sigbus(int number, siginfo_t* info, void* context) {
  const int saved = errno;
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  Slot* const slot = info->si_code > 0 ? slot_of(address) : nullptr;
  if (slot != nullptr && replace_page(address)) {
    slot->damaged.store(true);
  } else {
    pass_on(number, info, context);
  }
  errno = saved;
}

}  // namespace

Result<void> guard_mappings() {
  static std::mutex one_at_a_time;
  const std::scoped_lock hold{one_at_a_time};
  if (is_on.load()) return {};
  page_size = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  struct sigaction ours{};
  ours.sa_sigaction = on_sigbus;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
  ::sigemptyset(&ours.sa_mask);
  // Asked first: the handler may run before a sigaction that sets and tells has told.
  if (::sigaction(SIGBUS, nullptr, &before) != 0 || ::sigaction(SIGBUS, &ours, nullptr) != 0) {
    return os::failed("guard", "mappings");
  }
  is_on.store(true);
  return {};
}

namespace memory {

GuardedRange GuardedRange::watch(const std::byte* at, std::size_t size) noexcept {
  GuardedRange range;
  if (!is_on.load()) return range;
  for (std::size_t i = 0; i < most_slots; ++i) {
    if (slots[i].taken.load() || slots[i].taken.exchange(true)) continue;
    for (auto count = used_slots.load(); count <= i;) {
      if (used_slots.compare_exchange_weak(count, i + 1)) break;
    }
    const auto begin = reinterpret_cast<std::uintptr_t>(at);
    slots[i].damaged.store(false);
    slots[i].end.store(begin + size);
    slots[i].begin.store(begin);
    range.slot_ = static_cast<int>(i);
    return range;
  }
  return range;
}

bool GuardedRange::is_damaged() const noexcept {
  return slot_ >= 0 && slots[static_cast<std::size_t>(slot_)].damaged.load();
}

void GuardedRange::release() noexcept {
  if (slot_ < 0) return;
  Slot& slot = slots[static_cast<std::size_t>(std::exchange(slot_, -1))];
  slot.begin.store(0);
  slot.end.store(0);
  slot.taken.store(false);
}

}  // namespace memory
}  // namespace bulkhead
