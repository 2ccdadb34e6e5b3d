// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/map/halt.hpp"

#include <gtest/gtest.h>

#include "tools/bulkhead/map/progress.hpp"

namespace bulkhead::tools::map {
namespace {

using namespace std::chrono_literals;

TEST(map_halt, comes_never_unless_asked_for) {
  EXPECT_EQ(Halt{}.due({.succeeded = 0, .failed = 1000}), Halt::When::never);
  EXPECT_EQ(or_throw(Halt::parse("never")).due({.failed = 1}), Halt::When::never);
}

TEST(map_halt, comes_with_so_many) {
  const Halt fail = or_throw(Halt::parse("soon,fail=3"));
  EXPECT_EQ(fail.due({.succeeded = 50, .failed = 2}), Halt::When::never);
  EXPECT_EQ(fail.due({.succeeded = 50, .failed = 3}), Halt::When::soon);
  const Halt success = or_throw(Halt::parse("now,success=1"));
  EXPECT_EQ(success.due({.failed = 9}), Halt::When::never);
  EXPECT_EQ(success.due({.succeeded = 1}), Halt::When::now);
  EXPECT_EQ(or_throw(Halt::parse("now,done=2")).due({1, 1}), Halt::When::now);
}

TEST(map_halt, comes_with_a_share_once_there_are_some) {
  const Halt halt = or_throw(Halt::parse("now,fail=10%"));
  EXPECT_EQ(halt.due({.succeeded = 0, .failed = 1}), Halt::When::never);
  EXPECT_EQ(halt.due({.succeeded = 30, .failed = 3}), Halt::When::never);
  EXPECT_EQ(halt.due({.succeeded = 27, .failed = 3}), Halt::When::now);
}

TEST(map_halt, in_other_words_is_refused) {
  for (const char* text :
       {"", "soon", "now,fail", "now,fail=", "now,fail=0", "now,fail=-1", "later,fail=1",
        "now,fails=1", "now,fail=1x", "now,fail=101%", "now,fail=99999999999999999999"}) {
    EXPECT_EQ(Halt::parse(text).error().kind(), ErrorKind::invalid) << text;
  }
}

TEST(map_progress, says_how_far_it_is_and_how_long_it_takes) {
  EXPECT_EQ(progress_line({.succeeded = 9, .failed = 1}, 40, 20s, 80),
            "[#####---------------]  10 of 40  1 failed  1:00 left");
  EXPECT_EQ(progress_line({.succeeded = 1}, 7201, 1s, 80),
            "[--------------------]  1 of 7201  2:00:00 left");
  EXPECT_EQ(progress_line({.succeeded = 40}, 40, 20s, 80), "[####################]  40 of 40");
  EXPECT_EQ(progress_line({.succeeded = 5}, {}, 20s, 80), "5 done");
  EXPECT_EQ(progress_line({}, 0, 0s, 80), "0 of 0");
}

TEST(map_progress, keeps_to_the_width_of_the_terminal) {
  for (std::size_t columns = 0; columns < 80; ++columns) {
    EXPECT_LE(progress_line({.succeeded = 9, .failed = 1}, 40, 20s, columns).size(),
              columns == 0 ? 0 : columns - 1);
  }
}

}  // namespace
}  // namespace bulkhead::tools::map
