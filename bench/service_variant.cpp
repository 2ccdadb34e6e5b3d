// SPDX-License-Identifier: Apache-2.0
//
// Arguments are what such a program would have: 64 bytes are an array, more are a vector. A call
// waits as the channel under it does, asleep over a mechanism of the kernel; a caller cannot poll.
// The server serves in turns of two milliseconds, since nothing but a deadline makes it leave: the
// end of a slice may wait so long, outside of what is timed.
#include "bench/service_variant.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include <bulkhead/service.hpp>
#include <bulkhead/wire.hpp>

#include "bench/channel_pair.hpp"
#include "bench/payload.hpp"

namespace bulkhead::bench {

using Line = std::array<std::uint64_t, 8>;
using Block = std::vector<std::byte>;

struct Echo {
  Line line(Line line);
  Block block(Block block);
  void take_line(Line line);
  void take_block(Block block);
};
BULKHEAD_INTERFACE(Echo, line, block, take_line, take_block)

namespace {

constexpr std::size_t default_capacity = ChannelOptions{}.capacity_bytes;

/// Answers what it was given, and tells when it was given the last of a slice.
class Answers {
 public:
  Answers(std::uint64_t count, const std::function<void()>& last) : left_{count}, last_{last} {}

  bool done() const noexcept { return left_ == 0; }
  Line line(Line line) { return count(), line; }
  Block block(Block block) { return count(), block; }
  void take_line(Line line) { touched(&line), count(); }
  void take_block(Block block) { touched(block.data()), count(); }

 private:
  void count() {
    if (--left_ == 0) last_();
  }

  std::uint64_t left_;
  const std::function<void()>& last_;
};

class ServiceVariant : public Variant {
 public:
  ServiceVariant(Mechanism mechanism, const Job& job)
      : mechanism_{mechanism}, job_{job}, block_(job.bytes, std::byte{1}) {}

  void create() override {
    // What nobody waits for has to fit.
    ends_.create(mechanism_, {.capacity_bytes = std::max(default_capacity, 2 * job_.bytes)}, job_);
    remote_.reset();
  }
  void connect(Side side) override {
    ends_.connect(side);
    if (side == Side::client) remote_.emplace(ends_.end(side));
  }
  void close(Side side) noexcept override {
    if (side == Side::client) remote_.reset();
    ends_.close(side);
  }

  void client(std::uint64_t count) override {
    for (std::uint64_t i = 0; i < count; ++i) call();
  }

  void server(std::uint64_t count) override {
    Answers answers{count, has_last_message};
    while (!answers.done()) {
      const auto served =
          serve<Echo>(ends_.end(Side::server), answers, std::chrono::milliseconds{2});
      if (!served && served.error() != ErrorKind::timed_out)
        throw std::runtime_error{served.error().sentence()};
    }
  }

 private:
  void call() {
    const bool small = job_.bytes == sizeof(Line);
    if (job_.shape == Shape::one_way) {
      small ? checked(remote_->take_line(line_)) : checked(remote_->take_block(block_));
    } else if (small) {
      line_ = checked(remote_->line(line_));
    } else {
      block_ = checked(remote_->block(std::move(block_)));
    }
  }

  const Mechanism mechanism_;
  const Job job_;
  ChannelPair ends_;
  std::optional<Remote<Echo>> remote_;
  Line line_{};
  Block block_;
};

std::unique_ptr<Variant> service(Mechanism mechanism, const Job& job) {
  if (job.mode == Mode::in_place) return nullptr;  // values are encoded and decoded
  return std::make_unique<ServiceVariant>(mechanism, job);
}

}  // namespace

std::unique_ptr<Variant> shm_service(const Job& job) { return service(Mechanism::shm, job); }
std::unique_ptr<Variant> unix_service(const Job& job) {
  return service(Mechanism::unix_socket, job);
}
std::unique_ptr<Variant> inproc_service(const Job& job) { return service(Mechanism::inproc, job); }

}  // namespace bulkhead::bench
