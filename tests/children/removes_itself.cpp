// SPDX-License-Identifier: Apache-2.0
// Removes its own executable, and spawns from it all the same. Runs from a copy.
#include <iostream>
#include <unistd.h>

#include <bulkhead/process.hpp>

static void role(bulkhead::Bootstrap&) {}

int main(int argc, char** argv) {
  using namespace std::chrono_literals;
  bulkhead::init(argc, argv);
  if (argc > 1 || ::unlink(argv[0]) != 0) return 1;
  auto child = or_exit(bulkhead::spawn<role>());
  std::cout << "started after removal: " << or_exit(child.wait(30s)) << '\n';
}
