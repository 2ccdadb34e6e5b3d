// SPDX-License-Identifier: Apache-2.0
//
// `bulkhead map -- COMMAND ::: INPUT...`: runs a command for each input, on all cores, where one that
// crashes or hangs harms no other.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <fmt/format.h>
#include <optional>
#include <string>
#include <unistd.h>
#include <vector>

#include <bulkhead/pool.hpp>
#include <bulkhead/result.hpp>

#include "tools/bulkhead/map/mapping.hpp"
#include "tools/bulkhead/verb.hpp"

namespace bulkhead::tools {
namespace {

constexpr int wrong_use = 255;
constexpr unsigned most_workers = 4096;

std::unexpected<Error> refuse(std::string object, std::string cause, std::string remedy = {}) {
  return fail(ErrorKind::invalid, {.operation = "read",
                                   .object = std::move(object),
                                   .cause = std::move(cause),
                                   .remedy = std::move(remedy)});
}

Result<unsigned> parse_workers(const std::string& text) {
  if (text == "auto") return available_cpus();
  unsigned number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  if (read.ec != std::errc{} || read.ptr != text.data() + text.size() || number == 0 ||
      number > most_workers) {
    return refuse("--workers " + text, "it is neither \"auto\" nor a number from 1 to 4096");
  }
  return number;
}

/// "30s", "500ms", "2m", "1h"; a number alone is seconds.
Result<std::chrono::milliseconds> parse_time(const std::string& option, const std::string& text) {
  double number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string unit{read.ptr, text.data() + text.size()};
  const double each = unit == "ms"                  ? 1
                      : unit.empty() || unit == "s" ? 1000
                      : unit == "m"                 ? 60'000
                      : unit == "h"                 ? 3'600'000
                                                    : 0;
  const double all = std::ceil(number * each);
  if (read.ec != std::errc{} || !(all >= 1) || all > 1e12) {
    return refuse(option + " " + text, "it is no time such as 500ms, 30s, 2m or 1h");
  }
  return std::chrono::milliseconds{static_cast<std::int64_t>(all)};
}

class Map : public Verb {
 public:
  explicit Map(CLI::App& app)
      : command_{app.add_subcommand("map", "Run a command for each input, on all cores")} {
    command_->add_option("-j,-P,--workers,--jobs", workers_, "How many at a time (auto: one a CPU)")
        ->option_text("N|auto");
    command_->add_option("--retries", retries_, "Try an input that failed so often again")
        ->option_text("N");
    command_->add_option("--timeout", timeout_, "End a command that takes longer: 30s, 500ms, 2m")
        ->option_text("TIME");
    command_
        ->add_option("--kill-after", patience_,
                     "How long one that is to end has before it is killed (2s)")
        ->option_text("TIME");
    command_
        ->add_option("--halt", halt_,
                     "When to end before the inputs do: soon,fail=1; now,fail=10%; "
                     "now,success=1; never")
        ->option_text("WHEN");
    command_->add_option("-a,--arg-file", file_, "Read the inputs from a file")
        ->option_text("FILE");
    command_->add_flag("-0,--null", null_, "Inputs that are read end with NUL, not with a line");
    command_->add_flag("--unordered", unordered_, "Give output out as commands end");
    command_->add_flag("--ungroup", ungroup_, "Let commands write to our output themselves");
    command_->add_option("--joblog", job_log_, "Write a line for each input that is done")
        ->option_text("FILE");
    auto* resume = command_->add_flag("--resume", resume_, "Pass over the inputs in the job log");
    command_
        ->add_flag("--resume-failed", resume_failed_, "The same, but try those that failed again")
        ->excludes(resume);
    command_->add_flag("--progress,!--no-progress", progress_,
                       "A line with how far it is (on a terminal it is there anyway)");
    command_->add_flag("--dry-run", dry_run_, "Print the commands and run none");
    command_->footer(
        "bulkhead map [OPTIONS] [--] COMMAND... [::: INPUT... | :::: FILE]\n\n"
        "  bulkhead map --retries 2 --timeout 30s -- convert {} {.}.png ::: *.svg\n"
        "  find . -name '*.log' -print0 | bulkhead map -0 gzip\n\n"
        "{} is the input; {.} without its extension; {/} its last part; {//} its folder; {/.} its\n"
        "last part without extension; {#} its number; {%} the number of the worker. Without any "
        "of\n"
        "them the input is the last word. They are replaced inside any word, and no shell reads "
        "the\n"
        "words: an input is text, whatever is in it.\n\n"
        "Output is given out whole, in the order of the inputs. A command that fails, crashes or\n"
        "takes too long stops no other; it is named with its cause on standard error. The exit\n"
        "status is the number of inputs that failed, 101 for more than a hundred.");
  }

