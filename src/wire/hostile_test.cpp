// SPDX-License-Identifier: Apache-2.0
//
// Bytes that lie: every prefix, every flipped byte, every length set to what overflows (A13), bombs of
// depth and of count (A14), and handles that are missing, of another kind or named twice (A22).
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <new>
#include <string>
#include <unistd.h>

#include "wire/specimen.hpp"

// What is allocated in this program, counted, to show what a hostile message can make the reader
// take. The counted size stands in front of each block.
namespace {
thread_local std::size_t now_allocated = 0;
thread_local std::size_t most_allocated = 0;
constexpr std::size_t front = 16;
}  // namespace

// Not inlined, lest the compiler take new and free for a mistake.
[[gnu::noinline]] void* operator new(std::size_t size) {
  auto* block = static_cast<unsigned char*>(std::malloc(size + front));
  if (!block) std::abort();
  std::memcpy(block, &size, sizeof size);
  now_allocated += size;
  most_allocated = std::max(most_allocated, now_allocated);
  return block + front;
}
[[gnu::noinline]] void operator delete(void* pointer) noexcept {
  if (!pointer) return;
  auto* block = static_cast<unsigned char*>(pointer) - front;
  std::size_t size = 0;
  std::memcpy(&size, block, sizeof size);
  now_allocated -= size;
  std::free(block);
}
void operator delete(void* pointer, std::size_t) noexcept { operator delete(pointer); }

