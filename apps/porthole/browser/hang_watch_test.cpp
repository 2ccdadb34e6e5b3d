// SPDX-License-Identifier: Apache-2.0
#include "browser/hang_watch.hpp"

#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <gtest/gtest.h>
#include <optional>
#include <vector>

namespace porthole {
namespace {

using namespace std::chrono_literals;

struct hang_watch : testing::Test {
  asio::io_context loop;
  std::vector<std::uint64_t> asked;
  std::vector<bool> busy;
  bool hung = false;
  std::optional<HangWatch> watch;

  void make(HangLimits limits, bool answers) {
    watch.emplace(loop, limits,
                  HangWatch::Events{.ping =
                                        [this, answers](std::uint64_t token) {
                                          asked.push_back(token);
                                          if (answers) answer(token);
                                        },
                                    .busy =
                                        [this](bool now) {
                                          busy.push_back(now);
                                          changed();
                                        },
                                    .hung =
                                        [this] {
                                          hung = true;
                                          loop.stop();
                                        }});
  }
  void answer(std::uint64_t token) {
    asio::post(loop, [this, token] {
      EXPECT_TRUE(watch->pong(token));
      if (asked.size() == 3) loop.stop();
    });
  }
  std::function<void()> changed = [] {};
};

TEST_F(hang_watch, who_answers_is_asked_again_and_is_never_busy) {
  make({.period = 1ms, .busy_after = 60s}, true);
  watch->start();
  loop.run();
  EXPECT_EQ(asked, (std::vector<std::uint64_t>{1, 2, 3}));
  EXPECT_TRUE(busy.empty());
}

TEST_F(hang_watch, who_does_not_answer_is_busy_and_is_asked_no_more_until_it_does) {
  make({.period = 1ms, .busy_after = 5ms}, false);
  changed = [this] {
    if (busy.size() == 1) {
      EXPECT_TRUE(watch->busy());
      EXPECT_GE(watch->silence(), 5ms);
      EXPECT_TRUE(watch->pong(1));
    } else {
      loop.stop();
    }
  };
  watch->start();
  loop.run();
  EXPECT_EQ(asked, std::vector<std::uint64_t>{1});
  EXPECT_EQ(busy, (std::vector<bool>{true, false}));
}

TEST_F(hang_watch, who_does_not_answer_for_long_is_told_once) {
  make({.period = 1ms, .busy_after = 2ms, .end_after = 10ms}, false);
  watch->start();
  loop.run();
  EXPECT_TRUE(hung);
  EXPECT_EQ(busy, std::vector<bool>{true});
  loop.restart();
  loop.run();  // nothing more is due
  EXPECT_EQ(asked.size(), 1u);
}

TEST_F(hang_watch, an_answer_to_a_question_that_nobody_asked_is_refused) {
  make({}, false);
  EXPECT_FALSE(watch->pong(0));
  EXPECT_FALSE(watch->pong(1));
  watch->start();
  EXPECT_FALSE(watch->pong(2));
  EXPECT_TRUE(watch->pong(1));
  EXPECT_FALSE(watch->pong(1));
  watch->stop();
}

TEST_F(hang_watch, one_that_goes_is_not_called_by_its_timer) {
  make({.period = 1ms, .busy_after = 1ms}, false);
  watch->start();
  watch.reset();
  loop.run();
  EXPECT_TRUE(busy.empty());
}

}  // namespace
}  // namespace porthole
