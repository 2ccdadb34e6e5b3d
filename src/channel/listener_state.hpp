// SPDX-License-Identifier: Apache-2.0
//
// ListenerState: what stands behind a Listener, and what an operation under way keeps alive.
#pragma once

#include <memory>

#include <bulkhead/listener.hpp>

#include "transport/link.hpp"

namespace bulkhead::detail {

struct ListenerState {
  std::unique_ptr<transport::Acceptor> acceptor;
  Address address;
  Trust trust;

  static Listener make(std::shared_ptr<ListenerState> state) { return Listener{std::move(state)}; }
  static std::shared_ptr<ListenerState> share(Listener& listener) { return listener.state_; }

  Result<Channel> accept(Deadline deadline);
};

}  // namespace bulkhead::detail