  /// The command begins with the first word that is neither an option of ours nor its value, or
  /// after "--".
  void take_command(std::vector<std::string>& arguments) override {
    if (arguments.empty() || arguments.front() != command_->get_name()) return;
    auto at = arguments.begin() + 1;
    while (at != arguments.end() && at->starts_with('-') && *at != "--") {
      at += has_value_behind(*at) && at + 1 != arguments.end() ? 2 : 1;
    }
    words_.assign(at != arguments.end() && *at == "--" ? at + 1 : at, arguments.end());
    arguments.erase(at, arguments.end());
  }

  bool chosen() const override { return command_->parsed(); }

  int run() override {
    auto options = read();
    if (!options) {
      fmt::print(stderr, "bulkhead map: {}\n", options.error().sentence());
      return wrong_use;
    }
    return map::run(*options);
  }

 private:
  /// "--timeout" and "-j" have; "--timeout=5s", "-j4" and "-0" have not.
  bool has_value_behind(const std::string& word) const {
    const bool whole =
        word.starts_with("--") ? word.find('=') == std::string::npos : word.size() == 2;
    const CLI::Option* option = whole ? command_->get_option_no_throw(word) : nullptr;
    return option != nullptr && option->get_items_expected_max() > 0;
  }

  Result<map::Options> read() {
    std::vector<std::string> words = words_;
    const auto mark = std::ranges::find_if(
        words, [](const std::string& word) { return word == ":::" || word == "::::"; });
    std::optional<std::vector<std::string>> inputs;
    if (mark != words.end()) {
      if (!file_.empty()) return refuse("--arg-file", "the inputs follow the command already");
      std::vector<std::string> after{mark + 1, words.end()};
      if (std::ranges::find(after, ":::") != after.end()) {
        return refuse(":::", "it is there twice", "map takes one list of inputs");
      }
      if (*mark == ":::") {
        inputs = std::move(after);
      } else if (after.size() == 1) {
        file_ = after.front();
      } else {
        return refuse("::::", "one file follows it, with the inputs");
      }
      words.erase(mark, words.end());
    }
    map::Options options{.command = BULKHEAD_TRY(map::CommandTemplate::create(words)),
                         .inputs = std::move(inputs)};
    options.input_file = file_ == "-" ? "" : file_;
    options.separator = null_ ? '\0' : '\n';
    options.workers = BULKHEAD_TRY(parse_workers(workers_));
    options.retries = retries_;
    if (!timeout_.empty()) options.time_limit = BULKHEAD_TRY(parse_time("--timeout", timeout_));
    if (!patience_.empty()) options.patience = BULKHEAD_TRY(parse_time("--kill-after", patience_));
    options.halt = BULKHEAD_TRY(map::Halt::parse(halt_));
    BULKHEAD_TRY(read_output(options));
    return options;
  }

  Result<void> read_output(map::Options& options) const {
    if (ungroup_) options.output = map::OutputTo::ours;
    if (unordered_) options.order = map::Output::Order::of_ends;
    options.progress = progress_.value_or(::isatty(STDERR_FILENO) == 1 && !ungroup_);
    options.job_log = job_log_;
    options.dry_run = dry_run_;
    if ((resume_ || resume_failed_) && job_log_.empty()) {
      return refuse("--resume", "there is no job log to go on from", "give --joblog FILE");
    }
    if (resume_) options.keep = map::JobLog::Keep::done;
    if (resume_failed_) options.keep = map::JobLog::Keep::succeeded;
    const bool from_terminal = !options.inputs && options.input_file.empty();
    if (from_terminal && ::isatty(STDIN_FILENO) == 1) {
      fmt::print(stderr, "bulkhead map: reading inputs from the terminal, a line each\n");
    }
    return {};
  }

  CLI::App* command_;
  std::vector<std::string> words_;  // the command and what follows it
  std::string workers_ = "auto";
  unsigned retries_ = 0;
  std::string timeout_;
  std::string patience_;
  std::string halt_ = "never";
  std::string file_;
  bool null_ = false;
  bool unordered_ = false;
  bool ungroup_ = false;
  std::string job_log_;
  bool resume_ = false;
  bool resume_failed_ = false;
  std::optional<bool> progress_;
  bool dry_run_ = false;
};

}  // namespace

std::unique_ptr<Verb> map_verb(CLI::App& app) { return std::make_unique<Map>(app); }

}  // namespace bulkhead::tools
