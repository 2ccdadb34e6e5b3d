// SPDX-License-Identifier: Apache-2.0
//
// One way of two: an end of a mechanism that goes both ways, for a program that asked for one
// (ChannelOptions::direction). The calls of the other way are `unsupported`, by name; all else is
// the end's own. For mechanisms that gain nothing from knowing: those that do give ends of one way
// themselves, and these are left as they are.
#pragma once

#include <memory>

#include "transport/link.hpp"

namespace bulkhead::transport {

/// The link with one way of it left; the link itself where there is nothing to take away.
std::unique_ptr<Link> one_way(std::unique_ptr<Link> link, Direction direction);

/// The same for all that it accepts.
std::unique_ptr<Acceptor> one_way(std::unique_ptr<Acceptor> acceptor, Direction direction);

}  // namespace bulkhead::transport
