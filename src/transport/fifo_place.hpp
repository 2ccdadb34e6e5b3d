// SPDX-License-Identifier: Apache-2.0
//
// FifoPlace: the name of a named pipe and the FIFO behind it, which belong to the live process that
// holds the lock on "PATH.lock" (os/names.hpp). What a dead server left is replaced; a live one's,
// or a file that is no FIFO, never. Beside it lie, for the moments in which a client and the server
// find each other, the two FIFOs of the client's instance: PATH.<32 hexadecimal digits>.up and
// .down, made and named by the client. Until it is taken in, a client holds the place (os/fifo.hpp)
// on the server's FIFO that the first 8 bytes of its name are. The FIFOs of clients that died go with
// this server, with the next one, or by `bulkhead clean`.
#pragma once

#include <string>
#include <vector>

#include "os/fifo.hpp"
#include "os/named_thing.hpp"
#include "os/names.hpp"
#include "transport/fifo_frame.hpp"
#include "transport/link.hpp"

namespace bulkhead::transport {

/// What a server does with its clients, visible to them in the FIFO's mode.
enum class FifoUse { instances, gathering };

class FifoPlace {
 public:
  /// `path` is absolute. `exists`, with the pid, when a live process has it.
  static Result<FifoPlace> claim(const std::string& path, FifoUse use);

  FifoPlace(FifoPlace&&) noexcept = default;
  FifoPlace& operator=(FifoPlace&&) = delete;
  /// Removes the name, if it is still ours, and tells those who wrote that nobody will read.
  ~FifoPlace();
  /// Leaves the telling to somebody else, who still reads.
  void keep_unmarked() noexcept { marks_ = false; }

  /// The reading end; who opens the name to write finds it.
  FdView mouth() const noexcept { return mouth_; }
  const std::string& path() const noexcept { return path_; }

 private:
  FifoPlace(std::string path, os::NameLock lock, Fd mouth) noexcept
      : path_(std::move(path)), lock_(std::move(lock)), mouth_(std::move(mouth)) {}

  std::string path_;
  os::NameLock lock_;
  Fd mouth_;
  bool marks_ = true;
};

/// "/path" without parameters; `invalid` for anything else.
Result<std::string> fifo_path(std::string name);

/// The writing end of a server's FIFO. `not_found` when nobody listens; `incompatible` when the
/// server is of the other use.
Result<Fd> open_server(const std::string& path, FifoUse use);

/// Who has that FIFO, by the kernel's word; 0 when it cannot be known.
pid_t server_pid(FdView server, const std::string& path) noexcept;

/// What a client that is asking holds on the server's FIFO.
std::uint64_t place_of(const fifo_frame::Token& token) noexcept;

/// The FIFOs beside the server's of clients that died; of all, when the server has.
std::vector<os::NamedThing> left_by_fifo_clients(const std::string& path, os::NamedThing::Do what,
                                                 bool server_lives);

struct InstanceNames {
  std::string up;
  std::string down;

  InstanceNames(const std::string& path, const fifo_frame::Token& token);
  void remove() const noexcept;
};

}  // namespace bulkhead::transport
