// SPDX-License-Identifier: Apache-2.0
//
// Fd owns a file descriptor, FdView borrows one. Every descriptor that the library makes is
// close-on-exec. Not for use from several threads without care: like std::unique_ptr.
#pragma once

#include <utility>

#include <bulkhead/detail/export.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead {

/// A descriptor that somebody else owns and keeps open for as long as the view is used.
class FdView {
 public:
  constexpr FdView() noexcept = default;
  explicit constexpr FdView(int fd) noexcept : fd_(fd) {}

  constexpr int native() const noexcept { return fd_; }
  explicit constexpr operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

class BULKHEAD_API Fd {
 public:
  constexpr Fd() noexcept = default;
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      close();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Fd() { close(); }

  /// Takes over a raw descriptor, whatever its flags.
  static Fd adopt(int fd) noexcept { return Fd{fd}; }

  /// A second descriptor of the same open file, close-on-exec. `exhausted` when none is free.
  static Result<Fd> duplicate(FdView fd);

  int native() const noexcept { return fd_; }
  FdView view() const noexcept { return FdView{fd_}; }
  operator FdView() const noexcept { return view(); }  // NOLINT: a borrow is always fine
  explicit operator bool() const noexcept { return fd_ >= 0; }

  /// Gives the descriptor up without closing it.
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  void close() noexcept;

 private:
  explicit Fd(int fd) noexcept : fd_(fd) {}

  int fd_ = -1;
};

}  // namespace bulkhead
