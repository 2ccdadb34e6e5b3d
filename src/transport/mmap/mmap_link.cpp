// SPDX-License-Identifier: Apache-2.0
#include "transport/mmap/mmap_link.hpp"

#include <unistd.h>

#include "transport/mechanism.hpp"

namespace bulkhead::transport::mmap {

MmapLink::MmapLink(Parts parts, const ChannelOptions& options)
    : parts_(std::move(parts)), options_(options), owner_(::getpid()) {
  peer_pid_ = parts_.for_data->pid();
}

Capabilities MmapLink::capabilities() const noexcept {
  Capabilities can = mmap_mechanism.capabilities;
  can.both_ways = options_.direction == Direction::both;
  return can;
}

Peer MmapLink::peer() const noexcept { return {peer_pid_, parts_.peer_uid, ::getegid()}; }

Result<void> MmapLink::check(std::size_t size, std::span<const Handle> handles) const {
  if (closed_) return fail(ErrorKind::closed);
  if (options_.direction == Direction::receive) {
    return fail(ErrorKind::unsupported, {.cause = "this end only receives"});
  }
  if (!handles.empty()) {
    return fail(ErrorKind::unsupported, {.cause = "a file cannot carry handles",
                                         .remedy = "use shm or a Unix socket for them"});
  }
  if (size > options_.max_message_bytes) {
    return fail(ErrorKind::too_large,
                {.cause = std::to_string(size) + " bytes are more than the channel's maximum of " +
                          std::to_string(options_.max_message_bytes),
                 .remedy = "raise ChannelOptions::max_message_bytes at both ends"});
  }
  return {};
}

std::unexpected<Error> MmapLink::end(Error error) {
  {
    const std::lock_guard guard{end_mutex_};
    if (!end_) end_ = std::move(error);
    ended_ = true;
  }
  parts_.for_data->ring(true);
  parts_.for_room->ring(true);
  return fail(*end_);
}

/// Under `lock`, which is let go while it waits. Returns when there is room.
Result<void> MmapLink::await(std::size_t size, std::unique_lock<std::mutex>& lock,
                             Deadline deadline) {
  for (;;) {
    if (closed_) return fail(ErrorKind::closed);
    if (ended_) return fail(*end_);
    if (BULKHEAD_TRY(parts_.sender.has_room(size))) return {};
    if (BULKHEAD_TRY(parts_.for_room->begin())) continue;
    const Fate fate = BULKHEAD_TRY(parts_.for_room->fate());
    if (fate != Fate::open) {
      return end(Error{fate == Fate::closed ? ErrorKind::closed : ErrorKind::peer_died});
    }
    lock.unlock();
    auto waited = parts_.for_room->wait(deadline);
    lock.lock();
    if (waited) continue;
    if (waited.error() == ErrorKind::empty) return fail(ErrorKind::full);
    return waited;
  }
}

Result<void> MmapLink::await_room(std::size_t size, Deadline deadline) {
  BULKHEAD_TRY(check(size, {}));
  std::unique_lock lock{writing_};
  return await(size, lock, deadline);
}

Result<void> MmapLink::send(Bytes bytes, std::span<Handle> handles, Deadline deadline) {
  BULKHEAD_TRY(check(bytes.size(), handles));
  if (deadline == no_wait && bytes.size() > parts_.sender.capacity()) {
    return fail(ErrorKind::too_large,
                {.cause = std::to_string(bytes.size()) + " bytes cannot go without waiting",
                 .remedy = "send with a deadline, or begin with a larger capacity_bytes"});
  }
  std::unique_lock lock{writing_};
  BULKHEAD_TRY(await(bytes.size(), lock, deadline));
  BULKHEAD_TRY(parts_.sender.send({&bytes, 1}));
  return {};
}

/// Nothing goes in parts: a large message goes at once into a file of its own.
Result<void> MmapLink::send_part(Bytes bytes, std::span<Handle> handles, std::size_t&) {
  BULKHEAD_TRY(check(bytes.size(), handles));
  std::unique_lock lock{writing_};
  BULKHEAD_TRY(await(bytes.size(), lock, no_wait));
  BULKHEAD_TRY(parts_.sender.send({&bytes, 1}));
  return {};
}

Result<std::size_t> MmapLink::send_many(std::span<const Bytes> messages, Deadline deadline) {
  std::size_t done = 0;
  BULKHEAD_TRY(check(0, {}));
  for (const Bytes message : messages) BULKHEAD_TRY(check(message.size(), {}));
  std::unique_lock lock{writing_};
  while (done < messages.size()) {
    if (auto room = await(messages[done].size(), lock, deadline); !room) {
      const bool later = room.error() == ErrorKind::timed_out || room.error() == ErrorKind::full;
      if (done > 0 && later) return done;
      return fail(std::move(room).error());
    }
    auto sent = parts_.sender.send(messages.subspan(done));
    if (!sent && done > 0) return done;  // the next call meets what stood in the way
    if (!sent) return sent;
    done += *sent;
  }
  return done;
}

/// True when there was a message. Under reading_.
Result<bool> MmapLink::try_next(Message& into) {
  if (closed_) return fail(ErrorKind::closed);
  const bool over = ended_;
  if (over && *end_ == ErrorKind::corrupt)
    return fail(*end_);  // for ever, whatever stands there now
  auto got = parts_.receiver.next(into);
  if (got && *got) return got;
  if (over) return fail(*end_);
  if (!got) {
    if (got.error() == ErrorKind::corrupt) return end(std::move(got).error());
    return got;
  }
  if (parts_.receiver.take_owner_changed()) must_look_ = true;
  if (!must_look_) return false;
  must_look_ = false;
  const Fate fate = BULKHEAD_TRY(parts_.for_data->fate());
  if (fate == Fate::open) {
    peer_pid_ = parts_.for_data->pid();
    return false;
  }
  // What it sent last may have come between the two looks.
  must_look_ = true;
  got = parts_.receiver.next(into);
  if (got && *got) return got;
  if (!got) return end(std::move(got).error());
  return end(Error{fate == Fate::closed ? ErrorKind::closed : ErrorKind::peer_died});
}

Result<void> MmapLink::receive(Message& into, Deadline deadline) {
  if (options_.direction == Direction::send) {
    return fail(ErrorKind::unsupported, {.cause = "this end only sends"});
  }
  std::unique_lock lock{reading_};
  for (;;) {
    if (BULKHEAD_TRY(try_next(into))) [[likely]]
      return {};
    if (BULKHEAD_TRY(parts_.for_data->begin())) {
      must_look_ = true;
      continue;
    }
    lock.unlock();
    auto waited = parts_.for_data->wait(deadline);
    lock.lock();
    if (!waited) return fail(std::move(waited).error());
    // A death writes nothing: only the pidfd tells.
    if (parts_.for_data->process_stirred()) must_look_ = true;
  }
}

Result<FdView> MmapLink::readable() {
  const std::lock_guard guard{reading_};
  if (closed_) return fail(ErrorKind::closed);
  must_look_ = true;
  return parts_.for_data->descriptor();
}

Result<FdView> MmapLink::writable() {
  const std::lock_guard guard{writing_};
  if (closed_) return fail(ErrorKind::closed);
  return parts_.for_room->descriptor();
}

void MmapLink::close() noexcept {
  if (closed_.exchange(true)) return;
  parts_.for_data->ring(true);
  parts_.for_room->ring(true);
  if (owner_ != ::getpid()) return;  // a forked child's copy
  {
    const std::lock_guard writing{writing_};
    const std::lock_guard reading{reading_};
    static_cast<void>(parts_.receiver.acknowledge());
    parts_.sender.close();
  }
  // Free for others when the listener, if there is one, has left it too.
  const std::shared_ptr<Seat> seat = std::move(parts_.seat);
  {
    const std::lock_guard guard{seat->mutex};
    seat->owner.close(parts_.sender.next_sequence());
  }
  seat->leave();
}

Result<Handle> MmapLink::detach() {
  if (closed_) return fail(ErrorKind::closed);
  return fail(ErrorKind::unsupported,
              {.cause = "the end of a mapped file stays where it was opened",
               .remedy = "let the other process connect to the address itself"});
}

}  // namespace bulkhead::transport::mmap
