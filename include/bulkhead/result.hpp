// SPDX-License-Identifier: Apache-2.0
//
// Result<T>: a value or an Error. Every call that can fail at run time returns one; no exception
// leaves the library. libstdc++ 12 lacks and_then, hence three ways to use one up:
//
//   Image image = BULKHEAD_TRY(decode(bytes));    // in a function that returns a Result itself
//   Process child = or_exit(spawn<decoder>({}));  // in main: print the sentence, exit(1)
//   Image image = or_throw(decode(bytes));        // where exceptions are wanted
#pragma once

#include <expected>
#include <type_traits>
#include <utility>

#include <bulkhead/detail/export.hpp>
#include <bulkhead/error.hpp>

#if __cpp_exceptions
#include <stdexcept>
#endif

namespace bulkhead {

template <class T> using Result = std::expected<T, Error>;

/// Makes a failed Result of any type.
inline std::unexpected<Error> fail(Error error) { return std::unexpected<Error>{std::move(error)}; }
inline std::unexpected<Error> fail(ErrorKind kind) noexcept {
  return std::unexpected<Error>{Error{kind}};
}
inline std::unexpected<Error> fail(ErrorKind kind, Error::Details details) {
  return std::unexpected<Error>{Error{kind, std::move(details)}};
}

namespace detail {
[[noreturn]] BULKHEAD_API void print_and_exit(const Error& error);
}

/// The value, or the error's sentence on standard error and exit(1). For main functions: the only
/// function of the library that prints.
template <class R> auto or_exit(R&& result) {
  if (!result) detail::print_and_exit(result.error());
  if constexpr (!std::is_void_v<typename std::remove_cvref_t<R>::value_type>) {
    return *std::forward<R>(result);
  }
}

#if __cpp_exceptions
/// What or_throw throws; what() is the error's sentence.
class Failure : public std::runtime_error {
 public:
  explicit Failure(Error error) : std::runtime_error(error.sentence()), error_(std::move(error)) {}
  const Error& error() const noexcept { return error_; }

 private:
  Error error_;
};

namespace detail {
/// Apart, so that or_throw() costs a look at the result, wherever it stands.
[[noreturn, gnu::cold, gnu::noinline]] inline void throw_failure(Error error) {
  throw Failure{std::move(error)};
}
}  // namespace detail

/// The value, or a Failure thrown.
template <class R> auto or_throw(R&& result) {
  if (!result) detail::throw_failure(std::forward<R>(result).error());
  if constexpr (!std::is_void_v<typename std::remove_cvref_t<R>::value_type>) {
    return *std::forward<R>(result);
  }
}
#endif

}  // namespace bulkhead

/// The value of a Result, or return its error from the function around. Not inside coroutines: a
/// statement expression cannot hold a suspension.
#define BULKHEAD_TRY(...)                                                             \
  __extension__({                                                                     \
    auto bulkhead_result = (__VA_ARGS__);                                             \
    if (!bulkhead_result) return std::unexpected{std::move(bulkhead_result).error()}; \
    ::bulkhead::detail::take(std::move(bulkhead_result));                             \
  })

namespace bulkhead::detail {

template <class T> T take(std::expected<T, Error>&& result) {
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

}  // namespace bulkhead::detail
