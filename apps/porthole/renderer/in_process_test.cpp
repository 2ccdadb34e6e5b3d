// SPDX-License-Identifier: Apache-2.0
#include "renderer/in_process.hpp"

#include <gtest/gtest.h>

#include "renderer/manual.hpp"

namespace porthole {
namespace {

TEST(in_process, the_manual_is_as_long_as_asked_and_always_the_same) {
  const std::string manual = make_manual(short_page_bytes);
  EXPECT_GE(manual.size(), short_page_bytes);
  EXPECT_LT(manual.size(), short_page_bytes + 6000);
  EXPECT_EQ(manual, make_manual(short_page_bytes));
  EXPECT_TRUE(manual.ends_with("</body></html>"));
}

TEST(in_process, a_page_is_drawn_and_each_step_is_timed) {
  const Timing timing =
      draw_in_this_process(make_manual(short_page_bytes), {.width = 800, .height = 600});
  EXPECT_GT(timing.warm_up.count(), 0);
  EXPECT_GT(timing.parse.count(), 0);
  EXPECT_GT(timing.layout.count(), 0);
  EXPECT_GT(timing.paint.count(), 0);
  EXPECT_EQ(timing.total(), timing.parse + timing.layout + timing.paint);
}

}  // namespace
}  // namespace porthole
