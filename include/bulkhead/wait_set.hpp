// SPDX-License-Identifier: Apache-2.0
//
// WaitSet: waits for the first of many Channels, Listeners, processes and descriptors.
//
// What is in the set is borrowed: remove it before it goes. Keys are the caller's and come back
// from wait(). Level-triggered: a key comes back until its owner has been read until `empty`.
// One thread waits; any thread may add and remove.
#pragma once

#include <cstdint>
#include <vector>

#include <bulkhead/channel.hpp>
#include <bulkhead/listener.hpp>

namespace bulkhead {

class BULKHEAD_API WaitSet {
 public:
  static Result<WaitSet> create();

  /// `exists` when the key is in use.
  Result<void> add(Channel& channel, std::uint64_t key);
  Result<void> add(Listener& listener, std::uint64_t key);
  Result<void> add(FdView readable, std::uint64_t key);
  Result<void> remove(std::uint64_t key);

  /// The keys that are ready now, at least one; `timed_out` when none became so.
  Result<std::vector<std::uint64_t>> wait(Deadline deadline);

 private:
  struct Entry {
    std::uint64_t key;
    Fd fd;  // a duplicate: the owner's may be closed first
  };

  explicit WaitSet(Fd epoll) noexcept : epoll_(std::move(epoll)) {}
  Result<void> insert(FdView fd, std::uint64_t key);

  Fd epoll_;
  std::vector<Entry> entries_;
};

}  // namespace bulkhead
