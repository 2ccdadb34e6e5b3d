// SPDX-License-Identifier: Apache-2.0
#include "pool/copies.hpp"

namespace bulkhead::pool {

Result<std::vector<Handle>> copies_of(const std::vector<Handle>& handles) {
  std::vector<Handle> copies;
  for (const Handle& handle : handles) {
    if (handle.is_local()) {
      return fail(ErrorKind::unsupported,
                  {.cause = "an inproc channel cannot be handed to another process"});
    }
    copies.emplace_back(BULKHEAD_TRY(Fd::duplicate(handle.fd())), handle.kind(),
                        handle.mechanism());
  }
  return copies;
}

}  // namespace bulkhead::pool
