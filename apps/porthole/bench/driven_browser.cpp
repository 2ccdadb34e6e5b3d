// SPDX-License-Identifier: Apache-2.0
#include "bench/driven_browser.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace porthole::bench {

using bulkhead::Error;
using bulkhead::ErrorKind;
using bulkhead::fail;
using bulkhead::Fd;
using bulkhead::FdView;
using bulkhead::Result;

namespace {

/// Longer than any page takes, so that a browser that hangs ends the bench and not the patience.
constexpr int patience_ms = 60'000;

std::unexpected<Error> failed(const char* what) {
  return fail(Error::from_errno(errno, {.operation = what, .object = "porthole"}));
}

struct Pipe {
  Fd reading;
  Fd writing;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return failed("make a pipe for");
  return Pipe{Fd::adopt(ends[0]), Fd::adopt(ends[1])};
}

}  // namespace

Result<DrivenBrowser> DrivenBrowser::start(const std::string& program,
                                           const std::vector<std::string>& urls) {
  Pipe input = BULKHEAD_TRY(make_pipe());
  Pipe output = BULKHEAD_TRY(make_pipe());
  Pipe errors = BULKHEAD_TRY(make_pipe());
  std::vector<std::string> words{program, "--headless", "--processes=json", "--profile=none",
                                 "--hold=600"};
  words.insert(words.end(), urls.begin(), urls.end());
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, input.reading.native(), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, output.writing.native(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, errors.writing.native(), STDERR_FILENO);
  DrivenBrowser browser;
  const int refused =
      ::posix_spawn(&browser.pid_, program.c_str(), &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (refused != 0) {
    return fail(Error::from_errno(refused, {.operation = "start", .object = program}));
  }
  browser.input_ = std::move(input.writing);
  browser.output_ = std::move(output.reading);
  browser.errors_ = std::move(errors.reading);
  BULKHEAD_TRY(browser.read_line(browser.output_, browser.answers_));  // the table: all is painted
  return browser;
}

DrivenBrowser::DrivenBrowser(DrivenBrowser&& other) noexcept
    : pid_(std::exchange(other.pid_, 0)),
      input_(std::move(other.input_)),
      output_(std::move(other.output_)),
      errors_(std::move(other.errors_)),
      answers_(std::move(other.answers_)),
      complaints_(std::move(other.complaints_)) {}

DrivenBrowser::~DrivenBrowser() {
  if (pid_ == 0) return;
  const auto ended = answer_to("quit");
  if (!ended) ::kill(pid_, SIGKILL);
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
}

Result<std::string> DrivenBrowser::read_line(FdView from, std::string& buffer) {
  for (;;) {
    if (const auto end = buffer.find('\n'); end != buffer.npos) {
      std::string line = buffer.substr(0, end);
      buffer.erase(0, end + 1);
      return line;
    }
    pollfd entry{.fd = from.native(), .events = POLLIN, .revents = 0};
    const int ready = ::poll(&entry, 1, patience_ms);
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return failed("wait for");
    if (ready == 0) {
      return fail(ErrorKind::timed_out, {.operation = "measure", .object = "porthole"});
    }
    std::array<char, 16384> part;
    const auto got = ::read(from.native(), part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed("read from");
    if (got == 0) return fail(ErrorKind::closed, {.operation = "measure", .object = "porthole"});
    buffer.append(part.data(), static_cast<std::size_t>(got));
  }
}

Result<void> DrivenBrowser::write_line(const std::string& line) {
  const std::string text = line + "\n";
  for (std::size_t at = 0; at < text.size();) {
    const auto put = ::write(input_.native(), text.data() + at, text.size() - at);
    if (put < 0 && errno != EINTR) return failed("write to");
    if (put > 0) at += static_cast<std::size_t>(put);
  }
  return {};
}

Result<nlohmann::json> DrivenBrowser::answer_to(const std::string& command) {
  BULKHEAD_TRY(write_line(command));
  const std::string line = BULKHEAD_TRY(read_line(output_, answers_));
  return nlohmann::json::parse(line, nullptr, false);
}

Result<std::chrono::nanoseconds> DrivenBrowser::obey(const std::string& command) {
  const auto begun = Clock::now();
  const auto answer = BULKHEAD_TRY(answer_to(command));
  const auto took = Clock::now() - begun;
  if (answer.value("ok", false)) return took;
  return fail(ErrorKind::invalid, {.operation = command, .cause = answer.dump()});
}

Result<std::chrono::nanoseconds> DrivenBrowser::kill_and_hear(pid_t pid) {
  const auto begun = Clock::now();
  if (::kill(pid, SIGKILL) != 0) return failed("kill a process of");
  const std::string whom = "(pid " + std::to_string(pid) + ")";
  for (;;) {
    const std::string line = BULKHEAD_TRY(read_line(errors_, complaints_));
    if (line.find(whom) != line.npos) return Clock::now() - begun;
  }
}

Result<std::vector<pid_t>> DrivenBrowser::pids(const std::string& kind) {
  const auto answer = BULKHEAD_TRY(answer_to("processes"));
  std::vector<pid_t> found;
  for (const auto& process : answer.value("processes", nlohmann::json::array())) {
    if (process.value("kind", "") == kind) found.push_back(process.value("pid", 0));
  }
  return found;
}

}  // namespace porthole::bench
