// SPDX-License-Identifier: Apache-2.0
//
// What an end makes of datagrams: of numbers out of order, of strangers and of liars.
#include "transport/udp_hearing.hpp"

#include <cstring>
#include <gtest/gtest.h>
#include <random>
#include <set>
#include <vector>

#include "transport/udp_cookie.hpp"

namespace bulkhead::transport {
namespace {

using udp_frame::Header;
using udp_frame::Type;
using Role = UdpHearing::Role;
using Verdict = UdpHearing::Verdict;

UdpHearing::Verdict tell(UdpHearing& hearing, const Header& header) {
  return hearing.hear(udp_frame::pack(header));
}

Header data(std::uint32_t sequence, std::uint64_t session = 7) {
  return {.type = Type::data, .sequence = sequence, .session = session};
}

TEST(udp_tally, counts_what_is_missing_late_and_there_twice) {
  Tally tally;
  for (const std::uint32_t number : {0, 1, 2}) EXPECT_TRUE(tally.arrived(number));
  EXPECT_TRUE(tally.arrived(5));
  EXPECT_EQ(tally.losses().lost, 2u);
  EXPECT_TRUE(tally.arrived(3));
  EXPECT_EQ(tally.losses().lost, 1u);
  EXPECT_EQ(tally.losses().reordered, 1u);
  EXPECT_FALSE(tally.arrived(3));
  EXPECT_FALSE(tally.arrived(0));
  EXPECT_EQ(tally.losses().duplicated, 2u);
  tally.ended(9);
  EXPECT_EQ(tally.losses().lost, 4u) << "4, and 6 to 8, of which the close tells";
}

TEST(udp_tally, goes_on_where_numbers_begin_anew) {
  Tally tally;
  tally.begin_at(0xffff'fffe);
  for (const std::uint32_t number : {0xffff'fffeU, 0xffff'ffffU, 0U, 2U}) {
    EXPECT_TRUE(tally.arrived(number));
  }
  EXPECT_EQ(tally.losses().lost, 1u);
  EXPECT_FALSE(tally.arrived(0xffff'fffdU)) << "before it began: nobody missed it";
  EXPECT_TRUE(tally.arrived(1));
  EXPECT_EQ(tally.losses().lost, 0u);
}

TEST(udp_tally, of_what_is_too_late_to_tell_keeps_it_as_lost) {
  Tally tally;
  EXPECT_TRUE(tally.arrived(0));
  EXPECT_TRUE(tally.arrived(static_cast<std::uint32_t>(Tally::window) + 10));
  const auto lost = tally.losses().lost;
  EXPECT_EQ(lost, Tally::window + 9);
  EXPECT_FALSE(tally.arrived(3));
  EXPECT_EQ(tally.losses().lost, lost);
  EXPECT_TRUE(tally.arrived(11));
  EXPECT_EQ(tally.losses().lost, lost - 1);
}

TEST(udp_tally, agrees_with_a_set_whatever_the_network_does) {
  std::mt19937 generator{4711};
  const auto random = [&] { return static_cast<std::uint32_t>(generator()); };
  for (int run = 0; run < 200; ++run) {
    Tally tally;
    std::set<std::uint32_t> came;
    std::uint32_t next = 0;
    std::uint64_t twice = 0;
    for (int i = 0; i < 300; ++i) {
      const auto chance = random() % 10;
      std::uint32_t number = next;
      if (chance == 0) number = next + random() % 5;
      if (chance == 1 && next > 0) number = next - 1 - random() % std::min<std::uint32_t>(next, 30);
      const bool is_new = came.insert(number).second;
      EXPECT_EQ(tally.arrived(number), is_new);
      twice += is_new ? 0 : 1;
      next = std::max(next, number + 1);
    }
    EXPECT_EQ(tally.losses().lost, next - came.size());
    EXPECT_EQ(tally.losses().duplicated, twice);
  }
}

TEST(udp_hearing, of_a_client_follows_the_greeting) {
  UdpHearing client{Role::client, 7};
  EXPECT_FALSE(client.is_greeted());
  EXPECT_EQ(client.hear(udp_frame::pack({.type = Type::challenge, .session = 7}, 99)),
            Verdict::greet_again);
  EXPECT_EQ(client.cookie(), 99u);
  EXPECT_EQ(tell(client, {.type = Type::unknown, .session = 7}), Verdict::greet_again);
  EXPECT_EQ(tell(client, {.type = Type::welcome, .session = 7}), Verdict::ignore);
  EXPECT_TRUE(client.is_greeted());
  EXPECT_EQ(tell(client, data(0)), Verdict::deliver);
  EXPECT_EQ(tell(client, {.type = Type::unknown, .session = 7}), Verdict::ended);
  EXPECT_EQ(*client.error(), ErrorKind::peer_died);
  EXPECT_EQ(tell(client, data(1)), Verdict::ended) << "for ever";
}

TEST(udp_hearing, of_a_server_welcomes_and_ends) {
  UdpHearing server{Role::server, 7};
  EXPECT_EQ(server.hear(udp_frame::pack({.type = Type::hello, .session = 7}, 0)), Verdict::welcome);
  EXPECT_EQ(tell(server, data(0)), Verdict::deliver);
  EXPECT_EQ(tell(server, {.type = Type::close, .sequence = 3, .session = 7}), Verdict::ended);
  EXPECT_EQ(*server.error(), ErrorKind::closed);
  EXPECT_EQ(server.losses().lost, 2u);
}

TEST(udp_hearing, of_strangers_changes_nothing) {
  UdpHearing client{Role::client, 7};
  const std::vector<std::byte> zeros(2000);
  for (std::size_t size = 0; size < 40; ++size) {
    EXPECT_EQ(client.hear(Bytes{zeros}.first(size)), Verdict::ignore);
  }
  for (int type = 0; type < 256; ++type) {
    EXPECT_EQ(tell(client, {.type = static_cast<Type>(type), .session = 8}), Verdict::ignore);
  }
  EXPECT_FALSE(client.is_greeted());
  EXPECT_FALSE(client.error());
}

TEST(udp_hearing, of_a_liar_with_the_right_session_ends) {
  for (const int type : {0, 1, 8, 255}) {
    UdpHearing client{Role::client, 7};
    EXPECT_EQ(tell(client, {.type = static_cast<Type>(type), .session = 7}), Verdict::ended);
    EXPECT_EQ(*client.error(), ErrorKind::corrupt);
  }
  UdpHearing server{Role::server, 7};
  EXPECT_EQ(tell(server, {.type = Type::welcome, .session = 7}), Verdict::ended);
  EXPECT_EQ(*server.error(), ErrorKind::corrupt);
}

TEST(udp_hearing, of_another_version_is_incompatible) {
  UdpHearing client{Role::client, 7};
  EXPECT_EQ(tell(client, {.type = Type::refused, .session = 7, .version = 2}), Verdict::ended);
  EXPECT_EQ(*client.error(), ErrorKind::incompatible);
}

TEST(udp_hearing, of_a_group_counts_each_sender_alone_and_forgets_some) {
  UdpHearing group{Role::group, 0};
  for (std::uint64_t sender = 1; sender <= 100; ++sender) {
    EXPECT_EQ(tell(group, data(500, sender)), Verdict::deliver);
    EXPECT_EQ(tell(group, data(502, sender)), Verdict::deliver);
    EXPECT_EQ(tell(group, data(502, sender)), Verdict::ignore);
  }
  EXPECT_EQ(group.losses().lost, 100u);
  EXPECT_EQ(group.losses().duplicated, 100u);
  EXPECT_EQ(tell(group, {.type = Type::close, .session = 1}), Verdict::ignore);
  EXPECT_EQ(tell(group, data(502, 1)), Verdict::deliver) << "forgotten: a new one";
}

TEST(udp_cookie, is_of_the_algorithm_that_it_names) {
  // The reference's key 00 01 .. 0f, and its outputs for no byte and for 00 01 .. 0e.
  const std::array<std::uint64_t, 2> key{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  std::string text;
  EXPECT_EQ(SipHash{key}.of(text), 0x726fdb47dd0e0e31u);
  for (char byte = 0; byte < 15; ++byte) text += byte;
  EXPECT_EQ(SipHash{key}.of(text), 0xa129ca6149be45e5u);
}

TEST(udp_cookie, is_good_for_one_address_and_one_session_of_one_listener) {
  const auto key = or_throw(CookieKey::make());
  const auto from = os::InetAddress::loopback(AF_INET, 4711);
  const auto cookie = key.now(from, 7);
  EXPECT_TRUE(key.accepts(cookie, from, 7));
  EXPECT_FALSE(key.accepts(cookie, from, 8));
  EXPECT_FALSE(key.accepts(cookie + 1, from, 7));
  EXPECT_FALSE(key.accepts(0, from, 7));
  EXPECT_FALSE(key.accepts(cookie, os::InetAddress::loopback(AF_INET, 4712), 7));
  EXPECT_FALSE(key.accepts(cookie, os::InetAddress::loopback(AF_INET6, 4711), 7));
  EXPECT_FALSE(or_throw(CookieKey::make()).accepts(cookie, from, 7));
}

}  // namespace
}  // namespace bulkhead::transport
