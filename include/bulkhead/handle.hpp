// SPDX-License-Identifier: Apache-2.0
//
// Handle: something that travels beside the bytes of a message: a descriptor, a Region, the end of
// a Channel or, between processes of equal trust, a SharedRegion. Whoever holds it owns it; a handle
// that nobody takes is closed. They turn themselves into one (`into_handle`) and are made from one
// (`from_handle`), where what came from an untrusted peer is checked.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include <bulkhead/fd.hpp>

namespace bulkhead {

class Handle {
 public:
  enum class Kind : std::uint8_t { descriptor, region, channel, shared_region };

  /// Something that can be handed over only inside this process (an `inproc` end).
  struct Local {
    virtual ~Local() = default;
  };

  explicit Handle(Fd fd, Kind kind = Kind::descriptor, std::uint8_t mechanism = 0) noexcept
      : kind_(kind), mechanism_(mechanism), fd_(std::move(fd)) {}
  Handle(std::unique_ptr<Local> local, Kind kind, std::uint8_t mechanism) noexcept
      : kind_(kind), mechanism_(mechanism), local_(std::move(local)) {}

  Kind kind() const noexcept { return kind_; }
  /// Which mechanism a channel's end belongs to; 0 for the other kinds.
  std::uint8_t mechanism() const noexcept { return mechanism_; }
  bool is_local() const noexcept { return local_ != nullptr; }

  FdView fd() const noexcept { return fd_; }
  Fd take_fd() && noexcept { return std::move(fd_); }
  std::unique_ptr<Local> take_local() && noexcept { return std::move(local_); }

 private:
  Kind kind_;
  std::uint8_t mechanism_;
  Fd fd_;
  std::unique_ptr<Local> local_;
};

}  // namespace bulkhead
