// SPDX-License-Identifier: Apache-2.0
//
// Reading overlapped with computing: the same files read and hashed by one thread, by threads, by a
// thread that computes while others read (Asio), and by processes (a Pool).
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace bulkhead::bench {

enum class Readers { one_thread, threads, asio, processes };
std::string_view name_of(Readers readers);

struct Read {
  double bytes_per_second = 0;
  double busy = 0;  ///< processor time by that of all CPUs
};

/// So many files of a size in a new folder under the system's folder for temporary files; goes with
/// the object.
class Files {
 public:
  Files(std::size_t count, std::size_t bytes);
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;
  ~Files();

  /// Out of the kernel's cache first, so that there is something to wait for. Throws when the hashes
  /// differ from those of one thread.
  Read read_by(Readers readers);
  /// Do they lie on a disk? In memory nobody waits for them.
  bool on_disk() const;

 private:
  std::filesystem::path folder_;
  std::size_t count_;
  std::size_t bytes_;
};

}  // namespace bulkhead::bench
