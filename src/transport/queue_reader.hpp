// SPDX-License-Identifier: Apache-2.0
//
// QueueReader: makes messages of the units of a queue (queue_frame.hpp). It owns the memory that
// units are received into: the rest of a long message goes where it belongs at once.
//
// TRUST: every unit may be anything. A message's size is checked against the maximum before any
// memory is taken for it; from an untrusted peer memory grows with what arrived. Whatever comes,
// one unfinished message of each priority is held at most.
#pragma once

#include <memory>
#include <vector>

#include <bulkhead/channel.hpp>
#include <bulkhead/message.hpp>

#include "transport/queue_frame.hpp"

namespace bulkhead::transport {

class QueueReader {
 public:
  /// Free bytes before room(), which take() expects unchanged: System V puts a number there.
  static constexpr std::size_t lead = 8;

  /// `unit`: the size of the largest. Throws std::bad_alloc.
  QueueReader(std::size_t unit, const ChannelOptions& options);

  /// Where the next unit goes, of `unit` bytes.
  std::span<std::byte> room();

  enum class Step : std::uint8_t { delivered, more };
  /// The first `size` bytes of room() are a unit that came at `priority`. `corrupt` or
  /// `incompatible`: then it must not be called again.
  Result<Step> take(std::size_t size, unsigned priority, Message& into);

  /// The next message of a batch that was taken, if there is one.
  bool next_of_batch(Message& into) {
    if (batch_left_ == 0) [[likely]]
      return false;
    pop_batch(into);
    return true;
  }

 private:
  /// The message of one priority that is under way.
  struct Partial {
    unsigned priority = 0;
    std::size_t total = 0;
    std::size_t arrived = 0;
    Message bytes;  // with room for a unit behind what arrived
  };

  Result<Step> take_more(std::size_t which, Bytes unit, Message& into);
  Result<Step> begin(Bytes unit, unsigned priority, Message& into);
  Result<Step> begin_batch(std::size_t size, Message& into);
  void make_room(Partial& partial) const;
  void pop_batch(Message& into);
  std::byte* scratch() const noexcept { return scratch_.get() + lead; }

  const std::size_t unit_;
  const std::size_t most_;
  const Trust trust_;
  std::unique_ptr<std::byte[]> scratch_;
  std::vector<Partial> partials_;  // the last touched at the end: the next unit goes there

  // The entries that are left, at the end of a batch in the scratch.
  std::size_t batch_at_ = 0;
  std::size_t batch_left_ = 0;
};

}  // namespace bulkhead::transport
