// SPDX-License-Identifier: Apache-2.0
// `bulkhead bench` as a user runs it: the quick run gives every row, each with the floor it is
// measured against, in JSON that another program can read. How fast anything is, is not asserted.
#include <cmath>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <set>
#include <sstream>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "support/census.hpp"
#include "support/children.hpp"
#include "support/watchdog.hpp"

#if __has_include(<nlohmann/json.hpp>)
#include <nlohmann/json.hpp>

namespace {

using bulkhead::test::Child;
using bulkhead::test::temporary_folder;
using bulkhead::test::waiting_for;
using Json = nlohmann::json;

struct Outcome {
  int exit_code = -1;
  std::string output;
};

Outcome run_command(const std::vector<std::string>& arguments) {
  Child child = Child::start("bulkhead", arguments);
  child.close_input();
  const auto waiting = waiting_for("bulkhead " + arguments.front());
  Outcome outcome;
  outcome.output = child.read_all();
  const int status = child.wait();
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

bool command_is_built() {
  return ::access(bulkhead::test::program_path("bulkhead").c_str(), X_OK) == 0;
}

bool instrumented() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return true;
#else
  return false;
#endif
}

/// What tells one row from another: "shm channel round_trip 64 hot 2".
std::string key(const Json& row) {
  std::string text;
  for (const char* field : {"mechanism", "api", "what"})
    text += row.at(field).get<std::string>() + ' ';
  text +=
      std::to_string(row.at("bytes").get<std::size_t>()) + ' ' + row.at("mode").get<std::string>();
  return text + ' ' + std::to_string(row.at("cores").get<int>());
}

std::set<std::string> keys(const Json& rows) {
  std::set<std::string> all;
  for (const Json& row : rows) all.insert(key(row));
  return all;
}

bool two_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return ::sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) >= 2;
}

/// Measured beside their raw calls at every size. Datagrams and logs have limits of their own.
constexpr const char* kernel_mechanisms[] = {"unix_stream", "pipe", "fifo", "tcp",
                                             "mq",          "sysv", "mmap"};

/// The rows that must be there whatever the machine: mechanism, api and modes of each.
std::vector<std::string> required() {
  std::vector<std::string> all{
      "futex raw round_trip 4 sleeping 1", "cache_line raw round_trip 64 hot 1",
      "exec raw start 0 sleeping 1",       "fork raw start 0 sleeping 1",
      "thread raw start 0 sleeping 1",     "process channel start 0 sleeping 1",
      "syscall raw round_trip 0 hot 1",    "memcpy raw one_way 4096 copied 1"};
  const std::vector<std::string> cores =
      two_cores() ? std::vector<std::string>{"1", "2"} : std::vector<std::string>{"1"};
  for (const std::string& count : cores) {
    for (const char* size : {"64", "4096", "65536"}) {
      const auto add = [&](const char* subject, const char* mode) {
        all.push_back(std::string{subject} + " round_trip " + size + ' ' + mode + ' ' + count);
      };
      for (const char* mode : {"hot", "sleeping"}) {
        for (const char* subject :
             {"shm ring", "threads ring", "unix raw", "shm channel", "shm service", "unix channel",
              "unix service", "inproc channel", "inproc service"}) {
          add(subject, mode);
        }
        for (const char* mechanism : kernel_mechanisms) {
          add((std::string{mechanism} + " raw").c_str(), mode);
          add((std::string{mechanism} + " channel").c_str(), mode);
        }
      }
    }
  }
  if (!two_cores()) return all;
  for (const char* size : {"64", "65536", "1048576"}) {
    for (const char* subject :
         {"shm ring", "threads ring", "unix raw", "shm channel", "shm service", "unix channel",
          "unix service", "inproc channel", "inproc service"}) {
      all.push_back(std::string{subject} + " one_way " + size + " copied 2");
    }
    for (const char* mechanism : kernel_mechanisms) {
      for (const char* api : {" raw", " channel"}) {
        all.push_back(mechanism + std::string{api} + " one_way " + size + " copied 2");
      }
    }
    for (const char* subject : {"shm ring", "threads ring", "shm channel"}) {
      all.push_back(std::string{subject} + " one_way " + size + " in_place 2");
    }
  }
  return all;
}

void expect_number(const Json& row, const char* field) {
  ASSERT_TRUE(row.contains(field)) << field << " in " << row;
  ASSERT_TRUE(row.at(field).is_number()) << field << " in " << row;
  EXPECT_TRUE(std::isfinite(row.at(field).get<double>())) << row;
  EXPECT_GT(row.at(field).get<double>(), 0) << field << " in " << row;
}

/// The ratio is a median over the rounds, the quotient one of medians: on a busy machine they differ
/// widely. But a ratio that stands upside down or belongs to another row is on the wrong side of one.
void expect_consistent(const Json& row) {
  if (row.at("rounds").get<int>() < 8) return;
  const double quotient = row.at("value").get<double>() / row.at("floor_value").get<double>();
  const double ratio = row.at("ratio").get<double>();
  if (quotient > 20) {
    EXPECT_GT(ratio, 1) << row;
  }
  if (quotient < 0.05) {
    EXPECT_LT(ratio, 1) << row;
  }
}

