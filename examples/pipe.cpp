// SPDX-License-Identifier: Apache-2.0
//
// Counts the words of files, each in a child of its own, which tells the result through a pipe of
// one way. A child that dies is told apart from one that has finished.
//
//   build/bin/pipe FILE...
#include <chrono>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include <bulkhead/channel.hpp>

using namespace bulkhead;

namespace {

std::string count_words(const char* path) {
  std::ifstream file{path};
  if (!file) ::_exit(1);
  const std::istream_iterator<std::string> first{file}, last;
  return std::to_string(std::distance(first, last)) + " words";
}

/// In a child of its own.
Channel count_apart(const char* path) {
  auto [here, there] = or_exit(pair(Mechanism::pipe, {.direction = Direction::receive}));
  if (::fork() == 0) {
    here = std::move(there);  // the child keeps the end that sends
    or_exit(here.send(as_bytes(count_words(path)), never));
    here.close();
    ::_exit(0);
  }
  or_exit(std::move(there).into_handle());  // given up without a word: it is the child's now
  return std::move(here);
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    Channel counter = count_apart(argv[i]);
    while (auto result = counter.receive(std::chrono::seconds{10})) {
      std::cout << argv[i] << ": " << result->text() << '\n';
    }
    const auto end = counter.try_receive();
    if (end.error() != ErrorKind::closed) std::cout << argv[i] << ": " << end.error() << '\n';
    ::wait(nullptr);
  }
}
