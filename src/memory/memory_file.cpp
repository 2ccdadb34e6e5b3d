// SPDX-License-Identifier: Apache-2.0
#include "memory/memory_file.hpp"

#include <cerrno>
#include <fcntl.h>
#include <limits>
#include <linux/magic.h>
#include <string>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/vfs.h>

#include "os/syscall.hpp"

namespace bulkhead::memory {
namespace {

constexpr unsigned mfd_noexec_seal = 0x0008U;  // Linux 6.3; Debian 12's headers are older
constexpr int seals_shared = F_SEAL_SHRINK | F_SEAL_GROW;
constexpr int seals_published = seals_shared | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
constexpr int seals_frozen = seals_shared | F_SEAL_WRITE | F_SEAL_SEAL;
constexpr std::size_t longest_name = 249;  // memfd_create(2)

std::string words(std::size_t size) { return std::to_string(size) + " bytes"; }

}  // namespace

Result<void> check_memory_limits(std::size_t size) {
  // Asked before, as the kernel raises SIGXFSZ with the error.
  rlimit limit{};
  if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
      size > limit.rlim_cur) {
    return fail(ErrorKind::exhausted,
                {.operation = "reserve",
                 .object = words(size),
                 .cause = "the file size limit of this process is " + words(limit.rlim_cur),
                 .remedy = "raise it (ulimit -f, or the sandbox's file_bytes)"});
  }
  // The kernel reserves page by page and would end processes before it reports that a request was
  // larger than the machine.
  struct sysinfo machine{};
  if (::sysinfo(&machine) == 0 && size / machine.mem_unit > machine.totalram + machine.totalswap) {
    return fail(ErrorKind::exhausted, {.operation = "reserve",
                                       .object = words(size),
                                       .cause = "more than this machine's memory"});
  }
  return {};
}

namespace {

Result<Fd> open_memory_file(const char* name, FileKind kind) {
  const std::string full = ("bulkhead-" + std::string{name ? name : ""}).substr(0, longest_name);
  const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING | (kind.huge ? MFD_HUGETLB : 0U);
  int fd = ::memfd_create(full.c_str(), flags | mfd_noexec_seal);
  if (fd < 0 && errno == EINVAL) fd = ::memfd_create(full.c_str(), flags);
  if (fd < 0) return os::failed("make", "memory file");
  return Fd::adopt(fd);
}

const char* kind_of(mode_t mode) {
  if (S_ISREG(mode)) return "a file";
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a kernel object";
}

std::unexpected<Error> unfit(std::string cause) {
  return fail(ErrorKind::corrupt,
              {.operation = "attach", .object = "region", .cause = std::move(cause)});
}

bool has(int seals, int wanted) { return (seals & wanted) == wanted; }

}  // namespace

Result<Fd> make_memory_file(const char* name, std::size_t size, FileKind kind) {
  if (size == 0) {
    return fail(ErrorKind::invalid,
                {.operation = "make", .object = "memory file", .cause = "a size of 0 bytes"});
  }
  if (size > static_cast<std::size_t>(std::numeric_limits<off_t>::max())) {
    return fail(ErrorKind::exhausted,
                {.operation = "reserve", .object = words(size), .cause = "no file is that large"});
  }
  BULKHEAD_TRY(check_memory_limits(size));
  Fd file = BULKHEAD_TRY(open_memory_file(name, kind));
  // fallocate alone sets the size too; it fails as a whole and then gives the space back.
  if (os::retry_eintr([&] { return ::fallocate(file.native(), 0, 0, static_cast<off_t>(size)); }) !=
      0) {
    if (!kind.huge) return os::failed("reserve", words(size));
    return os::failed("reserve", words(size), "reserve huge pages (sysctl vm.nr_hugepages=N)");
  }
  const int seals = kind.growable ? F_SEAL_SHRINK : seals_shared;
  if (::fcntl(file.native(), F_ADD_SEALS, seals) != 0) return os::failed("seal", "region");
  return file;
}

Result<void> seal(FdView file, Region::State state) {
  const int seals = state == Region::State::frozen      ? seals_frozen
                    : state == Region::State::published ? seals_published
                                                        : seals_shared;
  if (::fcntl(file.native(), F_ADD_SEALS, seals) == 0) return {};
  if (errno == EBUSY) {
    return fail(ErrorKind::invalid, {.operation = "freeze",
                                     .object = "region",
                                     .cause = "another writable mapping of it exists",
                                     .remedy = "have every process that can write it drop it first",
                                     .code = {EBUSY, std::system_category()}});
  }
  return os::failed("seal", "region");
}

bool is_of_huge_pages(FdView file) {
  struct statfs file_system{};
  return ::fstatfs(file.native(), &file_system) != 0 || file_system.f_type != TMPFS_MAGIC;
}

Result<MemoryFile> inspect(FdView file) {
  // TRUST: the seals are read first. Size and blocks read before them could have been changed by a
  // peer that seals in between; once it is sealed they cannot.
  const int seals = ::fcntl(file.native(), F_GET_SEALS);
  struct stat status{};
  if (::fstat(file.native(), &status) != 0) return unfit("not an open descriptor");
  if (seals < 0) {
    return unfit(std::string{"the descriptor is "} + kind_of(status.st_mode) +
                 ", not a memory file");
  }
  // Huge pages are not reserved by the file but by each mapping: a later access could fault.
  if (is_of_huge_pages(file)) return unfit("a memory file of huge pages");
  MemoryFile found{.size = static_cast<std::size_t>(status.st_size)};
  if (has(seals, seals_frozen)) {
    found.state = Region::State::frozen;
  } else if (has(seals, seals_published)) {
    found.state = Region::State::published;
  } else if (!has(seals, seals_shared)) {
    return unfit("a memory file that is not sealed against resizing");
  }
  if (found.size == 0) return unfit("an empty memory file");
  // st_blocks counts units of 512 bytes. Once sealed, holes cannot be made; before, they could.
  if (static_cast<std::size_t>(status.st_blocks) < (found.size + 511) / 512) {
    return unfit("a memory file whose space is not reserved");
  }
  return found;
}

Result<std::size_t> inspect_shared(FdView file) {
  const int seals = ::fcntl(file.native(), F_GET_SEALS);
  struct stat status{};
  if (::fstat(file.native(), &status) != 0) return unfit("not an open descriptor");
  if (seals < 0) {
    return unfit(std::string{"the descriptor is "} + kind_of(status.st_mode) +
                 ", not a memory file");
  }
  if (!has(seals, F_SEAL_SHRINK)) return unfit("a memory file that can be cut");
  if ((seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) != 0) {
    return unfit("it is published or frozen: only its maker can write it");
  }
  if (status.st_size == 0) return unfit("an empty memory file");
  if (status.st_blocks < (status.st_size + 511) / 512) {
    return unfit("a memory file whose space is not reserved");
  }
  return static_cast<std::size_t>(status.st_size);
}

}  // namespace bulkhead::memory
