// SPDX-License-Identifier: Apache-2.0
#include "transport/mmap/ring_ends.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

#include "os/fence.hpp"
#include "os/file.hpp"

namespace bulkhead::transport::mmap {

using file::header_bytes;
using file::header_crc;
using file::record_bytes;
using file::RecordHeader;

namespace {

std::string beside(const std::string& ring_path, std::uint64_t sequence) {
  return ring_path.substr(0, ring_path.rfind('.') + 1) + std::to_string(sequence);
}

std::unexpected<Error> out_of_order(const std::string& path) {
  return fail(ErrorKind::corrupt,
              {.cause = "the cursor in " + path + " leads to a place that cannot be",
               .remedy = "remove the folder, and what it held"});
}

}  // namespace

RingSender::RingSender(RingFile ring, Fd tail, std::string tail_path, Fd head,
                       std::string head_path, SyncOptions options) noexcept
    : ring_(std::move(ring)),
      tail_file_(std::move(tail)),
      tail_path_(std::move(tail_path)),
      head_file_(std::move(head)),
      head_path_(std::move(head_path)),
      options_(options),
      last_sync_(std::chrono::steady_clock::now()) {}

Result<RingSender> RingSender::open(RingFile ring, Fd tail, std::string tail_path, Fd head,
                                    std::string head_path, SyncOptions options) {
  RingSender sender{std::move(ring), std::move(tail),      std::move(tail_path),
                    std::move(head), std::move(head_path), options};
  sender.tail_ = BULKHEAD_TRY(
      read_cursor(sender.tail_file_, cursor_offset, sender.ring_.salt(), sender.tail_path_));
  BULKHEAD_TRY(sender.look_at_head());
  // What was being put aside when the last owner of this end died was never published.
  ::unlink(sender.aside_path(sender.tail_.sequence).c_str());
  return sender;
}

std::string RingSender::aside_path(std::uint64_t sequence) const {
  return beside(ring_.path(), sequence);
}

/// TRUST: never backwards, never further than what was sent.
Result<void> RingSender::look_at_head() {
  const Cursor head = BULKHEAD_TRY(read_cursor(head_file_, 0, ring_.salt(), head_path_));
  if (head.position > tail_.position || tail_.position - head.position > ring_.capacity() ||
      head.position < head_.position) {
    return out_of_order(head_path_);
  }
  head_ = head;
  return {};
}

/// A large message waits until all before it has gone, so that no more than one is on the disk.
Result<bool> RingSender::fits(std::size_t size) {
  const auto enough = [&] {
    if (goes_aside(size)) return room() == ring_.capacity();
    return record_bytes(size) <= room();
  };
  if (enough()) return true;
  BULKHEAD_TRY(look_at_head());
  return enough();
}

Result<bool> RingSender::has_room(std::size_t size) {
  if (broken_) return fail(*broken_);
  return fits(size);
}

void RingSender::stage(Bytes payload, std::uint32_t flags, std::uint64_t sequence) {
  RecordHeader header{.size = static_cast<std::uint32_t>(payload.size()),
                      .sequence = sequence,
                      .flags = flags,
                      .payload_crc = os::crc32c(payload)};
  header.crc = header_crc(header, ring_.salt());
  const std::size_t at = staged_.size();
  staged_.resize(at + static_cast<std::size_t>(record_bytes(payload.size())));
  std::memcpy(staged_.data() + at, &header, sizeof header);
  if (!payload.empty()) {
    std::memcpy(staged_.data() + at + sizeof header, payload.data(), payload.size());
  }
}

Result<void> RingSender::put_aside(Bytes message, std::uint64_t sequence) {
  const std::string path = aside_path(sequence);
  BULKHEAD_TRY(os::check_size_limit(message.size(), path));
  const Fd file = BULKHEAD_TRY(os::open_file(path, O_RDWR | O_CREAT | O_TRUNC));
  if (auto written = os::write_at(file, 0, message, path); !written) {
    ::unlink(path.c_str());
    return written;
  }
  if (options_.sync == Sync::each) {
    if (auto synced = os::sync_data(file, path); !synced) {
      ::unlink(path.c_str());
      return broken(synced.error());
    }
  }
  Aside aside;
  aside.size = message.size();
  aside.crc = os::crc32c(message);
  stage({reinterpret_cast<const std::byte*>(&aside), sizeof aside}, RecordHeader::aside, sequence);
  return {};
}

Result<std::size_t> RingSender::send(std::span<const Bytes> messages) {
  if (broken_) return fail(*broken_);
  std::size_t count = 0;
  staged_.clear();
  Result<void> aside;
  for (const Bytes message : messages) {
    if (!BULKHEAD_TRY(fits(message.size()))) break;
    const std::uint64_t sequence = tail_.sequence + count;
    if (goes_aside(message.size())) {
      aside = put_aside(message, sequence);
      if (!aside) break;
    } else {
      stage(message, RecordHeader::none, sequence);
    }
    ++count;
  }
  if (count == 0 && !aside) return fail(std::move(aside).error());
  if (count == 0) return fail(ErrorKind::full);
  auto published = publish(count);
  staged_.clear();
  if (!published) return fail(std::move(published).error());
  return count;
}

/// The records, and then the cursor that makes them messages.
Result<void> RingSender::publish(std::size_t messages) {
  BULKHEAD_TRY(ring_.write(tail_.position, staged_));
  if (options_.sync == Sync::each) {
    if (auto synced = os::sync_data(ring_.file(), ring_.path()); !synced) {
      return broken(synced.error());
    }
  }
  Cursor tail = tail_;
  tail.position += staged_.size();
  tail.sequence += messages;
  tail.salt = ring_.salt();
  // Whoever sees the cursor sees the records, on processors too that reorder what two system calls
  // have written.
  os::fence_seq_cst();
  BULKHEAD_TRY(write_cursor(tail_file_, cursor_offset, tail, tail_path_));
  tail_ = tail;
  if (options_.sync == Sync::none) return {};
  if (options_.sync == Sync::interval) {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_sync_ < options_.interval) return {};
    last_sync_ = now;
    if (auto synced = os::sync_data(ring_.file(), ring_.path()); !synced) {
      return broken(synced.error());
    }
  }
  if (auto synced = os::sync_data(tail_file_, tail_path_); !synced) return broken(synced.error());
  return {};
}

