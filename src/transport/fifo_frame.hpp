// SPDX-License-Identifier: Apache-2.0
//
// What crosses a FIFO that many processes write into: what a client asks of the server of two-way
// channels, and the pieces of messages of the server that only receives. Each is written by one
// call of at most PIPE_BUF bytes, which the kernel keeps together (pipe(7)). The two FIFOs of an
// instance have one writer each and carry stream_frame.hpp.
//
// LAYOUT of a request (the machine's byte order: both ends are on it)
//   offset  size  field
//   0       8     magic
//   8       4     version
//   12      4     pid: what the client says of itself, for words alone
//   16      16    token: names the instance, PATH.<token in hexadecimal>.up and .down
//
// LAYOUT of a piece
//   offset  size  field
//   0       2     size: bytes of payload that follow, at most 4072
//   2       1     type
//   3       1     last: 1 in the last piece of a message, else 0
//   4       4     index of the piece in its message
//   8       8     writer: which channel wrote it, by a random number
//   16      8     magic
//   24      n     payload
//
// STATE of one writer, as the receiver sees it
//   unknown --hello--> idle
//   unknown, idle --piece 0--> partial or, when it is the last, idle: delivers one message
//   partial --next piece--> partial or, when it is the last, idle: delivers one message
//   partial --abort--> idle                    its deadline came: nothing is delivered
//   unknown, idle --piece, not 0--> the same   the rest of what an earlier receiver began
//   partial --its place is not held--> gone    it died: its half message is dropped
//   idle, partial --close--> gone              in good order
#pragma once

#include <array>
#include <climits>
#include <cstddef>
#include <cstdint>

namespace bulkhead::transport::fifo_frame {

using Token = std::array<std::uint8_t, 16>;

struct Request {
  std::uint64_t magic = 0x717265726f666966;  // "fiforerq"
  std::uint32_t version = 1;
  std::uint32_t pid = 0;
  Token token{};
};
static_assert(sizeof(Request) == 32 && offsetof(Request, version) == 8 &&
              offsetof(Request, token) == 16);

enum class Type : std::uint8_t {
  hello = 1,
  data = 2,
  abort = 3,
  close = 4,
};

struct Piece {
  std::uint16_t size = 0;
  Type type{};
  std::uint8_t last = 0;
  std::uint32_t index = 0;
  std::uint64_t writer = 0;
  std::uint64_t magic = 0x636569706f666966;  // "fifopiec"
};
static_assert(sizeof(Piece) == 24 && offsetof(Piece, last) == 3 && offsetof(Piece, index) == 4 &&
              offsetof(Piece, writer) == 8 && offsetof(Piece, magic) == 16);

inline constexpr std::size_t most_payload = 4096 - sizeof(Piece);
static_assert(most_payload + sizeof(Piece) <= PIPE_BUF);

}  // namespace bulkhead::transport::fifo_frame
