// SPDX-License-Identifier: Apache-2.0
//
// For tests: the other end of a link in the hands of somebody who writes what they like. It has a
// control socket, and after greet() a segment and bells like an honest end that has moved to memory;
// every word of them is open. Not part of the library.
#pragma once

#include <chrono>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <utility>

#include <bulkhead/channel.hpp>

#include "os/poll.hpp"
#include "os/socket.hpp"
#include "transport/shm/bell.hpp"
#include "transport/shm/control.hpp"
#include "transport/shm/segment.hpp"
#include "transport/shm/shm_link.hpp"

namespace bulkhead::transport::shm {

class HostilePeer {
 public:
  explicit HostilePeer(const ChannelOptions& options = {.trust = Trust::untrusted},
                       const ShmSetup& setup = {}) {
    auto ends = os::socket_pair();
    control_ = std::move(ends->first);
    victim_ = std::move(*adopt_shm(std::move(ends->second), options, setup));
  }

  Link& victim() { return *victim_; }
  FdView control() const { return control_; }
  void hang_up() { control_.close(); }

  /// Says a good hello: what is wrong comes later.
  void greet(std::size_t capacity = 65536) {
    greet_on_socket(capacity);
    words().mapped = 1;
    ASSERT_TRUE(Control{control_}.send_moved().has_value());
  }
  /// The same, and has not moved.
  void greet_on_socket(std::size_t capacity = 65536) {
    segment_.emplace(std::move(*OwnSegment::create(capacity, 0, nullptr)));
    data_bell_.emplace(std::move(*Bell::create(Trust::equal)));
    space_bell_.emplace(std::move(*Bell::create(Trust::equal)));
    const Fd file = segment_->take_file();
    ASSERT_TRUE(
        Control{control_}
            .send_hello(capacity, Trust::equal, file, data_bell_->passing(), space_bell_->passing())
            .has_value());
  }
  /// A good hello of one that has to stay.
  void greet_without_memory() {
    ASSERT_TRUE(Control{control_}.send_hello_without_memory(Trust::equal).has_value());
  }
  /// Takes the victim's hello.
  void be_greeted() {
    ASSERT_TRUE(os::poll_one(control_, POLLIN, std::chrono::seconds{10}).has_value());
    auto hello = Control{control_}.receive_hello();
    ASSERT_TRUE(hello.has_value()) << hello.error();
    theirs_ = std::move(*hello);
  }

  Words& words() { return segment_->words(); }
  std::byte* ring() { return segment_->ring(); }
  std::size_t capacity() const { return segment_->capacity(); }
  Bell& data_bell() { return *data_bell_; }
  Bell& space_bell() { return *space_bell_; }

  /// Puts a record at `cursor` and nothing else.
  void put(std::uint64_t cursor, RecordHeader header) {
    const std::uint64_t word = header.packed();
    std::memcpy(ring() + cursor % capacity(), &word, sizeof word);
  }

 private:
  Fd control_;
  std::unique_ptr<Link> victim_;
  std::optional<OwnSegment> segment_;
  std::optional<Bell> data_bell_;
  std::optional<Bell> space_bell_;
  std::optional<PeerHello> theirs_;
};

}  // namespace bulkhead::transport::shm
