// SPDX-License-Identifier: Apache-2.0
#include "transport/inproc.hpp"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "os/condition.hpp"
#include "os/names.hpp"
#include "os/signal_fd.hpp"
#include "os/syscall.hpp"
#include "transport/aside.hpp"
#include "transport/mechanism.hpp"
#include "transport/parameters.hpp"

namespace bulkhead::transport {
namespace {

constexpr std::size_t longest_name = 64;

/// What a message costs beside its bytes, so that empty ones are bounded too.
constexpr std::size_t cost_bytes = 64;

/// One direction.
class Lane {
 public:
  explicit Lane(const ChannelOptions& options)
      : capacity_(std::max(options.capacity_bytes, std::size_t{1})),
        max_message_(options.max_message_bytes) {}

  Result<void> push(Bytes bytes, std::span<Handle> handles, Deadline deadline) {
    if (bytes.size() > max_message_) return refuse_size(bytes.size());
    std::unique_lock lock{mutex_};
    BULKHEAD_TRY(await_room(lock, bytes.size(), deadline));
    // All that can run out of memory comes before the first handle has moved.
    Message message{bytes};
    message.handles().reserve(handles.size());
    queue_.push_back(std::move(message));
    for (Handle& handle : handles) queue_.back().handles().push_back(std::move(handle));
    bytes_ += bytes.size() + cost_bytes;
    wanted_ = 0;
    show(lock);
    return {};
  }

  Result<void> pop(Message& into, Deadline deadline) {
    std::unique_lock lock{mutex_};
    while (queue_.empty()) {
      if (receiver_gone_ || sender_gone_) return fail(ErrorKind::closed);
      if (deadline == no_wait) return fail(ErrorKind::empty);
      if (!os::wait_until(data_, lock, deadline) && queue_.empty() && !ended()) {
        return fail(ErrorKind::timed_out);
      }
    }
    if (receiver_gone_) return fail(ErrorKind::closed);
    bytes_ -= queue_.front().size() + cost_bytes;
    Message taken = std::move(queue_.front());
    queue_.pop_front();
    show(lock);
    lock.unlock();
    into = std::move(taken);  // what `into` held may itself be the end of a channel
    return {};
  }

  Result<void> await_room(std::size_t size, Deadline deadline) {
    std::unique_lock lock{mutex_};
    return await_room(lock, size, deadline);
  }

  void end_sending() {
    std::unique_lock lock{mutex_};
    sender_gone_ = true;
    show(lock);
  }

  void end_receiving() {
    std::deque<Message> dropped;
    std::unique_lock lock{mutex_};
    receiver_gone_ = true;
    dropped.swap(queue_);
    bytes_ = 0;
    show(lock);
    lock.unlock();  // the handles among them may be ends of other channels
  }

  Result<FdView> readable() { return watch(readable_); }
  Result<FdView> writable() { return watch(writable_); }
  std::size_t max_message() const noexcept { return max_message_; }

 private:
  bool ended() const { return sender_gone_ || receiver_gone_; }
  bool has_room(std::size_t size) const {
    return queue_.empty() || bytes_ + size + cost_bytes <= capacity_;
  }

  Result<void> await_room(std::unique_lock<std::mutex>& lock, std::size_t size, Deadline deadline) {
    while (!ended() && !has_room(size)) {
      wanted_ = size;
      if (deadline == no_wait) {
        show(lock);
        return fail(ErrorKind::full);
      }
      if (!os::wait_until(space_, lock, deadline) && !ended() && !has_room(size)) {
        return fail(ErrorKind::timed_out);
      }
    }
    if (ended()) return fail(ErrorKind::closed);
    return {};
  }

  Result<void> refuse_size(std::size_t size) const {
    return fail(ErrorKind::too_large,
                {.cause = std::to_string(size) + " bytes are more than the channel's maximum of " +
                          std::to_string(max_message_),
                 .remedy = "raise ChannelOptions::max_message_bytes"});
  }

  Result<FdView> watch(os::SignalFd& signal) {
    std::unique_lock lock{mutex_};
    BULKHEAD_TRY(signal.open());
    show(lock);
    return signal.view();
  }

  /// Makes conditions and descriptors say what is so now.
  void show(std::unique_lock<std::mutex>&) {
    data_.notify_one();
    space_.notify_one();
    readable_.set(!queue_.empty() || ended());
    writable_.set(has_room(wanted_) || ended());
  }

