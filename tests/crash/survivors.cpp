// SPDX-License-Identifier: Apache-2.0
#include "crash/survivors.hpp"

#include <fstream>
#include <string>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

namespace bulkhead::crash {
namespace {

/// More than any ring of these tests has room for.
constexpr int more_than_fit = 2'000;

void judge_end(const Error& error, Farewell farewell, Verdict& verdict) {
  const bool died = error == ErrorKind::peer_died && farewell != Farewell::surely;
  const bool closed = error == ErrorKind::closed && farewell != Farewell::never;
  if (!died && !closed) verdict.violation("the survivor was told: " + error.sentence());
}

bool is_asleep(pid_t thread) {
  std::ifstream file{"/proc/self/task/" + std::to_string(thread) + "/stat"};
  std::string line;
  std::getline(file, line);
  const auto name_end = line.rfind(')');
  return name_end != line.npos && line.compare(name_end, 3, ") S") == 0;
}

}  // namespace

void receive_to_the_end(Channel& channel, Stream& stream, std::uint64_t at_least,
                        std::uint64_t at_most, Farewell farewell, Verdict& verdict) {
  for (;;) {
    auto message = channel.receive(patience);
    if (!message) {
      judge_end(message.error(), farewell, verdict);
      break;
    }
    if (!has_content(message->bytes(), stream.next, stream.size_of(stream.next))) {
      verdict.violation("message " + std::to_string(stream.next) + " is torn");
      return;
    }
    ++stream.next;
  }
  if (stream.next < at_least) {
    verdict.violation("committed, and lost: message " + std::to_string(stream.next));
  }
  if (stream.next > at_most) verdict.violation("a message that was never sent");
}

void send_to_the_end(Channel& channel, Stream& stream, Farewell farewell, Verdict& verdict) {
  for (int i = 0; i < more_than_fit; ++i) {
    const auto sent =
        channel.send(content(stream.next, stream.size_of(stream.next)), Deadline{patience});
    if (!sent) return judge_end(sent.error(), farewell, verdict);
    ++stream.next;
  }
  verdict.violation("the dead take message after message");
}

void Waiter::start(std::function<void()> work) {
  thread_ = std::thread{[this, work = std::move(work)] {
    id_ = static_cast<pid_t>(::syscall(SYS_gettid));
    work();
    ended_ = true;
  }};
  await_sleep();
}

bool Waiter::sleeps() const { return id_ != 0 && is_asleep(id_); }

void Waiter::await_sleep() const {
  // Twice in a row: it may rest for a moment on its way.
  for (int seen = 0; seen < 2 && !ended_;) {
    std::this_thread::yield();
    seen = sleeps() ? seen + 1 : 0;
  }
}

}  // namespace bulkhead::crash
