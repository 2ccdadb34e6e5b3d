// SPDX-License-Identifier: Apache-2.0
//
// Over memory one call does for hot and cold peers: the channel itself learns how to wait. A
// mechanism of the kernel sleeps when it waits, so a hot side polls with try_receive, and yields in
// between on one core.
#include "bench/channel_variant.hpp"

#include <algorithm>
#include <sched.h>
#include <span>
#include <vector>

#include "bench/channel_pair.hpp"
#include "bench/file_raw.hpp"
#include "bench/inet_raw.hpp"
#include "bench/payload.hpp"
#include "transport/shm/waiting.hpp"

namespace bulkhead::bench {

namespace {

/// Half of it is the largest loan.
std::size_t capacity_for(const Job& job) {
  const bool large_loan = job.mode == Mode::in_place && job.bytes > 65536;
  return large_loan ? 4 * job.bytes : ChannelOptions{}.capacity_bytes;
}

/// Whether a side polls with try_receive rather than wait in receive.
bool polls(Mechanism mechanism, const Job& job) {
  if (job.waiting == Waiting::spin) return true;
  return job.shape == Shape::round_trip && job.mode == Mode::hot && mechanism != Mechanism::shm;
}

/// Asleep without a limit, as the floor: a timer for each sleep costs what it costs the kernel.
Deadline deadline_for(const Job& job) {
  return job.mode == Mode::sleeping ? never : slice_deadline();
}

/// A fixed spin gives the core away every 20 microseconds: the peer may be waiting for it.
class Turn {
 public:
  bool over() {
    if (++polls_ % 16 != 0) return false;
    const auto now = Clock::now();
    if (now < end_) return false;
    const bool first = end_ == Clock::time_point{};
    end_ = now + std::chrono::microseconds{20};
    return !first;
  }

 private:
  using Clock = std::chrono::steady_clock;

  unsigned polls_ = 0;
  Clock::time_point end_{};
};

class ChannelVariant : public Variant {
 public:
  /// With a `scheme` the ends meet by name.
  ChannelVariant(Mechanism mechanism, const Job& job, std::string_view scheme = {},
                 std::string_view parameters = {})
      : mechanism_{mechanism},
        job_{job},
        scheme_{scheme},
        parameters_{parameters},
        polling_{polls(mechanism, job)},
        client_buffer_{job.bytes, job.offset} {}

  void create() override {
    const ChannelOptions options{.capacity_bytes = capacity_for(job_)};
    if (scheme_.empty()) return ends_.create(mechanism_, options, job_);
    ends_.create_named(scheme_, parameters_, options);
  }
  void prepare(Side side) override { ends_.prepare(side); }
  void connect(Side side) override { ends_.connect(side); }
  void close(Side side) noexcept override { ends_.close(side); }

  void client(std::uint64_t count) override {
    Channel& channel = ends_.end(Side::client);
    const Deadline deadline = deadline_for(job_);
    if (job_.shape == Shape::one_way) return stream_out(channel, count, deadline);
    for (std::uint64_t i = 0; i < count; ++i) {
      checked(channel.send(Bytes{client_buffer_.message(i), job_.bytes}, deadline));
      receive(channel, client_message_, deadline);
    }
  }

  void server(std::uint64_t count) override {
    Channel& channel = ends_.end(Side::server);
    const Deadline deadline = deadline_for(job_);
    if (job_.shape == Shape::one_way) return stream_in(channel, count, deadline);
    for (std::uint64_t i = 0; i < count; ++i) {
      receive(channel, server_message_, deadline);
      think();
      checked(channel.send(server_message_.bytes(), deadline));
    }
  }

 private:
  void receive(Channel& channel, Message& into, Deadline deadline) {
    if (!polling_) return checked(channel.receive(into, deadline));
    Turn turn;
    for (;;) {
      Result<Message> message = channel.try_receive();
      if (message) {
        into = std::move(*message);
        return;
      }
      if (message.error() != ErrorKind::empty) checked(std::move(message));
      if (job_.placement == Placement::one_core && job_.waiting == Waiting::learned)
        ::sched_yield();
      if (mechanism_ == Mechanism::inproc) breathe();
      if (job_.waiting == Waiting::spin && turn.over()) ::sched_yield();
    }
  }

