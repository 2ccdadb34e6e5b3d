// SPDX-License-Identifier: Apache-2.0
//
// What a message is: whole, in order, of any size, and how it is sent and looked at.
#include <array>

#include "conformance/conformance.hpp"
#include "support/soak.hpp"

namespace bulkhead::conformance {
namespace {

class messages : public Conformance {};
INSTANTIATE_TEST_SUITE_P(mechanisms, messages, testing::ValuesIn(rows()), row_name);

class messages_in_order : public Conformance {};
INSTANTIATE_TEST_SUITE_P(mechanisms, messages_in_order, testing::ValuesIn(rows_where(reliable)),
                         row_name);

TEST_P(messages, keep_their_boundaries_and_their_order_both_ways) {
  auto ends = make_pair();
  const auto count = std::min<std::uint64_t>(20, GetParam().unread_messages);
  for (std::uint64_t i = 0; i < count; ++i) {
    std::uint64_t seed = i;
    for (auto [from, to] : ways(ends)) {
      ASSERT_TRUE(ok(from.send(content(seed, seed % 40), 20s)));
      seed = 120 - i;
    }
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    std::uint64_t seed = i;
    for (auto [from, to] : ways(ends)) {
      auto got = to.receive(20s);
      ASSERT_TRUE(ok(got));
      EXPECT_TRUE(has_content(got->bytes(), seed, seed % 40));
      seed = 120 - i;
    }
  }
}

/// Around all that is a limit somewhere.
std::vector<std::size_t> interesting_sizes(const Row& row) {
  const std::size_t unit = row.unit_bytes;
  const std::size_t most = row.largest_bytes;
  std::vector<std::size_t> sizes{0,
                                 1,
                                 7,
                                 8,
                                 9,
                                 63,
                                 64,
                                 65,
                                 207,
                                 208,
                                 209,
                                 4087,
                                 4088,
                                 4096,
                                 65536,
                                 unit / 2 - 8,
                                 unit / 2,
                                 unit - 16,
                                 unit - 8,
                                 unit - 1,
                                 unit,
                                 unit + 1,
                                 unit + 8,
                                 2 * unit,
                                 2 * unit + 1,
                                 1 << 20,
                                 (1 << 20) + 1};
  sizes.insert(sizes.end(), {most - 1, most});
  std::erase_if(sizes, [&](std::size_t size) {
    return size > std::min<std::size_t>(most, std::size_t{4} << 20);
  });
  return sizes;
}

TEST_P(messages, of_every_size_arrive_whole) {
  auto ends = make_pair();
  for (auto [from, to] : ways(ends)) {
    for (const auto size : interesting_sizes(GetParam())) {
      // One after the other: so no mechanism loses one.
      std::jthread sender{
          [&, &out = from] { EXPECT_TRUE(ok(out.send(content(size, size), 20s))); }};
      auto got = to.receive(20s);
      ASSERT_TRUE(ok(got)) << size;
      EXPECT_TRUE(has_content(got->bytes(), size, size));
    }
  }
}

TEST_P(messages_in_order, of_every_size_follow_each_other) {
  auto ends = make_pair();
  const auto sizes = interesting_sizes(GetParam());
  for (auto [from, to] : ways(ends)) {
    std::jthread sender{[&, &out = from] {
      for (const auto size : sizes) EXPECT_TRUE(ok(out.send(content(size, size), 20s)));
    }};
    for (const auto size : sizes) {
      auto got = to.receive(20s);
      ASSERT_TRUE(ok(got)) << size;
      EXPECT_TRUE(has_content(got->bytes(), size, size));
    }
  }
}

TEST_P(messages_in_order, of_64_MiB_stream_through_a_small_channel_both_ways_at_once) {
  const std::size_t size = static_cast<std::size_t>(sanitized(64, 8)) << 20;
  auto ends = make_pair();
  const auto big = content(1, size);
  std::vector<std::jthread> threads;
  for (auto [from, to] : ways(ends)) {
    threads.emplace_back([&, &out = from] { EXPECT_TRUE(ok(out.send(big, 50s))); });
    threads.emplace_back([&, &in = to] {
      auto got = in.receive(50s);
      ASSERT_TRUE(ok(got));
      EXPECT_TRUE(std::equal(big.begin(), big.end(), got->bytes().begin(), got->bytes().end()));
    });
  }
}

TEST_P(messages_in_order, of_random_sizes_are_neither_lost_nor_torn_nor_reordered) {
  // 100,000 together, in all the ways that there are.
  const int count = test::soaked(sanitized(100'000, 4'000) / (GetParam().both_ways() ? 2 : 1));
  auto size_of = [](std::uint64_t seed) {
    Random random{seed};
    const std::size_t bound = random.below(100) == 0 ? 100'000 : random.below(8) == 0 ? 8'000 : 300;
    return random.below(bound);
  };
  auto ends = make_pair_of(64 * 1024);
  std::vector<std::jthread> threads;
  std::uint64_t first = 1;
  for (auto [from, to] : ways(ends)) {
    threads.emplace_back([&, &out = from, first] {
      for (int i = 0; i < count; ++i) {
        const std::uint64_t seed = first + static_cast<std::uint64_t>(i);
        ASSERT_TRUE(ok(out.send(content(seed, size_of(seed)), 20s)));
      }
    });
    threads.emplace_back([&, &in = to, first] {
      Message message;
      for (int i = 0; i < count; ++i) {
        const std::uint64_t seed = first + static_cast<std::uint64_t>(i);
        ASSERT_TRUE(ok(in.receive(message, 20s)));
        ASSERT_TRUE(has_content(message.bytes(), seed, size_of(seed)));
      }
    });
    first = 1'000'000;
  }
}

TEST_P(messages, larger_than_the_maximum_are_refused_before_anything_is_sent) {
  auto [here, there] = make_pair({.max_message_bytes = 1000});
  EXPECT_TRUE(fails(here.send(content(1, 1001), 20s), ErrorKind::too_large));
  EXPECT_TRUE(fails(here.loan(1001, 20s), ErrorKind::too_large));
  const auto refused = here.send(content(1, 1001), 20s);
  EXPECT_THAT(refused.error().sentence(), testing::HasSubstr("1001"));
  ASSERT_TRUE(ok(here.send(content(2, 1000), 20s)));
  auto got = there.receive(20s);
  ASSERT_TRUE(ok(got));
  EXPECT_TRUE(has_content(got->bytes(), 2, 1000));
}

class messages_held_back : public Conformance {};
INSTANTIATE_TEST_SUITE_P(mechanisms, messages_held_back,
                         testing::ValuesIn(rows_where(reliable, that_hold_back)), row_name);

TEST_P(messages_held_back, are_sent_without_waiting_until_the_channel_is_full) {
  auto [here, there] = make_pair_of(64 * 1024);
  EXPECT_TRUE(fails(there.try_receive(), ErrorKind::empty));
  std::uint64_t sent = 0;
  while (here.try_send(content(sent, 1000))) {
    ++sent;
    ASSERT_LT(sent, 1000u) << "a channel of 64 KiB must not take a megabyte that nobody reads";
  }
  EXPECT_GT(sent, 4u);
  EXPECT_TRUE(fails(here.try_send(content(sent, 1000)), ErrorKind::full));
  for (std::uint64_t i = 0; i < sent; ++i) {
    auto got = there.receive(20s);
    ASSERT_TRUE(ok(got));
    EXPECT_TRUE(has_content(got->bytes(), i, 1000));
  }
  EXPECT_TRUE(fails(there.try_receive(), ErrorKind::empty));
  // Over a network the room is the sender's again when the acknowledgement has come: whenever.
  const Deadline soon = GetParam().capabilities.other_machine ? never : Deadline{0s};
  EXPECT_TRUE(ok(here.send(as_bytes("room again"), soon)));
}

TEST_P(messages_in_order, are_sent_many_at_once) {
  auto ends = make_pair();
  std::vector<std::vector<std::byte>> contents;
  std::vector<Bytes> views;
  for (std::uint64_t i = 0; i < 100; ++i) contents.push_back(content(i, 10 * i));
  for (const auto& bytes : contents) views.emplace_back(bytes);
  for (auto [from, to] : ways(ends)) {
    std::jthread sender{[&, &out = from] {
      auto sent = out.send_many(views, 20s);
      ASSERT_TRUE(ok(sent));
      EXPECT_EQ(*sent, 100u);
    }};
    for (std::uint64_t i = 0; i < 100; ++i) {
      auto got = to.receive(20s);
      ASSERT_TRUE(ok(got));
      EXPECT_TRUE(has_content(got->bytes(), i, 10 * i));
    }
  }
}

TEST_P(messages_held_back, sent_many_at_once_say_how_many_went_before_the_deadline) {
  auto [here, there] = make_pair_of(64 * 1024);
  const auto one = content(7, 1000);
  const std::vector<Bytes> views(2000, Bytes{one});
  auto sent = here.send_many(views, 50ms);
  ASSERT_TRUE(ok(sent));
  EXPECT_GT(*sent, 0u);
  EXPECT_LT(*sent, views.size());
  for (std::size_t i = 0; i < *sent; ++i) {
    auto got = there.receive(20s);
    ASSERT_TRUE(ok(got)) << i;
    EXPECT_TRUE(has_content(got->bytes(), 7, 1000));
  }
  EXPECT_TRUE(fails(there.try_receive(), ErrorKind::empty));
}

TEST_P(messages, are_built_in_a_loan_and_looked_at_in_a_view) {
  auto [here, there] = make_pair();
  for (std::uint64_t i = 0; i < 200; ++i) {
    const std::size_t size = i * 97 % 5000;
    {
      auto loan = here.loan(size, 20s);
      ASSERT_TRUE(ok(loan));
      ASSERT_EQ(loan->bytes().size(), size);
      const auto bytes = content(i, size);
      if (size > 0) std::memcpy(loan->bytes().data(), bytes.data(), size);
      ASSERT_TRUE(ok(here.send(*std::move(loan))));
    }
    auto view = there.receive_view(20s);
    ASSERT_TRUE(ok(view));
    EXPECT_TRUE(has_content(view->bytes(), i, size));
    const bool may = GetParam().capabilities.in_place && GetParam().trust == Trust::equal;
    if (!may) {
      EXPECT_FALSE(view->in_place()) << "bytes of a peer must be copied before they are judged";
    }
  }
}

TEST_P(messages, of_a_loan_that_was_dropped_are_never_seen) {
  auto [here, there] = make_pair();
  for (int i = 0; i < 1000; ++i) {
    auto loan = here.loan(5000, 20s);
    ASSERT_TRUE(ok(loan));
  }
  ASSERT_TRUE(ok(here.send(as_bytes("the only one"), 20s)));
  auto got = there.receive(20s);
  ASSERT_TRUE(ok(got));
  EXPECT_EQ(got->text(), "the only one");
  EXPECT_TRUE(fails(there.try_receive(), ErrorKind::empty));
}

TEST_P(messages_in_order, mix_every_way_of_sending_and_receiving_in_order) {
  auto [here, there] = make_pair_of(64 * 1024);
  constexpr std::uint64_t count = 3000;
  std::jthread sender{[&, &from = here] {
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto bytes = content(i, i % 700);
      if (i % 3 == 0) {
        auto loan = from.loan(bytes.size(), 20s);
        ASSERT_TRUE(ok(loan));
        std::copy(bytes.begin(), bytes.end(), loan->bytes().begin());
        ASSERT_TRUE(ok(from.send(*std::move(loan))));
      } else if (i % 3 == 1) {
        const std::array<Bytes, 1> one{Bytes{bytes}};
        auto sent = from.send_many(one, 20s);
        ASSERT_TRUE(ok(sent));
      } else {
        ASSERT_TRUE(ok(from.send(bytes, 20s)));
      }
    }
  }};
  Message message;
  for (std::uint64_t i = 0; i < count; ++i) {
    if (i % 2 == 0) {
      auto view = there.receive_view(20s);
      ASSERT_TRUE(ok(view));
      ASSERT_TRUE(has_content(view->bytes(), i, i % 700));
    } else {
      ASSERT_TRUE(ok(there.receive(message, 20s)));
      ASSERT_TRUE(has_content(message.bytes(), i, i % 700));
    }
  }
}

TEST_P(messages, tell_what_their_mechanism_can) {
  auto [here, there] = make_pair();
  const Capabilities can = here.capabilities();
  const Capabilities& expected = GetParam().capabilities;
  EXPECT_EQ(here.mechanism(), GetParam().mechanism);
  EXPECT_EQ(here.trust(), GetParam().trust);
  EXPECT_EQ(can.handles, expected.handles);
  EXPECT_EQ(can.priority, expected.priority);
  EXPECT_EQ(can.many_clients, expected.many_clients);
  EXPECT_EQ(can.other_machine, expected.other_machine);
  EXPECT_EQ(can.both_ways, GetParam().both_ways());
  EXPECT_EQ(can.reliable, expected.reliable);
  EXPECT_EQ(can.tells_death, expected.tells_death);
  EXPECT_EQ(can.survives, expected.survives);
  EXPECT_TRUE(!can.in_place || expected.in_place);
  if (GetParam().tells_pid) {
    EXPECT_EQ(here.peer().uid, ::geteuid());
    EXPECT_EQ(here.peer().pid, ::getpid());
  } else {
    EXPECT_THAT(here.peer().pid, testing::AnyOf(0, ::getpid()));
  }
  expect_works(here, there);
}

}  // namespace
}  // namespace bulkhead::conformance
