// SPDX-License-Identifier: Apache-2.0
#include "transport/queue_reader.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "transport/wrong_peer.hpp"

namespace bulkhead::transport {
namespace {

using queue_frame::EntrySize;
using queue_frame::Header;
using queue_frame::Type;

}  // namespace

QueueReader::QueueReader(std::size_t unit, const ChannelOptions& options)
    : unit_(unit),
      most_(std::min(options.max_message_bytes, queue_frame::most_message)),
      trust_(options.trust),
      scratch_(std::make_unique_for_overwrite<std::byte[]>(lead + unit)) {}

std::span<std::byte> QueueReader::room() {
  if (partials_.empty()) [[likely]]
    return {scratch(), unit_};
  Partial& last = partials_.back();
  return last.bytes.resize(last.bytes.size()).subspan(last.arrived, unit_);
}

Result<QueueReader::Step> QueueReader::take(std::size_t size, unsigned priority, Message& into) {
  if (priority > Message::most_priority) return lie("an unknown priority");
  Bytes unit = room().first(size);
  if (partials_.empty()) [[likely]]
    return begin(unit, priority, into);
  if (partials_.back().priority == priority) return take_more(partials_.size() - 1, unit, into);
  // It was taken for the next of another message and lies behind that.
  if (size != 0) std::memcpy(scratch(), unit.data(), size);
  unit = {scratch(), size};
  for (std::size_t i = 0; i < partials_.size(); ++i) {
    if (partials_[i].priority == priority) return take_more(i, unit, into);
  }
  return begin(unit, priority, into);
}

Result<QueueReader::Step> QueueReader::take_more(std::size_t which, Bytes unit, Message& into) {
  Partial& partial = partials_[which];
  const auto done = partials_.begin() + static_cast<std::ptrdiff_t>(which);
  if (unit.empty()) {
    partials_.erase(done);
    return Step::more;
  }
  const std::size_t left = partial.total - partial.arrived;
  if (unit.size() != std::min(unit_, left)) return lie("a piece of the wrong size");
  std::byte* const place = partial.bytes.resize(partial.bytes.size()).data() + partial.arrived;
  if (unit.data() != place) std::memcpy(place, unit.data(), unit.size());
  partial.arrived += unit.size();
  if (partial.arrived < partial.total) {
    make_room(partial);
    if (which + 1 != partials_.size()) std::swap(partial, partials_.back());
    return Step::more;
  }
  partial.bytes.resize(partial.total);
  into = std::move(partial.bytes);
  into.set_priority(partial.priority);
  partials_.erase(done);
  return Step::delivered;
}

/// For the next unit. TRUST: an untrusted peer's word about the whole is not paid in advance.
void QueueReader::make_room(Partial& partial) const {
  if (partial.bytes.size() >= partial.arrived + unit_) return;
  const std::size_t whole =
      trust_ == Trust::equal ? partial.total : std::min(partial.total, 4 * partial.arrived);
  partial.bytes.resize(whole + unit_);
}

Result<QueueReader::Step> QueueReader::begin(Bytes unit, unsigned priority, Message& into) {
  Header header;
  if (unit.size() < sizeof header) return lie("a unit without a header");
  std::memcpy(&header, unit.data(), sizeof header);
  if (header.version != Header{}.version) return other_version(header.version, Header{}.version);
  const Bytes content = unit.subspan(sizeof header);
  if (header.type == static_cast<std::uint8_t>(Type::batch)) {
    if (priority != 0 || header.size != content.size()) return lie("a batch that is none");
    return begin_batch(content.size(), into);
  }
  if (header.type != static_cast<std::uint8_t>(Type::message)) return lie("an unknown unit");
  if (header.size > most_) return lie("a message is larger than this channel's maximum");
  if (content.size() != std::min<std::size_t>(header.size, unit_ - sizeof header)) {
    return lie("a unit's header does not fit its content");
  }
  if (header.size == content.size()) {
    into.clear();
    into.assign(content);
    into.set_priority(priority);
    return Step::delivered;
  }
  Partial partial{
      .priority = priority, .total = header.size, .arrived = content.size(), .bytes = {}};
  make_room(partial);
  std::memcpy(partial.bytes.resize(partial.bytes.size()).data(), content.data(), content.size());
  partials_.push_back(std::move(partial));
  return Step::more;
}

/// All of it is judged before any of it is delivered.
Result<QueueReader::Step> QueueReader::begin_batch(std::size_t size, Message& into) {
  const std::byte* const entries = scratch() + sizeof(Header);
  for (std::size_t at = 0; at < size;) {
    EntrySize entry = 0;
    if (size - at < sizeof entry) return lie("a batch is cut short");
    std::memcpy(&entry, entries + at, sizeof entry);
    at += sizeof entry;
    if (entry > size - at || entry > most_) return lie("a batch's entry is too long");
    at += entry;
  }
  batch_at_ = sizeof(Header);
  batch_left_ = size;
  return next_of_batch(into) ? Step::delivered : Step::more;
}

void QueueReader::pop_batch(Message& into) {
  EntrySize size = 0;
  const std::byte* const entry = scratch() + batch_at_;
  std::memcpy(&size, entry, sizeof size);
  into.clear();
  into.assign({entry + sizeof size, size});
  batch_at_ += sizeof size + size;
  batch_left_ -= sizeof size + size;
}

}  // namespace bulkhead::transport
