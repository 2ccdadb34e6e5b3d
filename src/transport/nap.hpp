// SPDX-License-Identifier: Apache-2.0
//
// NapHabit: whether the next receive had better wait at once than look first. A look at what is
// empty is a system call for nothing; a receiver that slept for its last message most likely sleeps
// for the next one, too. After a real sleep the next few calls wait first; then one looks first, to
// find out whether it is still so: a stream is not to pay a wait for each message for long.
// Waiting for what is there already returns at once, so a wrong guess costs a system call and no time.
#pragma once

#include <cstdint>

namespace bulkhead::transport {

class NapHabit {
 public:
  /// True: wait first.
  bool expects() noexcept {
    if (left_ == 0) [[likely]]
      return false;
    --left_;
    return true;
  }
  /// A look found nothing, so that the call has to sleep.
  void slept() noexcept { left_ = after_a_sleep; }
  /// There was more than one message.
  void is_behind() noexcept { left_ = 0; }

 private:
  static constexpr std::uint8_t after_a_sleep = 8;
  std::uint8_t left_ = 0;
};

}  // namespace bulkhead::transport
