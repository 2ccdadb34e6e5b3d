// SPDX-License-Identifier: Apache-2.0
//
// `bulkhead mechanisms`: what each mechanism can do, from the library itself; how its addresses are
// written, and what this machine allows one message or one channel of it.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <bulkhead/channel.hpp>

#include "tools/bulkhead/address_form.hpp"
#include "tools/bulkhead/verb.hpp"

namespace bulkhead::tools {
namespace {

struct Column {
  const char* title;
  const char* field;
  bool Capabilities::* flag;
};
constexpr std::array columns{
    Column{"both ways", "both_ways", &Capabilities::both_ways},
    Column{"many clients", "many_clients", &Capabilities::many_clients},
    Column{"unrelated", "unrelated", &Capabilities::unrelated},
    Column{"handles", "handles", &Capabilities::handles},
    Column{"in place", "in_place", &Capabilities::in_place},
    Column{"priority", "priority", &Capabilities::priority},
    Column{"reliable", "reliable", &Capabilities::reliable},
    Column{"tells death", "tells_death", &Capabilities::tells_death},
    Column{"other machine", "other_machine", &Capabilities::other_machine},
    Column{"survives", "survives", &Capabilities::survives},
};

/// The first number in a file of the kernel's; empty where it is not there.
std::string kernel_says(const char* path) {
  std::string word;
  std::ifstream{path} >> word;
  return word;
}

std::string limit(const char* path, const char* what) {
  const std::string value = kernel_says(path);
  return value.empty() ? std::string{} : fmt::format("{} {}", value, what);
}

std::string joined(std::initializer_list<std::string> parts) {
  std::string text;
  for (const std::string& part : parts) {
    if (!text.empty() && !part.empty()) text += ", ";
    text += part;
  }
  return text;
}

/// Of this machine, for this user.
std::string limits(Mechanism mechanism) {
  switch (mechanism) {
    case Mechanism::inproc:
      return "a ring in this process";
    case Mechanism::pipe:
    case Mechanism::fifo:
      return limit("/proc/sys/fs/pipe-max-size", "bytes of pipe without privileges");
    case Mechanism::file:
    case Mechanism::mmap:
      return "the disk";
    case Mechanism::shm:
      return "memory; a ring of up to 1 GiB each way";
    case Mechanism::unix_socket:
    case Mechanism::tcp:
      return limit("/proc/sys/net/core/wmem_max", "bytes of socket buffer");
    case Mechanism::udp:
      return "65491 bytes a message over IPv4, 65511 over IPv6";
    case Mechanism::posix_mq:
      return joined({limit("/proc/sys/fs/mqueue/msgsize_max", "bytes a kernel message"),
                     limit("/proc/sys/fs/mqueue/msg_max", "messages a queue"),
                     limit("/proc/sys/fs/mqueue/queues_max", "queues")});
    case Mechanism::sysv_mq:
      return joined({limit("/proc/sys/kernel/msgmax", "bytes a kernel message"),
                     limit("/proc/sys/kernel/msgmnb", "bytes a queue"),
                     limit("/proc/sys/kernel/msgmni", "queues")});
  }
  return {};
}

/// One that is not in this build can do nothing at all.
bool is_here(const Capabilities& can) {
  return std::any_of(columns.begin(), columns.end(),
                     [&](const Column& column) { return can.*column.flag; });
}

class Mechanisms : public Verb {
 public:
  explicit Mechanisms(CLI::App& app)
      : command_{app.add_subcommand(
            "mechanisms", "What each mechanism can do, how it is addressed, and its limits here")} {
    command_->add_flag("--json", json_, "Print JSON instead of the table");
  }

  bool chosen() const override { return command_->parsed(); }

  int run() override {
    json_ ? print_json() : print_capabilities();
    return 0;
  }

 private:
  static void print_json() {
    auto rows = nlohmann::json::array();
    for (const Mechanism mechanism : all_mechanisms) {
      const Capabilities can = capabilities(mechanism);
      nlohmann::json row{{"mechanism", to_string(mechanism)},
                         {"address", address_form(mechanism)},
                         {"limits", limits(mechanism)},
                         {"available", is_here(can)}};
      for (const Column& column : columns) row[column.field] = can.*column.flag;
      rows.push_back(std::move(row));
    }
    fmt::print("{}\n", rows.dump(2));
  }

  CLI::App* command_;
  bool json_ = false;
};

}  // namespace

void print_capabilities() {
  std::string line = fmt::format("{:9}  {:24}", "mechanism", "address");
  for (const Column& column : columns) line += fmt::format("  {}", column.title);
  fmt::print("{}\n", line);
  for (const Mechanism mechanism : all_mechanisms) {
    const Capabilities can = capabilities(mechanism);
    line = fmt::format("{:9}  {:24}", to_string(mechanism), address_form(mechanism));
    for (const Column& column : columns) {
      line += fmt::format("  {:^{}}", can.*column.flag ? "yes" : "-",
                          std::char_traits<char>::length(column.title));
    }
    line.erase(line.find_last_not_of(' ') + 1);
    fmt::print("{}{}\n", line, is_here(can) ? "" : "  (not in this build)");
  }
  fmt::print("\nlimits on this machine\n");
  for (const Mechanism mechanism : all_mechanisms) {
    fmt::print("{:9}  {}\n", to_string(mechanism), limits(mechanism));
  }
}

std::unique_ptr<Verb> mechanisms_verb(CLI::App& app) { return std::make_unique<Mechanisms>(app); }

}  // namespace bulkhead::tools
