// SPDX-License-Identifier: Apache-2.0
// What Process::async_wait tries, without Asio; see detail/channel/async_work.hpp.
#pragma once

#include <memory>

#include <bulkhead/process.hpp>

namespace bulkhead::detail {

/// A Process that goes meanwhile ends its child, and the operation tells how that ended.
class BULKHEAD_API Ending {
 public:
  using Value = Exit;
  explicit Ending(Process& process) noexcept;
  Result<Exit> attempt();
  Result<FdView> watch();
  Error give_up(ErrorKind why);

 private:
  std::shared_ptr<ProcessState> state_;
};

}  // namespace bulkhead::detail
