// SPDX-License-Identifier: Apache-2.0
//
// One program collects what any number of others log, through one named pipe.
//
//   build/bin/named_pipe collect fifo:///tmp/log         in one terminal; ends with the line "stop"
//   build/bin/named_pipe log fifo:///tmp/log hello       in others, as many at once as you like
//
// Lines of up to 4,072 bytes are one write each; longer ones are put together again.
#include <chrono>
#include <iostream>
#include <string_view>

#include <bulkhead/channel.hpp>
#include <bulkhead/listener.hpp>

using namespace bulkhead;
using namespace std::chrono_literals;

namespace {

void collect(const char* address) {
  Listener listener = or_exit(listen(address, {.channel = {.direction = Direction::receive}}));
  std::cout << "collecting" << std::endl;
  for (;;) {
    Channel writers = or_exit(listener.accept(never));  // until the last of them has gone
    while (auto line = writers.receive(never)) {
      std::cout << line->text() << std::endl;
      if (line->text() == "stop") return;
    }
  }
}

void log(const char* address, std::string_view line) {
  Channel collector = or_exit(connect(address, 2s, {.direction = Direction::send}));
  or_exit(collector.send(as_bytes(line), 2s));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view verb = argc > 1 ? argv[1] : "";
  if (verb == "collect" && argc == 3) {
    collect(argv[2]);
  } else if (verb == "log" && argc == 4) {
    log(argv[2], argv[3]);
  } else {
    std::cerr << "usage: named_pipe collect ADDRESS | named_pipe log ADDRESS LINE\n";
    return 2;
  }
}
