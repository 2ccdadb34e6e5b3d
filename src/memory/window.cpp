// SPDX-License-Identifier: Apache-2.0
#include "memory/window.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memory/path_memory.hpp"
#include "os/file.hpp"
#include "os/names.hpp"
#include "os/syscall.hpp"

namespace bulkhead::memory {
namespace {

using Writes = Region::Writes;
using Cut = Region::Cut;

std::unexpected<Error> cannot(ErrorKind kind, const MemoryName& name, std::string cause,
                              std::string remedy = {}) {
  return fail(kind, {.operation = "open",
                     .object = title_of(name),
                     .cause = std::move(cause),
                     .remedy = std::move(remedy)});
}

Wish wish_of(const MemoryName& name, const Region::View& view) {
  return {.write = view.writes != Writes::refused,
          .own_copy = view.writes == Writes::stay_private,
          .prefault = view.prefault,
          .locked = view.locked,
          .object = title_of(name)};
}

Result<Window> open_segment_window(const MemoryName& name, const Region::View& view) {
  if (view.writes == Writes::stay_private) {
    return cannot(ErrorKind::unsupported, name, "System V memory has no private mappings",
                  "copy it, or use POSIX memory");
  }
  const int id = ::shmget(name.key, 0, 0);
  shmid_ds state{};
  if (id < 0 || ::shmctl(id, IPC_STAT, &state) != 0) return os::failed("open", title_of(name));
  Window window{.name = name, .view = view, .size = state.shm_segsz};
  window.mapping = BULKHEAD_TRY(Mapping::of_segment(id, window.size, wish_of(name, view)));
  return window;
}

/// The size of what is open; 0 for a device that has none.
Result<std::uint64_t> size_of(FdView file, const MemoryName& name) {
  struct stat found{};
  if (::fstat(file.native(), &found) != 0) return os::failed("look at", title_of(name));
  if (S_ISREG(found.st_mode)) return static_cast<std::uint64_t>(found.st_size);
  std::uint64_t size = 0;
  if (S_ISBLK(found.st_mode) && ::ioctl(file.native(), BLKGETSIZE64, &size) == 0) return size;
  if (S_ISCHR(found.st_mode) || S_ISBLK(found.st_mode)) return std::uint64_t{0};
  return cannot(ErrorKind::unsupported, name, "it is neither a file nor a device");
}

Result<void> measure(Window& window, bool is_file) {
  const MemoryName& name = window.name;
  const std::uint64_t size = BULKHEAD_TRY(size_of(window.file, name));
  const bool unsized_device = size == 0 && !is_file;
  if (unsized_device && name.length == 0) {
    return cannot(ErrorKind::invalid, name, "the kernel does not know this device's size",
                  "say how much of it: file_memory(path, offset, length)");
  }
  if (!unsized_device && (name.offset >= size || name.length > size - name.offset)) {
    return cannot(ErrorKind::invalid, name, "it has " + std::to_string(size) + " bytes only");
  }
  window.size = name.length != 0 ? name.length : static_cast<std::size_t>(size - name.offset);
  return {};
}

/// So that no write to the mapping finds the disk full. Where a file system cannot say, it cannot.
Result<void> reserve(const Window& window) {
  const auto begin = static_cast<off_t>(window.name.offset);
  const auto size = static_cast<off_t>(window.size);
  const int outcome = os::retry_eintr(
      [&] { return ::fallocate(window.file.native(), FALLOC_FL_KEEP_SIZE, begin, size); });
  if (outcome == 0 || errno == EOPNOTSUPP) return {};
  return os::failed("reserve " + words(window.size) + " for", title_of(window.name));
}

Result<Window> open_path_window(const MemoryName& name, const Region::View& view) {
  const bool posix = name.kind == MemoryName::Kind::posix;
  const std::string path = posix ? os::path_of_memory("/" + name.name) : name.name;
  if (posix) BULKHEAD_TRY(os::check_name(name.name, 254));
  Window window{.name = name, .view = view};
  // Without O_NONBLOCK a FIFO would keep us.
  const int access = view.writes == Writes::reach_all ? O_RDWR : O_RDONLY;
  window.file = Fd::adopt(::open(path.c_str(), access | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!window.file) return os::failed("open", title_of(name));
  struct stat found{};
  if (::fstat(window.file.native(), &found) != 0) return os::failed("look at", title_of(name));
  window.can_be_cut = S_ISREG(found.st_mode);
  BULKHEAD_TRY(measure(window, window.can_be_cut));
  if (window.can_be_cut && view.writes == Writes::reach_all) BULKHEAD_TRY(reserve(window));
  if (view.cut == Cut::by_calls) return window;
  window.mapping =
      BULKHEAD_TRY(Mapping::of_file(window.file, name.offset, window.size, wish_of(name, view)));
  if (!window.can_be_cut || view.cut == Cut::excluded) return window;
  window.mapping.watch();
  if (window.mapping.is_watched()) return window;
  return cannot(
      ErrorKind::invalid, name,
      "whoever cuts this file would end this process: the guard is not on, or watches all it can",
      "call guard_mappings() before, or open it with Cut::by_calls and use read()");
}

Result<void> check_part(const Window& window, const char* operation, std::uint64_t offset,
                        std::size_t size) {
  if (!window.file || !window.can_be_cut) {
    return fail(ErrorKind::unsupported, {.operation = operation,
                                         .object = title_of(window.name),
                                         .cause = "it can be used through its bytes alone"});
  }
  if (offset <= window.size && size <= window.size - offset) return {};
  return fail(ErrorKind::too_large, {.operation = operation,
                                     .object = title_of(window.name),
                                     .cause = "it has " + words(window.size) + " only"});
}

std::unexpected<Error> was_cut(const char* operation, const Window& window) {
  return fail(ErrorKind::corrupt, {.operation = operation,
                                   .object = title_of(window.name),
                                   .cause = "somebody has cut it short",
                                   .remedy = "open it anew"});
}

}  // namespace

Result<Window> open_window(const MemoryName& name, const Region::View& view) {
  return name.kind == MemoryName::Kind::system_v ? open_segment_window(name, view)
                                                 : open_path_window(name, view);
}

Result<std::size_t> read(const Window& window, std::uint64_t offset, MutableBytes into) {
  const std::size_t wanted =
      offset >= window.size ? 0 : std::min(into.size(), window.size - std::size_t{offset});
  BULKHEAD_TRY(check_part(window, "read", 0, wanted));
  const std::size_t got = BULKHEAD_TRY(os::read_at(window.file, window.name.offset + offset,
                                                   into.first(wanted), title_of(window.name)));
  if (got != wanted) return was_cut("read", window);
  return got;
}

Result<void> write(const Window& window, std::uint64_t offset, Bytes from) {
  BULKHEAD_TRY(check_part(window, "write", offset, from.size()));
  if (window.view.writes != Writes::reach_all) {
    return fail(ErrorKind::denied, {.operation = "write",
                                    .object = title_of(window.name),
                                    .cause = "it was opened for writes that do not reach all"});
  }
  // A file that was cut would grow again by a write, with zeros where its content was.
  BULKHEAD_TRY(check(window));
  return os::write_at(window.file, window.name.offset + offset, from, title_of(window.name));
}

Result<void> check(const Window& window) {
  if (!window.can_be_cut) return {};
  const std::uint64_t size = BULKHEAD_TRY(size_of(window.file, window.name));
  if (window.mapping.is_damaged() || size < window.name.offset + window.size) {
    return was_cut("use", window);
  }
  return {};
}

}  // namespace bulkhead::memory
