// SPDX-License-Identifier: Apache-2.0
//
// What a child is told before its role begins, and what it answers, over the bootstrap socket
// (SOCK_SEQPACKET, made for this child alone).
//
//   parent                                     child
//   Header, then the Birth in packets of       reads them, prepares, confines itself
//   64 KiB at most with the handles beside
//                                              Answer: its SandboxReport, or why it cannot begin
//                                              ... the role runs ...
//                                              LastWords (last_words.hpp), if it can still say any
//
// Both ends are the same executable (checked by build id), so there are no versions to bridge.
// TRUST: the child believes its parent. The parent decodes the Answer as it decodes any peer's
// bytes, and takes from it words only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <bulkhead/deadline.hpp>
#include <bulkhead/handle.hpp>
#include <bulkhead/sandbox.hpp>

namespace bulkhead::process {

struct Birth {
  std::string build_id{};
  std::uint64_t role_offset = 0;
  std::string role{};
  std::string name{};
  Sandbox sandbox{};
  std::uint64_t capacity_bytes = 0;  // of the main channel
  std::uint64_t max_message_bytes = 0;
  std::uint8_t wait_for_debugger = 0;
  std::uint64_t arguments_shape = 0;
  std::vector<std::byte> arguments{};
  /// Names of what follows the main channel in the handles, in this order; then come those of the
  /// arguments.
  std::vector<std::string> channels{};
  std::vector<std::string> regions{};
  std::vector<std::string> descriptors{};
};

/// `unsupported` for a handle that lives in one process only.
Result<void> send_birth(FdView socket, const Birth& birth, const std::vector<Handle>& handles,
                        Deadline deadline);

struct Received {
  Birth birth;
  std::vector<Handle> handles;
};
/// `closed` when the parent has gone, `corrupt` when the socket is no bootstrap socket.
Result<Received> receive_birth(FdView socket);

/// The child's Answer: the layers in force, or why it does not begin.
Result<void> send_answer(FdView socket, const Result<SandboxReport>& answer);
/// The child's own words. `empty` when it has not said any yet, `closed` when it died first.
Result<void> receive_answer(FdView socket, Result<SandboxReport>& answer);

}  // namespace bulkhead::process
