// SPDX-License-Identifier: Apache-2.0
//
// `bulkhead bench`: what messages and processes cost on this machine, each beside its floor.
#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <string>
#include <unistd.h>
#include <vector>

#include "bench/floors.hpp"
#include "bench/locks_suite.hpp"
#include "bench/report_page.hpp"
#include "bench/suite.hpp"
#include "bench/threads_suite.hpp"
#include "bench/waiting_suite.hpp"
#include "tools/bulkhead/verb.hpp"

namespace bulkhead::tools {

namespace {

class Bench : public Verb {
 public:
  explicit Bench(CLI::App& app)
      : command_{
            app.add_subcommand("bench", "Measure every mechanism on this machine, side by side")} {
    command_->add_flag("--quick", options_.quick,
                       "Under half a minute, with shorter slices and fewer rounds");
    command_
        ->add_option("--only", options_.only,
                     "Only these mechanisms, beside the floors (shm, unix, ...)")
        ->delimiter(',');
    command_->add_flag("--waiting", waiting_,
                       "Instead: how a channel over memory waits, against spinning and sleeping");
    command_->add_flag("--threads", threads_,
                       "Instead: a thread beside a process, shared locks, more threads than cores");
    command_->add_flag(
        "--locks", locks_,
        "Instead: what processes lock and wait for in shared memory, beside others'");
    command_->add_flag("--pool", pool_,
                       "Instead: a Pool and the verb map beside what people use for that");
    command_->add_flag("--porthole", porthole_,
                       "Instead: what the processes of Porthole cost, beside one process");
    command_
        ->add_option("--json", json_,
                     "Write the rows as JSON to FILE; - is standard output, without the table")
        ->option_text("FILE");
    command_
        ->add_option("--report", report_,
                     "Write a page with plots into FOLDER: index.html, and the rows as rows.json")
        ->option_text("FOLDER");
    command_->add_flag("--capabilities", capabilities_,
                       "Instead: what each mechanism can do, a row each, from the library itself");
    command_->get_option("--report")
        ->excludes("--waiting")
        ->excludes("--porthole")
        ->excludes("--threads")
        ->excludes("--locks");
    command_->get_option("--threads")->excludes("--waiting");
    command_->get_option("--locks")->excludes("--waiting")->excludes("--threads");
    command_->get_option("--pool")->excludes("--json")->excludes("--report");
  }

  bool chosen() const override { return command_->parsed(); }

  int run() override {
    if (porthole_) return run_beside("porthole-bench");
    if (pool_) return run_beside("pool-bench");
    if (capabilities_) {
      print_capabilities();
      return 0;
    }
    // Opened first: nobody waits for minutes to learn that a file cannot be written.
    std::FILE* const file = json_.empty() || json_ == "-" ? nullptr : open(json_);
    if (!json_.empty() && json_ != "-" && !file) return 1;
    std::FILE* page = nullptr;
    std::FILE* rows = nullptr;
    if (!report_.empty() && !open_report(page, rows)) return 1;
    const bench::Surroundings here = bench::surroundings_here(BULKHEAD_VERSION, options_.quick);
    const bench::Suite suite = measure();
    for (const std::string& note : suite.notes) fmt::print(stderr, "bulkhead bench: {}\n", note);
    if (json_ == "-") {
      fmt::print("{}", bench::to_json(suite.rows));
    } else {
      print(suite.rows);
    }
    bool written = file == nullptr || write(file, bench::to_json(suite.rows), json_);
    if (page != nullptr) {
      written = write(page, bench::to_html(suite, here), report_ + "/index.html") && written;
      written = write(rows, bench::to_json(suite.rows), report_ + "/rows.json") && written;
      if (written) fmt::print(stderr, "bulkhead bench: the report is {}/index.html\n", report_);
    }
    return written ? 0 : 1;
  }

 private:
  bench::Suite measure() const {
    if (waiting_) return bench::run_waiting(options_);
    if (threads_) return bench::run_threads(options_);
    if (locks_) return bench::run_locks(options_);
    return bench::run_suite(options_);
  }

  void print(const std::vector<bench::Row>& rows) const {
    if (waiting_) return bench::print_waiting(stdout, rows);
    if (threads_) return bench::print_threads(stdout, rows);
    if (locks_) return bench::print_locks(stdout, rows);
    bench::print_table(stdout, rows);
  }

  /// Null when it cannot be written, which has been told then.
  static std::FILE* open(const std::string& path) {
    std::FILE* const file = std::fopen(path.c_str(), "w");
    if (!file) {
      fmt::print(stderr,
                 "bulkhead bench: open {}: {}; name a file in a folder that you may write to\n",
                 path, std::strerror(errno));
    }
    return file;
  }

  bool open_report(std::FILE*& page, std::FILE*& rows) const {
    std::error_code error;
    std::filesystem::create_directories(report_, error);
    page = open(report_ + "/index.html");
    if (page) rows = open(report_ + "/rows.json");
    return page && rows;
  }

  /// Becomes the program of that name in the command's folder, with the same options. Porthole is
  /// measured by one of its own, as it needs the engine, and the Pool, as both have roles.
  int run_beside(const char* name) const {
    std::error_code unknown;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", unknown);
    const std::string program = (self.parent_path() / name).string();
    std::vector<const char*> words{program.c_str()};
    if (options_.quick) words.push_back("--quick");
    if (!json_.empty()) words.insert(words.end(), {"--json", json_.c_str()});
    words.push_back(nullptr);
    ::execv(program.c_str(), const_cast<char**>(words.data()));
    fmt::print(stderr, "bulkhead bench: start {}: {}; build all first (make build)\n", program,
               std::strerror(errno));
    return 1;
  }

  static bool write(std::FILE* file, const std::string& text, const std::string& path) {
    const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
    if (std::fclose(file) == 0 && written) return true;
    fmt::print(stderr, "bulkhead bench: write {}: {}; free some space or name another file\n", path,
               std::strerror(errno));
    return false;
  }

  CLI::App* command_;
  bench::SuiteOptions options_;
  std::string json_;
  std::string report_;
  bool capabilities_ = false;
  bool waiting_ = false;
  bool porthole_ = false;
  bool pool_ = false;
  bool threads_ = false;
  bool locks_ = false;
};

}  // namespace

void leave_if_started_by_bench(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], bench::leave_at_once) == 0) ::_exit(0);
}

std::unique_ptr<Verb> bench_verb(CLI::App& app) { return std::make_unique<Bench>(app); }

}  // namespace bulkhead::tools
