// SPDX-License-Identifier: Apache-2.0
//
// The format, byte by byte: what docs/protocol/wire.md says, for every form. A change that makes one
// of these fail is a change of the protocol.
#include <cstring>
#include <gtest/gtest.h>
#include <limits>
#include <string>
#include <system_error>

#include "wire/specimen.hpp"

namespace bulkhead::wire {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

std::string hex(Bytes bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (const std::byte byte : bytes) {
    text += digits[std::to_integer<unsigned>(byte) >> 4];
    text += digits[std::to_integer<unsigned>(byte) & 15];
  }
  return text;
}

/// The expected bytes; blanks between the fields are for the reader.
std::string joined(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c != ' ') out += c;
  }
  return out;
}

template <class T> void expect(const T& value, std::string_view bytes, std::string_view shape) {
  auto encoded = encode(value);
  ASSERT_TRUE(encoded) << encoded.error();
  EXPECT_EQ(hex(*encoded), joined(bytes)) << shape;
  EXPECT_EQ(shape_text<T>(), shape);
  auto back = decode<T>(*encoded);
  ASSERT_TRUE(back) << back.error();
  auto again = encode(*back);
  ASSERT_TRUE(again) << again.error();
  EXPECT_EQ(hex(*again), hex(*encoded)) << shape;
}

TEST(wire_format, of_numbers_is_little_endian_and_of_fixed_width) {
  expect(true, "01", "bool");
  expect(false, "00", "bool");
  expect('A', "41", "char");
  expect(std::int8_t{-2}, "fe", "i8");
  expect(std::uint8_t{200}, "c8", "u8");
  expect(std::int16_t{-2}, "feff", "i16");
  expect(std::uint16_t{0x1234}, "3412", "u16");
  expect(-2, "feffffff", "i32");
  expect(0x12345678U, "78563412", "u32");
  expect(-2L, "feffffffffffffff", "i64");
  expect(-2LL, "feffffffffffffff", "i64");
  expect(0x123456789abcdef0UL, "f0debc9a78563412", "u64");
  expect(1.0F, "0000803f", "f32");
  expect(-2.5, "00000000000004c0", "f64");
  expect(char8_t{0x7f}, "7f", "u8");
  expect(char16_t{0x20ac}, "ac20", "u16");
  expect(char32_t{0x1f600}, "00f60100", "u32");
}

TEST(wire_format, of_an_enum_is_that_of_its_underlying_type) {
  enum class Flag : bool { off, on };
  expect(Colour::green, "0200", "u16");
  expect(static_cast<Colour>(77), "4d00", "u16");
  expect(low, "ff", "i8");
  expect(std::byte{0xab}, "ab", "u8");
  expect(Flag::on, "01", "bool");
}

TEST(wire_format, of_sequences_is_a_count_and_the_elements) {
  expect("abc"s, "0300000000000000 616263", "str");
  expect(""s, "0000000000000000", "str");
  expect(u"a\u20ac"s, "0200000000000000 6100 ac20", "vec<u16>");
  expect(std::vector<std::uint8_t>{1, 2}, "0200000000000000 01 02", "vec<u8>");
  expect(std::vector<float>{1.0F}, "0100000000000000 0000803f", "vec<f32>");
  expect(std::vector<bool>{true, false, true}, "0300000000000000 01 00 01", "vec<bool>");
  expect(std::vector<std::string>{"a", ""}, "0200000000000000 0100000000000000 61 0000000000000000",
         "vec<str>");
  expect(std::vector<Nothing>(3), "0300000000000000", "vec<{}>");
  expect(std::filesystem::path{"/a/b"}, "0400000000000000 2f612f62", "str");
}

TEST(wire_format, of_arrays_is_the_elements) {
  expect(std::array<std::uint16_t, 2>{1, 2}, "0100 0200", "arr<u16,2>");
  expect(std::array<bool, 2>{true, false}, "01 00", "arr<bool,2>");
  expect(std::array<std::uint8_t, 0>{}, "", "arr<u8,0>");
  expect(std::array<std::array<char, 2>, 2>{{{'a', 'b'}, {'c', 'd'}}}, "61626364",
         "arr<arr<char,2>,2>");
}

TEST(wire_format, of_what_may_be_absent_is_a_tag_and_the_value) {
  expect(std::optional<std::uint16_t>{}, "00", "opt<u16>");
  expect(std::optional<std::uint16_t>{7}, "01 0700", "opt<u16>");
  expect(std::unique_ptr<std::uint16_t>{}, "00", "opt<u16>");
  expect(std::make_unique<std::uint16_t>(std::uint16_t{7}), "01 0700", "opt<u16>");
}

TEST(wire_format, of_a_variant_is_its_index_and_the_value) {
  using V = std::variant<std::monostate, std::uint16_t, std::string>;
  expect(V{}, "00", "var<{},u16,str>");
  expect(V{std::uint16_t{9}}, "01 0900", "var<{},u16,str>");
  expect(V{"x"s}, "02 0100000000000000 78", "var<{},u16,str>");
}