  const std::size_t capacity_;
  const std::size_t max_message_;
  std::mutex mutex_;
  std::condition_variable data_;
  std::condition_variable space_;
  std::deque<Message> queue_;
  std::size_t bytes_ = 0;
  std::size_t wanted_ = 0;  // what the sender had no room for
  bool sender_gone_ = false;
  bool receiver_gone_ = false;
  os::SignalFd readable_;
  os::SignalFd writable_;
};

class InprocLink final : public LinkWithoutMemory {
 public:
  InprocLink(std::shared_ptr<Lane> out, std::shared_ptr<Lane> in)
      : out_(std::move(out)), in_(std::move(in)) {}
  ~InprocLink() override { close(); }

  Result<void> send(Bytes bytes, std::span<Handle> handles, Deadline deadline) override {
    use();
    return out_->push(bytes, handles, deadline);
  }
  Result<void> receive(Message& into, Deadline deadline) override {
    use();
    return in_->pop(into, deadline);
  }
  Result<FdView> readable() override {
    use();
    return in_->readable();
  }
  Result<FdView> writable() override {
    use();
    return out_->writable();
  }

  Mechanism mechanism() const noexcept override { return Mechanism::inproc; }
  Capabilities capabilities() const noexcept override { return inproc_mechanism.capabilities; }
  Peer peer() const noexcept override { return {::getpid(), ::geteuid(), ::getegid()}; }

  void close() noexcept override {
    if (!out_) return;  // handed over
    closed_ = true;
    out_->end_sending();
    in_->end_receiving();
    // A blocked send of ours waits on our own lane: it ends by `sender_gone_`, as does a receive.
  }

  Result<Handle> detach() override;

 protected:
  Result<void> await_room(std::size_t size, Deadline deadline) override {
    use();
    if (size > out_->max_message()) return fail(ErrorKind::too_large);
    return out_->await_room(size, deadline);
  }

 private:
  // ORDER(inproc.used): no partner, as detaching beside a use is a misuse anyway; relaxed suffices.
  void use() noexcept { used_.store(true, std::memory_order_relaxed); }

  std::shared_ptr<Lane> out_;
  std::shared_ptr<Lane> in_;
  std::atomic<bool> used_{false};
  std::atomic<bool> closed_{false};
};

struct LocalEnd final : Handle::Local {
  std::unique_ptr<Link> link;
};

Result<Handle> InprocLink::detach() {
  if (closed_) return fail(ErrorKind::closed);
  if (used_) {
    return fail(ErrorKind::invalid, {.cause = "this end has been used already",
                                     .remedy = "hand it over before its first use"});
  }
  auto end = std::make_unique<LocalEnd>();
  end->link = std::make_unique<InprocLink>(std::move(out_), std::move(in_));
  return Handle{std::move(end), Handle::Kind::channel,
                static_cast<std::uint8_t>(Mechanism::inproc)};
}

/// Where clients of one name meet its listener. Shared: either may go first.
struct Meeting {
  static constexpr std::size_t most_waiting = 1024;

  std::mutex mutex;
  std::condition_variable arrived;
  std::condition_variable room;
  std::deque<std::unique_ptr<Link>> waiting;
  bool over = false;
  os::SignalFd readable;
};

/// The names of this process. The one mutable global that the mechanism needs: it is what its
/// addresses mean.
struct Names {
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<Meeting>> meetings;
};

Names& names() {
  static Names* const all = new Names;  // never destroyed: listeners may live in other statics
  return *all;
}

class InprocAcceptor final : public Acceptor {
 public:
  InprocAcceptor(std::string name, std::shared_ptr<Meeting> meeting)
      : name_(std::move(name)), meeting_(std::move(meeting)) {}
  ~InprocAcceptor() override { close(); }

  Result<std::unique_ptr<Link>> accept(Deadline deadline) override {
    std::unique_lock lock{meeting_->mutex};
    while (meeting_->waiting.empty()) {
      if (meeting_->over) return fail(ErrorKind::closed);
      if (deadline == no_wait) return fail(ErrorKind::empty);
      if (!os::wait_until(meeting_->arrived, lock, deadline) && meeting_->waiting.empty() &&
          !meeting_->over) {
        return fail(ErrorKind::timed_out);
      }
    }
    auto link = std::move(meeting_->waiting.front());
    meeting_->waiting.pop_front();
    meeting_->readable.set(!meeting_->waiting.empty());
    meeting_->room.notify_one();
    return link;
  }

