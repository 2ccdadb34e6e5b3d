// SPDX-License-Identifier: Apache-2.0
//
// Worker: what the master's books say about one worker process.
//
// STATE
//   starting -> waking   its role begins
//   waking -> ready      its Hello arrived, and its initializer went well
//   ready -> leaving     recycled, or another with other limits is needed: its channel is closed
//   waking, ready -> ending   its channel has ended: most likely it has died, and the kernel is about
//                        to say so and how; if not, it is killed
//   any -> dying         the master kills it
//   any -> gone          the kernel says that it ended; then it leaves the books
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include <bulkhead/pool.hpp>

#include "channel/channel_state.hpp"
#include "pool/pages.hpp"
#include "pool/schedule.hpp"
#include "process/process_state.hpp"
#include "process/spawn.hpp"

namespace bulkhead::pool {

struct Worker {
  enum class Stage : std::uint8_t { starting, waking, ready, leaving, ending, dying };

  Stage stage = Stage::starting;
  std::uint64_t serial = 0;  ///< in the order of starting
  /// The last serial when it left the living: its replacement has a later one, and so the attempt
  /// that is due after it finds a worker.
  std::uint64_t last_serial = 0;
  pid_t pid = 0;
  std::uint64_t memory_limit = 0;  ///< 0: the pool's
  bool special = false;            ///< for one task that needs a worker of its own
  bool last_tasks = false;         ///< it gets no more, and is recycled when it has answered
  bool killed_by_us = false;
  bool at_fault = false;       ///< killed for what it did as a worker, not for a task of its
  bool at_time_limit = false;  ///< killed for what its oldest task took

  std::optional<process::Starting> starting;
  std::optional<Process> process;
  bool watched = false;  ///< its channel is among the Events
  std::optional<Region> orders_page;
  Orders* orders = nullptr;
  std::optional<Region> status_page;
  const Status* status = nullptr;
  std::string failure;  ///< of its initializer

  /// Sent and not answered, oldest first; null for one that nobody wants any more.
  std::deque<TaskPointer> open;
  std::uint64_t first_ticket = 1;  ///< of open.front(), or of the next to be sent
  bool revoking = false;  ///< what was sent last will be declined; until then it gets no more
  std::uint64_t declinable_from = 0;  ///< while revoking: the first ticket that ever was revoked
  std::uint64_t answered = 0;
  Deadline front_until = never;   ///< of the oldest open task, when it has a time limit
  Deadline cancel_until = never;  ///< the oldest open task was cancelled and is to heed it
  Deadline leave_until = never;

  bool is_ready() const noexcept { return stage == Stage::ready; }
  bool is_busy() const noexcept { return !open.empty(); }
  bool lives() const noexcept {
    return stage == Stage::starting || stage == Stage::waking || is_ready();
  }
  transport::Link& link() { return *detail::ChannelState::of(process->channel()).link; }
  detail::ProcessState& state() { return *detail::ProcessState::share(*process); }
  std::uint64_t next_ticket() const noexcept { return first_ticket + open.size(); }
  bool takes_tasks() const noexcept { return is_ready() && !special && !revoking && !last_tasks; }
};

}  // namespace bulkhead::pool
