// SPDX-License-Identifier: Apache-2.0
//
// A8 at run time: memory that several write is never shared with a process that is not trusted,
// whichever way it is tried. What must not even compile is in tests/refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <bulkhead/bulkhead.hpp>

#include "support/process_roles.hpp"

namespace {

using namespace bulkhead;
using namespace bulkhead::test;
using namespace std::chrono_literals;
using testing::HasSubstr;

struct Account {
  explicit Account(Place place) : lock(place, "account") {}
  Mutex lock;
  std::int64_t balance = 0;
};

SharedRegion region_of_account() {
  auto region = or_throw(SharedRegion::create(4096));
  or_throw(Shared<Account>::create_in(or_throw(region.duplicate())))->balance = 5;
  return region;
}

Message letter(SharedRegion region) {
  Message message{as_bytes("here it is")};
  message.handles().push_back(or_throw(std::move(region).into_handle()));
  return message;
}

std::pair<Channel, Channel> ends(Mechanism mechanism, Trust trust) {
  return or_throw(pair(mechanism, {.trust = trust}));
}

TEST(shared_trust, a_shared_region_goes_over_a_channel_between_equals) {
  for (const auto mechanism : {Mechanism::shm, Mechanism::unix_socket, Mechanism::inproc}) {
    auto [here, there] = ends(mechanism, Trust::equal);
    ASSERT_TRUE(here.send(letter(region_of_account()), 10s)) << to_string(mechanism);
    auto message = or_throw(there.receive(10s));
    ASSERT_EQ(message.handles().size(), 1U);
    auto account =
        or_throw(Shared<Account>::from_handle(std::move(message.handles().front()), Trust::equal));
    EXPECT_EQ(account->balance, 5);
    EXPECT_TRUE(account->lock.lock(1s));
  }
}

TEST(shared_trust, a_shared_region_is_not_sent_to_who_is_not_trusted) {
  for (const auto mechanism : {Mechanism::shm, Mechanism::unix_socket, Mechanism::inproc}) {
    auto [here, there] = ends(mechanism, Trust::untrusted);
    const auto refused = here.send(letter(region_of_account()), 10s);
    ASSERT_FALSE(refused) << to_string(mechanism);
    EXPECT_EQ(refused.error(), ErrorKind::denied);
    EXPECT_THAT(refused.error().sentence(), HasSubstr("SharedRegion"));
    Message again = letter(region_of_account());
    EXPECT_EQ(here.try_send(again).error(), ErrorKind::denied);
    EXPECT_TRUE(here.send(as_bytes("the channel goes on"), 10s));
    EXPECT_TRUE(there.receive(10s));
  }
}

TEST(shared_trust, a_shared_region_is_not_taken_from_who_is_not_trusted) {
  auto handle = or_throw(region_of_account().into_handle());
  const auto refused = Shared<Account>::from_handle(std::move(handle), Trust::untrusted);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), ErrorKind::denied);
  // As a plain descriptor it is no better.
  auto fd = or_throw(region_of_account().into_handle());
  EXPECT_EQ(SharedRegion::attach(std::move(fd).take_fd(), Trust::untrusted).error(),
            ErrorKind::denied);
  // Nor is what was encoded into a message.
  std::vector<std::byte> bytes;
  std::vector<Handle> handles;
  wire::Encoder encoder{bytes, &handles};
  auto region = region_of_account();
  ASSERT_TRUE(encoder.put(region));
  wire::Decoder decoder{bytes, handles, Trust::untrusted};
  const auto decoded = decoder.get<SharedRegion>();
  ASSERT_FALSE(decoded);
  EXPECT_THAT(decoded.error().sentence(), HasSubstr("not trusted"));
}

void pay_in(Bootstrap& boot) {
  auto [region] = or_exit(boot.arguments<SharedRegion>());
  auto account = or_exit(Shared<Account>::open(std::move(region)));
  const auto guard = or_exit(account->lock.lock(10s));
  account->balance += 10;
  or_exit(boot.channel().send(as_bytes("paid"), 10s));
}

TEST(shared_trust, a_shared_region_is_handed_to_a_child_of_equal_trust) {
  auto region = region_of_account();
  auto child = or_throw(spawn<pay_in>({.arguments = arguments(or_throw(region.duplicate()))}));
  EXPECT_EQ(message_of(child.channel()), "paid");
  auto account = or_throw(Shared<Account>::open(std::move(region)));
  const auto guard = or_throw(account->lock.lock(10s));
  EXPECT_EQ(account->balance, 15);
}

TEST(shared_trust, a_shared_region_is_not_handed_to_a_sandboxed_or_untrusted_child) {
  const auto sandboxed = spawn<pay_in>(
      {.sandbox = sandbox::compute_only, .arguments = arguments(region_of_account())});
  ASSERT_FALSE(sandboxed);
  EXPECT_EQ(sandboxed.error(), ErrorKind::denied);
  EXPECT_THAT(sandboxed.error().sentence(), HasSubstr("publish or freeze"));
  const auto untrusted =
      spawn<pay_in>({.arguments = arguments(region_of_account()), .trust = Trust::untrusted});
  ASSERT_FALSE(untrusted);
  EXPECT_EQ(untrusted.error(), ErrorKind::denied);
}

}  // namespace
