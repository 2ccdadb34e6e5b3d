// SPDX-License-Identifier: Apache-2.0
#include "os/crc32c.hpp"

#include <array>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>
#endif

namespace bulkhead::os {
namespace {

constexpr std::uint32_t polynomial = 0x82f63b78;  // reversed

/// table[k][b]: the remainder of byte b with k zero bytes behind it ("slicing by 8", Intel 2006).
constexpr auto make_tables() {
  std::array<std::array<std::uint32_t, 256>, 8> tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? polynomial : 0);
    tables[0][byte] = value;
  }
  for (std::size_t k = 1; k < tables.size(); ++k) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t value = tables[k - 1][byte];
      tables[k][byte] = (value >> 8) ^ tables[0][value & 0xff];
    }
  }
  return tables;
}
constexpr auto tables = make_tables();

/// The instruction takes three cycles and a new one can begin in each: three lanes of so many bytes
/// are summed up side by side and put together.
constexpr std::size_t lane = 1024;

/// shift[k][b]: what byte k of a remainder, being b, becomes with a lane of zero bytes behind it.
constexpr auto make_shift() {
  std::array<std::array<std::uint32_t, 256>, 4> shift{};
  for (unsigned bit = 0; bit < 32; ++bit) {
    std::uint32_t value = std::uint32_t{1} << bit;
    for (std::size_t i = 0; i < lane; ++i) value = (value >> 8) ^ tables[0][value & 0xff];
    for (std::size_t byte = 0; byte < 256; ++byte) {
      if ((byte >> (bit % 8) & 1) != 0) shift[bit / 8][byte] ^= value;
    }
  }
  return shift;
}
constexpr auto shift = make_shift();

[[maybe_unused]] std::uint32_t behind_a_lane(std::uint32_t value) noexcept {
  return shift[0][value & 0xff] ^ shift[1][value >> 8 & 0xff] ^ shift[2][value >> 16 & 0xff] ^
         shift[3][value >> 24];
}

std::uint64_t load(const std::byte* from) {
  std::uint64_t word = 0;
  std::memcpy(&word, from, sizeof word);
  if constexpr (std::endian::native == std::endian::big) word = __builtin_bswap64(word);
  return word;
}

#if defined(__x86_64__)
bool has_instruction() noexcept { return __builtin_cpu_supports("sse4.2") != 0; }

[[gnu::target("sse4.2")]] std::uint32_t by_instruction(Bytes bytes, std::uint32_t value) noexcept {
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 3 * lane; left -= 3 * lane, at += 3 * lane) {
    std::uint64_t first = value, second = 0, third = 0;
    for (std::size_t i = 0; i < lane; i += 8) {
      first = _mm_crc32_u64(first, load(at + i));
      second = _mm_crc32_u64(second, load(at + lane + i));
      third = _mm_crc32_u64(third, load(at + 2 * lane + i));
    }
    value = behind_a_lane(behind_a_lane(static_cast<std::uint32_t>(first)) ^
                          static_cast<std::uint32_t>(second)) ^
            static_cast<std::uint32_t>(third);
  }
  std::uint64_t wide = value;
  for (; left >= 8; left -= 8, at += 8) wide = _mm_crc32_u64(wide, load(at));
  value = static_cast<std::uint32_t>(wide);
  for (; left > 0; --left, ++at) value = _mm_crc32_u8(value, static_cast<std::uint8_t>(*at));
  return value;
}
#elif defined(__aarch64__)
bool has_instruction() noexcept { return (::getauxval(AT_HWCAP) & (1UL << 7)) != 0; }

[[gnu::target("+crc")]] std::uint32_t by_instruction(Bytes bytes, std::uint32_t value) noexcept {
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 3 * lane; left -= 3 * lane, at += 3 * lane) {
    std::uint32_t second = 0, third = 0;
    for (std::size_t i = 0; i < lane; i += 8) {
      value = __crc32cd(value, load(at + i));
      second = __crc32cd(second, load(at + lane + i));
      third = __crc32cd(third, load(at + 2 * lane + i));
    }
    value = behind_a_lane(behind_a_lane(value) ^ second) ^ third;
  }
  for (; left >= 8; left -= 8, at += 8) value = __crc32cd(value, load(at));
  for (; left > 0; --left, ++at) value = __crc32cb(value, static_cast<std::uint8_t>(*at));
  return value;
}
#else
bool has_instruction() noexcept { return false; }
std::uint32_t by_instruction(Bytes, std::uint32_t value) noexcept { return value; }
#endif

}  // namespace

std::uint32_t crc32c_by_table(Bytes bytes, std::uint32_t before) noexcept {
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  std::uint32_t value = ~before;
  for (; left >= 8; left -= 8, at += 8) {
    const std::uint64_t word = load(at) ^ value;
    value = 0;
    for (std::size_t k = 0; k < 8; ++k) value ^= tables[7 - k][word >> (8 * k) & 0xff];
  }
  for (; left > 0; --left, ++at) {
    value = (value >> 8) ^ tables[0][(value ^ static_cast<std::uint32_t>(*at)) & 0xff];
  }
  return ~value;
}

std::uint32_t crc32c(Bytes bytes, std::uint32_t before) noexcept {
  static const bool fast = has_instruction();
  return fast ? ~by_instruction(bytes, ~before) : crc32c_by_table(bytes, before);
}

}  // namespace bulkhead::os
