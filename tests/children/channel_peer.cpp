// SPDX-License-Identifier: Apache-2.0
// The process at the other end of a channel: `channel_peer WHAT MECHANISM [DIRECTION]` on descriptor
// 3, or `channel_peer WHAT ADDRESS [DIRECTION]` through a name. It does one thing until it is stopped
// or the channel ends; where somebody waits for that, it says "ready" on its standard output.
// DIRECTION is a number, as ChannelOptions has it: which way this end goes. With anything behind it
// the peer listens at ADDRESS, and says "ready" when it does.
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

ChannelOptions options;
bool listens = false;

Channel channel_of(const std::string& where) {
  if (listens) {
    auto listener = or_exit(listen(where, {.channel = options}));
    say("ready");
    return or_exit(listener.accept(20s));
  }
  if (std::isdigit(static_cast<unsigned char>(where[0])) == 0) {
    return or_exit(connect(where, 20s, options));
  }
  const auto mechanism = static_cast<std::uint8_t>(std::stoi(where));
  return or_exit(
      Channel::from_handle(Handle{Fd::adopt(3), Handle::Kind::channel, mechanism}, options));
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

/// Small ones, so that each is one datagram or one queue message.
int send_small_for_ever(Channel channel) {
  const std::vector<std::byte> bytes(500);
  for (;;) {
    if (auto sent = channel.send(bytes, never); !sent) return 2;
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

/// One message, and then nothing more until its input ends.
int say_one_and_stay(Channel channel) {
  or_exit(channel.send(as_bytes("here"), 20s));
  std::string line;
  std::getline(std::cin, line);
  return 0;
}

/// Until the other side lets it go on: it has been taken in by then.
void wait_for_input() {
  std::string line;
  std::getline(std::cin, line);
}

/// Three messages and an orderly end.
int say_three(Channel channel) {
  for (const char* text : {"one", "two", "three"}) or_exit(channel.send(as_bytes(text), 20s));
  wait_for_input();
  return 0;
}

/// Three messages and an end without a word.
int die_after_three(Channel channel) {
  for (const char* text : {"one", "two", "three"}) or_exit(channel.send(as_bytes(text), 20s));
  wait_for_input();
  ::_exit(7);
}

/// Has the name until its input ends.
template <class Held> int hold(const Held& held) {
  if (!held) {
    std::cout << held.error() << std::endl;
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
  auto channel = connect(address, 5s, options);
  if (channel && options.direction == Direction::send) {
    // It is let in when its message arrives: the listener's test looks at that.
    static_cast<void>(channel->send(as_bytes("from nobody"), 5s));
    std::cout << "sent" << std::endl;
  } else if (channel) {
    static_cast<void>(channel->send(as_bytes("from nobody"), 5s));
    auto got = channel->receive(5s);
    std::cout << (got ? "let in" : to_string(got.error().kind())) << std::endl;
  } else {
    std::cout << to_string(channel.error().kind()) << std::endl;
  }
  return 0;
}

}  // namespace

int main(int count, char** argv) {
  const std::string what = argv[1];
  const std::string where = argv[2];
  if (count > 3) options.direction = static_cast<Direction>(std::atoi(argv[3]));
  listens = count > 4;
  if (what == "hold_a_name") return hold(listen(where, {.channel = options}));
  if (what == "hold_an_end") return hold(connect(where, 20s, options));
  if (what == "come_as_nobody") return come_as_nobody(where);
  if (what == "echo") return echo(channel_of(where));
  if (what == "send") return send_for_ever(channel_of(where));
  if (what == "send_small") return send_small_for_ever(channel_of(where));
  if (what == "receive") return receive_for_ever(channel_of(where));
  if (what == "stay") return stay(channel_of(where));
  if (what == "say_one_and_stay") return say_one_and_stay(channel_of(where));
  if (what == "say_three") return say_three(channel_of(where));
  if (what == "die_after_three") return die_after_three(channel_of(where));
  return 5;
}
