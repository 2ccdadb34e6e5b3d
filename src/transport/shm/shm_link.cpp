// SPDX-License-Identifier: Apache-2.0
#include "transport/shm/shm_link.hpp"

#include <sys/socket.h>
#include <utility>

#include "os/socket.hpp"
#include "transport/mechanism.hpp"
#include "transport/shm/binding.hpp"
#include "transport/shm/receiver.hpp"
#include "transport/shm/sender.hpp"
#include "transport/unix_meeting.hpp"

namespace bulkhead::transport {
namespace {

using namespace shm;

class ShmLink final : public Link {
 public:
  ShmLink(Fd control, const ChannelOptions& options, const ShmSetup& setup)
      : binding_(std::move(control), options, setup) {}
  ~ShmLink() override { binding_.close(); }

  Result<void> send(Bytes bytes, std::span<Handle> handles, Deadline deadline) override {
    return sender_.send(bytes, handles, deadline);
  }
  bool send_at_once(Bytes bytes) override { return sender_.send_at_once(bytes); }
  bool receive_at_once(Message& into) override { return receiver_.receive_at_once(into); }
  Result<std::size_t> send_many(std::span<const Bytes> messages, Deadline deadline) override {
    return sender_.send_many(messages, deadline);
  }
  Result<void> send_part(Bytes bytes, std::span<Handle> handles, std::size_t& done) override {
    return sender_.send_part(bytes, handles, done);
  }
  void abort_part(std::size_t done) noexcept override {
    static_cast<void>(sender_.abort_part(done));
  }
  Result<void> receive(Message& into, Deadline deadline) override {
    return receiver_.receive(into, deadline);
  }

  Result<MutableBytes> loan(std::size_t size, Deadline deadline) override {
    return sender_.loan(size, deadline);
  }
  Result<void> commit() override { return sender_.commit(); }
  void abandon() noexcept override { sender_.abandon(); }

  Result<std::optional<Bytes>> view(Deadline deadline) override { return receiver_.view(deadline); }
  void release() noexcept override { receiver_.release(); }

  Result<FdView> readable() override { return receiver_.readable(); }
  Result<FdView> writable() override { return sender_.writable(); }

  Mechanism mechanism() const noexcept override { return Mechanism::shm; }
  Capabilities capabilities() const noexcept override {
    Capabilities able = shm_mechanism.capabilities;
    able.in_place = binding_.may_be_in_memory();
    return able;
  }
  ShmWays ways() const { return binding_.ways(); }
  Peer peer() const noexcept override { return binding_.credentials(); }

  void close() noexcept override { binding_.close(); }

  Result<void> bind(Deadline deadline) override {
    if (deadline == no_wait) return binding_.bind();
    return binding_.meet(deadline);
  }
  Result<Handle> detach() override {
    Fd socket = BULKHEAD_TRY(binding_.detach());
    return Handle{std::move(socket), Handle::Kind::channel,
                  static_cast<std::uint8_t>(Mechanism::shm)};
  }

 private:
  Binding binding_;
  // Apart: two threads write them all the time.
  alignas(128) Sender sender_{binding_};
  alignas(128) Receiver receiver_{binding_};
};

}  // namespace

Result<std::pair<std::unique_ptr<Link>, std::unique_ptr<Link>>> make_shm_pair(
    const ChannelOptions& options, const ShmSetup& setup) {
  auto ends = BULKHEAD_TRY(os::socket_pair());
  return std::pair<std::unique_ptr<Link>, std::unique_ptr<Link>>{
      std::make_unique<ShmLink>(std::move(ends.first), options, setup),
      std::make_unique<ShmLink>(std::move(ends.second), options, setup)};
}

Result<std::unique_ptr<Link>> adopt_shm(Fd control_socket, const ChannelOptions& options,
                                        const ShmSetup& setup) {
  if (!os::is_packet_socket(control_socket) || !os::is_connected(control_socket)) {
    return fail(ErrorKind::invalid,
                {.operation = "adopt",
                 .object = "shm channel",
                 .cause = "not a connected Unix socket of type SOCK_SEQPACKET"});
  }
  return std::make_unique<ShmLink>(std::move(control_socket), options, setup);
}

ShmWays shm_ways(const Link& shm_link) noexcept {
  return dynamic_cast<const ShmLink&>(shm_link).ways();
}

const MechanismEntry shm_mechanism{
    .mechanism = Mechanism::shm,
    .capabilities = {.handles = true,
                     .many_clients = true,
                     .in_place = true,
                     .both_ways = true,
                     .unrelated = true,
                     .reliable = true,
                     .tells_death = true},
    .make_pair = [](const ChannelOptions& options) { return make_shm_pair(options); },
    .adopt =
        [](Handle handle, const ChannelOptions& options) {
          return adopt_shm(std::move(handle).take_fd(), options);
        },
    .connect = [](const std::string& name, Deadline deadline,
                  const ChannelOptions& options) -> Result<std::unique_ptr<Link>> {
      const auto place = BULKHEAD_TRY(MeetingPlace::of_shm(name));
      Fd socket = BULKHEAD_TRY(connect_to(place, deadline));
      const ChannelOptions with = for_peer_of(socket, options);
      return adopt_shm(std::move(socket), with);
    },
    .listen = [](const std::string& name, const ChannelOptions& options,
                 bool other_users) -> Result<std::unique_ptr<Acceptor>> {
      return listen_at(
          BULKHEAD_TRY(MeetingPlace::of_shm(name)), options, other_users,
          [](Fd socket, const ChannelOptions& with) { return adopt_shm(std::move(socket), with); });
    },
};

}  // namespace bulkhead::transport
