// SPDX-License-Identifier: Apache-2.0
#include "memory/mapping.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <unistd.h>

#include "os/syscall.hpp"

namespace bulkhead::memory {
namespace {

constexpr int populate_read = 22;  // MADV_POPULATE_*, Linux 5.14; newer than Debian 12's headers
constexpr int populate_write = 23;

std::size_t page_size() {
  static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

std::string object_of(const Wish& wish, std::size_t size) {
  return wish.object.empty() ? words(size) : wish.object;
}

std::unexpected<Error> no_huge_pages(const Wish& wish, std::size_t size) {
  return fail(ErrorKind::exhausted,
              {.operation = "map",
               .object = object_of(wish, size),
               .cause = "the kernel has too few huge pages reserved",
               .remedy = "reserve them (sysctl vm.nr_hugepages=N) or do without"});
}

Result<void*> ask(std::size_t size, int protection, int flags, FdView file, std::uint64_t offset,
                  const Wish& wish) {
  void* const at =
      ::mmap(nullptr, size, protection, flags, file.native(), static_cast<off_t>(offset));
  if (at != MAP_FAILED) return at;
  if (wish.huge && errno == ENOMEM) return no_huge_pages(wish, size);
  return os::failed("map", object_of(wish, size));
}

std::unexpected<Error> cannot_lock(const Wish& wish, std::size_t size) {
  rlimit limit{};
  const bool known = ::getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
  return fail(ErrorKind::exhausted,
              {.operation = "lock in memory",
               .object = object_of(wish, size),
               .cause = known ? "this process may lock " + words(limit.rlim_cur) +
                                    " (RLIMIT_MEMLOCK), and this is " + words(size)
                              : std::string{"there is not enough memory"},
               .remedy = "raise it (ulimit -l, LimitMEMLOCK= of a service) or do not lock",
               .code = {errno, std::system_category()}});
}

/// Every page is there when this returns: where the space is short this fails, and no later access
/// does. Before Linux 5.14 pages are touched, which is as good but where a limit is met.
Result<void> populate(std::byte* at, std::size_t size, const Wish& wish) {
  const int advice = wish.write ? populate_write : populate_read;
  if (os::retry_eintr([&] { return ::madvise(at, size, advice); }) == 0) return {};
  if (errno != EINVAL) {
    return fail(ErrorKind::exhausted, {.operation = "reserve",
                                       .object = object_of(wish, size),
                                       .cause = "there is no memory for all of it",
                                       .code = {errno, std::system_category()}});
  }
  for (std::size_t offset = 0; offset < size; offset += page_size()) {
    static_cast<void>(*static_cast<volatile std::byte*>(at + offset));
  }
  return {};
}

}  // namespace

std::string words(std::size_t size) { return std::to_string(size) + " bytes"; }

std::size_t huge_page_size() {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file{std::fopen("/proc/meminfo", "re"),
                                                             std::fclose};
  char line[128];
  std::size_t kilobytes = 0;
  while (file && std::fgets(line, sizeof line, file.get()) != nullptr) {
    if (std::sscanf(line, "Hugepagesize: %zu kB", &kilobytes) == 1) break;
  }
  return kilobytes * 1024;
}

Result<void> Mapping::fulfil(std::size_t size, const Wish& wish) {
  if (wish.prefault)
    BULKHEAD_TRY(populate(base_, static_cast<std::size_t>(data_ - base_) + size, wish));
  if (wish.locked && ::mlock(data_, size) != 0) return cannot_lock(wish, size);
  return {};
}

Result<Mapping> Mapping::of_file(FdView file, std::uint64_t offset, std::size_t size,
                                 const Wish& wish) {
  const std::size_t inside = offset % page_size();
  const int protection = wish.write ? PROT_READ | PROT_WRITE : PROT_READ;
  Mapping mapping;
  mapping.length_ = inside + std::max(size, wish.reach);
  void* const at =
      BULKHEAD_TRY(ask(mapping.length_, protection, wish.own_copy ? MAP_PRIVATE : MAP_SHARED, file,
                       offset - inside, wish));
  mapping.base_ = static_cast<std::byte*>(at);
  mapping.data_ = mapping.base_ + inside;
  BULKHEAD_TRY(mapping.fulfil(size, wish));
  return mapping;
}

Result<Mapping> Mapping::of_nothing(std::size_t size, const Wish& wish) {
  Mapping mapping;
  mapping.length_ = size;
  const int flags = MAP_SHARED | MAP_ANONYMOUS | (wish.huge ? MAP_HUGETLB : 0);
  void* const at = BULKHEAD_TRY(ask(size, PROT_READ | PROT_WRITE, flags, FdView{}, 0, wish));
  mapping.base_ = mapping.data_ = static_cast<std::byte*>(at);
  // Always: nothing else reserves pages of an anonymous mapping.
  Wish all = wish;
  all.prefault = true;
  BULKHEAD_TRY(mapping.fulfil(size, all));
  return mapping;
}

Result<Mapping> Mapping::of_segment(int id, std::size_t size, const Wish& wish) {
  void* const at = ::shmat(id, nullptr, wish.write ? 0 : SHM_RDONLY);
  if (at == reinterpret_cast<void*>(-1)) return os::failed("map", object_of(wish, size));
  Mapping mapping;
  mapping.base_ = mapping.data_ = static_cast<std::byte*>(at);
  mapping.length_ = size;
  mapping.segment_ = id;
  BULKHEAD_TRY(mapping.fulfil(size, wish));
  return mapping;
}

Result<Mapping> Mapping::again(const Wish& wish) const {
  if (segment_ >= 0) return of_segment(segment_, length_, wish);
  // An old size of 0 maps the same pages a second time, mremap(2).
  void* const at = ::mremap(base_, 0, length_, MREMAP_MAYMOVE);
  if (at == MAP_FAILED) return os::failed("map", words(length_));
  Mapping copy;
  copy.base_ = static_cast<std::byte*>(at);
  copy.data_ = copy.base_ + (data_ - base_);
  copy.length_ = length_;
  BULKHEAD_TRY(copy.fulfil(length_ - static_cast<std::size_t>(data_ - base_), wish));
  return copy;
}

Mapping::Mapping(Mapping&& other) noexcept
    : base_(std::exchange(other.base_, nullptr)),
      length_(other.length_),
      data_(std::exchange(other.data_, nullptr)),
      segment_(other.segment_),
      guard_(std::move(other.guard_)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  if (this != &other) {
    unmap();
    base_ = std::exchange(other.base_, nullptr);
    length_ = other.length_;
    data_ = std::exchange(other.data_, nullptr);
    segment_ = other.segment_;
    guard_ = std::move(other.guard_);
  }
  return *this;
}

void Mapping::unmap() noexcept {
  guard_.release();
  if (base_ != nullptr && segment_ >= 0) ::shmdt(base_);
  if (base_ != nullptr && segment_ < 0) ::munmap(base_, length_);
  base_ = data_ = nullptr;
}

}  // namespace bulkhead::memory
