// SPDX-License-Identifier: Apache-2.0
#include "transport/shm/wake_set.hpp"

#include <chrono>
#include <gtest/gtest.h>
#include <optional>
#include <utility>

#include "os/socket.hpp"
#include "transport/shm/bell.hpp"

namespace bulkhead::transport::shm {
namespace {

using namespace std::chrono_literals;
using Woken = WakeSet::Woken;

class shm_wake_set : public testing::TestWithParam<Trust> {
 protected:
  void SetUp() override {
    auto ends = os::socket_pair();
    control_ = std::move(ends->first);
    peer_ = std::move(ends->second);
    bell_.emplace(std::move(*Bell::create(GetParam())));
    watch_.emplace(std::move(*BellWatch::adopt(std::move(*Fd::duplicate(bell_->passing())))));
    bell_->passed();
    set_.emplace(std::move(*WakeSet::create()));
    ASSERT_TRUE(set_->add(watch_->fd(), control_).has_value());
  }

  Fd control_;
  Fd peer_;
  std::optional<Bell> bell_;
  std::optional<BellWatch> watch_;
  std::optional<WakeSet> set_;
};
INSTANTIATE_TEST_SUITE_P(bells, shm_wake_set, testing::Values(Trust::equal, Trust::untrusted),
                         [](const auto& row) {
                           return row.param == Trust::equal ? "equal" : "untrusted";
                         });

TEST_P(shm_wake_set, is_woken_once_by_every_ring_though_none_is_taken_out) {
  for (int i = 0; i < 32; ++i) {
    bell_->ring();
    EXPECT_EQ(set_->wait(never), Woken::rung);
    EXPECT_EQ(set_->wait(0ms), Woken::timed_out);
  }
  watch_->drain();
  bell_->ring();
  EXPECT_EQ(set_->wait(never), Woken::rung);
}

TEST_P(shm_wake_set, keeps_deadlines_in_any_order) {
  const auto took = [&](Deadline deadline) {
    const auto began = Deadline::Clock::now();
    EXPECT_EQ(set_->wait(deadline), Woken::timed_out);
    return Deadline::Clock::now() - began;
  };
  bell_->ring();
  EXPECT_EQ(set_->wait(1h), Woken::rung);  // leaves its timer behind
  EXPECT_GE(took(5ms), 5ms);               // an earlier one
  EXPECT_GE(took(1ms), 1ms);
  bell_->ring();
  EXPECT_EQ(set_->wait(2ms), Woken::rung);
  EXPECT_GE(took(20ms), 20ms) << "the timer of the call before goes off in the middle";
  bell_->ring();
  EXPECT_EQ(set_->wait(never), Woken::rung);
  EXPECT_EQ(set_->wait(Deadline{Deadline::Clock::now() - 1s}), Woken::timed_out);
}

TEST_P(shm_wake_set, tells_that_the_peer_has_hung_up_for_ever) {
  peer_.close();
  EXPECT_EQ(set_->wait(never), Woken::hung_up);
  bell_->ring();
  EXPECT_EQ(set_->wait(never), Woken::hung_up);
}

}  // namespace
}  // namespace bulkhead::transport::shm
