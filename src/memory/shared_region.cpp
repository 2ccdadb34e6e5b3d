// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <string>
#include <sys/stat.h>
#include <utility>

#include <bulkhead/shared_region.hpp>

#include "memory/holding.hpp"
#include "memory/memory_file.hpp"
#include "os/file.hpp"
#include "os/syscall.hpp"

namespace bulkhead {
namespace {

using memory::Ends;
using memory::Holding;
using memory::title_of;
using memory::words;
using Kind = SharedRegion::Kind;
using Options = SharedRegion::Options;

constexpr std::uint64_t odd = 0x9e3779b97f4a7c15U;

/// The kernel's own name for the file: its device and number, mixed; and the part of it.
std::uint64_t identity_of(FdView file, std::uint64_t offset = 0) {
  struct stat found{};
  if (::fstat(file.native(), &found) != 0) return 0;
  return ((found.st_dev * odd ^ found.st_ino) + offset) * odd;
}

/// Memory of System V has numbers of its own.
std::uint64_t identity_of_segment(int id) {
  return (0x7379737600000000U + static_cast<std::uint64_t>(id)) * odd;
}

std::unexpected<Error> wrong(const char* operation, const char* cause, std::string object = {}) {
  return fail(ErrorKind::invalid, {.operation = operation,
                                   .object = object.empty() ? "shared region" : std::move(object),
                                   .cause = cause});
}

std::unexpected<Error> cannot(const char* operation, const char* cause, const char* remedy) {
  return fail(
      ErrorKind::unsupported,
      {.operation = operation, .object = "shared region", .cause = cause, .remedy = remedy});
}

memory::Wish wish_of(const Options& options, std::string object = {}) {
  return {.prefault = options.prefault,
          .locked = options.locked,
          .huge = options.pages == SharedRegion::Pages::huge,
          .reach = options.grow_to,
          .object = std::move(object)};
}

Ends ends_of(const Options& options) {
  return options.keep == SharedRegion::Keep::while_used ? Ends::with_users : Ends::when_removed;
}

Kind kind_of(const MemoryName& name) {
  switch (name.kind) {
    case MemoryName::Kind::posix:
      return Kind::posix;
    case MemoryName::Kind::system_v:
      return Kind::system_v;
    case MemoryName::Kind::file:
      break;
  }
  return Kind::file;
}

enum class Size : std::uint8_t { may_change, fixed };

Result<void> check_growth(const Options& options, Size size) {
  if (size == Size::may_change || options.grow_to == 0) return {};
  return cannot("grow", "memory of this kind keeps its size",
                "make it of kind memory_file, of normal pages");
}

/// Of huge pages: to map more of such a file than it has makes it larger, without the pages.
Size size_of(const Options& options, Kind kind) {
  const bool fixed = kind == Kind::anonymous || kind == Kind::system_v ||
                     options.pages == SharedRegion::Pages::huge;
  return fixed ? Size::fixed : Size::may_change;
}

Result<void> check(const Options& options, std::size_t size, Kind kind) {
  if (size == 0) return wrong("make", "a size of 0 bytes");
  BULKHEAD_TRY(check_growth(options, size_of(options, kind)));
  if (options.pages == SharedRegion::Pages::huge) {
    if (kind == Kind::posix || kind == Kind::file) {
      return cannot("map", "huge pages of a file are its file system's",
                    "use a memory file or System V memory, or a file on hugetlbfs as a Region");
    }
    if (const std::size_t page = memory::huge_page_size(); page == 0 || size % page != 0) {
      return cannot("map",
                    page == 0 ? "this kernel has no huge pages"
                              : "the size is not a multiple of the huge page's",
                    "see Hugepagesize in /proc/meminfo");
    }
  }
  return {};
}

/// The part of the file that `name` says, `size` bytes of which are there.
Result<std::size_t> part_of(const MemoryName& name, std::size_t size) {
  if (name.offset >= size || name.length > size - name.offset) {
    return fail(ErrorKind::invalid, {.operation = "open",
                                     .object = title_of(name),
                                     .cause = "it has " + words(size) + " only"});
  }
  return name.length != 0 ? name.length : size - name.offset;
}

Result<void> map_path(Holding& held, std::size_t size) {
  held.mapping = BULKHEAD_TRY(memory::Mapping::of_file(held.path.file, held.name.offset, size,
                                                       wish_of(held.options, title_of(held.name))));
  held.mapping.watch();
  return {};
}

}  // namespace

SharedRegion::SharedRegion() noexcept = default;
SharedRegion::~SharedRegion() = default;

SharedRegion::SharedRegion(SharedRegion&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      identity_(other.identity_),
      kind_(other.kind_),
      held_(std::move(other.held_)) {}

SharedRegion& SharedRegion::operator=(SharedRegion&& other) noexcept {
  if (this != &other) {
    held_ = std::move(other.held_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    identity_ = other.identity_;
    kind_ = other.kind_;
  }
  return *this;
}

void SharedRegion::adopt(std::unique_ptr<Holding> held, std::size_t size) noexcept {
  held_ = std::move(held);
  const memory::Mapping& segment = held_->segment.mapping;
  data_ = segment.data() != nullptr ? segment.data() : held_->mapping.data();
  size_ = size;
  if (segment.data() != nullptr) {
    identity_ = identity_of_segment(segment.segment());
  } else {
    identity_ =
        held_->path.file ? identity_of(held_->path.file, held_->name.offset) : os::random_word();
  }
}

Result<SharedRegion> SharedRegion::create(std::size_t size, Options options) {
  if (options.kind != Kind::anonymous && options.kind != Kind::memory_file) {
    return wrong("make", "memory of this kind has a name");
  }
  BULKHEAD_TRY(bulkhead::check(options, size, options.kind));
  const auto wish = wish_of(options);
  auto held = std::make_unique<Holding>(options, file_memory({}));
  if (options.kind == Kind::anonymous) {
    held->mapping = BULKHEAD_TRY(memory::Mapping::of_nothing(size, wish));
  } else {
    held->path.file = BULKHEAD_TRY(memory::make_memory_file(
        options.name, size, {.growable = options.grow_to != 0, .huge = wish.huge}));
    held->mapping = BULKHEAD_TRY(memory::Mapping::of_file(held->path.file, 0, size, wish));
  }
  SharedRegion region;
  region.kind_ = options.kind;
  region.adopt(std::move(held), size);
  return region;
}

Result<SharedRegion> SharedRegion::prepare(const MemoryName& name, std::size_t size,
                                           Options options, IsUnfinished is_unfinished) {
  SharedRegion region;
  region.kind_ = kind_of(name);
  BULKHEAD_TRY(bulkhead::check(options, size, region.kind_));
  auto held = std::make_unique<Holding>(options, name);
  if (region.kind_ == Kind::system_v) {
    held->segment = BULKHEAD_TRY(memory::make_segment(
        name, size, ends_of(options), wish_of(options, title_of(name)), is_unfinished));
  } else {
    held->path = BULKHEAD_TRY(memory::make_path_memory(name, size, ends_of(options)));
    BULKHEAD_TRY(map_path(*held, size));
  }
  region.adopt(std::move(held), size);
  return region;
}

Result<void> SharedRegion::appear() {
  held_->segment.lock.reset();
  if (kind_ == Kind::system_v) return {};
  return memory::give_name(held_->path, held_->name);
}

Result<SharedRegion> SharedRegion::create(const MemoryName& name, std::size_t size,
                                          Options options) {
  auto region = BULKHEAD_TRY(prepare(name, size, options, nullptr));
  BULKHEAD_TRY(region.appear());
  return region;
}

Result<SharedRegion> SharedRegion::open(const MemoryName& name, Options options) {
  SharedRegion region;
  region.kind_ = kind_of(name);
  // Which pages System V memory has was its maker's choice.
  BULKHEAD_TRY(region.kind_ == Kind::system_v ? check_growth(options, Size::fixed)
                                              : bulkhead::check(options, 1, region.kind_));
  auto held = std::make_unique<Holding>(options, name);
  std::size_t size = 0;
  if (region.kind_ == Kind::system_v) {
    held->segment = BULKHEAD_TRY(memory::open_segment(name, wish_of(options, title_of(name))));
    size = held->segment.size;
  } else {
    held->path = BULKHEAD_TRY(memory::open_path_memory(name));
    size = BULKHEAD_TRY(part_of(name, held->path.size));
    BULKHEAD_TRY(map_path(*held, size));
  }
  region.adopt(std::move(held), size);
  return region;
}

Result<SharedRegion> SharedRegion::open_or_create(const MemoryName& name, std::size_t size,
                                                  Options options) {
  // Each turn is one in which another process has made or removed it.
  constexpr int most_turns = 1000;
  for (int turn = 0;; ++turn) {
    auto found = open(name, options);
    if (found && options.grow_to == 0 && found->size() != size) {
      return fail(ErrorKind::incompatible,
                  {.operation = "open",
                   .object = title_of(name),
                   .cause = "it has " + words(found->size()) + ", not " + words(size),
                   .remedy = "remove it, or ask for that size"});
    }
    if (found || found.error() != ErrorKind::not_found) return found;
    auto made = create(name, size, options);
    if (made || made.error() != ErrorKind::exists || turn == most_turns) return made;
  }
}

Result<void> SharedRegion::remove(const MemoryName& name) {
  return name.kind == MemoryName::Kind::system_v ? memory::remove_segment(name)
                                                 : memory::remove_path(name);
}

Result<SharedRegion> SharedRegion::attach(Fd fd, Trust trust, Options options) {
  if (trust == Trust::untrusted) {
    return fail(ErrorKind::denied, {.operation = "attach",
                                    .object = "shared region",
                                    .cause = "it came from a process that is not trusted",
                                    .remedy = "take a published or frozen Region from it"});
  }
  const std::size_t size = BULKHEAD_TRY(memory::inspect_shared(fd));
  if (memory::is_of_huge_pages(fd)) BULKHEAD_TRY(check_growth(options, Size::fixed));
  auto held = std::make_unique<Holding>(options, file_memory({}));
  held->mapping = BULKHEAD_TRY(memory::Mapping::of_file(fd, 0, size, wish_of(options)));
  held->path.file = std::move(fd);
  SharedRegion region;
  region.adopt(std::move(held), size);
  return region;
}

Result<void> SharedRegion::grow(std::size_t size) {
  if (!held_) return wrong("grow", "it was moved from");
  const Options& options = held_->options;
  if (options.grow_to == 0) {
    return cannot("grow", "it was made to keep its size", "say how large it may grow: grow_to");
  }
  if (size > options.grow_to) {
    return fail(ErrorKind::too_large, {.operation = "grow",
                                       .object = "shared region",
                                       .cause = words(size) + " are more than the " +
                                                words(options.grow_to) + " it may grow to"});
  }
  if (size <= size_) return {};
  const auto end = static_cast<off_t>(held_->name.offset + size);
  BULKHEAD_TRY(os::check_size_limit(held_->name.offset + size, "shared region"));
  // Never makes it smaller, so several at once end with the largest.
  if (os::retry_eintr([&] { return ::fallocate(held_->path.file.native(), 0, 0, end); }) != 0) {
    return os::failed("reserve", words(size));
  }
  return refresh();
}

Result<void> SharedRegion::refresh() {
  if (!held_ || held_->options.grow_to == 0) return check();
  const auto size = BULKHEAD_TRY(os::size_of(held_->path.file, "shared region"));
  const auto here = static_cast<std::size_t>(size) - held_->name.offset;
  const std::size_t seen = std::min(here, held_->options.grow_to);
  if (size >= held_->name.offset + size_ && seen > size_) {
    BULKHEAD_TRY(held_->mapping.fulfil(seen, wish_of(held_->options, title_of(held_->name))));
    size_ = seen;
  }
  return check();
}

Result<void> SharedRegion::check() const {
  if (!held_) return wrong("check", "it was moved from");
  if (kind_ != Kind::posix && kind_ != Kind::file) return {};
  const auto size = BULKHEAD_TRY(os::size_of(held_->path.file, title_of(held_->name)));
  if (!held_->mapping.is_damaged() && size >= held_->name.offset + size_) return {};
  return fail(ErrorKind::corrupt, {.operation = "use",
                                   .object = title_of(held_->name),
                                   .cause = "somebody has cut it short",
                                   .remedy = "make it anew"});
}

Result<SharedRegion> SharedRegion::duplicate() const {
  if (!held_) return wrong("duplicate", "it was moved from");
  // A name's user is who opened it: a second object is a second user.
  if (kind_ == Kind::posix || kind_ == Kind::file || kind_ == Kind::system_v) {
    return open(held_->name, held_->options);
  }
  SharedRegion copy;
  copy.kind_ = kind_;
  auto held = std::make_unique<Holding>(held_->options, file_memory({}));
  if (kind_ == Kind::anonymous && held_->options.pages == Pages::huge) {
    return cannot("duplicate", "the kernel maps huge pages without a file once only",
                  "make it of kind memory_file");
  }
  if (kind_ == Kind::anonymous) {
    held->mapping = BULKHEAD_TRY(held_->mapping.again(wish_of(held_->options)));
  } else {
    held->path.file = BULKHEAD_TRY(Fd::duplicate(held_->path.file));
    held->mapping =
        BULKHEAD_TRY(memory::Mapping::of_file(held->path.file, 0, size_, wish_of(held_->options)));
  }
  copy.adopt(std::move(held), size_);
  copy.identity_ = identity_;
  return copy;
}

Result<Handle> SharedRegion::into_handle() && {
  if (!held_) return wrong("send", "it was moved from");
  if (kind_ == Kind::anonymous) {
    return cannot("send", "an anonymous region has no descriptor", "make it of kind memory_file");
  }
  if (kind_ != Kind::memory_file) {
    return cannot("send", "it is found by its name", "send the name, and open it there");
  }
  Fd file = std::move(held_->path.file);
  held_.reset();
  data_ = nullptr;
  size_ = 0;
  return Handle{std::move(file), Handle::Kind::shared_region};
}

Result<SharedRegion> SharedRegion::from_handle(Handle handle, Trust trust) {
  if (handle.kind() != Handle::Kind::shared_region) {
    return wrong("attach", "the handle is not that of a shared region");
  }
  return attach(std::move(handle).take_fd(), trust);
}

}  // namespace bulkhead
