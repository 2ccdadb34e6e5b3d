// SPDX-License-Identifier: Apache-2.0
//
// StreamLink: what the mechanisms share that carry messages over streams of bytes: pipes, FIFOs,
// Unix stream sockets, TCP. What crosses them is in stream_frame.hpp. A mechanism derives from it
// and says who the peer is and what is special about its descriptors.
//
// Two shapes: two descriptors, of which a one-way end lacks one (pipes), or one socket for both.
// Nothing here reads or writes but without waiting; waiting is os::poll with the caller's deadline.
// The descriptors must not block (O_NONBLOCK).
//
// Sending: a small message is one system call. A frame that the kernel took in part is continued by
// the same call; when its deadline comes first, it is filled up and taken back with the next write,
// whoever makes that. Receiving: one read takes what there is, up to `buffer_bytes`; what is
// complete in the buffer is then received without a system call.
//
// Peer death: the end of the stream without a close frame. A sender that finds nobody reading any
// more looks there for the reason; messages on the way to it are kept for the receiver.
// Forks: the process that used an end first, or made it, closes it; a copy that a forked child has
// goes without a word.
// TRUST: a message grows with what has arrived, never with what a header promises; every field is
// checked before it is used.
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <mutex>
#include <sys/types.h>
#include <sys/uio.h>

#include "os/signal_fd.hpp"
#include "transport/aside.hpp"
#include "transport/nap.hpp"
#include "transport/stream_frame.hpp"

namespace bulkhead::transport {

class StreamLink : public LinkWithoutMemory {
 public:
  /// The most that one read takes from the kernel.
  static constexpr std::size_t buffer_bytes = 64 * 1024;

  /// A mechanism closes in its own destructor: closing asks it for write_some().
  ~StreamLink() override = default;

  Result<void> send(Bytes bytes, std::span<Handle> handles, Deadline deadline) override;
  Result<void> send_part(Bytes bytes, std::span<Handle> handles, std::size_t& done) override;
  void abort_part(std::size_t done) noexcept override;
  Result<std::size_t> send_many(std::span<const Bytes> messages, Deadline deadline) override;
  Result<void> receive(Message& into, Deadline deadline) override;
  Result<FdView> readable() override;
  Result<FdView> writable() override;
  void close() noexcept override;
  Result<void> bind(Deadline) override { return bind(); }

 protected:
  /// One descriptor for both ways.
  StreamLink(Fd socket, const ChannelOptions& options);
  /// One descriptor a way; the one of a way that `options.direction` has not may be empty.
  StreamLink(Fd in, Fd out, const ChannelOptions& options);

  // What a mechanism says. None of these may wait.

  /// As readv(2) and writev(2), without a signal for a stream that nobody reads.
  virtual ssize_t read_some(FdView in, std::span<const iovec> parts) noexcept = 0;
  virtual ssize_t write_some(FdView out, std::span<const iovec> parts) noexcept = 0;
  /// At the first use: sets buffers to what the options want. Returns what a fresh stream takes
  /// without anybody reading, which bounds a send that must not wait.
  virtual std::size_t prepare(const ChannelOptions& options) noexcept = 0;
  /// The hello went already, when the stream was made.
  virtual bool has_said_hello() const noexcept { return false; }
  /// What it means that the stream ended without a close frame (`number` 0), or that a call on it
  /// failed with errno `number`. EPIPE only where there is no way back on which to look.
  virtual Error why_broken(int number) const;
  /// The close frame has no room (called with the sending half locked) or no way to go (with the
  /// receiving half): tells the peer by other means, or makes room and returns true for another try.
  virtual bool close_aside() noexcept { return false; }
  /// Bytes have arrived. Called with the receiving half locked.
  virtual void note_arrival() noexcept {}
  /// When a call that waits is to look after something else (a heartbeat); `never` by default.
  virtual Deadline next_duty() const noexcept { return never; }
  /// That moment has come. An error ends the link for both halves.
  virtual Result<void> do_duty() { return {}; }
  /// While it is not empty: something else that ends a wait of either half, as soon as it polls
  /// readable. Called without locks.
  virtual FdView aside() const noexcept { return {}; }
  /// It did; it must not any more after this, or the link must end: an error ends it.
  virtual Result<void> look_aside() { return {}; }
  /// More for the descriptor of readable() (a timer): add it to the epoll descriptor `watch`.
  virtual Result<void> extend_watch(FdView watch) {
    static_cast<void>(watch);
    return {};
  }

  // What a mechanism may use.

