// SPDX-License-Identifier: Apache-2.0
//
// Region: a span of memory with an owner, that other processes can look at.
//
// Three ways to hand one over, by what the kernel then enforces:
//   shared     everybody who has it can write: for processes that trust each other equally
//   published  its maker goes on writing, everybody else can only read it: publish()
//   frozen     nobody can change it any more, its maker included: freeze()
// All space is reserved when a Region is made: a full disk or memory limit is `exhausted` then and
// never a signal later. Nothing has a name; when the last process that has it is gone, so is it.
//
// One thread at a time per object; the bytes are shared memory and follow its rules. Nothing here
// blocks. A peer's death changes nothing: the bytes stay as it left them. TRUST: attach() with
// Trust::untrusted takes only what is published or frozen, checked with the kernel, so it cannot
// shrink under the reader; the bytes of a published Region may change while they are read.
#pragma once

#include <cstddef>
#include <cstdint>

#include <bulkhead/bytes.hpp>
#include <bulkhead/fd.hpp>
#include <bulkhead/handle.hpp>
#include <bulkhead/result.hpp>
#include <bulkhead/trust.hpp>

namespace bulkhead {

class BULKHEAD_API Region {
 public:
  enum class Kind : std::uint8_t {
    anonymous,    ///< inherited by fork alone; has no descriptor
    memory_file,  ///< a memory file: can be passed to any process
  };
  enum class State : std::uint8_t { shared, published, frozen };

  struct Options {
    Kind kind = Kind::memory_file;
    /// Shown in /proc/PID/maps as /memfd:bulkhead-NAME.
    const char* name = "region";
    /// Touch every page now rather than at first use.
    bool prefault = false;
  };

  /// A new Region of `size` bytes (at least 1), zeroed, readable and writable.
  static Result<Region> create(std::size_t size, Options options);
  static Result<Region> create(std::size_t size) { return create(size, Options{}); }

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
  Bytes bytes() const noexcept { return {data_, size_}; }
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
  Region() = default;
  void unmap() noexcept;

  Fd fd_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  Kind kind_ = Kind::memory_file;
  State state_ = State::shared;
  bool writable_ = false;
  bool made_here_ = false;
};

}  // namespace bulkhead
