// SPDX-License-Identifier: Apache-2.0
//
// Address: where a Channel leads, as a URL. "shm:camera", "unix:///run/camera.sock",
// "unix:@abstract", "fifo:///run/camera", "tcp://[::1]:4711", "mq:///camera". What belongs to one
// mechanism alone is set behind a question mark: "file:///var/log/events?sync=each". Checked where
// it is used: connect and listen answer `invalid` for one that cannot be read or has a parameter
// that its mechanism does not know, and `unsupported` for a scheme they do not have.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include <bulkhead/detail/export.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead {

/// How messages are carried. The numbers travel between processes: never reuse one.
enum class Mechanism : std::uint8_t {
  inproc = 1,
  unix_socket = 2,
  shm = 3,
  pipe = 4,
  fifo = 5,
  file = 6,
  mmap = 7,
  tcp = 8,
  udp = 9,
  posix_mq = 10,
  sysv_mq = 11,
};

inline constexpr std::array all_mechanisms{
    Mechanism::inproc, Mechanism::pipe,     Mechanism::fifo,        Mechanism::file,
    Mechanism::mmap,   Mechanism::shm,      Mechanism::unix_socket, Mechanism::tcp,
    Mechanism::udp,    Mechanism::posix_mq, Mechanism::sysv_mq};

/// The scheme of its addresses: "inproc", "pipe", "fifo", "file", "mmap", "shm", "unix", "tcp",
/// "udp", "mq", "sysv".
BULKHEAD_API std::string_view to_string(Mechanism mechanism) noexcept;

class BULKHEAD_API Address {
 public:
  Address(const char* text) : text_(text) {}             // NOLINT: implicit on purpose
  Address(std::string_view text) : text_(text) {}        // NOLINT
  Address(std::string text) : text_(std::move(text)) {}  // NOLINT

  const std::string& text() const noexcept { return text_; }

  /// What it names: `invalid` when it has no scheme or no name, `unsupported` for an unknown scheme.
  Result<Mechanism> mechanism() const;

  /// What stands behind the scheme, parameters included: "camera", "/run/camera.sock", "@abstract".
  std::string_view name() const noexcept;

 private:
  std::string text_;
};

}  // namespace bulkhead
