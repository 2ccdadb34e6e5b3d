// SPDX-License-Identifier: Apache-2.0
//
// The kernel counts the descriptors that a user has under way in sockets, over all its processes, and
// refuses more to a process whose own limit is lower: to everything in a sandbox, whoever filled it.
#include <array>
#include <gtest/gtest.h>
#include <unistd.h>
#include <vector>

#include <bulkhead/bulkhead.hpp>

#include "os/socket.hpp"

namespace {

using namespace bulkhead;
using namespace std::chrono_literals;

struct Printer {
  Result<Region> print(int pages);
  int ready();
};
BULKHEAD_INTERFACE(Printer, print, ready)

struct RealPrinter {
  Result<Region> print(int pages) {
    Region region = BULKHEAD_TRY(Region::create(static_cast<std::size_t>(pages)));
    BULKHEAD_TRY(region.freeze());
    return region;
  }
  int ready() { return 1; }
};

void printer(Bootstrap& boot) { static_cast<void>(boot.serve<Printer>(RealPrinter{})); }

/// More of this user's descriptors under way than a sandboxed process may have open.
class Flood {
 public:
  Flood() : ends_(or_throw(os::socket_pair())) {
    const std::array<std::byte, 1> byte{};
    std::array<int, 100> fds{};
    fds.fill(STDERR_FILENO);
    for (int i = 0; i < 4; ++i) or_throw(os::send_packet(ends_.first, byte, fds));
  }

 private:
  std::pair<Fd, Fd> ends_;
};

TEST(descriptors_under_way, of_others_delay_a_sandboxed_process_and_do_not_end_it) {
  Process child = or_throw(spawn<printer>({.sandbox = sandbox::compute_only}));
  const Remote<Printer> remote{child.channel()};
  EXPECT_EQ(or_throw(remote.ready()), 1);
  {
    const Flood flood;
    const auto printed = within(100ms, remote).print(1);
    ASSERT_FALSE(printed);
    EXPECT_EQ(printed.error(), ErrorKind::timed_out) << printed.error();
  }
  EXPECT_EQ(or_throw(within(50s, remote).print(4096)).size(), 4096U);
  EXPECT_TRUE(child.running());
}

}  // namespace
