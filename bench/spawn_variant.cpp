// SPDX-License-Identifier: Apache-2.0
//
// Needs bulkhead::init in main.
#include "bench/spawn_variant.hpp"

#include <bulkhead/process.hpp>

#include "bench/channel_pair.hpp"

namespace bulkhead::bench {

namespace {

/// The role says that it is there, and leaves.
void say_ready(Bootstrap& boot) {
  const std::byte ready[1]{};
  static_cast<void>(boot.channel().send(Bytes{ready}, never));
}

class SpawnStart : public Variant {
 public:
  void client(std::uint64_t count) override {
    for (std::uint64_t i = 0; i < count; ++i) {
      Process child = checked(spawn<say_ready>());
      checked(child.channel().receive(slice_deadline()));
      checked(child.wait(slice_deadline()));
    }
  }
  void server(std::uint64_t) override {}
};

}  // namespace

std::unique_ptr<Variant> spawn_start() { return std::make_unique<SpawnStart>(); }

}  // namespace bulkhead::bench
