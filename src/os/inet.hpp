// SPDX-License-Identifier: Apache-2.0
//
// InetAddress: an IPv4 or IPv6 address with its port, and how one is found from words:
// "127.0.0.1:4711", "[::1]:4711", "[fe80::1%eth0]:4711", "localhost:4711", "example.org:4711".
//
// Numbers and "localhost" are read here and ask nobody. Other names go to the system's resolver
// (getaddrinfo), in the calling thread: it knows no deadline and gives up after times of its own,
// by default two attempts of 5 s with each name server (resolv.conf(5), options timeout and
// attempts). An asynchronous one (getaddrinfo_a) would be a hidden thread. So the deadline is
// looked at before and after; who needs it kept to the millisecond gives a number.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <vector>

#include <bulkhead/deadline.hpp>
#include <bulkhead/fd.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead::os {

class InetAddress {
 public:
  InetAddress() = default;
  /// `invalid` for other families.
  static Result<InetAddress> from(const sockaddr_storage& storage);
  /// 127.0.0.1 or ::1.
  static InetAddress loopback(int family, std::uint16_t port);

  const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t size() const noexcept;
  int family() const noexcept { return storage_.ss_family; }
  std::uint16_t port() const noexcept;
  /// The bytes of the address alone, 4 or 16.
  std::string_view raw() const noexcept;

  bool is_loopback() const noexcept;
  bool is_multicast() const noexcept;

  /// "127.0.0.1:4711", "[::1]:4711".
  std::string text() const;

  friend bool operator==(const InetAddress& a, const InetAddress& b) noexcept {
    return a.family() == b.family() && a.port() == b.port() && a.raw() == b.raw();
  }

 private:
  friend Result<std::vector<InetAddress>> find_addresses(const std::string&, int, Deadline);

  sockaddr_storage storage_{};
};

/// All addresses of "host:port" in the order in which they are to be tried; never none. `socket_type`
/// is SOCK_STREAM or SOCK_DGRAM. `invalid` for what is not of that form, `not_found` for a name that
/// nobody knows, `timed_out` when the deadline has come.
Result<std::vector<InetAddress>> find_addresses(const std::string& host_and_port, int socket_type,
                                                Deadline deadline);

/// This end's and the other end's address of a socket.
Result<InetAddress> local_address(FdView socket);
Result<InetAddress> remote_address(FdView socket);

/// A socket of the address's family, close-on-exec and not blocking; one of IPv6 is of IPv6 alone.
Result<Fd> make_inet_socket(const InetAddress& address, int socket_type);

/// It is a connected IPv4 or IPv6 socket of this type.
bool is_connected_inet(FdView socket, int socket_type) noexcept;

}  // namespace bulkhead::os
