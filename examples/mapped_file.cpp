// SPDX-License-Identifier: Apache-2.0
//
// A probe and the program that evaluates it restart on their own; what was measured meanwhile waits.
//
//   build/bin/mapped_file measure /tmp/probe 21.5     works whether anybody listens or not
//   build/bin/mapped_file evaluate /tmp/probe         takes what there is, and ends
#include <chrono>
#include <iostream>
#include <string>
#include <string_view>

#include <bulkhead/channel.hpp>

using namespace bulkhead;
using namespace std::chrono_literals;

namespace {

void measure(const std::string& folder, std::string_view value) {
  Channel probe = or_exit(connect("mmap://" + folder, 1s));
  or_exit(probe.send(as_bytes(value), 1s));  // waits only when the ring is full
}

/// The ends are two seats: who evaluates sits down at the other one, and needs no probe for that.
void evaluate(const std::string& folder) {
  Channel values = or_exit(connect("mmap://" + folder + "?seat=listen", 1s));
  while (auto value = values.try_receive()) std::cout << value->text() << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view verb = argc > 2 ? argv[1] : "";
  if (verb == "measure" && argc == 4) {
    measure(argv[2], argv[3]);
  } else if (verb == "evaluate" && argc == 3) {
    evaluate(argv[2]);
  } else {
    std::cerr << "usage: mapped_file measure FOLDER VALUE | mapped_file evaluate FOLDER\n";
    return 2;
  }
}
