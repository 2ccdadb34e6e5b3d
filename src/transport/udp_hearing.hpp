// SPDX-License-Identifier: Apache-2.0
//
// What an end of UDP makes of the datagrams that reach it: the receiving half of udp_frame.hpp's
// STATE, without a socket, so that tests and a fuzzer can tell it anything.
//
// Tally counts by sequence numbers. A number ahead of what is due leaves a gap, which counts as
// lost; one that fills a gap later is no longer lost but reordered; one that came before is a
// duplicate, and dropped. What is more than `window` behind cannot be told apart: it is dropped and
// stays counted as lost.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <optional>
#include <vector>

#include <bulkhead/channel.hpp>

#include "transport/udp_frame.hpp"

namespace bulkhead::transport {

class Tally {
 public:
  static constexpr std::uint64_t window = 1024;

  /// True when the message with this number is to be delivered.
  bool arrived(std::uint32_t number) noexcept;
  /// The peer says that it has sent so many.
  void ended(std::uint32_t count) noexcept;
  /// A receiver that joined in the middle: what was before is not missed.
  void begin_at(std::uint32_t number) noexcept { due_ = far + number; }

  const Losses& losses() const noexcept { return losses_; }

 private:
  std::uint64_t widen(std::uint32_t number) const noexcept;
  void skip_to(std::uint64_t number) noexcept;

  static constexpr std::uint64_t far = std::uint64_t{1}
                                       << 32;  // from zero: numbers before the first

  std::uint64_t due_ = far;
  std::bitset<window> came_ = std::bitset<window>{}.set();  // of the `window` numbers before due_
  Losses losses_;
};

class UdpHearing {
 public:
  enum class Role : std::uint8_t {
    pair,    ///< both ends were made here: session 0, no greeting
    client,  ///< greets
    server,  ///< was greeted
    group,   ///< hears many senders, each with a session of its own
  };

  enum class Verdict : std::uint8_t {
    ignore,
    deliver,      ///< what is behind the header
    welcome,      ///< answer with a welcome
    greet_again,  ///< send a hello, with cookie()
    ended,        ///< with error()
  };

  UdpHearing(Role role, std::uint64_t session) noexcept : role_(role), session_(session) {}

  Verdict hear(Bytes datagram);

  Role role() const noexcept { return role_; }
  std::uint64_t session() const noexcept { return session_; }
  bool is_greeted() const noexcept { return role_ != Role::client || greeted_; }
  udp_frame::Cookie cookie() const noexcept { return cookie_; }
  const std::optional<Error>& error() const noexcept { return error_; }
  Losses losses() const noexcept;

 private:
  struct Sender {
    std::uint64_t session = 0;
    std::uint64_t last_heard = 0;
    Tally tally;
  };
  /// TRUST: so many senders of a group are told apart; of more, those not heard for longest are
  /// forgotten.
  static constexpr std::size_t most_senders = 32;

  Verdict end(Error error);
  Verdict hear_group(const udp_frame::Header& header);
  Verdict hear_unknown();

  const Role role_;
  const std::uint64_t session_;
  bool greeted_ = false;
  udp_frame::Cookie cookie_ = 0;
  Tally tally_;
  std::vector<Sender> senders_;
  std::uint64_t heard_ = 0;
  Losses forgotten_;  // of senders that were
  std::optional<Error> error_;
};

}  // namespace bulkhead::transport
