// SPDX-License-Identifier: Apache-2.0
//
// CRC32C (Castagnoli, as in iSCSI and ext4): what the records of files are checked with. By the
// processor's own instruction where it has one (SSE4.2, ARMv8), by tables elsewhere; both give the
// same value. A file of our own, because a library for thirty lines would be the only dependency
// of the core, and Debian's (Boost.CRC, zlib) compute it without the instruction or not at all.
#pragma once

#include <cstdint>

#include <bulkhead/bytes.hpp>

namespace bulkhead::os {

/// Of `bytes`, continued from `before`: crc32c(b, crc32c(a)) is that of a and b in a row.
std::uint32_t crc32c(Bytes bytes, std::uint32_t before = 0) noexcept;

/// The same by tables, for machines without the instruction, and to test the other against.
std::uint32_t crc32c_by_table(Bytes bytes, std::uint32_t before = 0) noexcept;

}  // namespace bulkhead::os