std::unexpected<Error> RingSender::broken(Error error) {
  broken_ = Error{error.kind(),
                  {.cause = ring_.path() + " could not be written (" + error.cause() +
                            "); what it holds on the disk is not known",
                   .remedy = "close it, look after the disk and open it again",
                   .code = error.code()}};
  return fail(*broken_);
}

void RingSender::close() noexcept {
  if (broken_ || options_.sync == Sync::none) return;
  static_cast<void>(os::sync_data(ring_.file(), ring_.path()));
  static_cast<void>(os::sync_data(tail_file_, tail_path_));
}

RingReceiver::RingReceiver(RingFile ring, Fd tail, std::string tail_path, Fd head,
                           std::string head_path, std::size_t max_message_bytes) noexcept
    : ring_(std::move(ring)),
      tail_file_(std::move(tail)),
      tail_path_(std::move(tail_path)),
      head_file_(std::move(head)),
      head_path_(std::move(head_path)),
      max_message_bytes_(max_message_bytes) {}

Result<RingReceiver> RingReceiver::open(RingFile ring, Fd tail, std::string tail_path, Fd head,
                                        std::string head_path, std::size_t max_message_bytes) {
  RingReceiver receiver{std::move(ring), std::move(tail),      std::move(tail_path),
                        std::move(head), std::move(head_path), max_message_bytes};
  receiver.head_ =
      BULKHEAD_TRY(read_cursor(receiver.head_file_, 0, receiver.ring_.salt(), receiver.head_path_));
  receiver.next_ = receiver.head_;
  receiver.tail_ = receiver.head_.position;
  BULKHEAD_TRY(receiver.look_at_tail());
  return receiver;
}

std::string RingReceiver::aside_path(std::uint64_t sequence) const {
  return beside(ring_.path(), sequence);
}

/// One read of all that the other end changes: its record, for its changes alone, and its cursor.
Result<void> RingReceiver::look_at_tail() {
  for (int looks = 0;; ++looks) {
    std::array<std::byte, cursor_offset + sizeof(Cursor)> bytes{};
    const std::size_t size = BULKHEAD_TRY(os::read_at(tail_file_, 0, bytes, tail_path_));
    std::uint64_t owner = os::crc32c(Bytes{bytes}.first(cursor_offset));
    if (owner != owner_seen_) {
      owner_seen_ = owner;
      owner_changed_ = true;
    }
    const Bytes cursor = size <= cursor_offset ? Bytes{} : Bytes{bytes}.subspan(cursor_offset);
    auto tail = check_cursor(cursor.first(size <= cursor_offset ? 0 : size - cursor_offset),
                             ring_.salt(), tail_path_);
    if (!tail && looks < 100) continue;
    if (!tail) return fail(std::move(tail).error());
    // TRUST: never backwards, never further ahead than the ring is large.
    if (tail->position < tail_ || tail->position - next_.position > ring_.capacity() ||
        tail->position % 8 != 0) {
      return out_of_order(tail_path_);
    }
    tail_ = tail->position;
    os::fence_seq_cst();  // the other half of the sender's
    return {};
  }
}

