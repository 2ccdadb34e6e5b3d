// SPDX-License-Identifier: Apache-2.0
#include <cerrno>
#include <string>
#include <sys/mman.h>
#include <utility>

#include <bulkhead/region.hpp>

#include "memory/memory_file.hpp"
#include "memory/path_memory.hpp"
#include "memory/window.hpp"
#include "os/syscall.hpp"

namespace bulkhead {
namespace {

using State = Region::State;

std::string words(std::size_t size) { return std::to_string(size) + " bytes"; }

Result<std::byte*> map(FdView file, std::size_t size, int protection, int flags) {
  void* const at = ::mmap(nullptr, size, protection, flags, file.native(), 0);
  if (at == MAP_FAILED) return os::failed("map", words(size));
  return static_cast<std::byte*>(at);
}

Result<std::byte*> map_file(FdView file, std::size_t size, bool writable, int flags = 0) {
  const int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  auto data = map(file, size, protection, MAP_SHARED | flags);
  // Before Linux 6.7 a frozen file cannot be mapped as shared at all. A private mapping shows the
  // same pages, and those cannot change.
  if (!data && !writable && data.error().code() == std::errc::operation_not_permitted) {
    data = map(file, size, protection, MAP_PRIVATE | flags);
  }
  return data;
}

std::unexpected<Error> wrong(const char* operation, const char* cause) {
  return fail(ErrorKind::invalid, {.operation = operation, .object = "region", .cause = cause});
}

}  // namespace

Result<Region> Region::create(std::size_t size, Options options) {
  const int populate = options.prefault ? MAP_POPULATE : 0;
  Region region;
  region.kind_ = options.kind;
  region.writable_ = true;
  region.made_here_ = true;
  if (options.kind == Kind::anonymous) {
    if (size == 0) return wrong("make", "a size of 0 bytes");
    // Populated always: nothing else reserves pages of an anonymous mapping.
    region.data_ = BULKHEAD_TRY(
        map(FdView{}, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE));
  } else {
    region.fd_ = BULKHEAD_TRY(memory::make_memory_file(options.name, size));
    region.data_ = BULKHEAD_TRY(map_file(region.fd_, size, true, populate));
  }
  region.size_ = size;
  return region;
}

Result<Region> Region::attach(Fd fd, Trust trust) {
  const auto file = BULKHEAD_TRY(memory::inspect(fd));
  if (trust == Trust::untrusted && file.state == State::shared) {
    return fail(ErrorKind::corrupt, {.operation = "attach",
                                     .object = "region",
                                     .cause = "an untrusted peer could write it meanwhile",
                                     .remedy = "have it published or frozen by its maker"});
  }
  Region region;
  region.writable_ = file.state == State::shared;
  region.data_ = BULKHEAD_TRY(map_file(fd, file.size, region.writable_));
  region.size_ = file.size;
  region.state_ = file.state;
  region.fd_ = std::move(fd);
  return region;
}

Region::Region(Region&& other) noexcept
    : fd_(std::move(other.fd_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      kind_(other.kind_),
      state_(other.state_),
      writable_(std::exchange(other.writable_, false)),
      made_here_(std::exchange(other.made_here_, false)),
      window_(std::move(other.window_)) {}

Region& Region::operator=(Region&& other) noexcept {
  if (this != &other) {
    unmap();
    fd_ = std::move(other.fd_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    kind_ = other.kind_;
    state_ = other.state_;
    writable_ = std::exchange(other.writable_, false);
    made_here_ = std::exchange(other.made_here_, false);
    window_ = std::move(other.window_);
  }
  return *this;
}

Region::Region() noexcept = default;
Region::~Region() { unmap(); }

void Region::unmap() noexcept {
  if (data_ != nullptr && !window_) ::munmap(data_, size_);
  window_.reset();
  data_ = nullptr;
}

Result<void> Region::publish() {
  if (window_) return wrong("publish", "it has a name by which others can write it");
  if (kind_ == Kind::anonymous) return wrong("publish", "an anonymous region has no descriptor");
  if (data_ == nullptr) return wrong("publish", "it was moved from");
  if (!made_here_) return wrong("publish", "only its maker can");
  if (state_ != State::shared) return wrong("publish", "it is published or frozen already");
  BULKHEAD_TRY(memory::seal(fd_, State::published));
  state_ = State::published;
  return {};
}

Result<void> Region::freeze() {
  if (window_) return wrong("freeze", "it has a name by which others can write it");
  if (kind_ == Kind::anonymous) return wrong("freeze", "an anonymous region has no descriptor");
  if (data_ == nullptr) return wrong("freeze", "it was moved from");
  if (state_ == State::frozen) return {};
  if (state_ == State::published) return wrong("freeze", "it is published: its maker can write");
  // The kernel refuses the seal while any mapping can write, so ours goes first.
  unmap();
  auto sealed = memory::seal(fd_, State::frozen);
  auto data = map_file(fd_, size_, !sealed);
  if (!data) {
    size_ = 0;
    writable_ = false;
    return fail(std::move(data).error());
  }
  data_ = *data;
  if (!sealed) return sealed;
  writable_ = false;
  state_ = State::frozen;
  return {};
}

Result<Region> Region::duplicate() const {
  if (window_) return open(window_->name, window_->view);
  if (data_ == nullptr) return wrong("duplicate", "it was moved from");
  Region copy;
  copy.kind_ = kind_;
  copy.state_ = state_;
  copy.writable_ = state_ == State::shared;
  if (kind_ == Kind::anonymous) {
    // An old size of 0 maps the same pages a second time, mremap(2).
    void* const at = ::mremap(data_, 0, size_, MREMAP_MAYMOVE);
    if (at == MAP_FAILED) return os::failed("map", words(size_));
    copy.data_ = static_cast<std::byte*>(at);
  } else {
    copy.fd_ = BULKHEAD_TRY(Fd::duplicate(fd_));
    copy.data_ = BULKHEAD_TRY(map_file(copy.fd_, size_, copy.writable_));
  }
  copy.size_ = size_;
  return copy;
}

Result<Handle> Region::into_handle() && {
  if (window_) {
    return fail(ErrorKind::unsupported,
                {.operation = "send",
                 .object = memory::title_of(window_->name),
                 .cause = "it is found by its name, and others could cut it",
                 .remedy = "send the name, or copy it into a Region of kind memory_file"});
  }
  if (kind_ == Kind::anonymous) {
    return fail(ErrorKind::unsupported, {.operation = "send",
                                         .object = "region",
                                         .cause = "an anonymous region has no descriptor",
                                         .remedy = "make it of kind memory_file"});
  }
  if (data_ == nullptr) return wrong("send", "it was moved from");
  unmap();
  size_ = 0;
  writable_ = false;
  return Handle{std::move(fd_), Handle::Kind::region};
}

Result<Region> Region::open(const MemoryName& name, View view) {
  auto window = std::make_unique<memory::Window>(BULKHEAD_TRY(memory::open_window(name, view)));
  Region region;
  region.kind_ = Kind::named;
  region.data_ = window->mapping.data();
  region.size_ = window->size;
  region.writable_ = view.writes != Writes::refused && region.data_ != nullptr;
  region.window_ = std::move(window);
  return region;
}

Result<std::size_t> Region::read(std::uint64_t offset, MutableBytes into) const {
  if (!window_) return wrong("read", "only what was opened by a name is read by calls");
  return memory::read(*window_, offset, into);
}

Result<void> Region::write(std::uint64_t offset, Bytes from) {
  if (!window_) return wrong("write", "only what was opened by a name is written by calls");
  return memory::write(*window_, offset, from);
}

Result<void> Region::check() const { return window_ ? memory::check(*window_) : Result<void>{}; }

Result<Region> Region::from_handle(Handle handle, Trust trust) {
  if (handle.kind() != Handle::Kind::region) {
    return wrong("attach", "the handle is not that of a region");
  }
  return attach(std::move(handle).take_fd(), trust);
}

}  // namespace bulkhead
