// SPDX-License-Identifier: Apache-2.0
//
// TCP as a stream of known sizes, without delay; UDP between connected sockets. Hot sides poll with
// a call that does not block; on one core they yield in between.
#include "bench/inet_raw.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdexcept>
#include <sys/socket.h>
#include <system_error>

#include <bulkhead/fd.hpp>

#include "bench/payload.hpp"
#include "transport/udp_frame.hpp"

namespace bulkhead::bench {

namespace {

[[noreturn]] void fail(const char* what) {
  throw std::system_error{errno, std::generic_category(), what};
}

Fd make_socket(int type) {
  Fd socket = Fd::adopt(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
  if (!socket) fail("socket");
  return socket;
}

sockaddr_in bind_anywhere(FdView socket) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  auto* const address = reinterpret_cast<sockaddr*>(&at);
  if (::bind(socket.native(), address, sizeof at) != 0) fail("bind");
  if (::getsockname(socket.native(), address, &size) != 0) fail("getsockname");
  return at;
}

void connect_to(FdView socket, const sockaddr_in& to) {
  if (::connect(socket.native(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
    fail("connect");
  }
}

class InetRaw : public Variant {
 public:
  InetRaw(const Job& job, int type)
      : job_{job},
        type_{type},
        flags_{job.shape == Shape::round_trip && job.mode == Mode::hot ? MSG_DONTWAIT : 0},
        client_buffer_{job.bytes, job.offset},
        server_buffer_{job.bytes, job.offset} {}

  void create() override {
    client_ = make_socket(type_);
    if (type_ == SOCK_DGRAM) {
      server_ = make_socket(type_);
      const auto server_at = bind_anywhere(server_);
      const auto client_at = bind_anywhere(client_);
      connect_to(client_, server_at);
      connect_to(server_, client_at);
      return;
    }
    const Fd listener = make_socket(type_);
    const auto at = bind_anywhere(listener);
    if (::listen(listener.native(), 1) != 0) fail("listen");
    connect_to(client_, at);
    server_ = Fd::adopt(::accept4(listener.native(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!server_) fail("accept");
    const int yes = 1;
    for (const FdView end : {client_.view(), server_.view()}) {
      ::setsockopt(end.native(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    }
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
  void send(FdView socket, const std::byte* message) const {
    for (std::size_t done = 0; done < job_.bytes;) {
      const ssize_t n = ::send(socket.native(), message + done, job_.bytes - done, MSG_NOSIGNAL);
      if (n > 0) done += static_cast<std::size_t>(n);
      if (n < 0 && errno != EINTR) fail("send");
    }
  }

  void receive(FdView socket, Buffer& buffer) const {
    for (std::size_t done = 0; done < buffer.size();) {
      const ssize_t n = ::recv(socket.native(), buffer.data() + done, buffer.size() - done, flags_);
      if (n == 0) throw std::runtime_error{"recv: the peer has closed"};
      if (n > 0) done += static_cast<std::size_t>(n);
      if (n < 0 && errno == EAGAIN && job_.placement == Placement::one_core) ::sched_yield();
      if (n < 0 && errno != EAGAIN && errno != EINTR) fail("recv");
    }
  }

  const Job job_;
  const int type_;
  const int flags_;
  Fd client_;
  Fd server_;
  Buffer client_buffer_;
  Buffer server_buffer_;
};

}  // namespace

bool is_for_udp(const Job& job) {
  return job.shape == Shape::round_trip && job.bytes <= transport::udp_frame::most_payload(false);
}

std::unique_ptr<Variant> tcp_raw(const Job& job) {
  if (job.mode == Mode::in_place) return nullptr;  // the kernel copies whatever we do
  return std::make_unique<InetRaw>(job, SOCK_STREAM);
}

std::unique_ptr<Variant> udp_raw(const Job& job) {
  if (job.mode == Mode::in_place || !is_for_udp(job)) return nullptr;
  return std::make_unique<InetRaw>(job, SOCK_DGRAM);
}

}  // namespace bulkhead::bench
