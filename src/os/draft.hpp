// SPDX-License-Identifier: Apache-2.0
//
// A draft: a file that nobody finds until it is complete, and then by its name.
//
// STATE of a draft
//   none --make_draft, O_TMPFILE--> nameless --name_draft: linkat(2)--> named
//   none --make_draft, where the file system has no O_TMPFILE: a record (name_record.hpp), then a file
//     of a random name beside the right one--> aside
//   aside --name_draft: link(2)--> named twice --unlink(2), record dropped--> named
//   aside --name_draft, where there are no hard links: renameat2(2), RENAME_NOREPLACE--> named
//   aside --its Aside goes--> none
// Killed when nameless it leaves nothing; aside or named twice, the name aside, which the record leads
// `bulkhead clean` to. Neither step replaces what has the name.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>

#include <bulkhead/fd.hpp>
#include <bulkhead/result.hpp>

#include "os/name_record.hpp"

namespace bulkhead::os {

/// The random name of a draft, where it needs one. Takes that name away when it goes; in a forked child
/// it does nothing.
class Aside {
 public:
  Aside() = default;
  Aside(Aside&& other) noexcept;
  Aside& operator=(Aside&& other) noexcept;
  ~Aside() { release(); }

  const std::string& path() const noexcept { return path_; }  ///< empty where it needs none
  void release() noexcept;

 private:
  friend struct Draft;
  std::string path_;
  std::optional<NameRecord> record_;
  pid_t owner_ = 0;
};

struct Draft {
  Fd file;  ///< open for reading and writing, mode 0600 where the file system has modes
  Aside aside;

  /// In the folder of `path`. `object`: what it is to be called in errors.
  static Result<Draft> make(const std::string& path, const std::string& object);

 private:
  static Result<Draft> make_aside(const std::string& folder, const std::string& object);
};

/// `exists` when something has that name.
Result<void> name_draft(FdView file, Aside& aside, const std::string& path,
                        const std::string& object);

/// Of the form that these names have.
bool is_name_of_draft(std::string_view name) noexcept;

}  // namespace bulkhead::os
