// SPDX-License-Identifier: Apache-2.0
//
// Finding each other by key: see sysv_mq.hpp.
#include <array>
#include <cstdio>
#include <unistd.h>

#include "os/names.hpp"
#include "transport/sysv_mq.hpp"
#include "transport/sysv_mq_queue.hpp"
#include "transport/unix_meeting.hpp"

namespace bulkhead::transport::sysv_mq {
namespace {

/// The meeting socket's acceptor, and the claim on the key.
class KeyAcceptor final : public Acceptor {
 public:
  KeyAcceptor(std::unique_ptr<Acceptor> inner, Queue claimed, os::NameLock lock)
      : inner_(std::move(inner)), claim_(claimed), lock_(std::move(lock)) {}
  ~KeyAcceptor() override { close(); }

  Result<std::unique_ptr<Link>> accept(Deadline deadline) override {
    return inner_->accept(deadline);
  }
  FdView readable() const noexcept override { return inner_->readable(); }
  void close() noexcept override {
    if (owner_ == ::getpid()) remove_queue(std::exchange(claim_.id, -1));
    lock_.release();
    inner_->close();
  }

 private:
  std::unique_ptr<Acceptor> inner_;
  Queue claim_;
  os::NameLock lock_;
  const pid_t owner_ = ::getpid();
};

Result<MeetingPlace> place_of(key_t key) {
  std::array<char, 24> name{};
  std::snprintf(name.data(), name.size(), "/sysv-0x%08x", static_cast<unsigned>(key));
  MeetingPlace place;
  place.path = BULKHEAD_TRY(os::runtime_directory()) + name.data();
  return place;
}

}  // namespace

Result<std::unique_ptr<Link>> connect(const std::string& name, Deadline deadline,
                                      const ChannelOptions& options) {
  const key_t key = BULKHEAD_TRY(key_of(name));
  if (!BULKHEAD_TRY(is_claimed(key))) {
    return fail(ErrorKind::not_found,
                {.cause = "nobody listens there",
                 .remedy = "start the one that does, in the same IPC namespace"});
  }
  const auto place = BULKHEAD_TRY(place_of(key));
  Fd socket = BULKHEAD_TRY(connect_to(place, deadline));
  const ChannelOptions with = for_peer_of(socket, options);
  return adopt_socket(std::move(socket), with);
}

Result<std::unique_ptr<Acceptor>> listen(const std::string& name, const ChannelOptions& options,
                                         bool other_users) {
  const key_t key = BULKHEAD_TRY(key_of(name));
  if (other_users) {
    return fail(ErrorKind::unsupported,
                {.cause = "the queues of a channel are open to one user alone",
                 .remedy = "listen at a unix address for other users"});
  }
  const auto place = BULKHEAD_TRY(place_of(key));
  auto lock = BULKHEAD_TRY(
      os::NameLock::take(place.path + ".key", "sysv", os::Named::key, std::to_string(key)));
  const Queue claimed = BULKHEAD_TRY(claim(key));
  lock.made();
  auto inner = listen_at(place, options, false, adopt_socket);
  if (!inner) {
    remove_queue(claimed.id);
    return fail(inner.error());
  }
  return std::make_unique<KeyAcceptor>(*std::move(inner), claimed, std::move(lock));
}

}  // namespace bulkhead::transport::sysv_mq
