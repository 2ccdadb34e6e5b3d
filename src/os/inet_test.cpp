// SPDX-License-Identifier: Apache-2.0
#include "os/inet.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "os/inet_owner.hpp"

namespace bulkhead::os {
namespace {

using namespace std::chrono_literals;

TEST(inet_addresses, are_read_from_numbers_of_both_kinds) {
  const auto four = or_throw(find_addresses("127.0.0.1:4711", SOCK_STREAM, never));
  ASSERT_EQ(four.size(), 1u);
  EXPECT_EQ(four[0].text(), "127.0.0.1:4711");
  EXPECT_TRUE(four[0].is_loopback());
  EXPECT_FALSE(four[0].is_multicast());
  const auto six = or_throw(find_addresses("[2001:db8::1]:80", SOCK_DGRAM, never));
  ASSERT_EQ(six.size(), 1u);
  EXPECT_EQ(six[0].text(), "[2001:db8::1]:80");
  EXPECT_EQ(six[0].port(), 80);
  EXPECT_FALSE(six[0].is_loopback());
  EXPECT_TRUE(or_throw(find_addresses("239.1.2.3:1", SOCK_DGRAM, never))[0].is_multicast());
  EXPECT_TRUE(or_throw(find_addresses("[ff15::1]:1", SOCK_DGRAM, never))[0].is_multicast());
}

TEST(inet_addresses, of_localhost_are_both_kinds_and_nobody_is_asked) {
  const auto found = or_throw(find_addresses("localhost:4711", SOCK_STREAM, -1s));
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].text(), "127.0.0.1:4711");
  EXPECT_EQ(found[1].text(), "[::1]:4711");
}

TEST(inet_addresses, of_another_form_are_refused_in_words) {
  const std::string zero{"127.0.0.1\0:1", 12};
  for (const std::string& text :
       {std::string{}, std::string{"localhost"}, std::string{":4711"}, std::string{"localhost:"},
        std::string{"localhost:http"}, std::string{"localhost:65536"}, std::string{"localhost:-1"},
        std::string{"localhost: 1"}, std::string{"::1:4711"}, std::string{"[::1]"},
        std::string{"[localhost]:1"}, std::string{"[127.0.0.1]:1"}, std::string{"300.1.1.1:1"},
        std::string{"a/b:1"}, std::string{"..%:1"}, zero, std::string(300, 'x') + ":1"}) {
    auto found = find_addresses(text, SOCK_STREAM, never);
    ASSERT_FALSE(found) << text;
    EXPECT_EQ(found.error().kind(), ErrorKind::invalid) << text << found.error();
    EXPECT_THAT(found.error().sentence(), testing::HasSubstr("127.0.0.1:4711"));
  }
}

TEST(inet_addresses, of_names_are_not_looked_for_when_the_deadline_has_come) {
  auto found = find_addresses("bulkhead.invalid:1", SOCK_STREAM, -1s);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().kind(), ErrorKind::timed_out);
}

TEST(inet_owner, of_a_port_is_found_whatever_the_kind_of_socket) {
  for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
    for (const int family : {AF_INET, AF_INET6}) {
      const auto at = InetAddress::loopback(family, 0);
      const Fd socket = or_throw(make_inet_socket(at, type));
      ASSERT_EQ(::bind(socket.native(), at.get(), at.size()), 0);
      if (type == SOCK_STREAM) {
        ASSERT_EQ(::listen(socket.native(), 1), 0);
      }
      const auto bound = or_throw(local_address(socket));
      EXPECT_NE(bound.port(), 0);
      EXPECT_EQ(owner_of(bound, type), ::getpid()) << bound.text();
      EXPECT_TRUE(is_listened_at(bound, type));
      const auto taken = address_in_use(bound, type).error();
      EXPECT_EQ(taken.kind(), ErrorKind::exists);
      EXPECT_THAT(taken.sentence(), testing::HasSubstr(std::to_string(::getpid())));
    }
  }
}

}  // namespace
}  // namespace bulkhead::os
