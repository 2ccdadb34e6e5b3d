// SPDX-License-Identifier: Apache-2.0
//
// The process that is killed: `crash_victim OPERATION` runs that operation's victim half.
// `crash_victim --list` prints the operations and ends. `crash_victim TRIAL`: the rounds of one that
// an adversary attacks.
#include <cstdio>
#include <string_view>

#include "crash/adversary.hpp"
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
  if (wanted == "--list") return 0;
  for (const auto& all : {bulkhead::crash::trials(), bulkhead::crash::naive_trials()}) {
    for (const auto& trial : all) {
      if (wanted == trial.name) bulkhead::crash::stand(trial);
    }
  }
  return 3;
}
