// SPDX-License-Identifier: Apache-2.0
//
// Two unrelated programs that meet at a name and exchange messages through shared memory.
//
//   build/bin/echo serve shm:echo          in one terminal; ends with Ctrl-C
//   build/bin/echo say shm:echo hello      in another: prints what comes back
//
// The address decides the mechanism: unix:///tmp/echo.sock works as well, and nothing else changes.
#include <chrono>
#include <iostream>
#include <string_view>

#include <bulkhead/channel.hpp>
#include <bulkhead/listener.hpp>

using namespace bulkhead;
using namespace std::chrono_literals;

namespace {

void serve(const char* address) {
  Listener listener = or_exit(listen(address));
  for (;;) {
    Channel client = or_exit(listener.accept(never));
    std::cout << "pid " << client.peer().pid << " has come\n";
    while (auto message = client.receive(10s)) {
      if (!client.send(*std::move(message), 10s)) break;
    }
  }
}

void say(const char* address, std::string_view words) {
  Channel server = or_exit(connect(address, 2s));
  or_exit(server.send(as_bytes(words), 2s));
  std::cout << or_exit(server.receive(2s)).text() << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view verb = argc > 1 ? argv[1] : "";
  if (verb == "serve" && argc == 3) {
    serve(argv[2]);
  } else if (verb == "say" && argc == 4) {
    say(argv[2], argv[3]);
  } else {
    std::cerr << "usage: echo serve ADDRESS | echo say ADDRESS WORDS\n";
    return 2;
  }
}
