// SPDX-License-Identifier: Apache-2.0
// A user's program outside the tree, built against an installed Bulkhead.
#include <iostream>

#include <bulkhead/error.hpp>
#include <bulkhead/result.hpp>

bulkhead::Result<int> halve(int value) {
  if (value % 2 != 0) {
    return bulkhead::fail(bulkhead::ErrorKind::invalid,
                          {.operation = "halve", .object = std::to_string(value)});
  }
  return value / 2;
}

int main() {
  if (auto odd = halve(3))
    return 1;
  else
    std::cout << odd.error() << '\n';
  if (*halve(4) == 2) std::cout << "hello from outside the tree\n";
}
