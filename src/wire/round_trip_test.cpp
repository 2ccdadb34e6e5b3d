// SPDX-License-Identifier: Apache-2.0
//
// What goes in comes out: random values of every form, structs that are awkward to take apart, and
// what encoding costs in memory.
#include <array>
#include <cstring>
#include <gtest/gtest.h>
#include <string>

#include "wire/specimen.hpp"

namespace bulkhead::wire {
namespace {

template <class T> void expect_back(const T& value) {
  auto bytes = encode(value);
  ASSERT_TRUE(bytes) << bytes.error();
  EXPECT_EQ(bytes->size(), detail::measure(value, 0));
  auto back = decode<T>(*bytes);
  ASSERT_TRUE(back) << back.error();
  if constexpr (requires { value == *back; }) {
    EXPECT_TRUE(value == *back);
  }
  auto again = encode(*back);
  ASSERT_TRUE(again) << again.error();
  EXPECT_EQ(again->size(), bytes->size());
}

template <class T> void expect_random_back(std::uint64_t seeds) {
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    T value{};
    detail::Chance{seed}.fill(value);
    expect_back(value);
  }
}

TEST(wire_round_trip, keeps_random_numbers) { expect_random_back<Numbers>(2000); }
TEST(wire_round_trip, keeps_random_texts) { expect_random_back<std::vector<std::string>>(200); }
TEST(wire_round_trip, keeps_random_trees) { expect_random_back<Tree>(200); }
TEST(wire_round_trip, keeps_random_lists) { expect_random_back<Node>(200); }
TEST(wire_round_trip, keeps_random_specimens) { expect_random_back<Specimen>(300); }
TEST(wire_round_trip, keeps_random_variants) {
  expect_random_back<std::vector<decltype(Specimen::either)>>(300);
}
TEST(wire_round_trip, keeps_random_maps) {
  expect_random_back<std::map<std::string, std::unordered_map<std::int32_t, std::set<Colour>>>>(
      300);
}

TEST(wire_round_trip, keeps_what_is_large_and_at_any_alignment) {
  std::vector<float> floats(300'001);
  for (std::size_t i = 0; i < floats.size(); ++i) floats[i] = static_cast<float>(i);
  for (std::size_t shift = 0; shift < 9; ++shift) {
    expect_back(std::pair{std::string(shift, 'x'), floats});
  }
  expect_back(std::string(1 << 20, 'x'));
  expect_back(std::vector<Point>(1000, Point{1, 2, {3, 4}}));
}

// --- Structs that are awkward to take apart ---

struct One {
  std::vector<int> only;
  bool operator==(const One&) const = default;
};
struct Wrapped {
  One one;
  bool operator==(const Wrapped&) const = default;
};
struct Elided {
  std::array<int, 3> array;
  int more[2][2];
  struct {
    int inner;
    std::string text;
  } unnamed;
  Wrapped wrapped;
  int last;
};
struct WithDefaults {
  int a = 5;
  std::string b = "default";
  std::optional<int> c = 7;
  bool operator==(const WithDefaults&) const = default;
};
struct Constant {
  const int a;
  std::string b;
  bool operator==(const Constant&) const = default;
};
struct MadeFromSomething {
  Error error;
  std::optional<Constant> constant;
  std::array<Error, 2> errors;
  std::tuple<Error, int> tuple;
  std::variant<Constant, int> variant;
};
struct Many {
  int f01, f02, f03, f04, f05, f06, f07, f08, f09, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
      f20, f21, f22, f23, f24, f25, f26, f27, f28, f29, f30, f31;
  std::string f32;
  bool operator==(const Many&) const = default;
};

TEST(wire_struct, with_nested_structs_and_arrays_keeps_its_fields_apart) {
  static_assert(detail::count_fields<Elided>() == 5);
  const Elided value{{1, 2, 3}, {{4, 5}, {6, 7}}, {8, "nine"}, {{{10, 11}}}, 12};
  auto back = decode<Elided>(*encode(value));
  ASSERT_TRUE(back) << back.error();
  EXPECT_EQ(back->array, value.array);
  EXPECT_EQ(back->more[1][1], 7);
  EXPECT_EQ(back->unnamed.inner, 8);
  EXPECT_EQ(back->unnamed.text, "nine");
  EXPECT_EQ(back->wrapped, value.wrapped);
  EXPECT_EQ(back->last, 12);
}

TEST(wire_struct, with_default_values_takes_those_that_were_sent) {
  expect_back(WithDefaults{1, "sent", std::nullopt});
}

TEST(wire_struct, may_have_const_fields_and_fields_that_cannot_be_made_from_nothing) {
  expect_back(Constant{3, "three"});
  expect_back(std::vector<Constant>{{3, "three"}, {4, "four"}});
  const MadeFromSomething value{Error{ErrorKind::full},
                                Constant{1, "one"},
                                {Error{ErrorKind::empty}, Error{ErrorKind::closed}},
                                {Error{ErrorKind::denied}, 2},
                                Constant{3, "three"}};
  auto back = decode<MadeFromSomething>(*encode(value));
  ASSERT_TRUE(back) << back.error();
  EXPECT_EQ(back->error.kind(), ErrorKind::full);
  EXPECT_EQ(back->constant, value.constant);
  EXPECT_EQ(back->errors[1].kind(), ErrorKind::closed);
  EXPECT_EQ(std::get<0>(back->tuple).kind(), ErrorKind::denied);
  EXPECT_EQ(back->variant, value.variant);
}

TEST(wire_struct, has_up_to_32_fields) {
  static_assert(detail::count_fields<Many>() == 32);
  Many many{};
  many.f31 = 31;
  many.f32 = "last";
  expect_back(many);
}

TEST(wire_error, says_the_same_on_the_other_side) {
  const Error errors[] = {
      Error{ErrorKind::timed_out},
      Error{ErrorKind::denied, {.operation = "open", .object = "/etc/shadow", .remedy = "be root"}},
      Error::from_errno(28, {.operation = "create", .object = "region"}),
      Error{ErrorKind::invalid, {.code = std::make_error_code(std::errc::argument_out_of_domain)}},
      Error::died("decode", "decoder (4711)", Exit::killed(11, 0x10)).during("call", "shm:x"),
      Error::died("decode", "decoder (4711)", Exit::of(Exit::Cause::sandbox_violation, "openat")),
  };
  for (const Error& error : errors) {
    auto back = decode<Error>(*encode(error));
    ASSERT_TRUE(back) << back.error();
    EXPECT_EQ(back->sentence(), error.sentence());
    EXPECT_EQ(back->kind(), error.kind());
    EXPECT_EQ(back->code(), error.code());
    EXPECT_EQ(back->who(), error.who());
    ASSERT_EQ(back->exit() != nullptr, error.exit() != nullptr);
    if (error.exit()) {
      EXPECT_EQ(*back->exit(), *error.exit());
    }
  }
}

// --- The Encoder and the Decoder ---

TEST(wire_encoder, appends_behind_what_is_there) {
  std::vector<std::byte> out(5, std::byte{0xee});
  Encoder encoder{out};
  ASSERT_TRUE(encoder.put(std::uint8_t{1}));
  ASSERT_TRUE(encoder.put(std::string{"two"}));
  ASSERT_EQ(out.size(), 5U + 1U + 11U);
  Decoder decoder{Bytes{out}.subspan(5)};
  EXPECT_EQ(*decoder.get<std::uint8_t>(), 1);
  EXPECT_FALSE(decoder.at_end());
  EXPECT_EQ(*decoder.get<std::string>(), "two");
  EXPECT_TRUE(decoder.at_end());
  EXPECT_TRUE(decoder.finish());
}

TEST(wire_encoder, allocates_once_and_exactly) {
  std::vector<std::byte> out;
  Specimen specimen{};
  specimen.text.assign(5000, 'x');
  specimen.doubles.resize(5000);
  ASSERT_TRUE(Encoder{out}.put(specimen));
  EXPECT_EQ(out.capacity(), out.size());
}

TEST(wire_encoder, leaves_nothing_of_a_value_that_it_cannot_encode) {
  std::vector<std::byte> out(3);
  Tree deep;
  Tree* at = &deep;
  for (int depth = 0; depth < 70; ++depth) at = &at->children.emplace_back();
  auto done = Encoder{out}.put(deep);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind(), ErrorKind::too_large);
  EXPECT_NE(done.error().sentence().find("nested more than 64 deep"), std::string::npos)
      << done.error();
  EXPECT_EQ(out.size(), 3U);
}

TEST(wire_encoder, takes_64_nested_structs) {
  Tree deep;
  Tree* at = &deep;
  for (int depth = 1; depth < 64; ++depth) at = &at->children.emplace_back();
  expect_back(deep);
  at->children.emplace_back();
  EXPECT_FALSE(encode(deep));
}

TEST(wire_encoder, refuses_more_elements_without_bytes_than_a_reader_takes) {
  expect_back(std::vector<Nothing>(65'536));
  auto done = encode(std::vector<Nothing>(65'537));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind(), ErrorKind::too_large);
}

TEST(wire_encoder, refuses_a_variant_that_an_exception_left_empty) {
  struct Throws {
    operator std::string() const { throw 1; }
  };
  struct Copied {
    const std::string text;  // moving it can throw: the variant cannot keep what it held
  };
  std::variant<int, Copied> variant;
  EXPECT_THROW(variant.emplace<Copied>(Throws{}), int);
  ASSERT_TRUE(variant.valueless_by_exception());
  auto done = encode(variant);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind(), ErrorKind::invalid);
}

}  // namespace
}  // namespace bulkhead::wire
