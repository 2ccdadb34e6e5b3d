// SPDX-License-Identifier: Apache-2.0
//
// Two processes that raise the same two numbers: one by reading, adding and writing, one behind a
// lock. Of the first, updates are lost: both read the same number, and both write one more. How
// many is chance.
//
//   build/bin/lost_updates 300000
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <thread>

#include <bulkhead/mutex.hpp>
#include <bulkhead/process.hpp>
#include <bulkhead/shared.hpp>

using namespace bulkhead;
using namespace std::chrono_literals;

namespace {

struct Counters {
  explicit Counters(Place place) : lock(place, "counters") {}

  std::int64_t times = 0;
  std::atomic<int> begun{0};
  std::atomic<std::int64_t> hopeful{0};
  Mutex lock;
  std::int64_t locked = 0;
};

void count(Counters& counters) {
  for (std::int64_t i = 0; i < counters.times; ++i) {
    const std::int64_t seen = counters.hopeful.load();
    if (i % 10'000 == 0) std::this_thread::sleep_for(100us);  // as the kernel may do it anywhere
    counters.hopeful.store(seen + 1);  // wrong: the other one has come between
  }
  for (std::int64_t i = 0; i < counters.times; ++i) {
    auto held = or_exit(counters.lock.lock(60s));
    if (held.owner_died()) held.repaired();  // a number is never half-changed
    counters.locked += 1;
  }
}

void counter(Bootstrap& boot) {
  auto counters = or_exit(Shared<Counters>::open(
      or_exit(SharedRegion::attach(or_exit(boot.descriptor("counters")), Trust::equal))));
  ++counters->begun;
  while (counters->begun < 2) {
  }  // so that they count at the same time
  count(*counters);
}

Fd descriptor_of(const Shared<Counters>& counters) {
  return or_exit(or_exit(counters.duplicate()).into_handle()).take_fd();
}

}  // namespace

int main(int argc, char** argv) {
  init(argc, argv);
  auto counters = or_exit(Shared<Counters>::create());
  counters->times = argc > 1 ? std::atoll(argv[1]) : 300'000;
  Process one = or_exit(spawn<counter>({.descriptors = {{"counters", descriptor_of(counters)}}}));
  Process two = or_exit(spawn<counter>({.descriptors = {{"counters", descriptor_of(counters)}}}));
  const bool well = or_exit(one.wait(never)).success() && or_exit(two.wait(never)).success();
  const std::int64_t all = 2 * counters->times;
  std::cout << "of " << all << " updates lost without a lock: " << all - counters->hopeful
            << ", with it: " << all - counters->locked << '\n';
  return well ? 0 : 1;
}