  /// A queue with a lock is not left to the other side by one who asks without a pause.
  static void breathe() noexcept {
    for (int i = 0; i < 8; ++i) transport::shm::relax();
  }

  void think() const {
    if (job_.think.count() == 0) return;
    const auto until = std::chrono::steady_clock::now() + job_.think;
    while (std::chrono::steady_clock::now() < until) {
    }
  }

  void stream_out(Channel& channel, std::uint64_t count, Deadline deadline) {
    if (job_.mode == Mode::in_place) {
      for (std::uint64_t i = 0; i < count; ++i) {
        Loan loan = checked(channel.loan(job_.bytes, deadline));
        fill(loan.bytes().data(), job_.bytes, i);
        checked(channel.send(std::move(loan)));
      }
      return;
    }
    if (job_.batch > 1) return stream_batches(channel, count, deadline);
    for (std::uint64_t i = 0; i < count; ++i) {
      checked(channel.send(Bytes{client_buffer_.message(i), job_.bytes}, deadline));
    }
  }

  void stream_batches(Channel& channel, std::uint64_t count, Deadline deadline) {
    std::vector<Bytes> batch;
    for (std::size_t i = 0; i < job_.batch; ++i) {
      batch.emplace_back(client_buffer_.message(i), job_.bytes);
    }
    for (std::uint64_t sent = 0; sent < count;) {
      const auto some = std::min<std::uint64_t>(batch.size(), count - sent);
      sent += checked(channel.send_many(std::span{batch}.first(some), deadline));
    }
  }

  void stream_in(Channel& channel, std::uint64_t count, Deadline deadline) {
    if (job_.mode == Mode::in_place) {
      for (std::uint64_t i = 0; i < count; ++i) {
        const View view = checked(channel.receive_view(deadline));
        read_all(view.bytes().data(), job_.bytes);
      }
      return;
    }
    for (std::uint64_t i = 0; i < count; ++i) {
      checked(channel.receive(server_message_, deadline));
      touched(server_message_.bytes().data());
    }
  }

  const Mechanism mechanism_;
  const Job job_;
  const std::string_view scheme_;
  const std::string_view parameters_;
  const bool polling_;
  ChannelPair ends_;
  Buffer client_buffer_;
  alignas(128) Message client_message_;
  alignas(128) Message server_message_;
};

/// Through the kernel, which copies whatever we do.
std::unique_ptr<Variant> copying(Mechanism mechanism, const Job& job, std::string_view scheme = {},
                                 std::string_view parameters = {}) {
  if (job.mode == Mode::in_place) return nullptr;
  return std::make_unique<ChannelVariant>(mechanism, job, scheme, parameters);
}

}  // namespace

std::unique_ptr<Variant> shm_channel(const Job& job) {
  return std::make_unique<ChannelVariant>(Mechanism::shm, job);
}

std::unique_ptr<Variant> inproc_channel(const Job& job) { return copying(Mechanism::inproc, job); }

std::unique_ptr<Variant> unix_channel(const Job& job) {
  return copying(Mechanism::unix_socket, job);
}

std::unique_ptr<Variant> unix_stream_channel(const Job& job) {
  return copying(Mechanism::unix_socket, job, "unix://", "?type=stream");
}

std::unique_ptr<Variant> pipe_channel(const Job& job) { return copying(Mechanism::pipe, job); }

std::unique_ptr<Variant> fifo_channel(const Job& job) {
  return copying(Mechanism::fifo, job, "fifo://");
}

std::unique_ptr<Variant> mmap_channel(const Job& job) {
  return copying(Mechanism::mmap, job, "mmap://");
}

std::unique_ptr<Variant> posix_mq_channel(const Job& job) {
  return copying(Mechanism::posix_mq, job);
}

std::unique_ptr<Variant> sysv_mq_channel(const Job& job) {
  return copying(Mechanism::sysv_mq, job);
}

std::unique_ptr<Variant> tcp_channel(const Job& job) { return copying(Mechanism::tcp, job); }

std::unique_ptr<Variant> udp_channel(const Job& job) {
  return is_for_udp(job) ? copying(Mechanism::udp, job) : nullptr;
}

std::unique_ptr<Variant> file_channel(const Job& job) {
  return job.bytes <= largest_in_a_log ? copying(Mechanism::file, job) : nullptr;
}

}  // namespace bulkhead::bench
