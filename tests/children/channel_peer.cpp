// SPDX-License-Identifier: Apache-2.0
// The process at the other end of a channel: `channel_peer WHAT MECHANISM` on descriptor 3, or
// `channel_peer WHAT ADDRESS` through a name. It does one thing until it is stopped or the channel
// ends; it says "ready" on its standard output when it is bound and "done" at an orderly end.
#include <cctype>
#include <cstdlib>
#include <iostream>
#include <string>
#include <sys/resource.h>
#include <unistd.h>
#include <vector>

#include <bulkhead/channel.hpp>
#include <bulkhead/listener.hpp>

namespace {

using namespace bulkhead;
using namespace std::chrono_literals;

void say(const char* what) { std::cout << what << std::endl; }

Channel channel_of(const std::string& where) {
  if (std::isdigit(static_cast<unsigned char>(where[0])) == 0) return or_exit(connect(where, 20s));
  const auto mechanism = static_cast<std::uint8_t>(std::stoi(where));
  return or_exit(
      Channel::from_handle(Handle{Fd::adopt(3), Handle::Kind::channel, mechanism}, Trust::equal));
}

int echo(Channel channel) {
  for (;;) {
    auto message = channel.receive(never);
    if (!message) return message.error() == ErrorKind::closed ? 0 : 2;
    if (!channel.send(*message, never)) return 3;
  }
}

int send_for_ever(Channel channel) {
  std::vector<std::byte> bytes(100'000);
  for (std::size_t size = 0;; size = size * 5 / 4 + 1) {
    if (size > bytes.size()) size = 0;
    if (auto sent = channel.send(Bytes{bytes}.first(size), never); !sent) return 2;
  }
}

int receive_for_ever(Channel channel) {
  Message message;
  while (channel.receive(message, never)) {
  }
  return 2;
}

/// Bound, and then nothing more.
int stay(Channel channel) {
  static_cast<void>(channel.try_receive());
  say("ready");
  static_cast<void>(channel.receive(never));
  return 0;
}

/// Three messages and an orderly end.
int say_three(Channel channel) {
  for (const char* text : {"one", "two", "three"}) or_exit(channel.send(as_bytes(text), 20s));
  return 0;
}

/// Three messages and an end without a word.
int die_after_three(Channel channel) {
  for (const char* text : {"one", "two", "three"}) or_exit(channel.send(as_bytes(text), 20s));
  ::_exit(7);
}

int hold_a_name(const std::string& address) {
  auto listener = listen(address);
  if (!listener) {
    std::cout << listener.error() << std::endl;
    return 1;
  }
  say("ready");
  std::string line;
  std::getline(std::cin, line);
  return 0;
}

/// As another user: what connect and the first receive say.
int come_as_nobody(const std::string& address) {
  if (::setgid(65534) != 0 || ::setuid(65534) != 0) return 4;
  auto channel = connect(address, 20s);
  if (channel) {
    auto got = channel->receive(20s);
    std::cout << (got ? "let in" : to_string(got.error().kind())) << std::endl;
  } else {
    std::cout << to_string(channel.error().kind()) << std::endl;
  }
  return 0;
}

}  // namespace

int main(int, char** argv) {
  const std::string what = argv[1];
  const std::string where = argv[2];
  if (what == "hold_a_name") return hold_a_name(where);
  if (what == "come_as_nobody") return come_as_nobody(where);
  if (what == "echo") return echo(channel_of(where));
  if (what == "send") return send_for_ever(channel_of(where));
  if (what == "receive") return receive_for_ever(channel_of(where));
  if (what == "stay") return stay(channel_of(where));
  if (what == "say_three") return say_three(channel_of(where));
  if (what == "die_after_three") return die_after_three(channel_of(where));
  return 5;
}
