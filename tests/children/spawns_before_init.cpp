// SPDX-License-Identifier: Apache-2.0
// Forgets to call bulkhead::init; prints what spawn says.
#include <iostream>

#include <bulkhead/process.hpp>

static void role(bulkhead::Bootstrap&) {}

int main() { std::cout << bulkhead::spawn<role>().error() << '\n'; }
