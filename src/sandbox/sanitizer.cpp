// SPDX-License-Identifier: Apache-2.0
#include "sandbox/sanitizer.hpp"

#ifdef BULKHEAD_SANITIZED
#include <sanitizer/common_interface_defs.h>

#include <bulkhead/detail/export.hpp>

namespace {
int leaks_are_not_searched = 0;
}

// Asked by the run-time at exit.
extern "C" BULKHEAD_API int __lsan_is_turned_off();
extern "C" int __lsan_is_turned_off() { return leaks_are_not_searched; }

namespace bulkhead::sandbox {

void prepare_sanitizer() {
  leaks_are_not_searched = 1;
  __sanitizer_sandbox_arguments arguments{};
  __sanitizer_sandbox_on_notify(&arguments);
}

}  // namespace bulkhead::sandbox
#else
namespace bulkhead::sandbox {

void prepare_sanitizer() {}

}  // namespace bulkhead::sandbox
#endif
