// SPDX-License-Identifier: Apache-2.0
//
// Two processes that lock the same two mutexes in different orders: each has its first one when it
// wants the other's. One of them is told that this would never end, with whom, for what and where;
// it gives way, and the other one gets both.
//
//   deadlock [SECONDS]    the seller hesitates so long: time to look with `bulkhead locks`
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <thread>

#include <bulkhead/diagnosing.hpp>
#include <bulkhead/mutex.hpp>
#include <bulkhead/process.hpp>
#include <bulkhead/semaphore.hpp>
#include <bulkhead/shared.hpp>

using namespace bulkhead;
using namespace std::chrono_literals;

namespace {

struct Books {
  explicit Books(Place place)
      : cash(place, "cash"), stock(place, "stock"), cash_taken(place), stock_taken(place) {}

  Mutex cash;
  Mutex stock;
  Semaphore cash_taken;
  Semaphore stock_taken;
  std::int64_t coins = 100;
  std::int64_t goods = 100;
};

Shared<Books> open_books(Bootstrap& boot) {
  or_exit(diagnose_locks());
  return or_exit(Shared<Books>::open(
      or_exit(SharedRegion::attach(or_exit(boot.descriptor("books")), Trust::equal))));
}

void tell(const std::string& what) { std::cout << what + "\n" << std::flush; }

void buyer(Bootstrap& boot) {
  auto books = open_books(boot);
  auto cash = or_exit(books->cash.lock());
  or_exit(books->cash_taken.post());
  or_exit(books->stock_taken.wait(60s));
  auto stock = books->stock.lock();
  if (!stock) return tell("buyer: " + stock.error().sentence());
  --books->coins;
  ++books->goods;
  tell("buyer: bought");
}

void seller(Bootstrap& boot) {
  auto books = open_books(boot);
  auto stock = or_exit(books->stock.lock());
  or_exit(books->stock_taken.post());
  or_exit(books->cash_taken.wait(60s));
  // Not synchronisation: somebody wants to look.
  std::this_thread::sleep_for(std::get<0>(or_exit(boot.arguments<std::chrono::milliseconds>())));
  auto cash = books->cash.lock();
  if (!cash) return tell("seller: " + cash.error().sentence());
  --books->goods;
  ++books->coins;
  tell("seller: sold");
}

Fd descriptor_of(const Shared<Books>& books) {
  return or_exit(or_exit(books.duplicate()).into_handle()).take_fd();
}

}  // namespace

int main(int argc, char** argv) {
  init(argc, argv);
  auto books = or_exit(Shared<Books>::create());
  Process first = or_exit(spawn<buyer>({.descriptors = {{"books", descriptor_of(books)}}}));
  const std::chrono::milliseconds pause{argc > 1 ? std::atoi(argv[1]) * 1000 : 0};
  Process second = or_exit(spawn<seller>(
      {.arguments = arguments(pause), .descriptors = {{"books", descriptor_of(books)}}}));
  const Exit one = or_exit(first.wait(never));
  const Exit other = or_exit(second.wait(never));
  return one.success() && other.success() ? 0 : 1;
}
