// SPDX-License-Identifier: Apache-2.0
//
// Two programs that write each other letters and need never run at the same time: two logs, one each
// way, and both keep what was ever said.
//
//   build/bin/file_letters order /tmp/desk "three chairs"     leaves an order, takes what was answered
//   build/bin/file_letters work /tmp/desk                     answers what was ordered meanwhile
#include <chrono>
#include <iostream>
#include <string>
#include <string_view>

#include <bulkhead/channel.hpp>

using namespace bulkhead;
using namespace std::chrono_literals;

namespace {

void order(const std::string& folder, std::string_view words) {
  Channel desk = or_exit(connect("file://" + folder + "?sync=each", 1s));
  or_exit(desk.send(as_bytes(words), never));
  while (auto answer = desk.try_receive()) std::cout << answer->text() << '\n';
}

/// The other end, without waiting for who orders.
void work(const std::string& folder) {
  Channel desk = or_exit(connect("file://" + folder + "?sync=each&seat=listen", 1s));
  while (auto wanted = desk.try_receive()) {
    or_exit(desk.send(as_bytes("made: " + std::string{wanted->text()}), never));
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view verb = argc > 2 ? argv[1] : "";
  if (verb == "order" && argc == 4) {
    order(argv[2], argv[3]);
  } else if (verb == "work" && argc == 3) {
    work(argv[2]);
  } else {
    std::cerr << "usage: file_letters order FOLDER WORDS | file_letters work FOLDER\n";
    return 2;
  }
}
