// SPDX-License-Identifier: Apache-2.0
// The parent's half of last words: hearing them, and the Exit that follows.
#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <span>

#include "os/socket.hpp"
#include "process/last_words.hpp"
#include "sandbox/violation.hpp"

namespace bulkhead::process {
namespace {

std::string in_mebibytes(std::uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

std::string with_limit(std::string what, std::uint64_t limit, const std::string& spelled) {
  return limit != 0 ? what + " of " + spelled : what;
}

/// TRUST: a terminal is not a child's to control.
std::string cleaned(const char (&text)[sizeof(LastWords::text)]) {
  std::string out{text, ::strnlen(text, sizeof text)};
  std::ranges::replace_if(
      out, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 127; }, ' ');
  return out;
}

bool is_fault(int signal) {
  return signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGFPE ||
         signal == SIGTRAP;
}

/// si_code of a fault at an address, and not of a signal that was sent, or of a fault without one.
bool has_address(int code) { return code > 0 && code < SI_KERNEL; }

Exit by_signal(int signal, const LastWords& words, const Sandbox::Limits& limits) {
  using Cause = Exit::Cause;
  Exit exit = Exit::killed(signal);
  const auto because = [&](Cause cause, std::string detail) {
    exit = Exit::of(cause, std::move(detail));
  };
  if (signal == SIGXCPU) {
    const auto limit = std::to_string(limits.cpu_seconds) + " s";
    because(Cause::resource_limit, with_limit("CPU time", limits.cpu_seconds, limit));
  } else if (signal == SIGXFSZ) {
    const auto limit = in_mebibytes(limits.file_bytes);
    because(Cause::resource_limit, with_limit("file size", limits.file_bytes, limit));
  } else if (signal == SIGSYS && words.signal != signal) {
    // The filter ended it at once (another architecture's calls), or it had no handler left.
    because(Cause::sandbox_violation, "a system call that it did not live to name");
  } else if (words.signal != signal) {
    return exit;
  } else if (words.kind == LastWords::out_of_memory) {
    const bool limited = limits.memory_bytes != 0;
    because(Cause::out_of_memory, limited ? "limit " + in_mebibytes(limits.memory_bytes) : "");
  } else if (words.kind == LastWords::exception) {
    exit.detail = cleaned(words.text);
  } else if (signal == SIGSYS) {
    because(Cause::sandbox_violation, sandbox::call_name(words.system_call));
  } else if (is_fault(signal) && has_address(words.code)) {
    exit.fault_address = words.address;
  }
  return exit;
}

/// Somebody else took the status, and the kernel is too old to tell it again.
Exit by_hearsay(const std::optional<LastWords>& words, const Sandbox::Limits& limits) {
  Exit exit = Exit::of(Exit::Cause::unknown, "it was reaped by somebody else in this process");
  if (words) exit.detail += "; it reported " + to_string(by_signal(words->signal, *words, limits));
  return exit;
}

}  // namespace

std::optional<LastWords> hear(FdView socket) {
  std::optional<LastWords> last;
  // The last of a bounded number: what a hostile child has queued before it died.
  for (int i = 0; i < 1024; ++i) {
    LastWords words;
    const auto packet = os::receive_packet(socket, std::as_writable_bytes(std::span{&words, 1}), 0);
    if (!packet && packet.error() == ErrorKind::corrupt) continue;
    if (!packet || packet->closed) break;
    if (packet->size == sizeof words) last = words;
  }
  return last;
}

Exit judge(const os::Ending& ending, const std::optional<LastWords>& words,
           const Sandbox::Limits& limits) {
  switch (ending.kind) {
    case os::Ending::Kind::exited:
      return Exit::exited(ending.number);
    case os::Ending::Kind::signalled:
      return by_signal(ending.number, words.value_or(LastWords{}), limits);
    case os::Ending::Kind::taken:
      break;
  }
  return by_hearsay(words, limits);
}

}  // namespace bulkhead::process
