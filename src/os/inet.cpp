// SPDX-License-Identifier: Apache-2.0
#include "os/inet.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <cstring>
#include <memory>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <tuple>

#include "os/socket.hpp"
#include "os/syscall.hpp"

namespace bulkhead::os {
namespace {

std::unexpected<Error> refuse(std::string cause) {
  return fail(ErrorKind::invalid,
              {.operation = "read address",
               .cause = std::move(cause),
               .remedy = "write host:port, as 127.0.0.1:4711, [::1]:4711 or localhost:4711"});
}

struct Place {
  std::string host;
  std::uint16_t port = 0;
  bool in_brackets = false;
};

bool is_host_letter(char letter) {
  return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
         (letter >= '0' && letter <= '9') || letter == '.' || letter == '-' || letter == '_';
}

Result<Place> read_place(const std::string& text) {
  const auto colon = text.rfind(':');
  if (colon == std::string::npos) return refuse("it has no port");
  Place place{.host = text.substr(0, colon)};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, place.port);
  if (error != std::errc{} || stop != end || colon + 1 == text.size()) {
    return refuse("its port is no number from 0 to 65535");
  }
  if (place.host.empty()) return refuse("it has no host");
  place.in_brackets = place.host.front() == '[' && place.host.back() == ']';
  if (place.in_brackets) {
    place.host = place.host.substr(1, place.host.size() - 2);
    if (place.host.find('\0') != std::string::npos) return refuse("it has a zero byte");
  } else if (place.host.size() > 253 || !std::ranges::all_of(place.host, is_host_letter)) {
    return refuse("its host is no name, and IPv6 needs brackets");
  }
  return place;
}

using Found = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

/// What getaddrinfo says; its error number beside it.
std::pair<Found, int> ask(const Place& place, int socket_type, int flags) {
  addrinfo hints{};
  hints.ai_socktype = socket_type;
  hints.ai_flags = flags | AI_NUMERICSERV;
  hints.ai_family = place.in_brackets ? AF_INET6 : AF_UNSPEC;
  addrinfo* list = nullptr;
  const int number =
      ::getaddrinfo(place.host.c_str(), std::to_string(place.port).c_str(), &hints, &list);
  return {Found{number == 0 ? list : nullptr, ::freeaddrinfo}, number};
}

std::unexpected<Error> unknown_name(const std::string& host, int number) {
  if (number == EAI_SYSTEM) return failed("find", host);
  const bool unknown = number == EAI_NONAME || number == EAI_NODATA || number == EAI_ADDRFAMILY;
  const bool later = number == EAI_AGAIN;
  return fail(unknown ? ErrorKind::not_found
              : later ? ErrorKind::timed_out
                      : ErrorKind::system,
              {.operation = "find",
               .object = host,
               .cause = ::gai_strerror(number),
               .remedy = "give the address as a number, or look at resolv.conf"});
}

Result<InetAddress> address_of(FdView socket,
                               int (*question)(int, sockaddr*, socklen_t*) noexcept) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (question(socket.native(), reinterpret_cast<sockaddr*>(&storage), &size) != 0) {
    return failed("ask", "the socket's address");
  }
  return InetAddress::from(storage);
}

}  // namespace

Result<InetAddress> InetAddress::from(const sockaddr_storage& storage) {
  if (storage.ss_family != AF_INET && storage.ss_family != AF_INET6) {
    return fail(ErrorKind::invalid, {.cause = "it is no IPv4 or IPv6 address"});
  }
  InetAddress address;
  address.storage_ = storage;
  return address;
}

InetAddress InetAddress::loopback(int family, std::uint16_t port) {
  InetAddress address;
  address.storage_.ss_family = static_cast<sa_family_t>(family);
  if (family == AF_INET6) {
    auto& six = reinterpret_cast<sockaddr_in6&>(address.storage_);
    six.sin6_addr = in6addr_loopback;
    six.sin6_port = htons(port);
  } else {
    auto& four = reinterpret_cast<sockaddr_in&>(address.storage_);
    four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    four.sin_port = htons(port);
  }
  return address;
}

