// SPDX-License-Identifier: Apache-2.0
//
// LogWriter: the one who appends to a log: a folder of segments (segment.hpp) and a file `writer`
// that says whose it is (os/file_owner.hpp). It cuts off a torn tail when it opens the log, goes on
// in a new segment behind one that is damaged or full, and removes old ones when it was told to.
//
// Durability: nothing (the kernel writes when it likes; a crash of the process loses nothing), the
// first call after every interval and the end, or each call. A failed sync is final: the kernel has
// dropped what it could not write, and a second one would lie (fsyncgate, 2018).
// A write that fails (disk full) is cut off again: the log is as before, and can go on.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <sys/uio.h>
#include <vector>

#include "os/file_owner.hpp"
#include "transport/file/segment.hpp"

namespace bulkhead::transport::file {

enum class Sync : std::uint8_t { none, interval, each };

struct LogOptions {
  Sync sync = Sync::none;
  std::chrono::milliseconds interval{50};
  std::uint64_t segment_bytes = 64 << 20;  ///< a larger one is followed by a new one
  std::uint64_t keep = 0;                  ///< so many segments; 0: all
};

/// The file in a log's folder that says who writes it.
inline constexpr const char* owner_name = "writer";

class LogWriter {
 public:
  /// Takes the log in `folder`, made when missing. `exists` with the pid when another writes it.
  static Result<LogWriter> open(const std::string& folder, const LogOptions& options);
  /// A log of one segment in a nameless file, which has a header already.
  static Result<LogWriter> on(Fd file, const LogOptions& options);

  /// All of them, or as many as could be; an error when that is none.
  Result<std::size_t> append(std::span<const Bytes> messages);
  /// In good order: what is left to sync is, and the readers are told. Nothing in a forked child.
  void close() noexcept;

  std::uint64_t next_sequence() const noexcept { return next_sequence_; }
  FdView file() const noexcept { return file_; }

 private:
  explicit LogWriter(const LogOptions& options) : options_(options) {}

  Result<void> recover();
  Result<void> make_segment(std::uint64_t first);
  void drop_old_segments() noexcept;
  Result<void> rotate();
  void prepare(Bytes message);
  void stage(Bytes bytes);
  Result<std::size_t> write_prepared(std::size_t messages);
  Result<std::size_t> keep_whole_ones();
  Result<void> sync_if_due();
  Result<void> sync();
  std::unexpected<Error> broken(Error error);

  LogOptions options_;
  std::string folder_;  // empty: nameless
  std::string path_;    // of the segment
  std::optional<os::FileOwner> owner_;
  Fd file_;
  std::uint64_t salt_ = 0;
  std::uint64_t size_ = 0;
  std::uint64_t synced_ = RecordHeader::not_tracked;
  std::uint64_t limit_checked_ = 0;
  std::uint64_t next_sequence_ = 1;
  std::chrono::steady_clock::time_point last_sync_;
  std::optional<Error> broken_;

  std::uint32_t epoch_ = 0;
  bool opens_ = true;  // nothing has been written in this epoch

  // What the next write is made of. Headers, padding and small payloads stand together in staged_;
  // a part without an address is the next of those.
  struct Prepared {
    std::uint64_t bytes;
    bool ends_message;
  };
  std::vector<Prepared> records_;
  std::vector<std::byte> staged_;
  std::vector<iovec> parts_;
  std::uint64_t prepared_bytes_ = 0;
};

}  // namespace bulkhead::transport::file
