// SPDX-License-Identifier: Apache-2.0
//
// The verbs of the `bulkhead` command, one file each. A verb adds its subcommand to the parser and
// keeps what the parser filled in; run() does the work and returns the exit status.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace bulkhead::tools {

class Verb {
 public:
  Verb() = default;
  Verb(const Verb&) = delete;
  Verb& operator=(const Verb&) = delete;
  virtual ~Verb() = default;

  /// Before the parser sees them: a verb that runs another command takes that one's words out of the
  /// arguments, so that none is mistaken for an option of ours.
  virtual void take_command(std::vector<std::string>& arguments) { static_cast<void>(arguments); }

  /// Was this the verb on the command line?
  virtual bool chosen() const = 0;
  virtual int run() = 0;
};

std::unique_ptr<Verb> advise_verb(CLI::App& app);
std::unique_ptr<Verb> bench_verb(CLI::App& app);
std::unique_ptr<Verb> clean_verb(CLI::App& app);
std::unique_ptr<Verb> locks_verb(CLI::App& app);
std::unique_ptr<Verb> map_verb(CLI::App& app);
std::unique_ptr<Verb> mechanisms_verb(CLI::App& app);
std::unique_ptr<Verb> relay_verb(CLI::App& app);

/// What each mechanism can do, a row each: the table of the mechanisms verb, and of the bench's.
void print_capabilities();

/// The bench starts this program to measure the start of a program; such a one leaves here and now.
void leave_if_started_by_bench(int argc, char** argv);

}  // namespace bulkhead::tools
