// SPDX-License-Identifier: Apache-2.0
// Allows itself no more processes, as nobody; prints what spawn says.
#include <iostream>
#include <sys/resource.h>
#include <unistd.h>

#include <bulkhead/process.hpp>

static void role(bulkhead::Bootstrap&) {}

int main(int argc, char** argv) {
  bulkhead::init(argc, argv);
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_NPROC, &none);
  // The limit does not bind the superuser.
  if (::getuid() == 0 && ::setresuid(65534, 65534, 65534) != 0) return 1;
  const auto child = bulkhead::spawn<role>();
  if (child) return 2;
  std::cout << to_string(child.error().kind()) << ": " << child.error() << '\n';
}
