// SPDX-License-Identifier: Apache-2.0
#include <bulkhead/process.hpp>

namespace bulkhead {

void init(int, char**) {}

}  // namespace bulkhead
