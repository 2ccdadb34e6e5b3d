// SPDX-License-Identifier: Apache-2.0
//
// ListenerState: what stands behind a Listener.
#pragma once

#include <memory>

#include <bulkhead/listener.hpp>

#include "transport/link.hpp"

namespace bulkhead::detail {

struct ListenerState {
  std::unique_ptr<transport::Acceptor> acceptor;
  Address address;
  Trust trust;

  static Listener make(std::unique_ptr<ListenerState> state) { return Listener{std::move(state)}; }
};

}  // namespace bulkhead::detail
