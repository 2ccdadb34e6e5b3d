// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <utility>

#include <bulkhead/shared_region.hpp>

#include "memory/memory_file.hpp"
#include "os/file.hpp"
#include "os/syscall.hpp"

namespace bulkhead {
namespace {

std::string words(std::size_t size) { return std::to_string(size) + " bytes"; }

Result<std::byte*> map(FdView file, std::size_t size, int flags) {
  void* const at =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | flags, file.native(), 0);
  if (at == MAP_FAILED) return os::failed("map", words(size));
  return static_cast<std::byte*>(at);
}

/// The kernel's own name for the file: its device and number, mixed.
std::uint64_t identity_of(FdView file) {
  struct stat found{};
  if (::fstat(file.native(), &found) != 0) return 0;
  constexpr std::uint64_t odd = 0x9e3779b97f4a7c15U;
  return (found.st_dev * odd ^ found.st_ino) * odd;
}

std::unexpected<Error> wrong(const char* operation, const char* cause) {
  return fail(ErrorKind::invalid,
              {.operation = operation, .object = "shared region", .cause = cause});
}

}  // namespace

Result<SharedRegion> SharedRegion::create(std::size_t size, Options options) {
  SharedRegion region;
  region.kind_ = options.kind;
  if (options.kind == Kind::anonymous) {
    if (size == 0) return wrong("make", "a size of 0 bytes");
    // Populated always: nothing else reserves pages of an anonymous mapping.
    region.data_ = BULKHEAD_TRY(map(FdView{}, size, MAP_ANONYMOUS | MAP_POPULATE));
    region.identity_ = os::random_word();
  } else {
    region.fd_ = BULKHEAD_TRY(memory::make_memory_file(options.name, size));
    region.data_ = BULKHEAD_TRY(map(region.fd_, size, options.prefault ? MAP_POPULATE : 0));
    region.identity_ = identity_of(region.fd_);
  }
  region.size_ = size;
  return region;
}

Result<SharedRegion> SharedRegion::attach(Fd fd, Trust trust) {
  if (trust == Trust::untrusted) {
    return fail(ErrorKind::denied, {.operation = "attach",
                                    .object = "shared region",
                                    .cause = "it came from a process that is not trusted",
                                    .remedy = "take a published or frozen Region from it"});
  }
  const auto file = BULKHEAD_TRY(memory::inspect(fd));
  if (file.state != Region::State::shared) {
    return fail(ErrorKind::corrupt, {.operation = "attach",
                                     .object = "shared region",
                                     .cause = "it is published or frozen: only one can write it"});
  }
  SharedRegion region;
  region.data_ = BULKHEAD_TRY(map(fd, file.size, 0));
  region.size_ = file.size;
  region.identity_ = identity_of(fd);
  region.fd_ = std::move(fd);
  return region;
}

SharedRegion::SharedRegion(SharedRegion&& other) noexcept
    : fd_(std::move(other.fd_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      identity_(other.identity_),
      kind_(other.kind_) {}

SharedRegion& SharedRegion::operator=(SharedRegion&& other) noexcept {
  if (this != &other) {
    unmap();
    fd_ = std::move(other.fd_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    identity_ = other.identity_;
    kind_ = other.kind_;
  }
  return *this;
}

SharedRegion::~SharedRegion() { unmap(); }

void SharedRegion::unmap() noexcept {
  if (data_ != nullptr) ::munmap(data_, size_);
  data_ = nullptr;
}

Result<SharedRegion> SharedRegion::duplicate() const {
  if (data_ == nullptr) return wrong("duplicate", "it was moved from");
  SharedRegion copy;
  copy.kind_ = kind_;
  copy.identity_ = identity_;
  if (kind_ == Kind::anonymous) {
    // An old size of 0 maps the same pages a second time, mremap(2).
    void* const at = ::mremap(data_, 0, size_, MREMAP_MAYMOVE);
    if (at == MAP_FAILED) return os::failed("map", words(size_));
    copy.data_ = static_cast<std::byte*>(at);
  } else {
    copy.fd_ = BULKHEAD_TRY(Fd::duplicate(fd_));
    copy.data_ = BULKHEAD_TRY(map(copy.fd_, size_, 0));
  }
  copy.size_ = size_;
  return copy;
}

Result<Handle> SharedRegion::into_handle() && {
  if (kind_ == Kind::anonymous) {
    return fail(ErrorKind::unsupported, {.operation = "send",
                                         .object = "shared region",
                                         .cause = "an anonymous region has no descriptor",
                                         .remedy = "make it of kind memory_file"});
  }
  if (data_ == nullptr) return wrong("send", "it was moved from");
  unmap();
  size_ = 0;
  return Handle{std::move(fd_), Handle::Kind::shared_region};
}

Result<SharedRegion> SharedRegion::from_handle(Handle handle, Trust trust) {
  if (handle.kind() != Handle::Kind::shared_region) {
    return wrong("attach", "the handle is not that of a shared region");
  }
  return attach(std::move(handle).take_fd(), trust);
}

}  // namespace bulkhead
