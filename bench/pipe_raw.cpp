// SPDX-License-Identifier: Apache-2.0
//
// Streams of known sizes, in pipes as large as a channel's. Hot sides of a round trip poll with a
// read that does not block; on one core they yield in between.
#include "bench/pipe_raw.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sched.h>
#include <stdexcept>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include <bulkhead/channel.hpp>

#include "bench/folder.hpp"
#include "bench/payload.hpp"
#include "os/pipe.hpp"

namespace bulkhead::bench {

namespace {

[[noreturn]] void fail(const char* what) {
  throw std::system_error{errno, std::generic_category(), what};
}

/// Neither end blocks.
os::Pipe make_named(const std::string& path) {
  if (::mkfifo(path.c_str(), 0600) != 0) fail("mkfifo");
  os::Pipe pipe;
  pipe.read_end = Fd::adopt(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  pipe.write_end = Fd::adopt(::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  if (!pipe.read_end || !pipe.write_end) fail("open");
  return pipe;
}

void let_block(FdView fd) {
  if (::fcntl(fd.native(), F_SETFL, ::fcntl(fd.native(), F_GETFL) & ~O_NONBLOCK) != 0) {
    fail("fcntl");
  }
}

class PipeRaw : public Variant {
 public:
  PipeRaw(const Job& job, bool named)
      : job_{job},
        named_{named},
        polls_{job.shape == Shape::round_trip && job.mode == Mode::hot},
        client_buffer_{job.bytes, job.offset},
        server_buffer_{job.bytes, job.offset} {}

  void create() override {
    if (named_) folder_.emplace();
    there_ = make("there");
    back_ = make("back");
  }

  void connect(Side side) override {
    // A forked side drops what the other has: the end of a pipe is the end of its last copy.
    (side == Side::client ? there_.read_end : there_.write_end).close();
    (side == Side::client ? back_.write_end : back_.read_end).close();
  }

  void client(std::uint64_t count) override {
    for (std::uint64_t i = 0; i < count; ++i) {
      send(there_.write_end, client_buffer_.message(i));
      if (job_.shape == Shape::round_trip) receive(back_.read_end, client_buffer_);
    }
  }

  void server(std::uint64_t count) override {
    for (std::uint64_t i = 0; i < count; ++i) {
      receive(there_.read_end, server_buffer_);
      if (job_.shape == Shape::round_trip) send(back_.write_end, server_buffer_.data());
    }
  }

 private:
  os::Pipe make(const char* name) const {
    os::Pipe pipe = named_ ? make_named(*folder_ / name) : or_throw(os::make_pipe());
    os::set_pipe_room(pipe.write_end, ChannelOptions{}.capacity_bytes);
    let_block(pipe.write_end);
    if (!polls_) let_block(pipe.read_end);
    return pipe;
  }

  void send(FdView to, const std::byte* message) const {
    for (std::size_t done = 0; done < job_.bytes;) {
      const ssize_t n = ::write(to.native(), message + done, job_.bytes - done);
      if (n > 0) done += static_cast<std::size_t>(n);
      if (n < 0 && errno != EINTR) fail("write");
    }
  }

  void receive(FdView from, Buffer& buffer) const {
    for (std::size_t done = 0; done < buffer.size();) {
      const ssize_t n = ::read(from.native(), buffer.data() + done, buffer.size() - done);
      if (n == 0) throw std::runtime_error{"read: the peer has closed"};
      if (n > 0) done += static_cast<std::size_t>(n);
      if (n < 0 && errno == EAGAIN && job_.placement == Placement::one_core) ::sched_yield();
      if (n < 0 && errno != EAGAIN && errno != EINTR) fail("read");
    }
  }

  const Job job_;
  const bool named_;
  const bool polls_;
  std::optional<Folder> folder_;
  os::Pipe there_;
  os::Pipe back_;
  Buffer client_buffer_;
  Buffer server_buffer_;
};

std::unique_ptr<Variant> make_variant(const Job& job, bool named) {
  if (job.mode == Mode::in_place) return nullptr;  // the kernel copies whatever we do
  return std::make_unique<PipeRaw>(job, named);
}

}  // namespace

std::unique_ptr<Variant> pipe_raw(const Job& job) { return make_variant(job, false); }
std::unique_ptr<Variant> fifo_raw(const Job& job) { return make_variant(job, true); }

}  // namespace bulkhead::bench
