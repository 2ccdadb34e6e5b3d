// SPDX-License-Identifier: Apache-2.0
//
// Messages of known sizes; a large one goes in units of what the system allows, one behind the
// other. Both sides block in the call where they wait; hot sides of a round trip poll with one that
// does not, and yield in between on one core. The queues are as large as a channel's.
#include "bench/queue_raw.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <mqueue.h>
#include <sched.h>
#include <stdexcept>
#include <string>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "bench/payload.hpp"
#include "transport/posix_mq_queue.hpp"
#include "transport/sysv_mq_queue.hpp"

namespace bulkhead::bench {

namespace {

[[noreturn]] void fail(const char* what) {
  throw std::system_error{errno, std::generic_category(), what};
}

/// Two descriptors of one queue, so that only who reads polls.
class PosixQueue {
 public:
  void create(bool polls) {
    auto ends = or_throw(
        transport::posix_mq::make_queue({.capacity_bytes = ChannelOptions{}.capacity_bytes}));
    mq_attr wanted{};
    ::mq_setattr(ends.sender.native(), &wanted, nullptr);
    if (!polls) ::mq_setattr(ends.receiver.native(), &wanted, nullptr);
    mq_attr found{};
    if (::mq_getattr(ends.sender.native(), &found) != 0) fail("mq_getattr");
    unit_ = static_cast<std::size_t>(found.mq_msgsize);
    sender_ = std::move(ends.sender);
    receiver_ = std::move(ends.receiver);
    scratch_ = std::make_unique_for_overwrite<char[]>(unit_);
  }
  std::size_t unit() const noexcept { return unit_; }

  bool send(const std::byte* unit, std::size_t size) noexcept {
    return ::mq_send(sender_.native(), reinterpret_cast<const char*>(unit), size, 0) == 0;
  }
  /// mq_receive wants room for the largest message there could be.
  ssize_t receive(std::byte* to, std::size_t size) noexcept {
    if (size >= unit_) {
      return ::mq_receive(receiver_.native(), reinterpret_cast<char*>(to), size, nullptr);
    }
    const ssize_t got = ::mq_receive(receiver_.native(), scratch_.get(), unit_, nullptr);
    if (got > 0) std::memcpy(to, scratch_.get(), std::min(size, static_cast<std::size_t>(got)));
    return got;
  }
  static bool is_empty() noexcept { return errno == EAGAIN; }

 private:
  Fd sender_;
  Fd receiver_;
  std::size_t unit_ = 0;
  std::unique_ptr<char[]> scratch_;
};

/// A message of System V lies behind its type: both calls go through a buffer that begins with one.
class SysvQueue {
 public:
  SysvQueue() = default;
  SysvQueue(const SysvQueue&) = delete;
  SysvQueue& operator=(const SysvQueue&) = delete;
  ~SysvQueue() {
    if (maker_ == ::getpid()) transport::sysv_mq::remove_queue(id_);
  }

  void create(bool polls) {
    transport::sysv_mq::remove_queue(std::exchange(id_, -1));
    id_ = ::msgget(IPC_PRIVATE, IPC_CREAT | 0600);
    if (id_ < 0) fail("msgget");
    flags_ = polls ? IPC_NOWAIT : 0;
    unit_ = transport::sysv_mq::size_by_limits().unit;
    out_ = std::make_unique<char[]>(sizeof(long) + unit_);
    in_ = std::make_unique<char[]>(sizeof(long) + unit_);
    const long type = 1;
    std::memcpy(out_.get(), &type, sizeof type);
  }
  std::size_t unit() const noexcept { return unit_; }

  bool send(const std::byte* unit, std::size_t size) noexcept {
    std::memcpy(out_.get() + sizeof(long), unit, size);
    return ::msgsnd(id_, out_.get(), size, 0) == 0;
  }
  ssize_t receive(std::byte* to, std::size_t size) noexcept {
    const ssize_t got = ::msgrcv(id_, in_.get(), unit_, 0, flags_);
    if (got > 0) {
      std::memcpy(to, in_.get() + sizeof(long), std::min(size, static_cast<std::size_t>(got)));
    }
    return got;
  }
  static bool is_empty() noexcept { return errno == ENOMSG; }

 private:
  int id_ = -1;
  int flags_ = 0;
  std::size_t unit_ = 0;
  std::unique_ptr<char[]> out_;
  std::unique_ptr<char[]> in_;
  const pid_t maker_ = ::getpid();
};

template <class Queue> class QueueRaw : public Variant {
 public:
  explicit QueueRaw(const Job& job)
      : job_{job}, client_buffer_{job.bytes, job.offset}, server_buffer_{job.bytes, job.offset} {}

  void create() override {
    const bool polls = job_.shape == Shape::round_trip && job_.mode == Mode::hot;
    there_.create(polls);
    back_.create(polls);
  }

  void client(std::uint64_t count) override {
    for (std::uint64_t i = 0; i < count; ++i) {
      send(there_, client_buffer_.message(i));
      if (job_.shape == Shape::round_trip) receive(back_, client_buffer_.data());
    }
  }

  void server(std::uint64_t count) override {
    for (std::uint64_t i = 0; i < count; ++i) {
      receive(there_, server_buffer_.data());
      if (job_.shape == Shape::round_trip) send(back_, server_buffer_.data());
    }
  }

 private:
  void send(Queue& queue, const std::byte* message) const {
    for (std::size_t done = 0; done < job_.bytes;) {
      const std::size_t some = std::min(queue.unit(), job_.bytes - done);
      if (queue.send(message + done, some)) {
        done += some;
      } else if (errno != EINTR) {
        fail("send");
      }
    }
  }

  void receive(Queue& queue, std::byte* to) const {
    for (std::size_t done = 0; done < job_.bytes;) {
      const ssize_t n = queue.receive(to + done, job_.bytes - done);
      if (n > 0) done += static_cast<std::size_t>(n);
      if (n >= 0 || errno == EINTR) continue;
      if (!Queue::is_empty()) fail("receive");
      if (job_.placement == Placement::one_core) ::sched_yield();
    }
  }

  const Job job_;
  Queue there_;
  Queue back_;
  Buffer client_buffer_;
  Buffer server_buffer_;
};

}  // namespace

std::unique_ptr<Variant> posix_mq_raw(const Job& job) {
  if (job.mode == Mode::in_place) return nullptr;  // the kernel copies whatever we do
  return std::make_unique<QueueRaw<PosixQueue>>(job);
}

std::unique_ptr<Variant> sysv_mq_raw(const Job& job) {
  if (job.mode == Mode::in_place) return nullptr;
  return std::make_unique<QueueRaw<SysvQueue>>(job);
}

}  // namespace bulkhead::bench
