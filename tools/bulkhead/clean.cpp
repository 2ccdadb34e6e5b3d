// SPDX-License-Identifier: Apache-2.0
//
// `bulkhead clean`: lists the names that this user's processes hold and removes those of the dead.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <string>

#include <bulkhead/names.hpp>

#include "tools/bulkhead/verb.hpp"

namespace bulkhead::tools {
namespace {

using State = OwnedName::State;

/// Names are anybody's bytes: nothing in them is to move the cursor.
std::string printable(const std::string& name) {
  std::string text;
  for (const char byte : name) {
    const auto code = static_cast<unsigned char>(byte);
    text += code < 32 || code == 127 ? fmt::format("\\x{:02x}", code) : std::string{byte};
  }
  return text;
}

void print_line(const OwnedName& name) {
  fmt::print("{:8}  {:7}  {:9}  {}{}{}\n", to_string(name.state),
             name.owner != 0 ? std::to_string(name.owner) : "?", name.mechanism,
             printable(name.name), name.why.empty() ? "" : ": ", printable(name.why));
}

class Clean : public Verb {
 public:
  explicit Clean(CLI::App& app)
      : command_{app.add_subcommand(
            "clean", "Remove the names that processes left behind when they were killed")} {
    command_->add_flag("--dry-run", dry_run_, "Only show what would be removed");
    command_->add_flag("--list", list_, "Only show all names, those of live processes too");
    command_->add_flag("--json", json_, "Print JSON instead of lines");
    command_->footer(
        "Of names of this user only, in this runtime directory (XDG_RUNTIME_DIR). What a live\n"
        "process has, or what somebody put in the place of a name, stays. The status is 0 unless\n"
        "something stale could not be removed.");
  }

  bool chosen() const override { return command_->parsed(); }

  int run() override {
    auto names = dry_run_ || list_ ? list_names() : remove_stale_names();
    if (!names) {
      fmt::print(stderr, "bulkhead clean: {}\n", names.error().sentence());
      return 1;
    }
    if (!list_) {
      std::erase_if(*names, [](const OwnedName& name) { return name.state == State::live; });
    }
    json_ ? print_json(*names) : print_lines(*names);
    const bool all = std::none_of(names->begin(), names->end(),
                                  [](const OwnedName& name) { return name.state == State::kept; });
    return all ? 0 : 1;
  }

 private:
  static void print_lines(const std::vector<OwnedName>& names) {
    if (names.empty()) {
      fmt::print("nothing\n");
      return;
    }
    fmt::print("{:8}  {:7}  {:9}  {}\n", "state", "owner", "mechanism", "name");
    for (const OwnedName& name : names) print_line(name);
  }

  static void print_json(const std::vector<OwnedName>& names) {
    auto rows = nlohmann::json::array();
    for (const OwnedName& name : names) {
      rows.push_back({{"state", to_string(name.state)},
                      {"owner", name.owner},
                      {"mechanism", name.mechanism},
                      {"name", name.name},
                      {"why", name.why}});
    }
    // A path need not be UTF-8.
    fmt::print("{}\n", rows.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  }

  CLI::App* command_;
  bool dry_run_ = false;
  bool list_ = false;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Verb> clean_verb(CLI::App& app) { return std::make_unique<Clean>(app); }

}  // namespace bulkhead::tools
