// SPDX-License-Identifier: Apache-2.0
#include "tests/porthole_run.hpp"

#include <algorithm>
#include <csignal>
#include <fcntl.h>
#include <fstream>
#include <gtest/gtest.h>
#include <png.h>
#include <poll.h>
#include <sstream>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "browser/chrome_layer.hpp"
#include "support/census.hpp"
#include "support/watchdog.hpp"

namespace porthole::test {
namespace {

using bulkhead::Fd;
using bulkhead::test::Child;
using bulkhead::test::Waiting;
using nlohmann::json;

Child start(const std::vector<std::string>& arguments, const std::filesystem::path& errors) {
  const Fd error =
      Fd::adopt(::open(errors.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  return Child::start("porthole", arguments, {}, error);
}

std::vector<std::string> arguments_of(const PortholeOptions& options) {
  std::vector<std::string> arguments{"--headless", "--processes=json", "--hold",
                                     "600",        "--size",           "400x304"};
  for (const auto& rule : options.resolve) {
    arguments.emplace_back("--resolve");
    arguments.push_back(rule);
  }
  arguments.insert(arguments.end(), options.more.begin(), options.more.end());
  arguments.insert(arguments.end(), options.urls.begin(), options.urls.end());
  return arguments;
}

std::string text_of(const std::filesystem::path& file) {
  std::stringstream text;
  text << std::ifstream{file}.rdbuf();
  return text.str();
}

int status_of(int status) { return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status); }

json parsed(const std::string& line) {
  auto value = json::parse(line, nullptr, false);
  EXPECT_FALSE(value.is_discarded()) << "not JSON: \"" << line << '"';
  return value.is_discarded() ? json::object() : value;
}

}  // namespace

std::uint32_t Snapshot::at(std::int32_t x, std::int32_t y) const {
  if (x < 0 || y < 0 || x >= size.width || y >= size.height) return 0;
  return pixels[static_cast<std::size_t>(y * size.width + x)];
}

int Snapshot::count(std::uint32_t colour) const {
  return static_cast<int>(std::ranges::count(pixels, colour));
}

Snapshot read_png(const std::filesystem::path& file, std::int32_t skipped_rows) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  if (png_image_begin_read_from_file(&image, file.c_str()) == 0) {
    ADD_FAILURE() << file << ": " << image.message;
    return {};
  }
  image.format = PNG_FORMAT_BGRA;
  std::vector<std::uint32_t> all(std::size_t{image.width} * image.height);
  png_image_finish_read(&image, nullptr, all.data(), 0, nullptr);
  const auto first = std::size_t{image.width} * static_cast<std::size_t>(skipped_rows);
  return {.size = {.width = static_cast<std::int32_t>(image.width),
                   .height = static_cast<std::int32_t>(image.height) - skipped_rows},
          .pixels = {all.begin() + static_cast<std::ptrdiff_t>(first), all.end()}};
}

Porthole::Porthole(PortholeOptions options)
    : folder_(bulkhead::test::temporary_folder()),
      child_(start(arguments_of(options), folder_ / "errors")) {
  const Waiting waiting{"the table of porthole's processes"};
  first_table_ = parsed(child_.read_line());
}

void Porthole::send(const std::string& line) {
  EXPECT_TRUE(child_.write(line + "\n")) << "porthole has gone before: " << line;
}

json Porthole::answer() {
  const Waiting waiting{"porthole's answer to a command"};
  return parsed(child_.read_line());
}

json Porthole::command(const std::string& line) {
  send(line);
  return answer();
}

json Porthole::obey(const std::string& line) {
  json said = command(line);
  EXPECT_TRUE(said.value("ok", false)) << line << ": " << said.dump() << '\n' << errors();
  return said;
}

json Porthole::processes() { return obey("processes").value("processes", json::array()); }

pid_t Porthole::renderer_of(int tab) {
  for (const auto& row : processes()) {
    if (row["kind"] == "renderer" && row["tab"] == tab) return row["pid"].get<pid_t>();
  }
  return 0;
}

std::vector<pid_t> Porthole::pids(std::string_view kind) {
  std::vector<pid_t> found;
  for (const auto& row : processes()) {
    if (row["kind"] == kind) found.push_back(row["pid"].get<pid_t>());
  }
  return found;
}

Snapshot Porthole::picture(int tab) {
  const auto file = folder_ / (std::to_string(++pictures_) + ".png");
  obey("screenshot " + file.string() + " " + std::to_string(tab));
  return read_png(file, chrome_height);
}

void Porthole::kill_and_wait(pid_t pid, int signal) {
  const Waiting waiting{"the end of a child of porthole"};
  ASSERT_GT(pid, 1);
  ASSERT_NE(pid, ::getpid());
  const auto pidfd = Fd::adopt(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) return;  // it has gone by itself
  ::syscall(SYS_pidfd_send_signal, pidfd.native(), signal, nullptr, 0);
  pollfd entry{.fd = pidfd.native(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&entry, 1, 30'000), 1) << "signal " << signal << " did not end it";
}

void Porthole::wait_for_error(std::string_view text) {
  const std::string waited{"on porthole's standard error: " + std::string{text}};
  const Waiting waiting{waited};
  const Fd watch = Fd::adopt(::inotify_init1(IN_CLOEXEC));
  ::inotify_add_watch(watch.native(), (folder_ / "errors").c_str(), IN_MODIFY);
  while (!errors().contains(text)) {
    char events[4096];
    static_cast<void>(::read(watch.native(), events, sizeof(events)));
  }
}

std::string Porthole::errors() const { return text_of(folder_ / "errors"); }

int Porthole::quit() {
  obey("quit");
  return wait();
}

int Porthole::wait() {
  const Waiting waiting{"porthole's end"};
  return status_of(child_.wait());
}

Outcome run_porthole(const std::vector<std::string>& arguments) {
  const Waiting waiting{"porthole's end"};
  const auto errors = bulkhead::test::temporary_folder() / "errors";
  auto child = start(arguments, errors);
  child.close_input();
  std::string output = child.read_all();
  const int status = status_of(child.wait());
  return {.status = status, .output = std::move(output), .errors = text_of(errors)};
}

bool goes(pid_t pid) {
  const Waiting waiting{"the end of a process"};
  const auto pidfd = Fd::adopt(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) return true;
  pollfd entry{.fd = pidfd.native(), .events = POLLIN, .revents = 0};
  return ::poll(&entry, 1, 30'000) == 1;
}

}  // namespace porthole::test
