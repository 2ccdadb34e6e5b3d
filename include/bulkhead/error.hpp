// SPDX-License-Identifier: Apache-2.0
//
// Error: why a call failed, as a value that prints itself as one sentence:
//
//   listen shm:camera: name in use by pid 4711; stop it or choose another name
//   decode: decoder (4711) died: SIGSEGV at 0x10
//
// The kind is a closed list, named by what the caller can do about it. The rest is for people:
// what was attempted, on what, why it failed, what would help, and how a process died where one
// did. An Error made from a kind alone allocates nothing. Copies share their text; any thread may
// read any copy.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include <bulkhead/detail/export.hpp>
#include <bulkhead/exit.hpp>

namespace bulkhead {

enum class ErrorKind : std::uint8_t {
  full = 1,      ///< no room now; try again when the peer has read
  empty,         ///< nothing there now; try again later
  timed_out,     ///< the deadline came first; the call may be repeated
  cancelled,     ///< the caller asked for it to stop
  closed,        ///< this end or the peer has closed in good order
  peer_died,     ///< the process at the other end is gone; exit() says how, where known
  not_found,     ///< no such name, file, method
  exists,        ///< the name is taken
  denied,        ///< not permitted, by the system or by a sandbox
  exhausted,     ///< memory, disk, descriptors or another limit
  too_large,     ///< larger than the configured or the mechanism's maximum
  invalid,       ///< the call was wrong: its arguments or its moment
  incompatible,  ///< another version, interface or layout
  corrupt,       ///< a peer broke the protocol: the link is gone
  unsupported,   ///< this mechanism or this system cannot do it
  deadlock,      ///< waiting would never end
  poisoned,      ///< it ended every process that tried it
  system,        ///< another failure of the operating system; code() says which
};

/// "peer_died"
BULKHEAD_API std::string_view to_string(ErrorKind kind) noexcept;

class [[nodiscard]] BULKHEAD_API Error {
 public:
  /// What a person needs to know. Leave out what does not apply.
  struct Details {
    std::string operation{};  ///< the verb: "listen", or the method's name
    std::string object{};     ///< on what: an address, a path, a process
    std::string cause{};      ///< why; from the code or the kind when empty
    std::string remedy{};     ///< what would help
    std::error_code code{};   ///< the system's code, if one is behind it
  };

  explicit Error(ErrorKind kind) noexcept : kind_(kind) {}
  Error(ErrorKind kind, Details details);

  /// From an errno value; the kind follows from it (ENOENT is not_found, EMFILE exhausted, ...).
  static Error from_errno(int number, Details details);

  /// `who` (a role and its pid) died as `exit` says, while `operation` was under way.
  static Error died(std::string operation, std::string who, Exit exit);
  /// An error of another kind that a death led to, in the words of `details`.
  static Error after_death(ErrorKind kind, Details details, std::string who, Exit exit);

  ErrorKind kind() const noexcept { return kind_; }
  /// The system's code when there is one, else the kind in category "bulkhead".
  std::error_code code() const noexcept;
  const std::string& operation() const noexcept;
  const std::string& object() const noexcept;
  const std::string& cause() const noexcept;
  const std::string& remedy() const noexcept;
  /// How the process at the other end died; null when this is not about a death.
  const Exit* exit() const noexcept;
  /// The process that died: "decoder (4711)"; empty when this is not about a death.
  const std::string& who() const noexcept;

  /// The same error, told as part of `operation` on `object`.
  Error during(std::string operation, std::string object = {}) const;

  /// One sentence without a full stop.
  std::string sentence() const;

  friend bool operator==(const Error& error, ErrorKind kind) noexcept {
    return error.kind_ == kind;
  }

 private:
  struct Text;

  ErrorKind kind_;
  std::shared_ptr<const Text> text_;
};

BULKHEAD_API std::ostream& operator<<(std::ostream& out, const Error& error);

/// Category "bulkhead": comparable with std::errc (timed_out == std::errc::timed_out, ...).
BULKHEAD_API const std::error_category& error_category() noexcept;
BULKHEAD_API std::error_code make_error_code(ErrorKind kind) noexcept;

}  // namespace bulkhead

template <> struct std::is_error_code_enum<bulkhead::ErrorKind> : std::true_type {};
