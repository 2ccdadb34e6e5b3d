// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <mutex>
#include <sys/epoll.h>

#include <bulkhead/wait_set.hpp>

#include "os/poll.hpp"
#include "os/syscall.hpp"

namespace bulkhead {

struct WaitSet::State {
  struct Entry {
    std::uint64_t key;
    Fd fd;  // a duplicate: the owner's may be closed first
  };

  Fd epoll;
  std::mutex mutex;
  std::vector<Entry> entries;

  auto find(std::uint64_t key) {
    return std::find_if(entries.begin(), entries.end(),
                        [&](const Entry& entry) { return entry.key == key; });
  }
};

WaitSet::WaitSet(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
WaitSet::WaitSet(WaitSet&&) noexcept = default;
WaitSet& WaitSet::operator=(WaitSet&&) noexcept = default;
WaitSet::~WaitSet() = default;

Result<WaitSet> WaitSet::create() {
  auto state = std::make_unique<State>();
  state->epoll = Fd::adopt(::epoll_create1(EPOLL_CLOEXEC));
  if (!state->epoll) return os::failed("make", "wait set");
  return WaitSet{std::move(state)};
}

Result<void> WaitSet::add(Channel& channel, std::uint64_t key) {
  return add(BULKHEAD_TRY(channel.readable()), key);
}

Result<void> WaitSet::add(Listener& listener, std::uint64_t key) {
  return add(listener.readable(), key);
}

Result<void> WaitSet::add(FdView readable, std::uint64_t key) {
  const std::lock_guard guard{state_->mutex};
  if (state_->find(key) != state_->entries.end()) {
    return fail(ErrorKind::exists, {.operation = "add",
                                    .object = "key " + std::to_string(key),
                                    .cause = "it is in the wait set already"});
  }
  auto fd = BULKHEAD_TRY(Fd::duplicate(readable));
  epoll_event event{.events = EPOLLIN, .data = {.u64 = key}};
  if (::epoll_ctl(state_->epoll.native(), EPOLL_CTL_ADD, fd.native(), &event) != 0) {
    return os::failed("add", "descriptor " + std::to_string(readable.native()) + " to wait set");
  }
  state_->entries.push_back({key, std::move(fd)});
  return {};
}

Result<void> WaitSet::remove(std::uint64_t key) {
  const std::lock_guard guard{state_->mutex};
  const auto entry = state_->find(key);
  if (entry == state_->entries.end()) {
    return fail(ErrorKind::not_found, {.operation = "remove",
                                       .object = "key " + std::to_string(key),
                                       .cause = "it is not in the wait set"});
  }
  // Closing would not do it: the open file lives on in the owner's descriptor.
  ::epoll_ctl(state_->epoll.native(), EPOLL_CTL_DEL, entry->fd.native(), nullptr);
  state_->entries.erase(entry);
  return {};
}

Result<std::vector<std::uint64_t>> WaitSet::wait(Deadline deadline) {
  for (;;) {
    std::array<epoll_event, 64> events;
    const int count = ::epoll_wait(state_->epoll.native(), events.data(), events.size(), 0);
    if (count < 0 && errno != EINTR) return os::failed("wait", "wait set");
    if (count > 0) {
      std::vector<std::uint64_t> keys;
      for (int i = 0; i < count; ++i) keys.push_back(events[static_cast<std::size_t>(i)].data.u64);
      return keys;
    }
    if (BULKHEAD_TRY(os::poll_one(state_->epoll, POLLIN, deadline)) == 0) {
      return fail(ErrorKind::timed_out, {.operation = "wait", .object = "wait set"});
    }
  }
}

}  // namespace bulkhead
