// SPDX-License-Identifier: Apache-2.0
//
// What master and worker say to each other, over the worker's main channel.
//
//   master                                worker
//                                         Hello: its Status page beside it, and what came of the
//                                         initializer as an encoded Result<void>
//   Task, as many as the worker may hold
//                                         Answer to each, in the order of the tasks: an encoded
//                                         Result, or nothing for one that it was told not to begin
//
// A ticket is one attempt of one task at one worker: 1, 2, 3, ... in the order of sending. An answer
// to another than the oldest open ticket is a lie, and ends the worker.
//
// LAYOUT TaskHeader, written by the master, read by the worker
//   0  ticket     u64
//   8  entry      u64  of the function's instantiation in the executable, from its load address
//   16 attempt    u32
//   20 in_region  u32  1: the arguments are in the last Region beside it, whose first bytes are these
//   24 the arguments, as wire encodes them
//
// LAYOUT AnswerHeader, written by the worker, read by the master
//   0  ticket     u64  0 in a Hello
//   8  took_ns    u64  how long the function ran
//   16 kind       u32  AnswerHeader::Kind
//   20 zero       u32
//   24 the encoded Result
//
// TRUST: the worker believes its master. The master believes of an answer its ticket if it is the one
// that it waits for, takes took_ns as a hint, and decodes the rest as from any peer.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>

#include <bulkhead/bytes.hpp>
#include <bulkhead/detail/pool/state.hpp>

namespace bulkhead::pool {

struct TaskHeader {
  std::uint64_t ticket = 0;
  std::uint64_t entry = 0;
  std::uint32_t attempt = 0;
  std::uint32_t in_region = 0;
};

struct AnswerHeader {
  enum Kind : std::uint32_t { value = 0, error = 1, declined = 2 };
  std::uint64_t ticket = 0;
  std::uint64_t took_ns = 0;
  std::uint32_t kind = value;
  std::uint32_t zero = 0;
};

static_assert(sizeof(TaskHeader) == detail::task_header_bytes);
static_assert(sizeof(AnswerHeader) == detail::task_header_bytes);

/// Functions of a pool are found like roles: by where they lie in the executable.
using AnyEntry = void (*)();
template <class Entry> detail::RoleEntry as_role(Entry entry) {
  return reinterpret_cast<detail::RoleEntry>(reinterpret_cast<AnyEntry>(entry));
}
template <class Entry> Entry from_role(detail::RoleEntry entry) {
  return reinterpret_cast<Entry>(reinterpret_cast<AnyEntry>(entry));
}

template <class Header> std::optional<Header> read_header(Bytes message) {
  if (message.size() < sizeof(Header)) return std::nullopt;
  Header header;
  std::memcpy(&header, message.data(), sizeof header);
  return header;
}

template <class Header> void write_header(MutableBytes message, const Header& header) {
  std::memcpy(message.data(), &header, sizeof header);
}

}  // namespace bulkhead::pool
