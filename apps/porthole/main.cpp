// SPDX-License-Identifier: Apache-2.0
//
// porthole: the browser. This program is all of its processes: started by hand it is the browser
// process, started by that one it is a renderer, a plugin or the gpu process (see bulkhead::init).
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <string>
#include <sys/resource.h>
#include <vector>

#include <bulkhead/process.hpp>

#include "browser/headless.hpp"
#include "browser/self_test_run.hpp"

namespace {

using porthole::BrowserOptions;
using porthole::HeadlessOptions;

struct CommandLine {
  bool headless = false;
  bool self_test = false;
  std::string size = "1280x800";
  std::string table;
  std::string screenshot;
  std::string placement = "process";
  std::string compositor = "auto";
  std::string profile = "none";
  std::uint32_t tab = 1;
  double hold_seconds = 0;
  double hang_seconds = 0;
  std::vector<std::string> resolve;
  std::vector<std::string> inputs;
};

// A renderer costs about forty descriptors, and the soft limit is made for programs of one process.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));
}

std::chrono::milliseconds milliseconds_of(double seconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

std::string check_size(const std::string& text) {
  int width = 0;
  int height = 0;
  char after = 0;
  const int read = std::sscanf(text.c_str(), "%dx%d%c", &width, &height, &after);
  const bool possible = read == 2 && width >= 200 && height > porthole::chrome_height &&
                        width <= porthole::max_viewport_side &&
                        height <= porthole::max_viewport_side;
  return possible ? "" : "a size is WIDTHxHEIGHT, from 200x105 to 8192x8192";
}

porthole::Size size_of(const std::string& text) {
  porthole::Size size;
  static_cast<void>(std::sscanf(text.c_str(), "%dx%d", &size.width, &size.height));
  return size;
}

void declare(CLI::App& app, CommandLine& line) {
  constexpr double longest = 1e7;
  app.add_flag("--headless", line.headless, "Without a window");
  app.add_option("--screenshot", line.screenshot, "Write what is shown to this PNG file")
      ->type_name("OUT.png");
  app.add_option("--size", line.size, "The window's size")
      ->type_name("WIDTHxHEIGHT")
      ->check(check_size)
      ->capture_default_str();
  app.add_option("--tab", line.tab, "The tab that is in front")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--processes", line.table, "Print the table of processes when all is painted")
      ->check(CLI::IsMember({"json", "table"}));
  app.add_option("--hold", line.hold_seconds,
                 "Stay for so long, and obey commands on standard input: screenshot FILE [TAB], "
                 "reload TAB, back TAB, forward TAB, scroll TAB Y, go TAB URL, end TAB, processes, "
                 "quit")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.0, longest));
  app.add_option("--hang-timeout", line.hang_seconds, "End a page that does not answer for so long")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.001, longest));
  app.add_option("--placement", line.placement,
                 "Roles as processes, or, to compare, as threads of one process without sandbox")
      ->check(CLI::IsMember({"process", "thread"}))
      ->capture_default_str();
  app.add_option(
         "--compositor", line.compositor,
         "What draws: GL on a GPU, or the CPU where there is none (auto); the CPU; GL, also "
         "on software")
      ->check(CLI::IsMember({"auto", "cpu", "gl"}))
      ->capture_default_str();
  app.add_option("--resolve", line.resolve, "Do not look this host up")
      ->type_name("HOST:PORT:ADDRESS")
      ->expected(1)
      ->allow_extra_args(false)  // what follows is a URL
      ->take_all();
  app.add_option("--profile", line.profile, "Where bookmarks are kept; 'none': nowhere")
      ->type_name("FOLDER|none")
      ->capture_default_str();
  app.add_flag("--self-test", line.self_test,
               "Try in each kind of process what its sandbox must refuse");
  app.add_option("URL", line.inputs, "URLs, files or hosts: a tab each");
}

porthole::CompositorChoice choice_of(const std::string& compositor) {
  using porthole::CompositorChoice;
  if (compositor == "cpu") return CompositorChoice::cpu;
  return compositor == "gl" ? CompositorChoice::gl : CompositorChoice::automatic;
}

BrowserOptions browser_options(const CommandLine& line) {
  BrowserOptions options{.window = size_of(line.size),
                         .compositor = choice_of(line.compositor),
                         .resolve = line.resolve};
  if (line.placement == "thread") options.placement = bulkhead::Placement::thread;
  if (line.hang_seconds > 0) options.hang_timeout = milliseconds_of(line.hang_seconds);
  if (line.profile != "none") options.profile = line.profile;
  return options;
}

HeadlessOptions headless_options(const CommandLine& line) {
  HeadlessOptions options{.inputs = line.inputs,
                          .tab = porthole::TabId{line.tab},
                          .hold = milliseconds_of(line.hold_seconds)};
  if (!line.screenshot.empty()) options.screenshot = line.screenshot;
  if (line.table == "json") options.table = HeadlessOptions::Table::json;
  if (line.table == "table") options.table = HeadlessOptions::Table::text;
  return options;
}

int refuse(const char* sentence) {
  std::cerr << "porthole: " << sentence << '\n';
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  bulkhead::init(argc, argv);
  CommandLine line;
  CLI::App app{"Porthole, a browser of several processes", "porthole"};
  declare(app, line);
  CLI11_PARSE(app, argc, argv);
  raise_descriptor_limit();
  if (line.self_test) return porthole::run_self_test(gl_use(choice_of(line.compositor)));
  if (!line.headless) {
    return refuse("there is no window yet; use --headless --screenshot OUT.png URL...");
  }
  if (line.inputs.empty()) return refuse("give a URL, a file or a host to show");
  if (line.tab > line.inputs.size()) return refuse("--tab names a tab that is not opened");
  return porthole::run_headless(browser_options(line), headless_options(line));
}
