// SPDX-License-Identifier: Apache-2.0
#include "os/file_watch.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <sys/inotify.h>
#include <sys/statfs.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "os/syscall.hpp"

namespace bulkhead::os {
namespace {

constexpr std::uint32_t events = IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_ATTRIB;

/// File systems whose other writers may be on other machines (linux/magic.h and the kernel's own
/// sources for those without a line there): inotify tells of this machine's alone.
bool may_be_remote(const std::string& path) {
  struct statfs found{};
  if (::statfs(path.c_str(), &found) != 0) return false;
  switch (static_cast<std::uint32_t>(found.f_type)) {
    case 0x6969:      // NFS
    case 0xff534d42:  // CIFS
    case 0xfe534d42:  // SMB2
    case 0x517b:      // SMB
    case 0x65735546:  // FUSE
    case 0x01021997:  // 9p
    case 0x00c36400:  // Ceph
    case 0x5346414f:  // AFS
    case 0x0bd00bd0:  // Lustre
    case 0x01161970:  // GFS2
    case 0x7461636f:  // OCFS2
      return true;
    default:
      return false;
  }
}

}  // namespace

Result<FileWatch> FileWatch::of_timer(std::chrono::milliseconds period) {
  Fd timer = Fd::adopt(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer) return failed("make", "timer");
  const auto ms = std::max<long long>(period.count(), 1);
  const timespec each{ms / 1000, ms % 1000 * 1'000'000};
  const itimerspec times{each, each};
  if (::timerfd_settime(timer.native(), 0, &times, nullptr) != 0) return failed("start", "timer");
  return FileWatch{std::move(timer), true};
}

Result<FileWatch> FileWatch::create(std::optional<std::chrono::milliseconds> period) {
  if (period) return of_timer(*period);
  Fd inotify = Fd::adopt(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (inotify) return FileWatch{std::move(inotify), false};
  // EMFILE is the user's limit of inotify descriptors as well as this process's of all: where it
  // is the latter, there is no timer either.
  return of_timer(default_period);
}

Result<void> FileWatch::add(const std::string& path) {
  if (timer_) return {};
  const bool told =
      !may_be_remote(path) && ::inotify_add_watch(fd_.native(), path.c_str(), events) >= 0;
  if (told) return {};
  *this = BULKHEAD_TRY(of_timer(default_period));
  return {};
}

FileWatch::Stir FileWatch::drain(std::string_view interesting) noexcept {
  if (timer_) {
    std::uint64_t count = 0;
    const auto got = retry_eintr([&] { return ::read(fd_.native(), &count, sizeof count); });
    return got > 0 ? Stir::named : Stir::none;
  }
  Stir stir = Stir::none;
  alignas(inotify_event) std::array<char, 4096> buffer;
  for (;;) {
    const auto got =
        retry_eintr([&] { return ::read(fd_.native(), buffer.data(), buffer.size()); });
    if (got <= 0) return stir;
    if (stir == Stir::none) stir = Stir::other;
    for (ssize_t at = 0; at < got;) {
      inotify_event event;
      std::memcpy(static_cast<void*>(&event), buffer.data() + at, sizeof event);
      const char* name = buffer.data() + at + sizeof event;
      const bool odd = (event.mask & ~std::uint32_t{IN_MODIFY | IN_CREATE | IN_MOVED_TO}) != 0;
      if (odd || (event.len > 0 && interesting == name)) stir = Stir::named;
      at += static_cast<ssize_t>(sizeof event + event.len);
    }
    // Less than there was room for: that was all.
    if (static_cast<std::size_t>(got) < buffer.size() / 2) return stir;
  }
}

}  // namespace bulkhead::os
