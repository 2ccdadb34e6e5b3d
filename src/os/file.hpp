// SPDX-License-Identifier: Apache-2.0
//
// Files that a message is kept in: read and written at a place of their own by system calls, never
// by a mapping (a file that somebody else truncates answers with fewer bytes, not with SIGBUS).
// Errors are values that name the file; a full disk, a quota and a limit are `exhausted`.
#pragma once

#include <cstdint>
#include <string>
#include <sys/types.h>
#include <sys/uio.h>
#include <vector>

#include <bulkhead/bytes.hpp>
#include <bulkhead/fd.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead::os {

/// Opens with O_CLOEXEC and O_NOFOLLOW; a new file has mode 0600, whatever the umask.
Result<Fd> open_file(const std::string& path, int flags);
/// A file without a name in this user's runtime directory.
Result<Fd> open_nameless();

/// Reads until `into` is full or the file ends. The number of bytes.
Result<std::size_t> read_at(FdView file, std::uint64_t offset, MutableBytes into,
                            const std::string& path);
/// The same, content with `least` bytes: one call where a file that grows has them.
Result<std::size_t> read_at_least(FdView file, std::uint64_t offset, MutableBytes into,
                                  std::size_t least, const std::string& path);

/// Writes all of `parts`, which are used up. On failure a part may stand there: the caller cuts it
/// off. A limit on the size of files (RLIMIT_FSIZE) is found by check_size_limit before it can
/// send its signal.
Result<void> write_at(FdView file, std::uint64_t offset, std::span<iovec> parts,
                      const std::string& path);
Result<void> write_at(FdView file, std::uint64_t offset, Bytes bytes, const std::string& path);

/// `exhausted` when this process may not make a file of `size` bytes: going over the limit would
/// be SIGXFSZ, which ends a process that did not expect it.
Result<void> check_size_limit(std::uint64_t size, const std::string& path);

Result<void> cut(FdView file, std::uint64_t size, const std::string& path);
Result<std::uint64_t> size_of(FdView file, const std::string& path);
/// The data and the size are on the disk when it returns.
Result<void> sync_data(FdView file, const std::string& path);
/// The names in the folder are.
Result<void> sync_folder(const std::string& folder);

/// `path` has `content` or what it had before, whatever dies when; `durable` for power too.
enum class Durable : std::uint8_t { no, yes };
Result<void> replace_file(const std::string& path, Bytes content, Durable durable);

/// The names in a folder, sorted.
Result<std::vector<std::string>> names_in(const std::string& folder);
/// Made when missing, mode 0700.
Result<void> make_folder(const std::string& path);
/// The folder in which `path` lies.
std::string folder_of(const std::string& path);

/// Random bits for telling one file from another.
std::uint64_t random_word() noexcept;

}  // namespace bulkhead::os
