// SPDX-License-Identifier: Apache-2.0
//
// A variant is one contender in a duel: the same work done by one mechanism through one interface.
// The duel calls create() in the process that makes the pair, then prepare() in each side (the
// server first), then connect() in both sides at once, and then client() and server() for every
// slice with the same count. Failures in the first three are thrown; the duel then leaves the
// contender out and says so.
#pragma once

#include <cstdint>
#include <functional>

namespace bulkhead::bench {

enum class Side : std::uint32_t { client, server };

/// round_trip: the slice ends when the client has the last answer. one_way: when the server has the
/// last message. alone: the client works, the server's turn is empty.
enum class Shape : std::uint32_t { round_trip, one_way, alone };

class Variant {
 public:
  Variant() = default;
  Variant(const Variant&) = delete;
  Variant& operator=(const Variant&) = delete;
  virtual ~Variant() = default;

  /// Makes what both sides inherit. May run again, for a second pair: then it starts afresh.
  virtual void create() {}
  /// Makes one side's part that the other does not wait for, such as a listener.
  virtual void prepare(Side) {}
  /// Joins the sides; each may wait for the other.
  virtual void connect(Side) {}
  /// One slice. In a pair of threads both run on the same object: they share no plain member.
  virtual void client(std::uint64_t count) = 0;
  virtual void server(std::uint64_t count) = 0;
  /// Ends one side; names on the machine are removed here, for the process then leaves without
  /// destructors.
  virtual void close(Side) noexcept {}

  /// Set before server(): ends a one-way slice. For those whose server() does not return at once when
  /// it has the last message.
  std::function<void()> has_last_message;
};

}  // namespace bulkhead::bench
