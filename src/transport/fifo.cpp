// SPDX-License-Identifier: Apache-2.0
#include "transport/fifo.hpp"

#include "transport/mechanism.hpp"

namespace bulkhead::transport {
namespace {

Result<std::unique_ptr<Link>> connect_fifo(const std::string& name, Deadline deadline,
                                           const ChannelOptions& options) {
  const std::string path = BULKHEAD_TRY(fifo_path(name));
  if (options.direction == Direction::send) return connect_writer(path, deadline, options);
  return connect_instance(path, deadline, options);
}

Result<std::unique_ptr<Acceptor>> listen_fifo(const std::string& name,
                                              const ChannelOptions& options, bool other_users) {
  const std::string path = BULKHEAD_TRY(fifo_path(name));
  if (other_users) {
    return fail(ErrorKind::unsupported, {.cause = "named pipes serve their own user alone",
                                         .remedy = "take a Unix socket"});
  }
  if (options.direction == Direction::receive) return listen_for_writers(path, options);
  return listen_for_instances(path, options);
}

}  // namespace

const MechanismEntry fifo_mechanism{
    .mechanism = Mechanism::fifo,
    .capabilities = {.many_clients = true,
                     .both_ways = true,
                     .unrelated = true,
                     .reliable = true,
                     .tells_death = true},
    .make_pair = [](const ChannelOptions&) -> Result<LinkPair> {
      return fail(ErrorKind::unsupported, {.cause = "named pipes meet at their name",
                                           .remedy = "take pair(pipe), or listen and connect"});
    },
    .adopt = nullptr,
    .connect = connect_fifo,
    .listen = listen_fifo,
    .left_by_clients = left_by_fifo_clients,
};

}  // namespace bulkhead::transport