Result<Bytes> RingReceiver::bytes_at(std::uint64_t position, std::size_t size) {
  if (position < window_at_ || position + size > window_at_ + window_size_) {
    const std::uint64_t there = tail_ - position;
    if (size > there) return fail(ring_.damage(position));
    const auto some = static_cast<std::size_t>(
        std::min<std::uint64_t>(there, std::max<std::uint64_t>(size, 64 * 1024)));
    if (window_room_ < some) {
      window_ = std::make_unique_for_overwrite<std::byte[]>(some);
      window_room_ = some;
    }
    window_size_ = 0;
    BULKHEAD_TRY(ring_.read(position, {window_.get(), some}));
    window_at_ = position;
    window_size_ = some;
  }
  return Bytes{window_.get() + (position - window_at_), size};
}

Result<void> RingReceiver::acknowledge() {
  if (next_.position == head_.position) return {};
  // The file first: found missing by the next owner of this end, it was acknowledged.
  if (in_hand_aside_) ::unlink(aside_path(next_.sequence - 1).c_str());
  in_hand_aside_ = false;
  Cursor head = next_;
  head.salt = ring_.salt();
  BULKHEAD_TRY(write_cursor(head_file_, 0, head, head_path_));
  head_ = head;
  may_be_gone_ = false;
  return {};
}

/// False when it has been acknowledged already.
Result<bool> RingReceiver::take_aside(Bytes payload, std::uint64_t sequence, Message& into) {
  Aside aside;
  if (payload.size() != sizeof aside) return fail(ring_.damage(next_.position));
  std::memcpy(static_cast<void*>(&aside), payload.data(), sizeof aside);
  const std::string path = aside_path(sequence);
  auto file = os::open_file(path, O_RDONLY);
  if (!file && file.error() == ErrorKind::not_found && may_be_gone_) return false;
  if (!file && file.error() != ErrorKind::not_found) return fail(std::move(file).error());
  if (!file || aside.size > max_message_bytes_ ||
      BULKHEAD_TRY(os::size_of(*file, path)) != aside.size) {
    return fail(ErrorKind::corrupt,
                {.cause = path + " is missing, cut short, or larger than this channel's maximum",
                 .remedy = "remove the folder, and what it held"});
  }
  const auto room = into.resize(static_cast<std::size_t>(aside.size));
  const std::size_t size = BULKHEAD_TRY(os::read_at(*file, 0, room, path));
  if (size != aside.size || os::crc32c(room) != aside.crc) {
    return fail(ErrorKind::corrupt,
                {.cause = path + " is damaged", .remedy = "remove the folder, and what it held"});
  }
  return true;
}

Result<bool> RingReceiver::next(Message& into) {
  BULKHEAD_TRY(acknowledge());
  for (;;) {
    if (next_.position == tail_) {
      BULKHEAD_TRY(look_at_tail());
      if (next_.position == tail_) return false;
    }
    const std::uint64_t at = next_.position;
    RecordHeader header;
    const Bytes head = BULKHEAD_TRY(bytes_at(at, header_bytes));
    std::memcpy(static_cast<void*>(&header), head.data(), header_bytes);
    const bool fits = file::is_whole(header, ring_.salt()) && header.sequence == next_.sequence &&
                      (header.flags & ~std::uint32_t{RecordHeader::aside}) == 0 &&
                      record_bytes(header.size) <= tail_ - at;
    if (!fits) return fail(ring_.damage(at));
    const Bytes payload = BULKHEAD_TRY(bytes_at(at + header_bytes, header.size));
    if (os::crc32c(payload) != header.payload_crc) return fail(ring_.damage(at));
    into.clear();
    in_hand_aside_ = header.flags == RecordHeader::aside;
    bool there = true;
    if (in_hand_aside_) {
      there = BULKHEAD_TRY(take_aside(payload, header.sequence, into));
    } else if (header.size > max_message_bytes_) {
      return fail(ErrorKind::corrupt, {.cause = "a message in " + ring_.path() +
                                                " is larger than this channel's maximum",
                                       .remedy = "raise ChannelOptions::max_message_bytes"});
    } else {
      into.assign(payload);
    }
    next_.position += record_bytes(header.size);
    ++next_.sequence;
    if (there) return true;
    in_hand_aside_ = false;
    BULKHEAD_TRY(acknowledge());
  }
}

}  // namespace bulkhead::transport::mmap
