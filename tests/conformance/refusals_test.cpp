// SPDX-License-Identifier: Apache-2.0
//
// What a mechanism cannot do: refused as `unsupported`, by name, before anything is made where the
// program says what it needs, else at the call; and what is refused does no harm. Every row runs
// every body: what it can must not be refused.
#include <fcntl.h>

#include "conformance/conformance.hpp"

namespace bulkhead::conformance {
namespace {

class refusals : public Conformance {
 protected:
  std::string scheme() const { return std::string{to_string(GetParam().mechanism)}; }

  /// `what` is refused, and in words that a reader of a log understands.
  template <class R> testing::AssertionResult refused(const R& what) const {
    auto right = fails(what, ErrorKind::unsupported);
    if (!right) return right;
    const std::string said = what.error().sentence();
    if (said.find(scheme()) != said.npos) return testing::AssertionSuccess();
    return testing::AssertionFailure() << "does not name " << scheme() << ": " << said;
  }
};
INSTANTIATE_TEST_SUITE_P(mechanisms, refusals, testing::ValuesIn(rows()), row_name);

constexpr bool Capabilities::* all_needs[] = {
    &Capabilities::handles,       &Capabilities::priority, &Capabilities::many_clients,
    &Capabilities::other_machine, &Capabilities::in_place, &Capabilities::both_ways,
    &Capabilities::unrelated,     &Capabilities::reliable, &Capabilities::tells_death,
    &Capabilities::survives,
};

TEST_P(refusals, follow_from_the_capabilities_that_the_mechanism_tells) {
  const Capabilities told = capabilities(GetParam().mechanism);
  for (std::size_t i = 0; i < std::size(all_needs); ++i) {
    // An address may ask for something that can less.
    const bool says_so = !GetParam().parameters.empty() && !(GetParam().capabilities.*all_needs[i]);
    EXPECT_TRUE(says_so || told.*all_needs[i] == GetParam().capabilities.*all_needs[i])
        << "capability " << i;
  }
}

TEST_P(refusals, come_before_anything_is_made_when_the_needs_are_said) {
  const Row& row = GetParam();
  for (const auto need : all_needs) {
    ChannelOptions with = options();
    with.needs.*need = true;
    ChannelOptions other = other_options();
    other.needs.*need = true;
    const std::string at = address();
    if (!(row.capabilities.*need)) {
      // Where pair() gives something else, another row asks it.
      if (row.joining == Joining::pair || !row.has_pair) {
        EXPECT_TRUE(refused(pair(row.mechanism, with)));
      }
      EXPECT_TRUE(refused(connect(at, 20s, with)));
      EXPECT_TRUE(refused(listen(at, {.channel = other})));
      continue;
    }
    if (row.has_pair) {
      EXPECT_TRUE(ok(pair(row.mechanism, with)));
    }
    if (with_listener(row)) {
      EXPECT_TRUE(ok(listen(at, {.channel = other})));
    }
  }
}

TEST(rows, are_there_for_every_mechanism) {
  for (const auto* entry : transport::mechanisms) {
    const auto all = rows();
    EXPECT_TRUE(
        std::ranges::any_of(all, [&](const Row& row) { return row.mechanism == entry->mechanism; }))
        << to_string(entry->mechanism) << " has no row in conformance.hpp";
  }
}

TEST_P(refusals, of_a_pair) {
  auto made = pair(GetParam().mechanism, options());
  if (GetParam().has_pair) {
    EXPECT_TRUE(ok(made));
  } else {
    EXPECT_TRUE(refused(made));
  }
}

TEST_P(refusals, of_addresses) {
  const std::string at = address();
  if (!with_addresses(GetParam())) {
    // Where addresses give something else, another row asks it.
    const auto all = rows();
    const bool elsewhere = std::ranges::any_of(all, [](const Row& row) {
      return row.mechanism == GetParam().mechanism && with_addresses(row);
    });
    if (elsewhere) return;
    EXPECT_TRUE(refused(connect_to(at)));
    EXPECT_TRUE(refused(listen_at(at)));
  } else if (!GetParam().has_listener) {
    EXPECT_TRUE(refused(listen_at(at)));
  } else {
    EXPECT_TRUE(ok(listen_at(at)));
  }
}

TEST_P(refusals, of_parameters_that_nobody_knows) {
  if (!with_addresses(GetParam())) return;
  const std::string at = address();
  const char* joint = GetParam().parameters.empty() ? "?" : "&";
  for (const char* parameter : {"colour=red", "colour", "=red"}) {
    auto client = connect_to(at + joint + parameter, 1s);
    EXPECT_TRUE(fails(client, ErrorKind::invalid)) << parameter;
    if (!GetParam().has_listener) continue;
    EXPECT_TRUE(fails(listen_at(at + joint + parameter), ErrorKind::invalid)) << parameter;
  }
}

TEST_P(refusals, of_handles) {
  auto [here, there] = make_pair();
  Message message{as_bytes("with a handle")};
  message.handles().emplace_back(Fd::adopt(::open("/dev/null", O_RDONLY | O_CLOEXEC)));
  auto sent = here.send(message, 20s);
  if (GetParam().capabilities.handles) {
    ASSERT_TRUE(ok(sent));
    ASSERT_TRUE(ok(there.receive(1s)));
  } else {
    EXPECT_TRUE(refused(sent));
    EXPECT_TRUE(refused(here.try_send(message)));
    ASSERT_EQ(message.handles().size(), 1u) << "it stays with its message";
    EXPECT_NE(::fcntl(message.handles()[0].fd().native(), F_GETFD), -1);
    EXPECT_TRUE(fails(there.try_receive(), ErrorKind::empty)) << "and nothing of it was sent";
  }
  expect_works(here, there);
}

TEST_P(refusals, of_priorities) {
  auto [here, there] = make_pair();
  Message message{as_bytes("urgent")};
  message.set_priority(3);
  auto sent = here.send(message, 20s);
  if (GetParam().capabilities.priority) {
    ASSERT_TRUE(ok(sent));
    ASSERT_TRUE(ok(there.receive(1s)));
  } else {
    EXPECT_TRUE(refused(sent));
    EXPECT_TRUE(fails(there.try_receive(), ErrorKind::empty));
  }
  expect_works(here, there);
}

TEST_P(refusals, of_the_other_way_where_there_is_one_way) {
  if (GetParam().both_ways()) return;  // the next body
  auto [here, there] = make_pair();
  EXPECT_TRUE(refused(here.receive(1s)));
  EXPECT_TRUE(refused(here.try_receive()));
  EXPECT_TRUE(refused(here.receive_view(20s)));
  EXPECT_TRUE(refused(here.readable()));
  EXPECT_TRUE(refused(there.send(as_bytes("x"), 20s)));
  EXPECT_TRUE(refused(there.try_send(as_bytes("x"))));
  EXPECT_TRUE(refused(there.loan(8, 20s)));
  EXPECT_TRUE(refused(there.writable()));
  const Bytes one[] = {as_bytes("x")};
  EXPECT_TRUE(refused(there.send_many(one, 20s)));
  expect_works(here, there);
}

TEST_P(refusals, of_the_other_way_when_one_was_asked_for) {
  if (!GetParam().both_ways() || GetParam().joining != Joining::pair) return;
  for (const Direction direction : {Direction::send, Direction::receive}) {
    auto ends =
        or_throw(pair(GetParam().mechanism, {.trust = GetParam().trust, .direction = direction}));
    if (direction == Direction::receive) std::swap(ends.first, ends.second);
    EXPECT_TRUE(refused(ends.first.receive(1s)));
    EXPECT_TRUE(refused(ends.second.send(as_bytes("x"), 20s)));
    EXPECT_FALSE(ends.first.capabilities().both_ways);
    ASSERT_TRUE(ok(ends.first.send(as_bytes("this way"), 20s)));
    auto got = ends.second.receive(20s);
    ASSERT_TRUE(ok(got));
    EXPECT_EQ(got->text(), "this way");
  }
}

TEST_P(refusals, of_an_end_that_should_go_to_another_process) {
  auto [here, there] = make_pair();
  if (!GetParam().hands_over) {
    EXPECT_TRUE(refused(std::move(there).into_handle()));
    // Where it is the name that keeps an end, those of a pair may still go.
    const bool by_name = GetParam().joining != Joining::pair && GetParam().has_pair;
    const auto mechanism = static_cast<std::uint8_t>(GetParam().mechanism);
    EXPECT_TRUE(fails(
        Channel::from_handle(Handle{Fd{}, Handle::Kind::channel, mechanism}, GetParam().trust),
        by_name ? ErrorKind::invalid : ErrorKind::unsupported));
  }
  expect_works(here, there);
}

TEST_P(refusals, of_messages_larger_than_there_are) {
  const std::size_t most = GetParam().largest_bytes;
  if (most == static_cast<std::size_t>(-1)) return;
  auto [here, there] = make_pair();
  const auto bytes = content(1, most + 1);
  auto sent = here.send(bytes, 20s);
  EXPECT_TRUE(fails(sent, ErrorKind::too_large));
  EXPECT_THAT(sent.error().sentence(), testing::HasSubstr(std::to_string(most + 1)));
  EXPECT_TRUE(fails(here.try_send(bytes), ErrorKind::too_large));
  EXPECT_TRUE(fails(here.loan(most + 1, 20s), ErrorKind::too_large));
  expect_works(here, there);
}

}  // namespace
}  // namespace bulkhead::conformance