  const ChannelOptions& options() const noexcept { return options_; }
  FdView in() const noexcept { return in_; }
  FdView out() const noexcept { return is_socket_ ? in_ : out_; }
  /// Takes what has arrived out of the kernel, for receive() to find it.
  void read_ahead();
  /// Sends a ping where nothing else is under way; a full stream is no error.
  Result<void> ping();
  struct Ends {
    Fd in;
    Fd out;  ///< empty for a socket
  };
  /// For detach(): the descriptors of an end before its first use, which is closed then. `invalid`
  /// when it has been used.
  Result<Ends> take_ends();

  Result<void> await_room(std::size_t size, Deadline deadline) override;

 private:
  enum class Step : std::uint8_t { delivered, more };
  enum class Half : std::uint8_t { sending, receiving };

  Result<void> bind();
  Result<void> expect_can(Half half) const;
  Result<void> expect_no_wait(Bytes bytes, Deadline deadline) const;
  Result<void> check_size(std::size_t size) const;
  std::unexpected<Error> refuse_handles() const;
  Result<void> send_rest(Bytes bytes, std::size_t& done, Deadline deadline);
  Result<void> wait(Half half, Deadline deadline);
  Result<short> wait_once(Half half, Deadline until);
  Result<void> attend(Result<void> (StreamLink::*duty)());
  Result<FdView> waker();
  Result<Fd> make_watch(FdView fd, std::uint32_t events);
  bool has_hung_up();
  Error why_unread();

  // Under sending_:
  bool owes() const noexcept { return control_left_ > 0 || giving_up_ || message_cut_; }
  bool is_free() const noexcept { return frame_left_ == 0 && !owes(); }
  Result<std::size_t> write(std::span<const iovec> parts);
  Result<std::size_t> write_frame(std::span<const iovec> parts);
  Result<void> fill_up();
  Result<void> pay();
  Result<void> pay_close();
  void queue(stream_frame::Type type, Bytes payload) noexcept;
  Result<void> send_step(Bytes bytes, std::size_t& done);
  Result<std::size_t> send_batch(std::span<const Bytes> messages, std::size_t& done);
  void cut_off(std::size_t done) noexcept;
  void say_closed() noexcept;

  // Under reading_:
  Result<Step> step(Message& into);
  Result<Step> step_on(Message& into);
  Result<Step> take_frame(Message& into);
  Result<Step> take_data(std::size_t size, Message& into);
  Result<void> take_payload();
  Result<Step> take_verdict(Message& into);
  Result<void> take_control(stream_frame::Type type, Bytes payload);
  Result<void> take_hello(Bytes payload);
  Result<void> fill();
  Bytes buffered() const noexcept { return {buffer_.get() + from_, to_ - from_}; }
  bool has_more() const noexcept;
  void show() noexcept { more_.set(has_more()); }
  std::unexpected<Error> end(Error error);

  const ChannelOptions options_;
  const bool is_socket_;
  const bool has_way_out_;
  Fd in_;
  Fd out_;

  std::mutex binding_;
  std::atomic<bool> bound_{false};
  std::atomic<bool> closed_{false};
  std::atomic<pid_t> owner_;
  std::atomic<bool> broken_{false};  // there is an ended_
  /// Set by close(), for threads that wait on descriptors that nothing but the peer wakes.
  std::mutex waking_;
  os::SignalFd waker_;

  // The sending half.
  std::mutex sending_;
  bool send_waits_ = false;  // its thread polls, and closes the descriptor if it is to be closed
  std::size_t at_once_ = 0;
  std::size_t frame_left_ = 0;         // bytes of the data frame under way that are not written yet
  stream_frame::Header frame_header_;  // of that frame
  bool giving_up_ = false;             // and which are to be filled up and taken back
  bool message_cut_ = false;           // pieces of a message went that nobody will continue
  std::array<std::byte, 64> control_;  // a small frame, of which the rest must go first
  std::size_t control_size_ = 0;
  std::size_t control_left_ = 0;
  std::unique_ptr<std::byte[]> batch_;
  Fd writable_;

  // The receiving half. The sender comes here too when it finds nobody reading.
  std::mutex reading_;
  bool receive_waits_ = false;
  std::unique_ptr<std::byte[]> buffer_;
  std::size_t from_ = 0;
  std::size_t to_ = 0;
  bool greeted_ = false;
  NapHabit nap_;
  bool in_frame_ = false;         // behind the header of a data frame
  std::size_t payload_left_ = 0;  // of that frame
  Message partial_;
  std::deque<Message> early_;
  std::optional<Error> ended_;
  Fd readable_;
  os::SignalFd more_;
};

}  // namespace bulkhead::transport
