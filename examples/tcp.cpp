// SPDX-License-Identifier: Apache-2.0
//
// A server and its clients, on this machine or on others.
//
//   build/bin/tcp serve tcp://127.0.0.1:4711        in one terminal; ends with Ctrl-C
//   build/bin/tcp say tcp://127.0.0.1:4711 hello    in another: prints what comes back
//
// The client may come first: it tries for ten seconds. It learns within a minute when the server's
// machine has lost its power. tcp://0.0.0.0:4711 would let in everybody whom the network lets through.
#include <chrono>
#include <iostream>
#include <string>
#include <thread>

#include <bulkhead/channel.hpp>
#include <bulkhead/listener.hpp>

using namespace bulkhead;
using namespace std::chrono_literals;

namespace {

void echo(Channel client) {
  while (auto message = client.receive(never)) {
    if (!client.send(*std::move(message), 10s)) break;
  }
}

void serve(const char* address) {
  Listener listener = or_exit(listen(address));
  for (;;) std::thread{echo, or_exit(listener.accept(never))}.detach();
}

void say(const std::string& address, std::string_view words) {
  Channel server = or_exit(connect(address + "?reconnect=10s", 10s));
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
    std::cerr << "usage: tcp serve ADDRESS | tcp say ADDRESS WORDS\n";
    return 2;
  }
}
