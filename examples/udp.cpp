// SPDX-License-Identifier: Apache-2.0
//
// Readings of a sensor, of which a lost one is no harm: the next is better than the last again.
//
//   build/bin/udp receive udp://127.0.0.1:4711      in one terminal
//   build/bin/udp send udp://127.0.0.1:4711 5       in another
//
// The receiver ends with the sender, and says what the network has lost.
#include <chrono>
#include <iostream>
#include <string>

#include <bulkhead/channel.hpp>
#include <bulkhead/listener.hpp>

using namespace bulkhead;
using namespace std::chrono_literals;

namespace {

void receive(const char* address) {
  Listener listener = or_exit(listen(address));
  std::cout << "listening" << std::endl;
  Channel sensor = or_exit(listener.accept(never));
  while (auto reading = sensor.receive(10s)) std::cout << reading->text() << '\n';
  const Losses losses = sensor.losses();
  std::cout << losses.lost << " lost, " << losses.reordered << " reordered, " << losses.duplicated
            << " duplicated\n";
}

void send(const char* address, int count) {
  Channel display = or_exit(connect(address, 2s));
  for (int i = 0; i < count; ++i) {
    or_exit(display.send(as_bytes("reading " + std::to_string(i)), 2s));
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view verb = argc > 1 ? argv[1] : "";
  if (verb == "receive" && argc == 3) {
    receive(argv[2]);
  } else if (verb == "send" && argc == 4) {
    send(argv[2], std::stoi(argv[3]));
  } else {
    std::cerr << "usage: udp receive ADDRESS | udp send ADDRESS COUNT\n";
    return 2;
  }
}
