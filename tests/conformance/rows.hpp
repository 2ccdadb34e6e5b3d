// SPDX-License-Identifier: Apache-2.0
//
// The rows of the conformance suite: what each mechanism is like, and the questions by which a body
// of tests chooses its rows. A new mechanism joins by one entry in all_rows().
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include <bulkhead/channel.hpp>

#include "transport/mechanism.hpp"

namespace bulkhead::conformance {

/// How a test names a place of its own.
enum class Naming : std::uint8_t {
  none,       ///< it has no addresses
  by_scheme,  ///< "shm:name"
  by_path,    ///< "unix:///folder/name"
  abstract,   ///< "unix:@name"
  loopback,   ///< "tcp://127.a.b.c:port": an address of this process alone
  queue,      ///< "mq:///name"
  key,        ///< "sysv://number"
};

/// How the two ends of a body come about.
enum class Joining : std::uint8_t {
  pair,      ///< pair()
  listener,  ///< listen(), connect(), accept(): where there is no pair(), or as a second row
  name,      ///< connect() twice, each with its direction: no end comes first
};

/// What the suite must know of a mechanism. The defaults are those of a socket; what a row has
/// less is refused by the mechanism, and tests/conformance/refusals_test.cpp asserts that.
struct Row {
  std::string name;
  Mechanism mechanism = Mechanism::inproc;
  Trust trust = Trust::equal;
  Naming naming = Naming::by_path;
  Joining joining = Joining::pair;
  /// Of the first end: `send` for the rows of one way, whose second end receives.
  Direction direction = Direction::both;
  /// What capabilities(mechanism) says. An end of one way has less: both_ways.
  Capabilities capabilities = {};
  /// Where messages stop to be carried in one piece, if anywhere; sizes around it are tried.
  std::size_t unit_bytes = 64 * 1024;
  /// The largest message there is; a larger one is `too_large`.
  std::size_t largest_bytes = static_cast<std::size_t>(-1);
  /// How many handles one message carries.
  std::size_t most_handles = 0;
  /// What stands behind the addresses of this row: "?sync=none".
  std::string parameters = {};
  bool between_processes = true;
  bool has_pair = true;
  /// It has listen(). A mechanism of addresses without one has connect() alone.
  bool has_listener = true;
  /// An end goes to another process: into_handle() and from_handle().
  bool hands_over = true;
  /// A sender waits for a slow reader. A log takes all; a datagram is lost.
  bool holds_back = true;
  /// So many messages of a few bytes wait unread at the least.
  std::size_t unread_messages = 100;
  /// So many clients wait to be accepted at the least, whether they live or not.
  std::size_t waiting_clients = 50;
  /// The receiver hears of an orderly end: `closed` behind the last message.
  bool tells_close = true;
  /// connect() hears that nobody listens: `not_found`.
  bool tells_nobody_there = true;
  /// The sender hears that nobody will read.
  bool tells_no_reader = true;
  /// peer() knows the pid.
  bool tells_pid = true;
  /// Another user cannot come in; without it anybody can who reaches the address.
  bool keeps_others_out = true;
  /// accept() gives a channel for each client, not one that receives from all.
  bool a_channel_each = true;
  /// `exists` names the pid of who has the name.
  bool tells_owner = true;

