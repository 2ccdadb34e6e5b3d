// SPDX-License-Identifier: Apache-2.0
//
// The process that is killed: `crash_victim OPERATION` runs that operation's victim half.
// `crash_victim --list` prints the operations and ends.
#include <cstdio>
#include <string_view>

#include "crash/operation.hpp"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string_view wanted = argv[1];
  for (const auto& operation : bulkhead::crash::all_operations()) {
    if (wanted == "--list") std::puts(operation.name.c_str());
    if (wanted != operation.name) continue;
    operation.victim();
    return 0;
  }
  return wanted == "--list" ? 0 : 3;
}