TEST(wire_format, of_maps_and_sets_is_a_count_and_the_entries) {
  expect(std::map<std::string, std::uint8_t>{{"b", 2}, {"a", 1}},
         "0200000000000000 0100000000000000 61 01 0100000000000000 62 02", "map<str,u8>");
  expect(std::unordered_map<std::uint8_t, bool>{{7, true}}, "0100000000000000 07 01",
         "map<u8,bool>");
  expect(std::set<std::uint8_t>{3, 1, 2}, "0300000000000000 01 02 03", "set<u8>");
}

TEST(wire_format, of_a_struct_is_its_fields_without_padding) {
  expect(Padded{1, 2, true}, "01 0200000000000000 01", "{u8,u64,bool}");
  expect(Point{1.0F, -1.0F, {3, 4}}, "0000803f 000080bf 03000000 04000000", "{f32,f32,arr<i32,2>}");
  expect(Nothing{}, "", "{}");
  expect(std::monostate{}, "", "{}");
  expect(std::pair{std::uint8_t{1}, "a"s}, "01 0100000000000000 61", "{u8,str}");
  expect(std::tuple{std::uint8_t{1}, true, std::int16_t{-1}}, "01 01 ffff", "{u8,bool,i16}");
  expect(std::tuple<>{}, "", "{}");
}

TEST(wire_format, of_a_struct_that_holds_itself_names_the_way_back) {
  expect(Tree{1, {{2, {}}}}, "01000000 0100000000000000 02000000 0000000000000000",
         "{i32,vec<^1>}");
  Node list{1, std::make_unique<Node>()};
  list.next->value = 2;
  expect(list, "01000000 01 02000000 00", "{i32,opt<^1>}");
}

struct Outer;
struct Inner {
  std::vector<Outer> outer;
  std::vector<Inner> inner;
};
struct Outer {
  std::tuple<Inner, std::uint8_t> inside;
};

TEST(wire_shape, counts_the_braces_to_what_it_goes_back_to) {
  EXPECT_EQ(shape_text<Outer>(), "{{{vec<^3>,vec<^1>},u8}}");
  EXPECT_EQ(shape_text<Inner>(), "{vec<{{^3,u8}}>,vec<^1>}");
}

TEST(wire_format, of_a_duration_is_its_count) {
  expect(250ms, "fa00000000000000", "dur<i64,1/1000>");
  expect(std::chrono::duration<double>{0.5}, "000000000000e03f", "dur<f64,1/1>");
}

TEST(wire_format, of_a_result_is_a_tag_and_the_value_or_the_error) {
  expect(std::expected<std::uint8_t, Colour>{5}, "01 05", "res<u8,u16>");
  expect(std::expected<std::uint8_t, Colour>{std::unexpected{Colour::red}}, "00 0100",
         "res<u8,u16>");
  expect(Result<void>{}, "01", "res<,error>");
  expect(Result<std::uint8_t>{fail(ErrorKind::closed)},
         "00 05 0000000000000000 0000000000000000 0000000000000000 0000000000000000 00 00000000 00",
         "res<u8,error>");
}

TEST(wire_format, of_an_error_is_kind_words_code_and_death) {
  const Error error{ErrorKind::denied,
                    {.operation = "o",
                     .object = "b",
                     .cause = "c",
                     .remedy = "r",
                     .code = {13, std::system_category()}}};
  expect(error,
         "09 0100000000000000 6f 0100000000000000 62 0100000000000000 63 0100000000000000 72"
         "01 0d000000 00",
         "error");
  const Error death = Error::died("o", "w", Exit::killed(11, 16));
  expect(death,
         "06 0100000000000000 6f 0000000000000000 1700000000000000"
         "7720646965643a20534947534547562061742030783130 0000000000000000"
         "00 00000000 01 0100000000000000 77"
         "01 00000000 0b000000 01 1000000000000000 0000000000000000",
         "error");
  expect(Exit::exited(3), "00 03000000 00000000 00 0000000000000000", "{u8,i32,i32,opt<u64>,str}");
}

TEST(wire_shape, never_uses_the_compilers_spelling) {
  EXPECT_EQ(shape_text<Specimen>(),
            "{{bool,char,i8,u8,i16,u16,i32,u32,i64,u64,f32,f64,u16,i8,u8,dur<i64,1/1000>},str,"
            "vec<u8>,vec<bool>,vec<{f32,f32,arr<i32,2>}>,vec<{u8,u64,bool}>,vec<str>,vec<f64>,"
            "vec<{}>,arr<{u8,u64,bool},2>,arr<str,2>,opt<str>,var<{},i32,str,{f32,f32,arr<i32,2>}>,"
            "map<str,i32>,map<i32,str>,set<i16>,{i32,str},{u8,bool,vec<f32>},str,{i32,vec<^1>},"
            "{i32,opt<^1>},{u8,i32,i32,opt<u64>,str},res<i32,str>,res<,u16>,opt<res<i32,error>>}");
}

TEST(wire_fingerprint, is_fnv_1a_of_64_bits) {
  EXPECT_EQ(fingerprint(""), 0xcbf29ce484222325U);
  EXPECT_EQ(fingerprint("a"), 0xaf63dc4c8601ec8cU);
  EXPECT_EQ(fingerprint("foobar"), 0x85944171f73967e8U);
  static_assert(fingerprint("decode({str})->str") != fingerprint("decode({str})->{}"));
}

}  // namespace
}  // namespace bulkhead::wire
