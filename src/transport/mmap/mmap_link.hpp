// SPDX-License-Identifier: Apache-2.0
//
// mmap: a channel whose messages lie in rings of files (layout.hpp) and outlive both ends. Who
// opens it again goes on where it was.
//
// ADDRESS mmap:///FOLDER, with behind `?`, joined by `&`:
//   sync=none|interval|each, interval=50ms   what is on the disk when
//   follow=yes    a peer that has gone is waited for, like one that has not come yet (else no)
//   look=10ms     look by a timer and not by inotify
//   seat=listen   connect: to be the end that listens, without waiting for the other (else connect)
// ChannelOptions::capacity_bytes counts for rings that do not exist yet.
//
// The peer: it need not be there. Sends succeed while there is room, and a receive waits. One that
// came and has gone again is told at the next call that would wait: `closed` or `peer_died`.
// Delivery: at least once. A receiver that dies with a message in hand gets that one again.
// Forks: a forked child's copy closes nothing and tells nothing.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>

#include "transport/aside.hpp"
#include "transport/file/seat.hpp"
#include "transport/mmap/peer_watch.hpp"
#include "transport/mmap/ring_ends.hpp"

namespace bulkhead::transport::mmap {

using file::Seat;

struct Parts {
  std::shared_ptr<Seat> seat;
  RingSender sender;
  RingReceiver receiver;
  std::unique_ptr<PeerWatch> for_data;
  std::unique_ptr<PeerWatch> for_room;
  Fd peer_tail;
  uid_t peer_uid = 0;
};

class MmapLink final : public LinkWithoutMemory {
 public:
  MmapLink(Parts parts, const ChannelOptions& options);
  ~MmapLink() override { close(); }

  Result<void> send(Bytes bytes, std::span<Handle> handles, Deadline deadline) override;
  Result<void> send_part(Bytes bytes, std::span<Handle> handles, std::size_t& done) override;
  Result<std::size_t> send_many(std::span<const Bytes> messages, Deadline deadline) override;
  Result<void> receive(Message& into, Deadline deadline) override;
  Result<FdView> readable() override;
  Result<FdView> writable() override;
  Mechanism mechanism() const noexcept override { return Mechanism::mmap; }
  Capabilities capabilities() const noexcept override;
  Peer peer() const noexcept override;
  void close() noexcept override;
  Result<Handle> detach() override;

 protected:
  Result<void> await_room(std::size_t size, Deadline deadline) override;

 private:
  Result<void> check(std::size_t size, std::span<const Handle> handles) const;
  Result<void> await(std::size_t size, std::unique_lock<std::mutex>& lock, Deadline deadline);
  Result<bool> try_next(Message& into);
  std::unexpected<Error> end(Error error);

  Parts parts_;
  const ChannelOptions options_;
  const pid_t owner_;
  std::atomic<bool> closed_{false};
  std::atomic<pid_t> peer_pid_{0};

  std::mutex writing_;  // not held while one waits
  std::mutex reading_;
  bool must_look_ = true;
  std::atomic<bool> ended_{false};
  std::mutex end_mutex_;
  std::optional<Error> end_;
};

}  // namespace bulkhead::transport::mmap
