// SPDX-License-Identifier: Apache-2.0
// Has a static initialiser that aborts in its children, or with an argument hangs there; prints
// what spawn says.
#include <cstdlib>
#include <iostream>
#include <unistd.h>

#include <bulkhead/process.hpp>

namespace {

const bool initialised = [] {
  if (std::getenv("HANG_AT_START") != nullptr) {
    for (;;) ::pause();
  }
  if (std::getenv("DIE_AT_START") != nullptr) std::abort();
  return true;
}();

void role(bulkhead::Bootstrap&) {}

}  // namespace

int main(int argc, char** argv) {
  using namespace std::chrono_literals;
  bulkhead::init(argc, argv);
  const bool hang = argc > 1;
  const auto child =
      bulkhead::spawn<role>({.environment = {{hang ? "HANG_AT_START=1" : "DIE_AT_START=1"}},
                             .start_limit = hang ? 50ms : 30s});
  if (child || !initialised) return 2;
  std::cout << child.error() << '\n';
}
