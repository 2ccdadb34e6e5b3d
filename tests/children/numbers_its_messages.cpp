// SPDX-License-Identifier: Apache-2.0
//
// Sends numbered messages until it is killed: `numbers_its_messages MECHANISM SEED` on descriptor 3.
// In the memory of descriptor 4 it counts those whose send has returned: they are committed.
// A message is its number, then bytes that follow from the number (see hostile_death_test.cpp).
#include <atomic>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <sys/mman.h>
#include <vector>

#include <bulkhead/channel.hpp>

int main(int, char** argv) {
  using namespace bulkhead;
  const auto mechanism = static_cast<std::uint8_t>(std::stoi(argv[1]));
  std::mt19937 random{static_cast<std::uint32_t>(std::stoul(argv[2]))};
  Channel channel = or_exit(
      Channel::from_handle(Handle{Fd::adopt(3), Handle::Kind::channel, mechanism}, Trust::equal));
  void* const memory = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, 4, 0);
  if (memory == MAP_FAILED) return 1;
  auto& committed = *static_cast<std::atomic<std::uint64_t>*>(memory);
  std::vector<std::byte> bytes;
  for (std::uint64_t number = 0;; ++number) {
    const std::size_t size = random() % 16 == 0 ? random() % 700'000 : random() % 3'000;
    bytes.resize(sizeof number + size);
    std::memcpy(bytes.data(), &number, sizeof number);
    for (std::size_t i = 0; i < size; ++i) {
      bytes[sizeof number + i] = static_cast<std::byte>(number * 31 + i * 7 + size);
    }
    if (!channel.send(bytes, never)) return 2;
    committed = number + 1;
  }
}
