// SPDX-License-Identifier: Apache-2.0
//
// Any units of any priorities into the reader of the message queues. Whatever comes, a message is
// delivered within its bounds or the link is refused with one of the two kinds that a peer can
// cause; and after a refusal nothing is asked any more.
//
// The first byte chooses trust and how large a unit is; then units follow: priority (1 byte), size
// (2 bytes), bytes. What is longer than a unit is cut, as the kernel would not give it.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>

#include "transport/queue_reader.hpp"

namespace {

using namespace bulkhead;
using transport::QueueReader;

constexpr std::size_t most = 64 * 1024;

void require(bool holds) {
  if (!holds) std::abort();
}

/// False when the reader refused.
bool feed(QueueReader& reader, Bytes unit, unsigned priority) {
  const auto room = reader.room();
  std::byte before[QueueReader::lead];
  std::memcpy(before, room.data() - sizeof before, sizeof before);
  if (!unit.empty()) std::memcpy(room.data(), unit.data(), unit.size());
  Message message;
  const auto step = reader.take(unit.size(), priority, message);
  if (!step) {
    require(step.error() == ErrorKind::corrupt || step.error() == ErrorKind::incompatible);
    require(!step.error().sentence().empty());
    return false;
  }
  if (*step == QueueReader::Step::more) return true;
  require(message.size() <= most && message.priority() == priority);
  std::size_t count = 0;
  while (reader.next_of_batch(message)) {
    require(message.size() <= unit.size() && message.priority() == 0);
    require(++count <= unit.size() / 4);
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t unit = (*data & 1) != 0 ? 128 : 600;
  const Trust trust = (*data & 2) != 0 ? Trust::equal : Trust::untrusted;
  QueueReader reader{unit, {.trust = trust, .max_message_bytes = most}};
  Bytes rest = std::as_bytes(std::span{data, size}.subspan(1));
  while (rest.size() >= 3) {
    const auto priority = static_cast<unsigned>(rest[0]);
    const auto wanted = static_cast<std::size_t>(rest[1]) | static_cast<std::size_t>(rest[2]) << 8;
    rest = rest.subspan(3);
    const Bytes one = rest.first(std::min({wanted, unit, rest.size()}));
    rest = rest.subspan(one.size());
    if (!feed(reader, one, priority)) break;
  }
  return 0;
}
