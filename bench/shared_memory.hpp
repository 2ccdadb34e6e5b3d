// SPDX-License-Identifier: Apache-2.0
//
// Memory that a pair of forked processes has in common: anonymous, zeroed, touched before use.
#pragma once

#include <cerrno>
#include <cstddef>
#include <sys/mman.h>
#include <system_error>
#include <utility>

namespace bulkhead::bench {

class SharedMemory {
 public:
  SharedMemory() = default;
  explicit SharedMemory(std::size_t size) : size_{size} {
    void* mapped = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (mapped == MAP_FAILED) throw std::system_error{errno, std::generic_category(), "mmap"};
    data_ = mapped;
  }
  SharedMemory(SharedMemory&& other) noexcept
      : data_{std::exchange(other.data_, nullptr)}, size_{std::exchange(other.size_, 0)} {}
  SharedMemory& operator=(SharedMemory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~SharedMemory() {
    if (data_) ::munmap(data_, size_);
  }

  template <class T> T* as() const noexcept { return static_cast<T*>(data_); }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace bulkhead::bench