namespace bulkhead::wire {
namespace {

/// The most memory held at once while `work` runs, beyond what was held before.
template <class F> std::size_t peak_of(F&& work) {
  const std::size_t before = now_allocated;
  most_allocated = before;
  work();
  return most_allocated - before;
}

Specimen specimen(std::uint64_t seed) {
  Specimen value{};
  detail::Chance{seed}.fill(value);
  if (value.words.empty()) value.words = {"some", "words"};
  if (value.padded.empty()) value.padded.resize(2);
  return value;
}

std::vector<std::byte> small_specimen() {
  for (std::uint64_t seed = 0;; ++seed) {
    auto bytes = *encode(specimen(seed));
    if (bytes.size() < 1200) return bytes;
  }
}

/// Reads `bytes`; the answer is a value or one of the two kinds that a peer can cause, and takes no
/// more memory than promised.
void expect_judged(const std::vector<std::byte>& bytes) {
  std::optional<Result<Specimen>> value;
  const std::size_t peak = peak_of([&] { value.emplace(decode<Specimen>(bytes)); });
  EXPECT_LE(peak, 4 * bytes.size() + detail::memory_floor);
  if (*value) {
    EXPECT_TRUE(encode(**value));
  } else {
    const ErrorKind kind = value->error().kind();
    EXPECT_TRUE(kind == ErrorKind::corrupt || kind == ErrorKind::too_large) << value->error();
  }
}

template <class T> Error refused(const std::vector<std::byte>& bytes) {
  auto value = decode<T>(bytes);
  EXPECT_FALSE(value);
  return value ? Error{ErrorKind::invalid} : value.error();
}

std::vector<std::byte> raw(std::initializer_list<int> values) {
  std::vector<std::byte> bytes;
  for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

TEST(wire_hostile, every_prefix_of_an_encoding_is_corrupt) {
  const auto bytes = small_specimen();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const std::vector<std::byte> prefix(bytes.begin(), bytes.begin() + static_cast<long>(size));
    EXPECT_EQ(refused<Specimen>(prefix).kind(), ErrorKind::corrupt) << size;
  }
}

TEST(wire_hostile, every_flipped_byte_is_judged) {
  auto bytes = small_specimen();
  for (std::byte& byte : bytes) {
    for (const int flip : {0x01, 0x80, 0xff}) {
      byte ^= static_cast<std::byte>(flip);
      expect_judged(bytes);
      byte ^= static_cast<std::byte>(flip);
    }
  }
}

TEST(wire_hostile, every_length_that_overflows_is_judged) {
  constexpr std::uint64_t one = 1;
  const std::uint64_t lengths[] = {0,
                                   1,
                                   (one << 16) - 1,
                                   (one << 16),
                                   (one << 31) - 1,
                                   (one << 31),
                                   (one << 31) + 1,
                                   (one << 32) - 1,
                                   (one << 32),
                                   (one << 32) + 1,
                                   one << 63,
                                   (one << 63) + 1,
                                   ~std::uint64_t{0},
                                   ~std::uint64_t{0} / sizeof(double),
                                   ~std::uint64_t{0} / sizeof(double) + 1};
  const auto good = small_specimen();
  for (std::size_t at = 0; at + 8 <= good.size(); ++at) {
    for (const std::uint64_t length : lengths) {
      auto bytes = good;
      detail::store(bytes.data() + at, length);
      expect_judged(bytes);
    }
  }
}

TEST(wire_hostile, random_bytes_are_judged) {
  detail::Chance chance{4711};
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::byte> bytes(chance.below(300));
    for (std::byte& byte : bytes) {
      byte = static_cast<std::byte>(chance.below(3) == 0 ? chance.below(256) : chance.below(3));
    }
    expect_judged(bytes);
  }
}

TEST(wire_hostile, trailing_bytes_are_corrupt) {
  auto bytes = small_specimen();
  bytes.push_back(std::byte{0});
  const Error error = refused<Specimen>(bytes);
  EXPECT_EQ(error.kind(), ErrorKind::corrupt);
  EXPECT_NE(error.sentence().find("1 bytes are left over"), std::string::npos) << error;
}

TEST(wire_hostile, a_refusal_says_what_and_where) {
  EXPECT_EQ(refused<std::uint32_t>(raw({1, 2})).sentence(),
            "decode: offset 0: 4 bytes are needed, 2 are left");
  EXPECT_EQ((refused<std::pair<std::uint8_t, bool>>(raw({1, 2})).sentence()),
            "decode: offset 1: a bool is 2, not 0 or 1");
  EXPECT_EQ(refused<std::vector<bool>>(raw({2, 0, 0, 0, 0, 0, 0, 0, 1, 9})).sentence(),
            "decode: offset 9: a bool is 9, not 0 or 1");
  EXPECT_EQ(refused<std::string>(raw({9, 0, 0, 0, 0, 0, 0, 0, 'a'})).sentence(),
            "decode: offset 0: a count of 9 where at most 1 can follow");
  EXPECT_EQ(refused<std::optional<int>>(raw({3})).sentence(),
            "decode: offset 0: the tag of an optional or result is 3, not 0 or 1");
  EXPECT_EQ((refused<std::variant<int, bool>>(raw({2, 0, 0, 0, 0})).sentence()),
            "decode: offset 0: alternative 2 of a variant of 2");
  EXPECT_EQ(refused<std::set<std::uint8_t>>(raw({2, 0, 0, 0, 0, 0, 0, 0, 5, 5})).sentence(),
            "decode: offset 10: a key of a map or an element of a set comes twice");
  EXPECT_EQ(
      (refused<std::unordered_map<char, char>>(raw({2, 0, 0, 0, 0, 0, 0, 0, 5, 1, 5, 2})).kind()),
      ErrorKind::corrupt);
  EXPECT_EQ(refused<Error>(raw({0})).sentence(), "decode: offset 0: an Error of unknown kind 0");
  EXPECT_EQ(refused<Error>(raw({200})).sentence(),
            "decode: offset 0: an Error of unknown kind 200");
}

TEST(wire_hostile, an_error_with_a_code_from_nowhere_is_corrupt) {
  auto bytes = *encode(Error{ErrorKind::denied, {.code = {13, std::system_category()}}});
  ASSERT_EQ(bytes.at(33), std::byte{1});
  bytes[33] = std::byte{3};
  EXPECT_EQ(refused<Error>(bytes).sentence(),
            "decode: offset 39: an Error with a code of unknown category 3");
}

TEST(wire_hostile, a_nesting_bomb_stops_at_64) {
  // Each level: a value and a vector of one.
  std::vector<std::byte> bytes;
  for (int level = 0; level < 100'000; ++level) {
    const auto tree = raw({0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0});
    bytes.insert(bytes.end(), tree.begin(), tree.end());
  }
  const Error error = refused<Tree>(bytes);
  EXPECT_EQ(error.sentence(), "decode: offset 768: structs are nested more than 64 deep");
  bytes.clear();
  for (int level = 0; level < 100'000; ++level) {
    const auto node = raw({0, 0, 0, 0, 1});
    bytes.insert(bytes.end(), node.begin(), node.end());
  }
  EXPECT_EQ(refused<Node>(bytes).kind(), ErrorKind::corrupt);
}

/// A count of `count` and that many zero bytes times `each`.
std::vector<std::byte> zeros(std::uint64_t count, std::size_t each) {
  std::vector<std::byte> bytes(8 + count * each);
  detail::store(bytes.data(), count);
  return bytes;
}

template <class T> void expect_bounded(const std::vector<std::byte>& bytes) {
  const std::size_t peak = peak_of([&] { (void)decode<T>(bytes); });
  EXPECT_LE(peak, 4 * bytes.size() + detail::memory_floor) << shape_text<T>();
}

TEST(wire_hostile, a_count_bomb_takes_at_most_four_bytes_for_each_that_came) {
  constexpr std::uint64_t many = 500'000;
  expect_bounded<std::vector<std::string>>(zeros(many, 8));
  expect_bounded<std::vector<std::vector<std::string>>>(zeros(many, 8));
  expect_bounded<std::vector<std::optional<std::array<double, 100>>>>(zeros(many, 1));
  expect_bounded<std::vector<std::variant<std::uint8_t, Specimen>>>(zeros(many, 2));
  expect_bounded<std::vector<std::expected<Specimen, std::uint8_t>>>(zeros(many, 2));
  expect_bounded<std::vector<std::filesystem::path>>(zeros(many, 8));
  expect_bounded<std::vector<Error>>(zeros(many, 39));
  expect_bounded<std::vector<bool>>(zeros(many, 1));
  expect_bounded<std::vector<Nothing>>(zeros(many, 0));
  expect_bounded<std::vector<std::vector<Nothing>>>(zeros(many, 8));
  expect_bounded<Tree>(raw({0, 0, 0, 0, 255, 255, 0, 0, 0, 0, 0, 0}));

  std::vector<std::unique_ptr<std::array<std::optional<double>, 100>>> pointers(10'000);
  for (auto& pointer : pointers)
    pointer = std::make_unique<std::array<std::optional<double>, 100>>();
  expect_bounded<decltype(pointers)>(*encode(pointers));
  const std::vector<Error> errors(50'000, Error{ErrorKind::full, {.cause = "c"}});
  expect_bounded<std::vector<Error>>(*encode(errors));

  std::set<std::uint32_t> numbers;
  for (std::uint32_t i = 0; i < 200'000; ++i) numbers.insert(i);
  expect_bounded<std::set<std::uint32_t>>(*encode(numbers));
  std::string slashes;
  for (int i = 0; i < 100'000; ++i) slashes += "/a";
  expect_bounded<std::filesystem::path>(*encode(slashes));
}

TEST(wire_hostile, what_takes_too_much_memory_is_too_large_from_the_untrusted_alone) {
  const auto bytes = zeros(500'000, 1);
  using Absent = std::vector<std::optional<std::uint64_t>>;
  const Error error = refused<Absent>(bytes);
  EXPECT_EQ(error.kind(), ErrorKind::too_large);
  EXPECT_NE(error.sentence().find("more bytes of memory"), std::string::npos) << error;
  Decoder trusting{bytes, {}, Trust::equal};
  auto value = trusting.get<Absent>();
  ASSERT_TRUE(value) << value.error();
  EXPECT_EQ(value->size(), 500'000U);
}

TEST(wire_hostile, elements_without_bytes_are_counted_over_the_whole_message) {
  std::vector<std::byte> bytes = zeros(40'000, 0);
  const auto more = zeros(40'000, 0);
  bytes.insert(bytes.end(), more.begin(), more.end());
  using Two = std::pair<std::vector<Nothing>, std::vector<Nothing>>;
  EXPECT_EQ(refused<Two>(bytes).kind(), ErrorKind::corrupt);
}

// --- Handles ---

/// Goes as a Handle, like Region and Channel; refuses what came from the untrusted.
class Parcel {
 public:
  explicit Parcel(Fd fd) : fd_(std::move(fd)) {}
  Result<Handle> into_handle() && {
    if (!fd_) return fail(ErrorKind::invalid, {.cause = "nothing in the parcel"});
    return Handle{std::move(fd_), Handle::Kind::region};
  }
  static Result<Parcel> from_handle(Handle handle, Trust trust) {
    if (trust == Trust::untrusted) return fail(ErrorKind::denied, {.cause = "not from you"});
    return Parcel{std::move(handle).take_fd()};
  }
  FdView fd() const { return fd_; }

 private:
  Fd fd_;
};

struct Letter {
  std::uint8_t number = 0;
  Fd first;
  std::optional<Fd> second;
  std::vector<Fd> more;
  Parcel parcel;
};

Fd a_descriptor() { return Fd::adopt(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

struct Packed {
  std::vector<std::byte> bytes;
  std::vector<Handle> handles;
};

Packed pack() {
  Letter letter{7, a_descriptor(), a_descriptor(), {}, Parcel{a_descriptor()}};
  letter.more.push_back(a_descriptor());
  Packed packed;
  auto done = Encoder{packed.bytes, &packed.handles}.put(letter);
  EXPECT_TRUE(done) << done.error();
  EXPECT_FALSE(letter.first);
  return packed;
}

Error refused_letter(Packed packed, Trust trust = Trust::equal) {
  Decoder decoder{packed.bytes, packed.handles, trust};
  auto letter = decoder.get<Letter>();
  if (!letter) return letter.error();
  auto done = decoder.finish();
  EXPECT_FALSE(done);
  return done ? Error{ErrorKind::invalid} : done.error();
}

TEST(wire_handles, travel_beside_the_bytes_by_number) {
  static_assert(shape_text<Letter>() ==
                "{u8,handle:fd,opt<handle:fd>,vec<handle:fd>,handle:other}");
  static_assert(carries_handles<Letter> && !carries_handles<Specimen> && !carries_handles<Tree>);
  Packed packed = pack();
  EXPECT_EQ(packed.bytes,
            raw({7, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0}));
  ASSERT_EQ(packed.handles.size(), 4U);
  Decoder decoder{packed.bytes, packed.handles, Trust::equal};
  auto letter = decoder.get<Letter>();
  ASSERT_TRUE(letter) << letter.error();
  EXPECT_TRUE(decoder.finish());
  EXPECT_TRUE(letter->first && letter->second && *letter->second && letter->more.at(0));
  EXPECT_TRUE(letter->parcel.fd());
}

TEST(wire_handles, are_numbered_from_where_the_list_was) {
  Packed packed;
  packed.handles.emplace_back(a_descriptor());
  ASSERT_TRUE((Encoder{packed.bytes, &packed.handles}.put(a_descriptor())));
  EXPECT_EQ(packed.bytes, raw({0, 0, 0, 0}));
  Decoder decoder{packed.bytes, std::span{packed.handles}.subspan(1), Trust::equal};
  EXPECT_TRUE(*decoder.get<Fd>());
}

TEST(wire_handles, without_a_place_are_unsupported) {
  std::vector<std::byte> out;
  Letter letter{7, a_descriptor(), {}, {}, Parcel{a_descriptor()}};
  auto done = Encoder{out}.put(letter);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind(), ErrorKind::unsupported);
  EXPECT_TRUE(out.empty());
}

TEST(wire_handles, that_hold_nothing_cannot_be_sent) {
  Packed packed;
  auto empty = Encoder{packed.bytes, &packed.handles}.put(Fd{});
  ASSERT_FALSE(empty);
  EXPECT_EQ(empty.error().kind(), ErrorKind::invalid);
  auto parcel = Encoder{packed.bytes, &packed.handles}.put(Parcel{Fd{}});
  ASSERT_FALSE(parcel);
  EXPECT_EQ(parcel.error().sentence(),
            "encode: offset 0: a handle in it cannot be sent: nothing in the parcel");
}

TEST(wire_handles, that_are_missing_are_corrupt) {
  for (std::size_t left = 0; left < 4; ++left) {
    Packed packed = pack();
    while (packed.handles.size() > left) packed.handles.pop_back();
    EXPECT_NE(refused_letter(std::move(packed)).sentence().find(" is named, "), std::string::npos)
        << left;
  }
}

TEST(wire_handles, that_are_left_over_are_corrupt) {
  Packed packed = pack();
  packed.handles.emplace_back(a_descriptor());
  EXPECT_EQ(refused_letter(std::move(packed)).sentence(),
            "decode: offset 26: 1 handles are left over");
}

TEST(wire_handles, named_twice_or_out_of_order_are_corrupt) {
  for (const std::size_t at : {std::size_t{1}, std::size_t{6}, std::size_t{18}, std::size_t{22}}) {
    for (const int number : {0, 1, 2, 3, 4, 255}) {
      Packed packed = pack();
      if (packed.bytes[at] == static_cast<std::byte>(number)) continue;
      packed.bytes[at] = static_cast<std::byte>(number);
      EXPECT_EQ(refused_letter(std::move(packed)).kind(), ErrorKind::corrupt) << at << number;
    }
  }
}

TEST(wire_handles, of_another_kind_are_corrupt) {
  Packed packed = pack();
  packed.handles[0] = Handle{a_descriptor(), Handle::Kind::channel, 1};
  EXPECT_EQ(refused_letter(std::move(packed)).sentence(),
            "decode: offset 1: handle 0 is of another kind");
  packed = pack();
  packed.handles[0] = Handle{std::unique_ptr<Handle::Local>{}, Handle::Kind::descriptor, 0};
  EXPECT_EQ(refused_letter(std::move(packed)).kind(), ErrorKind::corrupt);
}

TEST(wire_handles, that_their_type_refuses_say_why) {
  const Error error = refused_letter(pack(), Trust::untrusted);
  EXPECT_EQ(error.kind(), ErrorKind::denied);
  EXPECT_EQ(error.sentence(), "decode: offset 22: handle 3 is refused: not from you");
}

TEST(wire_handles, of_every_cut_and_flipped_message_are_closed) {
  // The census after the test finds a descriptor that is left.
  const std::size_t size = pack().bytes.size();
  for (std::size_t at = 0; at < size; ++at) {
    Packed cut = pack();
    cut.bytes.resize(at);
    EXPECT_EQ(refused_letter(std::move(cut)).kind(), ErrorKind::corrupt);
    Packed flipped = pack();
    flipped.bytes[at] ^= std::byte{0xff};
    Decoder decoder{flipped.bytes, flipped.handles, Trust::equal};
    (void)decoder.get<Letter>();
  }
}

}  // namespace
}  // namespace bulkhead::wire
