// SPDX-License-Identifier: Apache-2.0
//
// Region: a span of memory with an owner, that other processes can look at.
//
// Three ways to hand one over, by what the kernel then enforces:
//   shared     everybody who has it can write: for processes that trust each other equally
//   published  its maker goes on writing, everybody else can only read it: publish()
//   frozen     nobody can change it any more, its maker included: freeze()
// All space is reserved when a Region is made: a full disk or memory limit is `exhausted` then and
// never a signal later. What is made has no name; when the last process that has it is gone, so is it.
//
// Or it is opened by a name: a file, a device, POSIX or System V memory, whole or in part, to be
// read, to be changed in a copy of this process's own, or to be written for all. A file can be cut
// by others while it is mapped, and touching what is gone is SIGBUS: so a mapping of one wants the
// guard of sigbus_guard.hpp, and check() after use; without the guard read() and write() are there,
// which go through the kernel and answer with an error. Memory with locks in it is a SharedRegion.
//
// One thread at a time per object; the bytes are shared memory and follow its rules. Nothing here
// blocks. A peer's death changes nothing: the bytes stay as it left them. TRUST: attach() with
// Trust::untrusted takes only what is published or frozen, checked with the kernel, so it cannot
// shrink under the reader; the bytes of a published Region may change while they are read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include <bulkhead/bytes.hpp>
#include <bulkhead/fd.hpp>
#include <bulkhead/handle.hpp>
#include <bulkhead/memory_name.hpp>
#include <bulkhead/result.hpp>
#include <bulkhead/trust.hpp>

namespace bulkhead {

namespace memory {
struct Window;
}

class BULKHEAD_API Region {
 public:
  enum class Kind : std::uint8_t {
    anonymous,    ///< inherited by fork alone; has no descriptor
    memory_file,  ///< a memory file: can be passed to any process
    named,        ///< opened by its name: a file, a device, POSIX or System V memory
  };
  enum class Writes : std::uint8_t {
    refused,       ///< read-only
    stay_private,  ///< copy-on-write: nobody else sees them, the file least of all
    reach_all,     ///< the file, and everybody who has it mapped
  };
  enum class Cut : std::uint8_t {
    guarded,   ///< others may cut it: `invalid` unless guard_mappings() was called
    by_calls,  ///< others may cut it: not mapped, bytes() is empty; read() and write() serve
    excluded,  ///< the caller knows that nobody does; if somebody does, it is SIGBUS
  };
  enum class State : std::uint8_t { shared, published, frozen };

  struct Options {
    Kind kind = Kind::memory_file;
    /// Shown in /proc/PID/maps as /memfd:bulkhead-NAME.
    const char* name = "region";
    /// Touch every page now rather than at first use.
    bool prefault = false;
  };

  struct View {
    Writes writes = Writes::refused;
    /// What can be cut: a file or POSIX memory. Devices and System V memory cannot.
    Cut cut = Cut::guarded;
    /// Touch every page now rather than at first use.
    bool prefault = false;
    /// Never paged out. `exhausted` beyond RLIMIT_MEMLOCK.
    bool locked = false;
  };

  /// A new Region of `size` bytes (at least 1), zeroed, readable and writable.
  static Result<Region> create(std::size_t size, Options options);
  static Result<Region> create(std::size_t size) { return create(size, Options{}); }

  /// What has that name already; never made. `invalid` when the part is not there, `exhausted` when
  /// it is to be written and its space cannot be reserved, `unsupported` for what cannot be mapped.
  static Result<Region> open(const MemoryName& name, View view);
  static Result<Region> open(const MemoryName& name) { return open(name, View{}); }

  /// Copies through the kernel. As many bytes as are there; `corrupt` when that is fewer than the
  /// Region has. Of an opened file or POSIX memory only; what was written privately is not seen.
  Result<std::size_t> read(std::uint64_t offset, MutableBytes into) const;
  /// `denied` unless writes reach all, `too_large` beyond the Region's end.
  Result<void> write(std::uint64_t offset, Bytes from);

  /// `corrupt` when somebody has cut the file since it was opened. Call it after the bytes were used
  /// and before they are believed.
  Result<void> check() const;

  /// Maps what a peer passed, read-only unless it is `shared`. Untrusted: `corrupt` unless it is a
  /// memory file sealed as published or frozen, so that no later access can fault.
  static Result<Region> attach(Fd fd, Trust trust);

  Region(Region&& other) noexcept;
  Region& operator=(Region&& other) noexcept;
  ~Region();

  std::size_t size() const noexcept { return size_; }
  Kind kind() const noexcept { return kind_; }
  State state() const noexcept { return state_; }
  /// This process's mapping can be written.
  bool writable() const noexcept { return writable_; }

  /// The bytes for reading.
  Bytes bytes() const noexcept { return {data_, data_ != nullptr ? size_ : 0}; }
  /// The bytes for writing; empty when this mapping is read-only.
  MutableBytes mutable_bytes() noexcept {
    return writable_ ? MutableBytes{data_, size_} : MutableBytes{};
  }

  /// From now on only this object's mapping can write: the kernel refuses every new writable
  /// mapping, write(2), resize and hole. `invalid` on an anonymous, attached or sealed Region.
  /// REQUIRES: nobody else has been given it yet; a writable mapping that exists would stay.
  Result<void> publish();

  /// Makes the content immutable for everyone. `invalid` when published, or while another writable
  /// mapping of it exists anywhere.
  Result<void> freeze();

  /// The descriptor to pass on; empty for an anonymous Region.
  FdView descriptor() const noexcept { return fd_; }

  /// A second object on the same memory, read-only unless `shared`.
  Result<Region> duplicate() const;

  /// For sending. `unsupported` for an anonymous Region.
  Result<Handle> into_handle() &&;
  static Result<Region> from_handle(Handle handle, Trust trust);

 private:
  Region() noexcept;
  void unmap() noexcept;

  Fd fd_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  Kind kind_ = Kind::memory_file;
  State state_ = State::shared;
  bool writable_ = false;
  bool made_here_ = false;
  std::unique_ptr<memory::Window> window_;  // of kind named: it has the mapping then
};

}  // namespace bulkhead
