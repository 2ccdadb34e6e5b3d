// SPDX-License-Identifier: Apache-2.0
#include "process/output.hpp"

#include <array>
#include <fcntl.h>
#include <unistd.h>

#include "os/poll.hpp"
#include "os/syscall.hpp"

namespace bulkhead::process {
namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

Result<void> open_into(Streams& streams, const Output& output) {
  switch (output.kind()) {
    case Output::Kind::inherit:
      // What this process has closed, the child finds leading nowhere.
      for (int i = 1; i <= 2; ++i) {
        if (is_open(i)) streams.standard[i] = FdView{i};
      }
      return {};
    case Output::Kind::discard:
      return {};
    case Output::Kind::file: {
      constexpr int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
      streams.owned[1] = Fd::adopt(::open(output.path().c_str(), flags, 0600));
      if (!streams.owned[1]) return os::failed("open", "output file " + output.path().string());
      break;
    }
    case Output::Kind::captured:
    case Output::Kind::prefixed: {
      int ends[2];
      if (::pipe2(ends, O_CLOEXEC) != 0) return os::failed("make", "pipe");
      streams.reading = Fd::adopt(ends[0]);
      streams.owned[1] = Fd::adopt(ends[1]);
      ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    }
  }
  streams.standard[1] = streams.standard[2] = streams.owned[1];
  return {};
}

void write_all(std::string_view text) {
  while (!text.empty()) {
    const auto written =
        os::retry_eintr([&] { return ::write(STDERR_FILENO, text.data(), text.size()); });
    if (written <= 0) return;  // nobody to tell
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

Result<Streams> open_streams(const Output& output, FdView input) {
  Streams streams;
  streams.owned[0] = Fd::adopt(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!streams.owned[0]) return os::failed("open", "/dev/null");
  for (FdView& stream : streams.standard) stream = streams.owned[0];
  if (input) streams.standard[0] = input;
  BULKHEAD_TRY(open_into(streams, output));
  return streams;
}

bool Prefixer::forward(FdView pipe) {
  std::array<char, 16 * 1024> buffer;
  std::string out;
  ssize_t got = 0;
  // A pipe's content, and no more, so that a child that never stops writing cannot hold us here.
  for (int round = 0; round < 5; ++round) {
    got = os::retry_eintr([&] { return ::read(pipe.native(), buffer.data(), buffer.size()); });
    if (got <= 0) break;
    take({buffer.data(), static_cast<std::size_t>(got)}, out);
  }
  const bool ended = got == 0 || (got < 0 && errno != EAGAIN);
  if (ended && !line_.empty()) take("\n", out);
  write_all(out);
  return !ended;
}

void Prefixer::take(std::string_view text, std::string& out) {
  for (const char c : text) {
    if (c == '\n' || line_.size() == longest_line) {
      out += prefix_ + line_ + '\n';
      line_.clear();
    }
    if (c != '\n') line_ += c;
  }
}

}  // namespace bulkhead::process
