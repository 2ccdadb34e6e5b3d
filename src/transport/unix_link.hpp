// SPDX-License-Identifier: Apache-2.0
//
// UnixLink: a channel over the packets of a Unix socket (unix_frame.hpp). What sends is in
// unix_socket.cpp, what receives in unix_receiving.cpp.
//
// Several short messages of one send_many() go in one packet, and come out of it one by one: what is
// left of it is no longer in the socket, so that who polls looks at an epoll descriptor of both.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <sys/uio.h>
#include <unistd.h>
#include <vector>

#include "os/signal_fd.hpp"
#include "os/socket.hpp"
#include "transport/aside.hpp"
#include "transport/mechanism.hpp"
#include "transport/nap.hpp"
#include "transport/unix_frame.hpp"

namespace bulkhead::transport {

class UnixLink final : public LinkWithoutMemory {
 public:
  UnixLink(Fd socket, const ChannelOptions& options)
      : socket_(std::move(socket)), options_(options), owner_(::getpid()) {}
  ~UnixLink() override { close(); }

  Result<void> send(Bytes bytes, std::span<Handle> handles, Deadline deadline) override;
  Result<void> send_part(Bytes bytes, std::span<Handle> handles, std::size_t& done) override;
  Result<std::size_t> send_many(std::span<const Bytes> messages, Deadline deadline) override;
  void abort_part(std::size_t done) noexcept override;
  Result<void> receive(Message& into, Deadline deadline) override;
  Result<FdView> readable() override;
  Result<FdView> writable() override;

  Mechanism mechanism() const noexcept override { return Mechanism::unix_socket; }
  Capabilities capabilities() const noexcept override { return unix_mechanism.capabilities; }
  Peer peer() const noexcept override {
    const auto who = os::peer_credentials(socket_);
    return {who.pid, who.uid, who.gid};
  }
  void close() noexcept override;
  Result<void> bind(Deadline) override { return bind(); }
  Result<Handle> detach() override;

 protected:
  Result<void> await_room(std::size_t size, Deadline deadline) override;

 private:
  enum class Step : std::uint8_t { delivered, more };

  Result<void> bind();
  Result<void> check_size(std::size_t size) const;
  Result<void> check_handles(std::span<const Handle> handles) const;
  Result<void> check_handle_count(std::size_t count, Deadline deadline);
  Result<void> send_frame(unix_frame::Type type, bool last, Bytes payload,
                          std::span<const Handle> handles, Deadline deadline);
  Result<void> send_all(Bytes bytes, std::span<const Handle> handles, std::size_t& done,
                        Deadline deadline);
  std::size_t batch_of(std::span<const Bytes> messages) const;
  Result<void> send_batch(std::span<const Bytes> messages, Deadline deadline);
  Result<void> pay_abort(Deadline deadline);
  bool has_hung_up() const;
  Error why_ended();

  // Under reading_:
  Result<Step> read_packet(Message& into);
  Result<Step> take(const unix_frame::Header& header, Message& into, std::span<std::byte> body,
                    std::vector<Fd> fds);
  Result<Step> take_hello(std::span<const std::byte> payload);
  Result<void> take_handles(std::span<const std::byte> tags, std::vector<Fd> fds);
  Result<void> take_message(Message& into);
  Result<void> take_batch(const unix_frame::Header& header, std::size_t body);
  Step next_of_batch(Message& into);
  void keep_batch();
  std::unexpected<Error> end(Error error);

  Fd socket_;
  const ChannelOptions options_;

  std::mutex binding_;
  std::atomic<bool> bound_{false};
  std::atomic<bool> closed_{false};
  std::atomic<pid_t> owner_;

  // The sending half.
  std::size_t piece_ = unix_frame::most_payload;
  std::size_t at_once_ = 0;  // fits the empty buffer
  bool abort_owed_ = false;
  std::unique_ptr<std::byte[]> staged_;  // a batch
  Fd writable_;

  // The receiving half. The sender comes here too when it finds the peer gone.
  std::mutex reading_;
  std::unique_ptr<std::byte[]> scratch_;
  NapHabit nap_;
  Message partial_;
  bool in_pieces_ = false;
  bool greeted_ = false;
  std::uint32_t peer_takes_ = 0;  // handles in one message
  std::vector<Handle> gathered_;
  std::deque<Message> early_;
  std::span<const std::byte> batch_;  // in the scratch, judged: what is left of one
  os::SignalFd more_;                 // something is left of one
  Fd readable_;
  std::optional<Error> ended_;
};

}  // namespace bulkhead::transport
