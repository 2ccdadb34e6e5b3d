// SPDX-License-Identifier: Apache-2.0
//
// EINTR, in one place: a system call that a signal interrupted is made again. Calls with a
// time-out are not made here but through os/poll.hpp, which computes the time left anew.
#pragma once

#include <cerrno>
#include <string>
#include <utility>

#include <bulkhead/error.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead::os {

/// Calls until the outcome is not EINTR. Never for close(2): Linux has closed it already.
template <class Call> auto retry_eintr(Call&& call) {
  auto outcome = call();
  while (outcome == -1 && errno == EINTR) outcome = call();
  return outcome;
}

/// A failed Result from errno; read before anything else can change it.
inline std::unexpected<Error> failed(std::string operation, std::string object = {},
                                     std::string remedy = {}) {
  const int number = errno;
  return fail(Error::from_errno(number, {.operation = std::move(operation),
                                         .object = std::move(object),
                                         .remedy = std::move(remedy)}));
}

}  // namespace bulkhead::os