std::string text_of(const std::filesystem::path& file) {
  const std::ifstream stream{file};
  return (std::ostringstream{} << stream.rdbuf()).str();
}

std::size_t count_of(const std::string& text, const std::string& what) {
  std::size_t found = 0;
  for (auto at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++found;
  return found;
}

/// Plots with axes and floors, a table of targets, the machine; and nothing that is fetched.
void expect_page(const std::string& page) {
  EXPECT_GE(count_of(page, "<svg "), two_cores() ? 9u : 3u);
  EXPECT_EQ(count_of(page, "<svg "), count_of(page, "</svg>"));
  for (const char* words :
       {"asleep, one core", "less is better", "floor: futex ping-pong", "CPU", "Linux", "× raw"}) {
    EXPECT_THAT(page, testing::HasSubstr(words));
  }
  for (const char* words : {"http", "src=", "url(", "nan", "inf\""}) {
    EXPECT_EQ(count_of(page, words), words == std::string{"http"} ? count_of(page, "<svg ") : 0u)
        << words;
  }
}

TEST(bench, the_quick_run_gives_every_row_beside_its_floor) {
  if (!command_is_built()) GTEST_SKIP() << "the command is not built: its libraries are missing";
  if (instrumented()) GTEST_SKIP() << "times under a sanitizer say nothing";
  const std::string file = temporary_folder() / "rows.json";
  const auto report = temporary_folder() / "report";
  const Outcome outcome = run_command({"bench", "--quick", "--json", file, "--report", report});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.output;
  EXPECT_THAT(outcome.output, testing::HasSubstr("round_trip"));
  expect_page(text_of(report / "index.html"));
  EXPECT_EQ(text_of(report / "rows.json"), text_of(file));

  const Json rows = Json::parse(std::ifstream{file});
  ASSERT_TRUE(rows.is_array());
  for (const Json& row : rows) {
    for (const char* field : {"value", "floor_value", "ratio", "cores"}) expect_number(row, field);
    for (const char* field : {"unit", "floor"}) EXPECT_TRUE(row.at(field).is_string()) << row;
    const bool hot_trip = row.at("what") == "round_trip" && row.at("mode") == "hot";
    if (hot_trip && row.at("mechanism") != "syscall") expect_number(row, "ratio_ring");
    expect_consistent(row);
  }
  const std::set<std::string> present = keys(rows);
  for (const std::string& name : required())
    EXPECT_TRUE(present.contains(name)) << name << " is missing";
}

TEST(bench, each_lock_is_measured_beside_the_raw_one) {
  if (!command_is_built()) GTEST_SKIP() << "the command is not built: its libraries are missing";
  if (instrumented()) GTEST_SKIP() << "times under a sanitizer say nothing";
  const Outcome outcome = run_command({"bench", "--locks", "--quick", "--json", "-"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.output;
  std::set<std::string> ours;
  for (const Json& row : Json::parse(outcome.output)) {
    if (row.at("mechanism") != "bulkhead") continue;
    ours.insert(row.at("api").get<std::string>());
    EXPECT_EQ(row.at("floor"), "raw") << row;
    EXPECT_GT(row.at("ratio").get<double>(), 0) << row;
  }
  EXPECT_THAT(ours, testing::UnorderedElementsAre("mutex", "shared_mutex", "semaphore", "condition",
                                                  "barrier", "latch", "seqlock", "once"));
}

TEST(bench, a_file_that_cannot_be_written_is_told_before_anything_is_measured) {
  if (!command_is_built()) GTEST_SKIP() << "the command is not built: its libraries are missing";
  const std::string file = temporary_folder() / "no_such_folder" / "rows.json";
  const Outcome outcome = run_command({"bench", "--quick", "--json", file});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.output, "");
}

TEST(bench, a_report_that_cannot_be_written_is_told_before_anything_is_measured) {
  if (!command_is_built()) GTEST_SKIP() << "the command is not built: its libraries are missing";
  const std::string file = temporary_folder() / "a_file";
  std::ofstream{file} << "no folder";
  const Outcome outcome = run_command({"bench", "--quick", "--report", file});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.output, "");
}

TEST(bench, the_capabilities_are_a_row_a_mechanism_named_by_its_scheme) {
  if (!command_is_built()) GTEST_SKIP() << "the command is not built: its libraries are missing";
  const Outcome outcome = run_command({"bench", "--capabilities"});
  ASSERT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.output, run_command({"mechanisms"}).output);
  for (const char* scheme :
       {"inproc", "pipe", "fifo", "file", "mmap", "shm", "unix", "tcp", "udp", "mq", "sysv"}) {
    EXPECT_THAT(outcome.output, testing::ContainsRegex("\n" + std::string{scheme} + " +[a-z(]+"));
  }
}

TEST(command, an_unknown_verb_is_refused_and_the_version_is_told) {
  if (!command_is_built()) GTEST_SKIP() << "the command is not built: its libraries are missing";
  EXPECT_NE(run_command({"no-such-verb"}).exit_code, 0);
  const Outcome version = run_command({"--version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_THAT(version.output, testing::StartsWith("bulkhead "));
}

}  // namespace

#else

TEST(bench, needs_the_json_library) { GTEST_SKIP() << "nlohmann-json is not installed"; }

#endif