  FdView readable() const noexcept override { return meeting_->readable.view(); }

  void close() noexcept override {
    {
      const std::lock_guard guard{names().mutex};
      const auto known = names().meetings.find(name_);
      if (known != names().meetings.end() && known->second == meeting_) {
        names().meetings.erase(known);
      }
    }
    std::deque<std::unique_ptr<Link>> dropped;
    const std::lock_guard guard{meeting_->mutex};
    meeting_->over = true;
    dropped.swap(meeting_->waiting);
    meeting_->arrived.notify_all();
    meeting_->room.notify_all();
    meeting_->readable.set(true);
  }

 private:
  std::string name_;
  std::shared_ptr<Meeting> meeting_;
};

/// There are no parameters.
Result<std::string> name_in(std::string address) {
  const auto parameters = BULKHEAD_TRY(Parameters::cut_from(address));
  BULKHEAD_TRY(parameters.expect_none_left());
  BULKHEAD_TRY(os::check_name(address, longest_name));
  return address;
}

}  // namespace

std::pair<std::unique_ptr<Link>, std::unique_ptr<Link>> make_inproc_pair(
    const ChannelOptions& options) {
  auto there = std::make_shared<Lane>(options);
  auto back = std::make_shared<Lane>(options);
  auto first = std::make_unique<InprocLink>(there, back);
  return {std::move(first), std::make_unique<InprocLink>(std::move(back), std::move(there))};
}

Result<std::unique_ptr<Link>> adopt_inproc(Handle handle) {
  auto local = std::move(handle).take_local();
  auto* end = dynamic_cast<LocalEnd*>(local.get());
  if (end == nullptr) {
    return fail(ErrorKind::invalid,
                {.operation = "adopt", .object = "handle", .cause = "it is not an inproc end"});
  }
  return std::move(end->link);
}

Result<std::unique_ptr<Link>> connect_inproc(const std::string& name, Deadline deadline,
                                             const ChannelOptions& options) {
  std::shared_ptr<Meeting> meeting;
  {
    const std::lock_guard guard{names().mutex};
    const auto known = names().meetings.find(name);
    if (known == names().meetings.end()) {
      return fail(ErrorKind::not_found, {.cause = "nobody in this process listens there"});
    }
    meeting = known->second;
  }
  auto [here, there] = make_inproc_pair(options);
  std::unique_lock lock{meeting->mutex};
  while (!meeting->over && meeting->waiting.size() >= Meeting::most_waiting) {
    if (deadline == no_wait || !os::wait_until(meeting->room, lock, deadline)) {
      return fail(ErrorKind::timed_out);
    }
  }
  if (meeting->over) {
    return fail(ErrorKind::not_found, {.cause = "nobody in this process listens there"});
  }
  meeting->waiting.push_back(std::move(there));
  meeting->readable.set(true);
  meeting->arrived.notify_one();
  return std::move(here);
}

Result<std::unique_ptr<Acceptor>> listen_inproc(const std::string& name) {
  auto meeting = std::make_shared<Meeting>();
  BULKHEAD_TRY(meeting->readable.open());
  const std::lock_guard guard{names().mutex};
  if (!names().meetings.emplace(name, meeting).second) {
    return fail(ErrorKind::exists,
                {.cause = "name in use by pid " + std::to_string(::getpid()) + " (this process)",
                 .remedy = "close the other listener or choose another name"});
  }
  return std::make_unique<InprocAcceptor>(name, std::move(meeting));
}

const MechanismEntry inproc_mechanism{
    .mechanism = Mechanism::inproc,
    .capabilities = {.handles = true,
                     .many_clients = true,
                     .both_ways = true,
                     .reliable = true,
                     .tells_death = true},
    .make_pair = [](const ChannelOptions& options) -> Result<LinkPair> {
      return make_inproc_pair(options);
    },
    .adopt = [](Handle handle, const ChannelOptions&) { return adopt_inproc(std::move(handle)); },
    .connect = [](const std::string& name, Deadline deadline,
                  const ChannelOptions& options) -> Result<std::unique_ptr<Link>> {
      const std::string plain = BULKHEAD_TRY(name_in(name));
      return connect_inproc(plain, deadline, options);
    },
    .listen = [](const std::string& name, const ChannelOptions&,
                 bool) -> Result<std::unique_ptr<Acceptor>> {
      const std::string plain = BULKHEAD_TRY(name_in(name));
      return listen_inproc(plain);
    },
};

}  // namespace bulkhead::transport
