// SPDX-License-Identifier: Apache-2.0
//
// FIFOs at a path: made for this user alone whatever the umask, opened without waiting and without
// following a link, and believed only after a look at what was opened.
#pragma once

#include <string>
#include <sys/types.h>

#include <bulkhead/fd.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead::os {

/// Makes it, mode 0600 and `more` (S_ISUID and the like, which mean nothing for a FIFO). `exists`
/// when there is anything at that path, a link included.
Result<void> make_fifo(const std::string& path, mode_t more = 0);

/// Opens one end, not blocking, close-on-exec. `not_found` when there is none, or, to write, when
/// nobody reads; `denied` when it belongs to another user, lets others in, or is a link;
/// `incompatible` when it is no FIFO.
enum class FifoEnd { reading, writing };
Result<Fd> open_fifo(const std::string& path, FifoEnd end);

/// Has as many names as it should: one, or none any more.
bool has_other_names(FdView fifo) noexcept;

/// Marks this process as one that has the FIFO open; until it closes any descriptor of it or ends.
void sign(FdView fifo) noexcept;
/// The process other than this one that signed it, by the kernel's word; 0 when there is none, or
/// when it is this one.
pid_t signer_of(FdView fifo) noexcept;

/// Holds the number `place` of the FIFO until this description of it is closed, by death too.
void hold_place(FdView fifo, std::uint64_t place) noexcept;
bool is_place_held(FdView fifo, std::uint64_t place) noexcept;

}  // namespace bulkhead::os
