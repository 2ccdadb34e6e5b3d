// SPDX-License-Identifier: Apache-2.0
//
// A Shared<T> that programs which know nothing of each other find by its name: how many of them are
// there, and who came last. Start it as often as you like, in any order, and kill what you like: the
// first one makes the object, the others find it, and it goes with the last.
//
//   build/bin/visitors anna & build/bin/visitors bert &      # each waits for the end of its input
#include <cstdint>
#include <cstring>
#include <iostream>
#include <string>

#include <bulkhead/mutex.hpp>
#include <bulkhead/shared.hpp>

using namespace bulkhead;
using namespace std::chrono_literals;

namespace {

struct Book {
  explicit Book(Place place) : lock(place, "visitors") {}

  void sign(const char* name) {
    std::strncpy(last, name, sizeof last - 1);
    ++visits;
  }

  Mutex lock;
  std::uint32_t visits = 0;
  char last[32] = {};
};

}  // namespace

int main(int argc, char** argv) {
  const char* const name = argc > 1 ? argv[1] : "somebody";
  const char* const where = argc > 2 ? argv[2] : "bulkhead-visitors";
  auto book = or_exit(Shared<Book>::open_or_create(posix_memory(where)));
  {
    auto held = or_exit(book->lock.lock(10s));
    if (held.owner_died()) {
      book->last[sizeof book->last - 1] = 0;  // a name may be half written, and no worse
      held.repaired();
    }
    std::cout << name << " is visitor " << book->visits + 1;
    if (book->visits > 0) std::cout << ", after " << book->last;
    std::cout << std::endl;
    book->sign(name);
  }
  for (std::string line; std::getline(std::cin, line);) {
  }
}