  bool both_ways() const { return direction == Direction::both; }
  bool lossy() const { return !capabilities.reliable; }
  /// `bytes`, or the most that goes.
  std::size_t at_most(std::size_t bytes) const { return std::min(bytes, largest_bytes); }
};

inline std::ostream& operator<<(std::ostream& out, const Row& row) { return out << row.name; }

inline std::vector<Row> all_rows() {
  const Capabilities socket{.handles = true,
                            .many_clients = true,
                            .both_ways = true,
                            .unrelated = true,
                            .reliable = true,
                            .tells_death = true};
  Capabilities memory = socket;
  memory.in_place = true;
  Capabilities in_process = socket;
  in_process.unrelated = false;
  const Capabilities related{.both_ways = true, .reliable = true, .tells_death = true};
  const Capabilities log{.many_clients = true,
                         .other_machine = true,
                         .both_ways = true,
                         .unrelated = true,
                         .reliable = true,
                         .tells_death = true,
                         .survives = true};
  const Capabilities queues{.priority = true,
                            .many_clients = true,
                            .both_ways = true,
                            .unrelated = true,
                            .reliable = true,
                            .tells_death = true};
  using enum Mechanism;
  using enum Naming;
  const auto untrusted = Trust::untrusted;
  // A line a mechanism.
  return {
      {.name = "inproc",
       .mechanism = inproc,
       .naming = by_scheme,
       .capabilities = in_process,
       .unit_bytes = 256 * 1024,
       .most_handles = 4096,
       .between_processes = false},
      {.name = "pipe",
       .mechanism = pipe,
       .naming = none,
       .capabilities = related,
       .unit_bytes = 256 * 1024,
       .tells_pid = false},
      {.name = "pipe_one_way",
       .mechanism = pipe,
       .naming = none,
       .direction = Direction::send,
       .capabilities = related,
       .unit_bytes = 256 * 1024,
       .tells_pid = false},
      {.name = "fifo",
       .mechanism = fifo,
       .joining = Joining::listener,
       .capabilities = {.many_clients = true,
                        .both_ways = true,
                        .unrelated = true,
                        .reliable = true,
                        .tells_death = true},
       .unit_bytes = 256 * 1024,
       .has_pair = false,
       .hands_over = false},
      {.name = "fifo_one_way",
       .mechanism = fifo,
       .joining = Joining::listener,
       .direction = Direction::send,
       .capabilities = {.many_clients = true,
                        .both_ways = true,
                        .unrelated = true,
                        .reliable = true,
                        .tells_death = true},
       .unit_bytes = 4072,
       .has_pair = false,
       .hands_over = false,
       .tells_pid = false,
       .a_channel_each = false},
      {.name = "unix", .mechanism = unix_socket, .capabilities = socket, .most_handles = 4096},
      {.name = "unix_stream",
       .mechanism = unix_socket,
       .joining = Joining::listener,
       .capabilities = {.many_clients = true,
                        .both_ways = true,
                        .unrelated = true,
                        .reliable = true,
                        .tells_death = true},
       .unit_bytes = 256 * 1024,
       .parameters = "?type=stream"},
      {.name = "unix_abstract",
       .mechanism = unix_socket,
       .trust = untrusted,
       .naming = abstract,
       .capabilities = socket,
       .most_handles = 16},
      {.name = "posix_mq",
       .mechanism = posix_mq,
       .naming = queue,
       .capabilities = queues,
       .unit_bytes = 8192 - 8,
       .unread_messages = 10,
       .waiting_clients = 5},
      {.name = "posix_mq_untrusted",
       .mechanism = posix_mq,
       .trust = untrusted,
       .naming = queue,
       .joining = Joining::listener,
       .capabilities = queues,
       .unit_bytes = 1024 - 8,
       .unread_messages = 10,
       .waiting_clients = 5},
      {.name = "posix_mq_one_way",
       .mechanism = posix_mq,
       .naming = queue,
       .direction = Direction::send,
       .capabilities = queues,
       .unit_bytes = 8192 - 8,
       .unread_messages = 10,
       .waiting_clients = 5},
      {.name = "sysv_mq",
       .mechanism = sysv_mq,
       .naming = key,
       .capabilities = queues,
       .unit_bytes = 4096 - 8,
       .unread_messages = 15},
      {.name = "sysv_mq_untrusted",
       .mechanism = sysv_mq,
       .trust = untrusted,
       .naming = key,
       .joining = Joining::listener,
       .capabilities = queues,
       .unit_bytes = 4096 - 8,
       .unread_messages = 15},
      {.name = "sysv_mq_one_way",
       .mechanism = sysv_mq,
       .naming = key,
       .direction = Direction::send,
       .capabilities = queues,
       .unit_bytes = 4096 - 8,
       .unread_messages = 15},
      {.name = "shm_equal",
       .mechanism = shm,
       .naming = by_scheme,
       .capabilities = memory,
       .unit_bytes = 128 * 1024,
       .most_handles = 253},
      {.name = "shm_untrusted",
       .mechanism = shm,
       .trust = untrusted,
       .naming = by_scheme,
       .capabilities = memory,
       .unit_bytes = 128 * 1024,
       .most_handles = 16},
      {.name = "tcp",
       .mechanism = tcp,
       .trust = untrusted,
       .naming = loopback,
       .capabilities = {.many_clients = true,
                        .other_machine = true,
                        .both_ways = true,
                        .unrelated = true,
                        .reliable = true,
                        .tells_death = true},
       .unit_bytes = 256 * 1024,
       .tells_pid = false,
       .keeps_others_out = false},
      {.name = "udp",
       .mechanism = udp,
       .trust = untrusted,
       .naming = loopback,
       .capabilities =
           {.many_clients = true, .other_machine = true, .both_ways = true, .unrelated = true},
       .largest_bytes = 65'507 - 16,
       .holds_back = false,
       .tells_no_reader = false,
       .tells_pid = false,
       .keeps_others_out = false},
      {.name = "file_pair",
       .mechanism = file,
       .naming = none,
       .capabilities = log,
       .unit_bytes = 1 << 20,
       .has_listener = false,
       .holds_back = false},
      {.name = "file_log",
       .mechanism = file,
       .joining = Joining::name,
       .direction = Direction::send,
       .capabilities = log,
       .unit_bytes = 1 << 20,
       .parameters = "?cursor=suite",
       .has_listener = false,
       .hands_over = false,
       .holds_back = false,
       .tells_nobody_there = false,
       .tells_no_reader = false,
       .tells_pid = false},
      {.name = "file_both_ways",
       .mechanism = file,
       .joining = Joining::listener,
       .capabilities = {.other_machine = true,
                        .both_ways = true,
                        .unrelated = true,
                        .reliable = true,
                        .tells_death = true,
                        .survives = true},
       .unit_bytes = 1 << 20,
       .parameters = "?cursor=suite",
       .hands_over = false,
       .holds_back = false,
       .tells_nobody_there = false,
       .tells_no_reader = false},
      {.name = "mmap",
       .mechanism = mmap,
       .joining = Joining::listener,
       .capabilities = {.both_ways = true,
                        .unrelated = true,
                        .reliable = true,
                        .tells_death = true,
                        .survives = true},
       .unit_bytes = 64 * 1024,
       .has_pair = false,
       .hands_over = false,
       .tells_nobody_there = false},
  };
}

/// Those of the mechanisms that this library is built with; each of them has a row
/// (refusals_test.cpp).
inline std::vector<Row> rows() {
  auto found = all_rows();
  std::erase_if(found, [](const Row& row) {
    return std::ranges::none_of(transport::mechanisms, [&](const auto* entry) {
      return entry->mechanism == row.mechanism;
    });
  });
  return found;
}

/// Those rows of which all `asked` is so.
template <class... Asked> std::vector<Row> rows_where(Asked... asked) {
  auto all = rows();
  std::erase_if(all, [&](const Row& row) { return !(asked(row) && ...); });
  return all;
}

inline bool both_ways(const Row& row) { return row.both_ways(); }
inline bool reliable(const Row& row) { return row.capabilities.reliable; }
inline bool with_handles(const Row& row) { return row.capabilities.handles; }
inline bool with_priority(const Row& row) { return row.capabilities.priority; }
inline bool many_clients(const Row& row) { return row.capabilities.many_clients; }
inline bool with_a_channel_each(const Row& row) { return row.a_channel_each; }
inline bool that_tell_death(const Row& row) { return row.capabilities.tells_death; }
inline bool that_survive(const Row& row) { return row.capabilities.survives; }
inline bool that_hold_back(const Row& row) { return row.holds_back; }
inline bool that_tell_close(const Row& row) { return row.tells_close; }
inline bool that_tell_no_reader(const Row& row) { return row.tells_no_reader; }
inline bool that_hand_over(const Row& row) { return row.hands_over; }
inline bool between_processes(const Row& row) { return row.between_processes; }
inline bool with_addresses(const Row& row) { return row.naming != Naming::none; }
inline bool with_listener(const Row& row) { return with_addresses(row) && row.has_listener; }
inline bool that_keep_others_out(const Row& row) { return row.keeps_others_out; }

}  // namespace bulkhead::conformance
