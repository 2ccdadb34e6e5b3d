// SPDX-License-Identifier: Apache-2.0
//
// The `bulkhead` command: one verb a file.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <bulkhead/process.hpp>

#include "tools/bulkhead/verb.hpp"

int main(int argc, char** argv) {
  bulkhead::tools::leave_if_started_by_bench(argc, argv);
  bulkhead::init(argc, argv);

  CLI::App app{"Programs made of several processes: what they are made of, cost and leave behind",
               "bulkhead"};
  app.set_version_flag("--version", "bulkhead " BULKHEAD_VERSION);
  app.require_subcommand(1);
  std::vector<std::unique_ptr<bulkhead::tools::Verb>> verbs;
  verbs.push_back(bulkhead::tools::advise_verb(app));
  verbs.push_back(bulkhead::tools::bench_verb(app));
  verbs.push_back(bulkhead::tools::clean_verb(app));
  verbs.push_back(bulkhead::tools::locks_verb(app));
  verbs.push_back(bulkhead::tools::map_verb(app));
  verbs.push_back(bulkhead::tools::mechanisms_verb(app));
  verbs.push_back(bulkhead::tools::relay_verb(app));
  std::vector<std::string> arguments{argv + 1, argv + argc};
  for (const auto& verb : verbs) verb->take_command(arguments);
  std::ranges::reverse(arguments);  // as the parser takes them
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& wrong) {
    return app.exit(wrong);
  }
  try {
    for (const auto& verb : verbs) {
      if (verb->chosen()) return verb->run();
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bulkhead: %s\n", error.what());
  }
  return 1;
}
