// SPDX-License-Identifier: Apache-2.0
//
// The robust list of a thread: the locks that it has, where the kernel finds them when it dies.
//
// The kernel keeps one list a thread (set_robust_list(2)), and the C library has registered its own
// for its robust mutexes. Ours join that one, so a thread may hold both kinds at once. The C
// library's side of it is its ABI, since mutexes are shared with programs that were built with other
// versions: glibc 2.4 and later on 64-bit machines; elsewhere there is no list, and no lock.
//
// A thread's list is touched by that thread alone, and by the kernel after it. Every store below is
// volatile: a kill may come between any two, and what the kernel then reads is what was stored up
// to there. The order in which other processors see them does not matter.
//
// At most 2048 locks of one thread are released at its death (ROBUST_LIST_LIMIT), and none that
// stands in the list behind one whose memory was unmapped while it was held.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <linux/futex.h>
#include <pthread.h>

#include <bulkhead/detail/robust_lock.hpp>

namespace bulkhead::os {

using detail::RobustLinks;

/// A lock's word stands so far from its `next`, as in pthread_mutex_t.
inline constexpr long robust_word_offset = -32;

/// The calling thread, as locks know it.
class RobustThread {
 public:
  /// With a list or without one (usable() is false then).
  static RobustThread self() noexcept;

  bool usable() const noexcept { return list_ != nullptr; }
  /// gettid(), without a system call.
  std::uint32_t id() const noexcept { return id_; }

  /// From here to end() the thread is about to get or to give up this lock: the kernel looks at it
  /// as if it stood in the list.
  void begin(RobustLinks& links) const noexcept { pending() = tagged(links); }
  void end() const noexcept { pending() = 0; }

  /// Into the list and out of it; between begin() and end().
  __attribute__((no_sanitize("thread"))) void add(RobustLinks& links) const noexcept {
    const std::uint64_t first = head();
    links.next = first;
    links.previous = address_of_head();
    if (untagged(first) != address_of_head()) previous_of(first) = tagged(links) - is_inheriting;
    head() = tagged(links);
  }
  __attribute__((no_sanitize("thread"))) void remove(RobustLinks& links) const noexcept {
    const std::uint64_t next = links.next;
    const std::uint64_t previous = links.previous;
    if (untagged(next) != address_of_head()) previous_of(next) = previous;
    *field(untagged(previous)) = next;
  }

 private:
  static constexpr std::uint64_t is_inheriting = 1;
  using Field = volatile std::uint64_t;

  RobustThread(robust_list_head* list, std::uint32_t id) noexcept : list_(list), id_(id) {}
  static robust_list_head* find_list() noexcept;

  static std::uint64_t untagged(std::uint64_t link) noexcept { return link & ~is_inheriting; }
  static std::uint64_t tagged(RobustLinks& links) noexcept {
    return reinterpret_cast<std::uintptr_t>(&links.next) | is_inheriting;
  }
  static Field* field(std::uint64_t at) noexcept { return reinterpret_cast<Field*>(at); }
  static Field& previous_of(std::uint64_t link) noexcept {
    return *field(untagged(link) - sizeof(std::uint64_t));
  }
  std::uint64_t address_of_head() const noexcept {
    return reinterpret_cast<std::uintptr_t>(&list_->list);
  }
  Field& head() const noexcept { return *field(address_of_head()); }
  Field& pending() const noexcept {
    return *field(reinterpret_cast<std::uintptr_t>(&list_->list_op_pending));
  }

  robust_list_head* list_;
  std::uint32_t id_;
};

/// This thread's list, once it was looked for. It stays where it is in a forked child.
[[gnu::tls_model("initial-exec")]] extern constinit thread_local robust_list_head* robust_list;

inline RobustThread RobustThread::self() noexcept {
  robust_list_head* list = robust_list;
  if (list == nullptr) [[unlikely]]
    list = find_list();
  // The C library knows the thread's id, keeps it right in forked children, and tells it here: the
  // clock's number is made of it (~id << 3 | kind, as for the kernel: clock_getres(2)).
  clockid_t clock = 0;
  ::pthread_getcpuclockid(::pthread_self(), &clock);
  return {list, static_cast<std::uint32_t>(~(clock >> 3))};
}

}  // namespace bulkhead::os
