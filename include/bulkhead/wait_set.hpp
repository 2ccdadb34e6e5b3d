// SPDX-License-Identifier: Apache-2.0
//
// WaitSet: waits for the first of many Channels, Listeners, processes and descriptors.
//
// What is in the set is borrowed: remove it before it goes. Keys are the caller's and come back
// from wait(). Level-triggered: a key comes back until its owner has been read until `empty`.
// One thread waits; any thread may add and remove.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <bulkhead/channel.hpp>
#include <bulkhead/listener.hpp>

namespace bulkhead {

class BULKHEAD_API WaitSet {
 public:
  static Result<WaitSet> create();
  WaitSet(WaitSet&&) noexcept;
  WaitSet& operator=(WaitSet&&) noexcept;
  ~WaitSet();

  /// `exists` when the key is in use.
  Result<void> add(Channel& channel, std::uint64_t key);
  Result<void> add(Listener& listener, std::uint64_t key);
  Result<void> add(FdView readable, std::uint64_t key);
  Result<void> remove(std::uint64_t key);

  /// The keys that are ready now, at least one; `timed_out` when none became so.
  Result<std::vector<std::uint64_t>> wait(Deadline deadline);

 private:
  struct State;
  explicit WaitSet(std::unique_ptr<State> state) noexcept;

  std::unique_ptr<State> state_;
};

}  // namespace bulkhead
