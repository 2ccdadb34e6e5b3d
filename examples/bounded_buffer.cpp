// SPDX-License-Identifier: Apache-2.0
//
// A buffer with eight places between programs that make numbers and programs that use them up. One
// semaphore counts the free places, one the filled ones: who finds none waits, and no longer.
//
//   build/bin/bounded_buffer make numbers 1000     puts 1 to 1000 in
//   build/bin/bounded_buffer use numbers 1000      takes a thousand out, and prints their sum
#include <array>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>

#include <bulkhead/mutex.hpp>
#include <bulkhead/semaphore.hpp>
#include <bulkhead/shared.hpp>

using namespace bulkhead;
using namespace std::chrono_literals;

namespace {

struct Buffer {
  explicit Buffer(Place place) : free(place, 8), filled(place, 0), lock(place, "buffer") {}

  Semaphore free;
  Semaphore filled;
  Mutex lock;  // there may be several of both
  std::uint64_t puts = 0;
  std::uint64_t takes = 0;
  std::array<std::int64_t, 8> places{};
};

void put(Buffer& buffer, std::int64_t number) {
  or_exit(buffer.free.wait(60s));
  auto held = or_exit(buffer.lock.lock(60s));
  buffer.places[buffer.puts++ % 8] = number;
  held.unlock();
  or_exit(buffer.filled.post());
}

std::int64_t take(Buffer& buffer) {
  or_exit(buffer.filled.wait(60s));
  auto held = or_exit(buffer.lock.lock(60s));
  const std::int64_t number = buffer.places[buffer.takes++ % 8];
  held.unlock();
  or_exit(buffer.free.post());
  return number;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc == 4 ? argv[1] : "";
  if (verb != "make" && verb != "use") {
    std::cerr << "usage: bounded_buffer make|use NAME COUNT\n";
    return 2;
  }
  auto buffer = or_exit(Shared<Buffer>::open_or_create(posix_memory(argv[2])));
  std::int64_t sum = 0;
  for (std::int64_t i = 1; i <= std::atoll(argv[3]); ++i) {
    if (verb == "make") {
      put(*buffer, i);
    } else {
      sum += take(*buffer);
    }
  }
  if (verb == "use") std::cout << sum << '\n';
}
