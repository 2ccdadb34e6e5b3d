// SPDX-License-Identifier: Apache-2.0
//
// How an address of each mechanism is typed, for verbs that tell people.
#pragma once

#include <bulkhead/address.hpp>

namespace bulkhead::tools {

constexpr const char* address_form(Mechanism mechanism) noexcept {
  switch (mechanism) {
    case Mechanism::inproc:
      return "inproc:name";
    case Mechanism::pipe:
      return "(pair only)";
    case Mechanism::fifo:
      return "fifo:///path";
    case Mechanism::file:
      return "file:///path";
    case Mechanism::mmap:
      return "mmap:///path";
    case Mechanism::shm:
      return "shm:name";
    case Mechanism::unix_socket:
      return "unix:///path, unix:@name";
    case Mechanism::tcp:
      return "tcp://host:port";
    case Mechanism::udp:
      return "udp://host:port";
    case Mechanism::posix_mq:
      return "mq:///name";
    case Mechanism::sysv_mq:
      return "sysv://key";
  }
  return "";
}

}  // namespace bulkhead::tools
