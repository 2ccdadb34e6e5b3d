// SPDX-License-Identifier: Apache-2.0
//
// isolate: one call of one function in a sandboxed process of its own, as if it were a call.
//
//   Image decode(std::string png, Size limit);                 // an ordinary function; it may crash
//
//   Result<Image> image = isolate<decode>(bytes, Size{64, 64});
//   Result<Image> other = isolate<decode>({.sandbox = sandbox::compute_only, .deadline = 2s}, bytes,
//                                         Size{64, 64});
//
// For work that is risky and takes longer than the start of a process (a few milliseconds). For many
// calls keep a process: spawn a role that serves an interface.
// The function is one of this executable, or a lambda without captures; it takes values (or const
// references) and returns one, or a Result of one, of what <bulkhead/wire.hpp> can encode. It sees
// this program as it is after its static initialisers, not as it is now. init must have been called.
// Threads: any number at once. Ownership: arguments are copied, handles in them move; the process is
// gone when the call returns.
// Blocking: until the deadline, which includes the start; then the process is killed.
// Errors: the function's own, when it returns a Result; `system` with its words, when it throws;
// `peer_died` with the Exit, when its process dies; `timed_out`, when it was killed at the deadline;
// and what spawn says.
// TRUST: the result comes from a process that may be under an attacker's control by then. It is
// decoded from a private copy and well formed; that its values make sense is for the caller to check.
#pragma once

#include <chrono>
#include <concepts>
#include <string>
#include <type_traits>
#include <utility>

#include <bulkhead/detail/isolate.hpp>
#include <bulkhead/process.hpp>
#include <bulkhead/result.hpp>
#include <bulkhead/sandbox.hpp>

namespace bulkhead {

struct IsolateOptions {
  Sandbox sandbox = sandbox::compute_only;
  std::chrono::nanoseconds deadline = std::chrono::seconds(10);
  /// How errors call it; the function's name unless given.
  std::string name = {};
  Output output = Output::inherit();
};

/// Result<R> for a function that returns R, and for one that returns Result<R>.
template <auto Function, class... A>
auto isolate(IsolateOptions options, A&&... arguments) -> detail::IsolatedResult<Function> {
  using Call = detail::IsolatedCall<Function>;
  static_assert(sizeof...(A) == Call::parameters, "as many arguments as the function takes");
  if (options.name.empty()) options.name = detail::role_name<Function>();
  const std::string name = options.name;
  auto request = Call::request(std::forward<A>(arguments)...);
  if (!request) return fail(request.error().during("isolate", name));
  auto reply =
      detail::isolate(&detail::entry<&Call::role>, *std::move(request), std::move(options));
  if (!reply) return fail(std::move(reply).error());
  return Call::result_of(*reply, name);
}

template <auto Function, class... A>
  requires(sizeof...(A) == 0 ||
           !std::same_as<std::remove_cvref_t<detail::FirstOf<A...>>, IsolateOptions>)
auto isolate(A&&... arguments) -> detail::IsolatedResult<Function> {
  return isolate<Function>(IsolateOptions{}, std::forward<A>(arguments)...);
}

}  // namespace bulkhead
