// SPDX-License-Identifier: Apache-2.0
#include "transport/one_way.hpp"

#include <string>

namespace bulkhead::transport {
namespace {

class OneWayLink final : public Link {
 public:
  OneWayLink(std::unique_ptr<Link> link, Direction direction)
      : link_(std::move(link)), sends_(direction == Direction::send) {}

  Result<void> send(Bytes bytes, std::span<Handle> handles, Deadline deadline) override {
    BULKHEAD_TRY(expect_sends());
    return link_->send(bytes, handles, deadline);
  }
  Result<void> send_urgent(Bytes bytes, unsigned priority, Deadline deadline) override {
    BULKHEAD_TRY(expect_sends());
    return link_->send_urgent(bytes, priority, deadline);
  }
  Result<void> send_part(Bytes bytes, std::span<Handle> handles, std::size_t& done) override {
    BULKHEAD_TRY(expect_sends());
    return link_->send_part(bytes, handles, done);
  }
  void abort_part(std::size_t done) noexcept override { link_->abort_part(done); }
  Result<void> send_urgent_part(Bytes bytes, unsigned priority, std::size_t& done) override {
    BULKHEAD_TRY(expect_sends());
    return link_->send_urgent_part(bytes, priority, done);
  }
  Result<std::size_t> send_many(std::span<const Bytes> messages, Deadline deadline) override {
    BULKHEAD_TRY(expect_sends());
    return link_->send_many(messages, deadline);
  }
  Result<void> receive(Message& into, Deadline deadline) override {
    BULKHEAD_TRY(expect_receives());
    return link_->receive(into, deadline);
  }
  bool send_at_once(Bytes bytes) override { return sends_ && link_->send_at_once(bytes); }
  bool receive_at_once(Message& into) override { return !sends_ && link_->receive_at_once(into); }

  Result<MutableBytes> loan(std::size_t size, Deadline deadline) override {
    BULKHEAD_TRY(expect_sends());
    return link_->loan(size, deadline);
  }
  Result<void> commit() override { return link_->commit(); }
  void abandon() noexcept override { link_->abandon(); }
  Result<std::optional<Bytes>> view(Deadline deadline) override {
    BULKHEAD_TRY(expect_receives());
    return link_->view(deadline);
  }
  void release() noexcept override { link_->release(); }

  Result<FdView> readable() override {
    BULKHEAD_TRY(expect_receives());
    return link_->readable();
  }
  Result<FdView> writable() override {
    BULKHEAD_TRY(expect_sends());
    return link_->writable();
  }

  Mechanism mechanism() const noexcept override { return link_->mechanism(); }
  Capabilities capabilities() const noexcept override {
    Capabilities can = link_->capabilities();
    can.both_ways = false;
    return can;
  }
  Peer peer() const noexcept override { return link_->peer(); }
  void close() noexcept override { link_->close(); }
  Result<void> bind(Deadline deadline) override { return link_->bind(deadline); }
  /// Who adopts it says the direction again.
  Result<Handle> detach() override { return link_->detach(); }

 private:
  Result<void> refuse(const char* what) const {
    return fail(ErrorKind::unsupported,
                {.cause = "this end of a one-way " + std::string{to_string(mechanism())} +
                          " channel only " + what,
                 .remedy = "take Direction::both, or a second channel for the other way"});
  }
  Result<void> expect_sends() const { return sends_ ? Result<void>{} : refuse("receives"); }
  Result<void> expect_receives() const { return sends_ ? refuse("sends") : Result<void>{}; }

  std::unique_ptr<Link> link_;
  const bool sends_;
};

class OneWayAcceptor final : public Acceptor {
 public:
  OneWayAcceptor(std::unique_ptr<Acceptor> acceptor, Direction direction)
      : acceptor_(std::move(acceptor)), direction_(direction) {}

  Result<std::unique_ptr<Link>> accept(Deadline deadline) override {
    return one_way(BULKHEAD_TRY(acceptor_->accept(deadline)), direction_);
  }
  FdView readable() const noexcept override { return acceptor_->readable(); }
  void close() noexcept override { acceptor_->close(); }
  std::optional<Address> address() const override { return std::nullopt; }

 private:
  std::unique_ptr<Acceptor> acceptor_;
  const Direction direction_;
};

}  // namespace

std::unique_ptr<Link> one_way(std::unique_ptr<Link> link, Direction direction) {
  if (direction == Direction::both || !link->capabilities().both_ways) return link;
  return std::make_unique<OneWayLink>(std::move(link), direction);
}

std::unique_ptr<Acceptor> one_way(std::unique_ptr<Acceptor> acceptor, Direction direction) {
  if (direction == Direction::both) return acceptor;
  return std::make_unique<OneWayAcceptor>(std::move(acceptor), direction);
}

}  // namespace bulkhead::transport
