// SPDX-License-Identifier: Apache-2.0
//
// CookieKey: proof that a client receives what is sent to the address that it claims, without
// anything kept of it: a hash of address, session and time under a key that only the listener has.
// SipHash-2-4 (Aumasson, Bernstein 2012), made for that. A cookie is good for one to two minutes.
#pragma once

#include <array>
#include <bit>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <string>
#include <sys/random.h>

#include "os/inet.hpp"
#include "os/syscall.hpp"
#include "transport/udp_frame.hpp"

namespace bulkhead::transport {

/// Bytes of the kernel's random generator.
template <class T> Result<T> random_value() {
  T value{};
  if (os::retry_eintr([&] { return ::getrandom(&value, sizeof value, 0); }) == sizeof value) {
    return value;
  }
  return os::failed("get", "random bytes");
}

class SipHash {
 public:
  explicit SipHash(const std::array<std::uint64_t, 2>& key) noexcept
      : v_{key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d, key[0] ^ 0x6c7967656e657261,
           key[1] ^ 0x7465646279746573} {}

  std::uint64_t of(std::string_view text) noexcept {
    const std::size_t whole = text.size() / 8 * 8;
    for (std::size_t at = 0; at < whole; at += 8) word(text.substr(at, 8));
    std::string last{text.substr(whole)};
    last.resize(8);
    last[7] = static_cast<char>(text.size());
    word(last);
    v_[2] ^= 0xff;
    for (int i = 0; i < 4; ++i) round();
    return v_[0] ^ v_[1] ^ v_[2] ^ v_[3];
  }

 private:
  void word(std::string_view eight) noexcept {
    std::uint64_t m = 0;
    for (std::size_t i = 8; i > 0; --i) m = m << 8 | static_cast<unsigned char>(eight[i - 1]);
    v_[3] ^= m;
    round();
    round();
    v_[0] ^= m;
  }
  void round() noexcept {
    auto& [a, b, c, d] = v_;
    a += b, b = std::rotl(b, 13) ^ a, a = std::rotl(a, 32);
    c += d, d = std::rotl(d, 16) ^ c;
    a += d, d = std::rotl(d, 21) ^ a;
    c += b, b = std::rotl(b, 17) ^ c, c = std::rotl(c, 32);
  }

  std::array<std::uint64_t, 4> v_;
};

class CookieKey {
 public:
  static Result<CookieKey> make() {
    CookieKey key;
    key.key_ = BULKHEAD_TRY((random_value<std::array<std::uint64_t, 2>>()));
    return key;
  }

  udp_frame::Cookie now(const os::InetAddress& from, std::uint64_t session) const {
    return at(minute(), from, session);
  }
  bool accepts(udp_frame::Cookie cookie, const os::InetAddress& from, std::uint64_t session) const {
    const std::uint64_t present = minute();
    return cookie == at(present, from, session) || cookie == at(present - 1, from, session);
  }

 private:
  static std::uint64_t minute() {
    const auto since = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::minutes>(since).count());
  }
  udp_frame::Cookie at(std::uint64_t minute, const os::InetAddress& from,
                       std::uint64_t session) const {
    std::string text{from.raw()};
    for (const std::uint64_t number : {minute, session, std::uint64_t{from.port()}}) {
      char bytes[8];
      std::memcpy(bytes, &number, sizeof bytes);
      text.append(bytes, sizeof bytes);
    }
    return SipHash{key_}.of(text);
  }

  std::array<std::uint64_t, 2> key_{};
};

}  // namespace bulkhead::transport
