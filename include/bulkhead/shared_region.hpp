// SPDX-License-Identifier: Apache-2.0
//
// SharedRegion: memory that several processes write, for processes that trust each other equally.
// It is where locks live (place.hpp): whoever can write it can stop, confuse and crash all others
// that have it mapped. For a peer that is not trusted there is Region, published or frozen.
//
//   auto table = or_exit(SharedRegion::open_or_create(posix_memory("table"), 1 << 20));
//
// Nobody ever finds half of one: what has a name is complete, of many that make the same at once
// one wins, and a maker that is killed leaves nothing or something that the next replaces. All space
// is reserved when it is made or opened: what is short is `exhausted` then and never a signal later.
//
// POSIX and System V memory ends with its users, unless asked: the last that leaves removes the
// name; if it was killed, the next that opens it or `bulkhead clean` does. Users are processes that
// opened it through this library; a child by fork is one as long as its parent is. A file stays.
//
// Who may call: one thread at a time per object; the bytes are shared memory and follow its rules.
// What takes a name waits for who makes or removes the same at this moment: a second at most.
// A peer's death changes nothing: the bytes stay as it left them.
// TRUST: never made of what came from an untrusted process nor sent to one, nor opened where other
// users can write: `denied`. Who may write a file or POSIX memory can also cut it, which ends whoever
// touches what is gone: see sigbus_guard.hpp and check().
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include <bulkhead/bytes.hpp>
#include <bulkhead/fd.hpp>
#include <bulkhead/handle.hpp>
#include <bulkhead/memory_name.hpp>
#include <bulkhead/place.hpp>
#include <bulkhead/result.hpp>
#include <bulkhead/trust.hpp>

namespace bulkhead {

class Arena;
template <class T> class Shared;
namespace memory {
struct Holding;
}

class BULKHEAD_API SharedRegion {
 public:
  enum class Kind : std::uint8_t {
    anonymous,    ///< inherited by fork alone; has no descriptor
    memory_file,  ///< a memory file: can be passed to any process
    posix,        ///< POSIX shared memory
    system_v,     ///< System V shared memory
    file,         ///< a file, or a part of one
  };
  enum class Keep : std::uint8_t {
    while_used,     ///< ends with its last user (a file: stays)
    until_removed,  ///< stays until remove(), or until the machine goes down
  };
  enum class Pages : std::uint8_t {
    normal,
    /// Of the size and number that the system's owner has reserved, for anonymous memory, memory
    /// files and System V: `exhausted` where there are too few, `unsupported` for the other kinds.
    huge,
  };

  struct Options {
    /// Of what has no name: anonymous or memory_file.
    Kind kind = Kind::memory_file;
    /// Shown in /proc/PID/maps as /memfd:bulkhead-NAME.
    const char* name = "shared";
    /// Touch every page now rather than at first use.
    bool prefault = false;
    /// Never paged out. `exhausted` beyond RLIMIT_MEMLOCK.
    bool locked = false;
    Pages pages = Pages::normal;
    /// Of what has a name and is made.
    Keep keep = Keep::while_used;
    /// How large it may grow, which costs address space only. 0: it keeps its size. `unsupported`
    /// for anonymous and System V memory, and for huge pages.
    std::size_t grow_to = 0;
  };

  /// A new one of `size` bytes (at least 1), zeroed.
  static Result<SharedRegion> create(std::size_t size, Options options);
  static Result<SharedRegion> create(std::size_t size) { return create(size, Options{}); }

  /// `exists` when the name is taken.
  static Result<SharedRegion> create(const MemoryName& name, std::size_t size, Options options);
  static Result<SharedRegion> create(const MemoryName& name, std::size_t size) {
    return create(name, size, Options{});
  }
  /// `not_found`; `denied` when other users can write it.
  static Result<SharedRegion> open(const MemoryName& name, Options options);
  static Result<SharedRegion> open(const MemoryName& name) { return open(name, Options{}); }
  /// `incompatible` when there is one of another size.
  static Result<SharedRegion> open_or_create(const MemoryName& name, std::size_t size,
                                             Options options);
  static Result<SharedRegion> open_or_create(const MemoryName& name, std::size_t size) {
    return open_or_create(name, size, Options{});
  }
  /// Takes the name away; who has it keeps it.
  static Result<void> remove(const MemoryName& name);

  /// Maps what a peer passed. `denied` for an untrusted one, whatever it is; `corrupt` unless it is
  /// the memory file of a SharedRegion. Of the options: prefault, locked, grow_to.
  static Result<SharedRegion> attach(Fd fd, Trust trust, Options options);
  static Result<SharedRegion> attach(Fd fd, Trust trust) {
    return attach(std::move(fd), trust, Options{});
  }

  SharedRegion(SharedRegion&& other) noexcept;
  SharedRegion& operator=(SharedRegion&& other) noexcept;
  ~SharedRegion();

  std::size_t size() const noexcept { return size_; }
  Kind kind() const noexcept { return kind_; }
  MutableBytes bytes() const noexcept { return {data_, size_}; }
  /// The same number in each process that has it, another for each other SharedRegion.
  std::uint64_t identity() const noexcept { return identity_; }

  /// Makes it larger, its space reserved; nothing moves. The other processes see it by refresh().
  /// `too_large` beyond `grow_to`, `unsupported` for anonymous and System V memory.
  Result<void> grow(std::size_t size);
  /// Sees what others have grown.
  Result<void> refresh();

  /// `corrupt` when somebody has cut the file that is mapped. Never for kinds that the kernel
  /// protects: anonymous, memory_file, system_v.
  Result<void> check() const;

  /// A second object on the same memory.
  Result<SharedRegion> duplicate() const;

  /// For sending to a process of equal trust: memory files. `unsupported` for the others.
  Result<Handle> into_handle() &&;
  static Result<SharedRegion> from_handle(Handle handle, Trust trust);

 private:
  friend class Arena;
  template <class T> friend class Shared;
  Place place() const noexcept { return {data_, size_, identity_}; }
  /// For who writes into it before others can find it: then appear(), `exists` when another was
  /// first. `is_unfinished` tells whether memory that is there was left half made.
  using IsUnfinished = bool (*)(const std::byte* at, std::size_t size);
  static Result<SharedRegion> prepare(const MemoryName& name, std::size_t size, Options options,
                                      IsUnfinished is_unfinished);
  Result<void> appear();

  SharedRegion() noexcept;
  void adopt(std::unique_ptr<memory::Holding> held, std::size_t size) noexcept;

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::uint64_t identity_ = 0;
  Kind kind_ = Kind::memory_file;
  std::unique_ptr<memory::Holding> held_;
};

}  // namespace bulkhead
