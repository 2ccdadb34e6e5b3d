// SPDX-License-Identifier: Apache-2.0
//
// Messages with boundaries as far as the kernel takes them (seqpacket), a stream of known sizes
// above that, or always. Hot sides poll with a call that does not block; on one core they yield in between.
#include "bench/unix_raw.hpp"

#include <cerrno>
#include <sched.h>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "bench/payload.hpp"

namespace bulkhead::bench {

namespace {

constexpr std::size_t largest_packet = 65536;
constexpr int send_buffer = 256 * 1024;  // what a channel has, too

class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_{fd} {}
  Socket(Socket&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const noexcept { return fd_; }

 private:
  int fd_ = -1;
};

[[noreturn]] void fail(const char* what) {
  throw std::system_error{errno, std::generic_category(), what};
}

class UnixRaw : public Variant {
 public:
  UnixRaw(const Job& job, int type)
      : job_{job},
        type_{type},
        flags_{job.shape == Shape::round_trip && job.mode == Mode::hot ? MSG_DONTWAIT : 0},
        client_buffer_{job.bytes, job.offset},
        server_buffer_{job.bytes, job.offset} {}

  void create() override {
    int ends[2];
    if (::socketpair(AF_UNIX, type_ | SOCK_CLOEXEC, 0, ends) != 0) fail("socketpair");
    for (const int end : ends)
      ::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
    client_ = Socket{ends[0]};
    server_ = Socket{ends[1]};
  }

  void client(std::uint64_t count) override {
    for (std::uint64_t i = 0; i < count; ++i) {
      send(client_, client_buffer_.message(i));
      if (job_.shape == Shape::round_trip) receive(client_, client_buffer_);
    }
  }

  void server(std::uint64_t count) override {
    for (std::uint64_t i = 0; i < count; ++i) {
      receive(server_, server_buffer_);
      if (job_.shape == Shape::round_trip) send(server_, server_buffer_.data());
    }
  }

 private:
  void send(const Socket& socket, const std::byte* message) const {
    for (std::size_t done = 0; done < job_.bytes;) {
      const ssize_t n = ::send(socket.get(), message + done, job_.bytes - done, MSG_NOSIGNAL);
      if (n > 0) done += static_cast<std::size_t>(n);
      if (n < 0 && errno != EINTR) fail("send");
    }
  }

  void receive(const Socket& socket, Buffer& buffer) const {
    for (std::size_t done = 0; done < buffer.size();) {
      const ssize_t n = ::recv(socket.get(), buffer.data() + done, buffer.size() - done, flags_);
      if (n == 0) throw std::runtime_error{"recv: the peer has closed"};
      if (n > 0) done += static_cast<std::size_t>(n);
      if (n < 0 && errno == EAGAIN && job_.placement == Placement::one_core) ::sched_yield();
      if (n < 0 && errno != EAGAIN && errno != EINTR) fail("recv");
    }
  }

  const Job job_;
  const int type_;
  const int flags_;
  Socket client_;
  Socket server_;
  Buffer client_buffer_;
  Buffer server_buffer_;
};

}  // namespace

std::unique_ptr<Variant> unix_raw(const Job& job) {
  if (job.mode == Mode::in_place) return nullptr;  // the kernel copies whatever we do
  const int type = job.bytes <= largest_packet ? SOCK_SEQPACKET : SOCK_STREAM;
  return std::make_unique<UnixRaw>(job, type);
}

std::unique_ptr<Variant> unix_stream_raw(const Job& job) {
  if (job.mode == Mode::in_place) return nullptr;
  return std::make_unique<UnixRaw>(job, SOCK_STREAM);
}

}  // namespace bulkhead::bench
