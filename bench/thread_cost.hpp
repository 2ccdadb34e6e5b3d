// SPDX-License-Identifier: Apache-2.0
//
// What threads and processes cost beside time: memory of each, a lock that several threads share, and
// more threads than cores. Each function measures once, in a process of its own.
#pragma once

#include <cstddef>

namespace bulkhead::bench {

struct MemoryOfEach {
  double user_bytes = 0;    ///< touched: stack, what the C library keeps, copied pages
  double kernel_bytes = 0;  ///< kernel stack, page tables, and what the kernel notes of it
};
/// Of a thread, and of a forked process, that do nothing but wait.
MemoryOfEach memory_of_thread();
MemoryOfEach memory_of_process();

enum class Sharing {
  nothing,  ///< a counter for each thread
  atomic,   ///< one counter, raised by an atomic instruction
  mutex,    ///< one counter behind one std::mutex
};
/// Raises of the counter in a second, all threads together.
double raises_per_second(Sharing sharing, unsigned threads);

struct Crowded {
  double units_per_second = 0;     ///< of computing, all threads together
  double switches_per_second = 0;  ///< context switches
};
/// Work that is cut into small units and taken by so many threads for each CPU.
Crowded crowded(unsigned threads_per_cpu);

}  // namespace bulkhead::bench
