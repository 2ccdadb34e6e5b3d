// SPDX-License-Identifier: Apache-2.0
//
// An append-only log that outlives its writer and its readers.
//
//   build/bin/file_log append /tmp/events "disk replaced"     any number of times
//   build/bin/file_log read /tmp/events billing               what "billing" has not seen yet
//   build/bin/file_log read /tmp/events audit                 another reader, another place
#include <chrono>
#include <iostream>
#include <string>
#include <string_view>

#include <bulkhead/channel.hpp>

using namespace bulkhead;
using namespace std::chrono_literals;

namespace {

/// On the disk when it returns, power cut or not.
void append(const std::string& folder, std::string_view words) {
  Channel log =
      or_exit(connect("file://" + folder + "?sync=each", 1s, {.direction = Direction::send}));
  or_exit(log.send(as_bytes(words), never));
}

void read(const std::string& folder, const std::string& who) {
  Channel log = or_exit(
      connect("file://" + folder + "?cursor=" + who, 1s, {.direction = Direction::receive}));
  while (auto message = log.try_receive()) std::cout << message->text() << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view verb = argc == 4 ? argv[1] : "";
  if (verb == "append") {
    append(argv[2], argv[3]);
  } else if (verb == "read") {
    read(argv[2], argv[3]);
  } else {
    std::cerr << "usage: file_log append FOLDER WORDS | file_log read FOLDER READER\n";
    return 2;
  }
}
