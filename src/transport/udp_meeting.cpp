// SPDX-License-Identifier: Apache-2.0
#include "transport/udp_meeting.hpp"

#include <cstring>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/inet.hpp"
#include "os/socket.hpp"
#include "os/syscall.hpp"
#include "transport/parameters.hpp"
#include "transport/udp_acceptor.hpp"
#include "transport/udp_cookie.hpp"
#include "transport/udp_socket.hpp"

namespace bulkhead::transport {
namespace {

using os::InetAddress;

Result<void> bind_to(FdView socket, const InetAddress& at) {
  if (::bind(socket.native(), at.get(), at.size()) == 0) return {};
  return os::failed("bind", at.text());
}

Result<void> connect_socket(FdView socket, const InetAddress& to) {
  if (::connect(socket.native(), to.get(), to.size()) == 0) return {};
  return os::failed("connect", to.text());
}

/// What came before it was connected is from strangers.
void empty_out(FdView socket) {
  std::byte byte{};
  while (os::retry_eintr([&] { return ::recv(socket.native(), &byte, 1, MSG_DONTWAIT); }) >= 0) {
  }
}

Result<LinkPair> pair_on(int family, const ChannelOptions& options) {
  const auto anywhere = InetAddress::loopback(family, 0);
  Fd first = BULKHEAD_TRY(os::make_inet_socket(anywhere, SOCK_DGRAM));
  Fd second = BULKHEAD_TRY(os::make_inet_socket(anywhere, SOCK_DGRAM));
  BULKHEAD_TRY(bind_to(first, anywhere));
  BULKHEAD_TRY(bind_to(second, anywhere));
  const auto one_end = BULKHEAD_TRY(os::local_address(first));
  const auto other_end = BULKHEAD_TRY(os::local_address(second));
  BULKHEAD_TRY(connect_socket(first, other_end));
  BULKHEAD_TRY(connect_socket(second, one_end));
  empty_out(first);
  empty_out(second);
  ChannelOptions others = options;
  others.direction = opposite(options.direction);
  const Peer we{.pid = 0, .uid = ::geteuid(), .gid = ::getegid()};
  auto one = BULKHEAD_TRY(make_udp_link(std::move(first), UdpEnd{.peer = we}, options));
  auto other = BULKHEAD_TRY(make_udp_link(std::move(second), UdpEnd{.peer = we}, others));
  return LinkPair{std::move(one), std::move(other)};
}

struct Group {
  InetAddress address;
  int interface = 0;
  int hops = 1;
};

Result<Group> read_group(const InetAddress& address, Parameters& parameters) {
  Group group{.address = address};
  const std::string interface = parameters.text("interface").value_or("lo");
  group.hops = static_cast<int>(BULKHEAD_TRY(parameters.number("hops", 1, 255)).value_or(1));
  group.interface = static_cast<int>(::if_nametoindex(interface.c_str()));
  if (group.interface == 0) {
    return fail(ErrorKind::not_found, {.cause = "no network interface is called " + interface,
                                       .remedy = "`ip link` shows those that there are"});
  }
  return group;
}

Result<Fd> sending_socket(const Group& group) {
  Fd socket = BULKHEAD_TRY(os::make_inet_socket(group.address, SOCK_DGRAM));
  if (group.address.family() == AF_INET6) {
    BULKHEAD_TRY(os::set_socket_option(socket, IPPROTO_IPV6, IPV6_MULTICAST_IF, group.interface,
                                       "IPV6_MULTICAST_IF"));
    BULKHEAD_TRY(os::set_socket_option(socket, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, group.hops,
                                       "IPV6_MULTICAST_HOPS"));
  } else {
    ip_mreqn which{};
    which.imr_ifindex = group.interface;
    if (::setsockopt(socket.native(), IPPROTO_IP, IP_MULTICAST_IF, &which, sizeof which) != 0) {
      return os::failed("set", "IP_MULTICAST_IF");
    }
    BULKHEAD_TRY(os::set_socket_option(socket, IPPROTO_IP, IP_MULTICAST_TTL, group.hops,
                                       "IP_MULTICAST_TTL"));
  }
  BULKHEAD_TRY(connect_socket(socket, group.address));
  return socket;
}

Result<Fd> receiving_socket(const Group& group) {
  Fd socket = BULKHEAD_TRY(os::make_inet_socket(group.address, SOCK_DGRAM));
  // Any number of processes of this machine listen to a group, each with a socket.
  BULKHEAD_TRY(os::set_socket_option(socket, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR"));
  BULKHEAD_TRY(bind_to(socket, group.address));
  group_req join{};
  join.gr_interface = static_cast<std::uint32_t>(group.interface);
  std::memcpy(&join.gr_group, group.address.get(), group.address.size());
  const bool six = group.address.family() == AF_INET6;
  if (::setsockopt(socket.native(), six ? IPPROTO_IPV6 : IPPROTO_IP, MCAST_JOIN_GROUP, &join,
                   sizeof join) != 0) {
    return os::failed("join", "the group " + group.address.text());
  }
  // Only what this socket has joined, not what others of this machine have (ip(7)).
  if (!six) {
    BULKHEAD_TRY(
        os::set_socket_option(socket, IPPROTO_IP, IP_MULTICAST_ALL, 0, "IP_MULTICAST_ALL"));
  }
  return socket;
}

Result<std::unique_ptr<Link>> connect_group(const Group& group, const ChannelOptions& options) {
  if (options.direction == Direction::both) {
    return fail(ErrorKind::unsupported,
                {.cause = "a group is sent to or received from",
                 .remedy = "set ChannelOptions::direction to send or to receive"});
  }
  const bool sends = options.direction == Direction::send;
  Fd socket = sends ? BULKHEAD_TRY(sending_socket(group)) : BULKHEAD_TRY(receiving_socket(group));
  const auto session = BULKHEAD_TRY(random_value<std::uint64_t>());
  return make_udp_link(std::move(socket), UdpEnd{.hearing = {UdpHearing::Role::group, session}},
                       options);
}

Result<std::unique_ptr<Link>> connect_client(const InetAddress& to, Deadline deadline,
                                             const ChannelOptions& options) {
  Fd socket = BULKHEAD_TRY(os::make_inet_socket(to, SOCK_DGRAM));
  BULKHEAD_TRY(connect_socket(socket, to));
  const auto session = BULKHEAD_TRY(random_value<std::uint64_t>());
  return make_udp_link(std::move(socket), UdpEnd{.hearing = {UdpHearing::Role::client, session}},
                       options, !to.is_loopback(), deadline);
}

/// Of what is left, so that all that are still to be tried have their turn.
Deadline share_of(Deadline deadline, std::size_t still) {
  if (deadline.is_never() || deadline == no_wait) return deadline;
  return deadline.remaining() / static_cast<long>(still);
}

}  // namespace

Result<LinkPair> make_udp_pair(const ChannelOptions& options) {
  auto four = pair_on(AF_INET, options);
  if (four || four.error() == ErrorKind::exhausted) return four;
  auto six = pair_on(AF_INET6, options);
  return six ? std::move(six) : std::move(four);
}

Result<std::unique_ptr<Link>> connect_udp(const std::string& name, Deadline deadline,
                                          const ChannelOptions& options) {
  std::string host_and_port = name;
  Parameters parameters = BULKHEAD_TRY(Parameters::cut_from(host_and_port));
  const auto addresses = BULKHEAD_TRY(os::find_addresses(host_and_port, SOCK_DGRAM, deadline));
  if (addresses.front().port() == 0) {
    return fail(ErrorKind::invalid, {.cause = "its port is 0", .remedy = "name the listener's"});
  }
  if (addresses.front().is_multicast()) {
    const Group group = BULKHEAD_TRY(read_group(addresses.front(), parameters));
    BULKHEAD_TRY(parameters.expect_none_left());
    return connect_group(group, options);
  }
  BULKHEAD_TRY(parameters.expect_none_left());
  std::optional<Error> first;
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    auto link = connect_client(addresses[i], share_of(deadline, addresses.size() - i), options);
    if (link || link.error() == ErrorKind::exhausted) return link;
    if (!first) first = std::move(link).error();
  }
  return fail(*std::move(first));
}

Result<std::unique_ptr<Acceptor>> listen_udp(const std::string& name, const ChannelOptions& options,
                                             bool) {
  std::string host_and_port = name;
  const Parameters parameters = BULKHEAD_TRY(Parameters::cut_from(host_and_port));
  BULKHEAD_TRY(parameters.expect_none_left());
  const auto addresses = BULKHEAD_TRY(os::find_addresses(host_and_port, SOCK_DGRAM, never));
  std::optional<Error> first;
  for (const InetAddress& address : addresses) {
    if (address.is_multicast()) {
      return fail(ErrorKind::unsupported, {.cause = "nobody connects to a group",
                                           .remedy = "connect to it with Direction::receive"});
    }
    auto acceptor = make_udp_acceptor(address, options);
    if (acceptor || acceptor.error() == ErrorKind::exhausted) return acceptor;
    if (!first) first = std::move(acceptor).error();
  }
  return fail(*std::move(first));
}

}  // namespace bulkhead::transport
