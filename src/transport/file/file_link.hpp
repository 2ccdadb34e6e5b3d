// SPDX-License-Identifier: Apache-2.0
//
// file: channels over logs (log_writer.hpp, log_reader.hpp). An end writes one log, reads another,
// or does both; who writes never waits for who reads.
//
// ADDRESS file:///FOLDER, with behind `?`, joined by `&`:
//   cursor=NAME   a reader's place that survives it; one live reader has it
//   from=end      without a cursor: only what comes from now on (else from=oldest)
//   follow=yes    a reader waits for the next writer where there is none (else follow=no)
//   sync=none|interval|each, interval=50ms    what is on the disk when
//   segment=BYTES keep=N                      when a new file begins, and how many stay
//   look=10ms     look by a timer and not by inotify
//   seat=listen   both ways: connect() is the end that listens, without waiting for the other
// ChannelOptions::direction says which end it is. With `both`, FOLDER holds two logs: `listen` is
// written by who listens, `connect` by who connects (file_meeting.hpp).
//
// Peer death: a reader learns of its writer's end through the lock and a pidfd (os/file_owner.hpp),
// and tells it when all that is whole has been read: `closed` or `peer_died`. Who writes a log never
// learns of who reads it; both ways it goes on until its own receive has told it: what was sent to an
// end that has gone waits for the next one.
// Forks: a forked child's copy closes nothing and tells nothing.
// TRUST: everything in a file is checked as if anybody could have written it.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>

#include "os/file_watch.hpp"
#include "os/signal_fd.hpp"
#include "transport/aside.hpp"
#include "transport/file/log_reader.hpp"
#include "transport/file/log_writer.hpp"
#include "transport/file/seat.hpp"

namespace bulkhead::transport::file {

/// What an end is made of.
struct Parts {
  std::optional<LogWriter> out;
  std::optional<LogReader> in;
  std::string in_folder;  ///< of the log that is read; empty in a pair
  bool follow = false;
  std::optional<std::chrono::milliseconds> look;
  /// Both ways: the other end's session that was over before this end came.
  std::optional<std::uint64_t> gone_before;
  std::shared_ptr<Seat> seat;  ///< both ways: of who listens
  Fd in_file;                  ///< in a pair: the file that is read, to watch it
  Fd life;                     ///< in a pair: hangs up when the other end goes
};

class FileLink final : public LinkWithoutMemory {
 public:
  static Result<std::unique_ptr<FileLink>> create(Parts parts, const ChannelOptions& options);
  ~FileLink() override { close(); }

  Result<void> send(Bytes bytes, std::span<Handle> handles, Deadline deadline) override;
  Result<std::size_t> send_many(std::span<const Bytes> messages, Deadline deadline) override;
  Result<void> receive(Message& into, Deadline deadline) override;
  Result<FdView> readable() override;
  Result<FdView> writable() override;
  Mechanism mechanism() const noexcept override { return Mechanism::file; }
  Capabilities capabilities() const noexcept override;
  Peer peer() const noexcept override;
  void close() noexcept override;
  Result<void> bind(Deadline) override;
  Result<Handle> detach() override;

 protected:
  Result<void> await_room(std::size_t size, Deadline deadline) override;

 private:
  enum class Fate : std::uint8_t { open, closed, died };

  FileLink(Parts parts, const ChannelOptions& options);
  Result<void> check(std::size_t size, std::span<const Handle> handles);
  Result<void> use();
  Result<void> watch();
  Result<Fate> look_at_writer();
  Fate look_at_life() const;
  bool is_both_ways() const noexcept { return parts_.in && parts_.out; }
  Result<bool> try_next(Message& into);
  std::unexpected<Error> end(Error error);
  Result<void> poll(Deadline deadline);
  Result<void> show(FdView fd);

  Parts parts_;
  const ChannelOptions options_;
  std::atomic<pid_t> owner_;
  std::atomic<bool> used_{false};
  std::atomic<bool> closed_{false};
  std::atomic<bool> ended_{false};
  os::SignalFd bell_;
  std::mutex bell_mutex_;

  // The sending half.
  std::mutex writing_;
  unsigned sent_ = 0;
  os::SignalFd writable_;

  // The receiving half; close() comes here too.
  std::mutex reading_;
  std::optional<os::FileWatch> watch_;
  Fd writer_file_;
  std::optional<os::OwnerSight> writer_;
  bool must_look_ = true;
  std::optional<Error> end_;
  Fd epoll_;
  int shown_pidfd_ = -1;
};

}  // namespace bulkhead::transport::file
