// SPDX-License-Identifier: Apache-2.0
//
// Frames that arrive and leave in pieces of any size: framing must not depend on what one system
// call moves.
#include "conformance/conformance.hpp"
#include "conformance/partial_io.hpp"

namespace bulkhead::conformance {
namespace {

class partial : public Conformance {};
INSTANTIATE_TEST_SUITE_P(mechanisms, partial, testing::ValuesIn(rows_where(reliable)), row_name);

TEST_P(partial, reads_and_writes_of_a_few_bytes_each_change_nothing) {
  for (const std::size_t most : {1u, 2u, 3u, 7u, 13u, 1000u}) {
    auto ends = make_pair_of(32 * 1024);
    // The first words into a stream that is empty always go whole.
    expect_works(ends.here, ends.there);
    const ShortIo shortened{most};
    std::vector<std::size_t> sizes{0, 1, 2, 7, 8, 9, 63, 64, 65, 300, 4096, 4097, 6000};
    for (auto [from, to] : ways(ends)) {
      std::jthread sender{[&, &out = from] {
        for (const auto size : sizes) EXPECT_TRUE(ok(out.send(content(size, size), 20s)));
      }};
      for (const auto size : sizes) {
        auto got = to.receive(20s);
        ASSERT_TRUE(ok(got)) << size << " in pieces of " << most;
        EXPECT_TRUE(has_content(got->bytes(), size, size)) << "in pieces of " << most;
      }
    }
    // And one that is cut short by its deadline, behind which others come.
    if (!GetParam().holds_back) continue;
    int before = 0;
    while (ends.here.try_send(content(2, 3000))) ++before;
    EXPECT_TRUE(fails(ends.here.send(content(1, 500'000), 3ms), ErrorKind::timed_out));
    std::jthread sender{[&] { EXPECT_TRUE(ok(ends.here.send(as_bytes("after"), 20s))); }};
    for (; before > 0; --before) {
      auto got = ends.there.receive(20s);
      ASSERT_TRUE(ok(got)) << "in pieces of " << most;
      ASSERT_TRUE(has_content(got->bytes(), 2, 3000)) << "in pieces of " << most;
    }
    auto got = ends.there.receive(20s);
    ASSERT_TRUE(ok(got)) << "in pieces of " << most;
    EXPECT_EQ(got->size(), 5u) << "in pieces of " << most;
  }
}

TEST_P(partial, frames_of_4_KiB_may_be_split_at_any_byte) {
  // F14.
  constexpr std::size_t size = 4096;
  constexpr std::size_t most_header = 64;
  auto ends = make_pair_of(64 * 1024);
  expect_works(ends.here, ends.there);
  const std::size_t step = sanitized(1, 16);
  for (const auto direction : {ShortIo::Next::write, ShortIo::Next::read}) {
    std::size_t split = 0;
    for (std::size_t at = 1; at < size + most_header; at += step) {
      const ShortIo shortened{direction, at};
      ASSERT_TRUE(ok(ends.here.send(content(at, size), 20s)));
      auto got = ends.there.receive(20s);
      ASSERT_TRUE(ok(got)) << at;
      ASSERT_TRUE(has_content(got->bytes(), at, size)) << "split at " << at;
      split += shortened.cut();
      // What moves no stream, or takes it in larger pieces than a frame, is not split at all.
      if (at > 64 && split == 0) break;
    }
    const Mechanism mechanism = GetParam().mechanism;
    // What goes into a pipe goes in writes of at most PIPE_BUF, which are whole.
    const bool reads = direction == ShortIo::Next::read;
    if (mechanism == Mechanism::tcp ||
        (reads && (mechanism == Mechanism::pipe || mechanism == Mechanism::fifo))) {
      EXPECT_GE(split, size / step);
    }
  }
}

TEST_P(partial, reads_at_the_end_still_tell_how_it_ended) {
  if (!GetParam().tells_close) return;
  auto ends = make_pair();
  expect_works(ends.here, ends.there);
  const ShortIo shortened{1};
  ASSERT_TRUE(ok(ends.here.send(as_bytes("last words"), 20s)));
  ends.here.close();
  auto got = ends.there.receive(20s);
  ASSERT_TRUE(ok(got));
  EXPECT_EQ(got->text(), "last words");
  EXPECT_TRUE(fails(ends.there.receive(20s), ErrorKind::closed));
}

TEST(partial_io, is_what_the_library_meets) {
  int fds[2];
  ASSERT_EQ(::pipe(fds), 0);
  const ShortIo shortened{1};
  char four[4] = "abc";
  EXPECT_EQ(::write(fds[1], four, 4), 4) << "a small write into a pipe is whole";
  EXPECT_EQ(::read(fds[0], four, 4), 1);
  EXPECT_EQ(shortened.cut(), 1u);
  ::close(fds[0]);
  ::close(fds[1]);
}

}  // namespace
}  // namespace bulkhead::conformance
