// SPDX-License-Identifier: Apache-2.0
//
// SharedRegion: memory that several processes write, for processes that trust each other equally.
// It is where locks live (place.hpp): whoever can write it can stop, confuse and crash all others
// that have it mapped. For a peer that is not trusted there is Region, published or frozen.
//
// Who may call: one thread at a time per object; the bytes are shared memory and follow its rules.
// Nothing here blocks. A peer's death changes nothing: the bytes stay as it left them.
// TRUST: never made of what came from an untrusted peer and never sent to one: `denied`.
#pragma once

#include <cstddef>
#include <cstdint>

#include <bulkhead/bytes.hpp>
#include <bulkhead/fd.hpp>
#include <bulkhead/handle.hpp>
#include <bulkhead/place.hpp>
#include <bulkhead/result.hpp>
#include <bulkhead/trust.hpp>

namespace bulkhead {

class Arena;
template <class T> class Shared;

class BULKHEAD_API SharedRegion {
 public:
  enum class Kind : std::uint8_t {
    anonymous,    ///< inherited by fork alone; has no descriptor
    memory_file,  ///< a memory file: can be passed to any process
  };

  struct Options {
    Kind kind = Kind::memory_file;
    /// Shown in /proc/PID/maps as /memfd:bulkhead-NAME.
    const char* name = "shared";
    /// Touch every page now rather than at first use.
    bool prefault = false;
  };

  /// A new one of `size` bytes (at least 1), zeroed, its space reserved.
  static Result<SharedRegion> create(std::size_t size, Options options);
  static Result<SharedRegion> create(std::size_t size) { return create(size, Options{}); }

  /// Maps what a peer passed. `denied` for an untrusted one, whatever it is; `corrupt` unless it is
  /// the memory file of a SharedRegion.
  static Result<SharedRegion> attach(Fd fd, Trust trust);

  SharedRegion(SharedRegion&& other) noexcept;
  SharedRegion& operator=(SharedRegion&& other) noexcept;
  ~SharedRegion();

  std::size_t size() const noexcept { return size_; }
  Kind kind() const noexcept { return kind_; }
  MutableBytes bytes() const noexcept { return {data_, size_}; }
  /// The same number in each process that has it, another for each other SharedRegion.
  std::uint64_t identity() const noexcept { return identity_; }

  /// A second object on the same memory.
  Result<SharedRegion> duplicate() const;

  /// For sending to a process of equal trust. `unsupported` for an anonymous one.
  Result<Handle> into_handle() &&;
  static Result<SharedRegion> from_handle(Handle handle, Trust trust);

 private:
  friend class Arena;
  template <class T> friend class Shared;
  Place place() const noexcept { return {data_, size_, identity_}; }

  SharedRegion() = default;
  void unmap() noexcept;

  Fd fd_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::uint64_t identity_ = 0;
  Kind kind_ = Kind::memory_file;
};

}  // namespace bulkhead
