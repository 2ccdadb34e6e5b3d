// SPDX-License-Identifier: Apache-2.0
//
// Counts the words of files in a process of its own, through System V message queues: the key is a
// file that both programs know, as ftok(3) has it.
//
//   build/bin/sysv_mq serve sysv:///etc/hostname           one terminal; ends with Ctrl-C
//   build/bin/sysv_mq count sysv:///etc/hostname README.md another: any size goes
//   build/bin/sysv_mq both sysv://0x62756c6b README.md     all of that in one program
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>

#include <bulkhead/channel.hpp>
#include <bulkhead/listener.hpp>

using namespace bulkhead;
using namespace std::chrono_literals;

namespace {

void serve_one(Listener& listener) {
  Channel client = or_exit(listener.accept(never));
  while (auto text = client.receive(10s)) {
    std::istringstream words{std::string{text->text()}};
    const auto count = std::distance(std::istream_iterator<std::string>{words}, {});
    if (!client.send(as_bytes(std::to_string(count)), 10s)) break;
  }
}

void count(const char* address, const char* path) {
  std::ifstream file{path};
  const std::string text{std::istreambuf_iterator<char>{file}, {}};
  Channel counter = or_exit(connect(address, 2s));
  or_exit(counter.send(as_bytes(text), 10s));
  std::cout << or_exit(counter.receive(10s)).text() << " words\n";
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view verb = argc > 2 ? argv[1] : "";
  if (verb == "serve" && argc == 3) {
    Listener listener = or_exit(listen(argv[2]));
    for (;;) serve_one(listener);
  } else if (verb == "count" && argc == 4) {
    count(argv[2], argv[3]);
  } else if (verb == "both" && argc == 4) {
    Listener listener = or_exit(listen(argv[2]));
    std::jthread server{[&] { serve_one(listener); }};
    count(argv[2], argv[3]);
  } else {
    std::cerr << "usage: sysv_mq serve ADDRESS | sysv_mq count|both ADDRESS FILE\n";
    return 2;
  }
}