socklen_t InetAddress::size() const noexcept {
  return family() == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
}

std::uint16_t InetAddress::port() const noexcept {
  // At the same place for both families.
  static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
  return ntohs(reinterpret_cast<const sockaddr_in&>(storage_).sin_port);
}

std::string_view InetAddress::raw() const noexcept {
  const bool six = family() == AF_INET6;
  const auto* bytes = reinterpret_cast<const char*>(&storage_);
  return {bytes + (six ? offsetof(sockaddr_in6, sin6_addr) : offsetof(sockaddr_in, sin_addr)),
          six ? sizeof(in6_addr) : sizeof(in_addr)};
}

bool InetAddress::is_loopback() const noexcept {
  if (family() == AF_INET) return raw().front() == 127;
  return IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6&>(storage_).sin6_addr);
}

bool InetAddress::is_multicast() const noexcept {
  const auto first = static_cast<unsigned char>(raw().front());
  return family() == AF_INET ? (first & 0xf0) == 0xe0 : first == 0xff;
}

std::string InetAddress::text() const {
  char host[INET6_ADDRSTRLEN + IF_NAMESIZE] = {};
  ::getnameinfo(get(), size(), host, sizeof host, nullptr, 0, NI_NUMERICHOST);
  const std::string port_text = ":" + std::to_string(port());
  return family() == AF_INET6 ? "[" + std::string{host} + "]" + port_text : host + port_text;
}

Result<std::vector<InetAddress>> find_addresses(const std::string& host_and_port, int socket_type,
                                                Deadline deadline) {
  const Place place = BULKHEAD_TRY(read_place(host_and_port));
  if (place.host == "localhost" &&
      !place.in_brackets) {  // RFC 6761: needs no question, and may be asked of nobody
    return std::vector{InetAddress::loopback(AF_INET, place.port),
                       InetAddress::loopback(AF_INET6, place.port)};
  }
  auto [found, number] = ask(place, socket_type, AI_NUMERICHOST);
  if (!found && place.in_brackets) return refuse("there is no IPv6 address in its brackets");
  if (!found) {
    const bool is_name = std::ranges::any_of(
        place.host, [](char letter) { return letter != '.' && (letter < '0' || letter > '9'); });
    if (!is_name) return refuse("its host is neither an IPv4 address nor a name");
    if (deadline.expired()) return fail(ErrorKind::timed_out);
    std::tie(found, number) = ask(place, socket_type, AI_ADDRCONFIG);
  }
  if (!found) return unknown_name(place.host, number);
  std::vector<InetAddress> addresses;
  for (const addrinfo* one = found.get(); one != nullptr; one = one->ai_next) {
    if (one->ai_family != AF_INET && one->ai_family != AF_INET6) continue;
    InetAddress address;
    std::memcpy(&address.storage_, one->ai_addr, one->ai_addrlen);
    if (std::ranges::find(addresses, address) == addresses.end()) addresses.push_back(address);
  }
  if (addresses.empty()) return unknown_name(place.host, EAI_NODATA);
  return addresses;
}

Result<InetAddress> local_address(FdView socket) { return address_of(socket, ::getsockname); }
Result<InetAddress> remote_address(FdView socket) { return address_of(socket, ::getpeername); }

Result<Fd> make_inet_socket(const InetAddress& address, int socket_type) {
  Fd socket = Fd::adopt(::socket(address.family(), socket_type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return failed("make", "socket");
  // "[::]" says IPv6: a listener is not to be open to more than its address says.
  if (address.family() == AF_INET6) {
    BULKHEAD_TRY(set_socket_option(socket, IPPROTO_IPV6, IPV6_V6ONLY, 1, "IPV6_V6ONLY"));
  }
  return socket;
}

bool is_connected_inet(FdView socket, int socket_type) noexcept {
  const int family = socket_option(socket, SOL_SOCKET, SO_DOMAIN);
  return (family == AF_INET || family == AF_INET6) &&
         socket_option(socket, SOL_SOCKET, SO_TYPE) == socket_type &&
         remote_address(socket).has_value();
}

}  // namespace bulkhead::os
