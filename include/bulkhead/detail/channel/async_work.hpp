// SPDX-License-Identifier: Apache-2.0
//
// What the async_ forms of <bulkhead/asio.hpp> try, without Asio. Each keeps what it works on
// alive: a Channel or Listener that goes meanwhile closes, and the operation ends with `closed`.
#pragma once

#include <cstddef>
#include <memory>

#include <bulkhead/channel.hpp>
#include <bulkhead/listener.hpp>

namespace bulkhead::detail {

/// attempt() tries without waiting, watch() is what to wait on after `full` or `empty`, give_up()
/// takes back what was half done and tells why in words.
class BULKHEAD_API Receiving {
 public:
  using Value = Message;
  explicit Receiving(Channel& channel) noexcept;
  Result<Message> attempt();
  Result<FdView> watch();
  Error give_up(ErrorKind why);

 private:
  std::shared_ptr<ChannelState> state_;
};

class BULKHEAD_API Sending {
 public:
  using Value = void;
  Sending(Channel& channel, Message message) noexcept;
  Result<void> attempt();
  Result<FdView> watch();
  Error give_up(ErrorKind why);

 private:
  std::shared_ptr<ChannelState> state_;
  Message message_;
  std::size_t done_ = 0;
};

class BULKHEAD_API Accepting {
 public:
  using Value = Channel;
  explicit Accepting(Listener& listener) noexcept;
  Result<Channel> attempt();
  Result<FdView> watch();
  Error give_up(ErrorKind why);

 private:
  std::shared_ptr<ListenerState> state_;
};

}  // namespace bulkhead::detail
