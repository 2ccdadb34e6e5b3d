// SPDX-License-Identifier: Apache-2.0
//
// `bulkhead advise` as a user runs it: it measures once, and what it recommends from then on meets the
// needs by what the library says of each mechanism, carries the rate, and is the cheapest that was
// measured. The figures themselves are not asserted.
#include <algorithm>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <bulkhead/channel.hpp>

#include "support/census.hpp"
#include "support/children.hpp"
#include "support/watchdog.hpp"

#if __has_include(<nlohmann/json.hpp>)
#include <nlohmann/json.hpp>

namespace {

using namespace bulkhead;
using test::Child;
using testing::HasSubstr;
using Json = nlohmann::json;

struct Outcome {
  int exit_code = -1;
  std::string output;
  std::string error;
};

class advise : public testing::Test {
 protected:
  void SetUp() override {
    if (::access(test::program_path("bulkhead").c_str(), X_OK) != 0) {
      GTEST_SKIP() << "the command is not built: its libraries are missing";
    }
    ::setenv("XDG_CACHE_HOME", cache_.c_str(), 1);
  }

  /// Runs `bulkhead advise` with these words.
  Outcome run(std::vector<std::string> words) const {
    words.insert(words.begin(), "advise");
    const std::filesystem::path error = cache_ / "error";
    const Fd file = Fd::adopt(::open(error.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    Child child = Child::start("bulkhead", words, {}, file);
    child.close_input();
    const test::Waiting waiting{"bulkhead advise"};
    Outcome outcome;
    outcome.output = child.read_all();
    const int status = child.wait();
    outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    std::ifstream in{error};
    outcome.error.assign(std::istreambuf_iterator<char>{in}, {});
    return outcome;
  }

  Json ask(std::vector<std::string> words) const {
    words.push_back("--json");
    const Outcome outcome = run(words);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.error;
    return Json::parse(outcome.output, nullptr, false);
  }

  void expect_words() const;
  void expect_impossible_told() const;
  std::filesystem::path file() const { return cache_ / "bulkhead" / "measurements.json"; }

  const std::filesystem::path cache_ = test::temporary_folder();
};

Mechanism mechanism_of(const Json& candidate) {
  for (const Mechanism mechanism : all_mechanisms) {
    if (candidate.at("mechanism") == to_string(mechanism)) return mechanism;
  }
  ADD_FAILURE() << candidate;
  return Mechanism::inproc;
}

struct Case {
  std::vector<std::string> words;
  Capabilities needs;
  bool may_lose = false;
};

/// What is recommended meets the needs, carries the rate and is the cheapest of those that do: by no
/// more than the quarter, or half a percent of a core, that is told as the same.
void expect_well_chosen(const Case& asked, const Json& answer) {
  const Json& best = answer.at("recommended");
  ASSERT_TRUE(best.is_object()) << answer;
  const Capabilities can = capabilities(mechanism_of(best));
  for (const auto flag : {&Capabilities::priority, &Capabilities::other_machine,
                          &Capabilities::survives, &Capabilities::handles, &Capabilities::both_ways,
                          &Capabilities::many_clients, &Capabilities::unrelated}) {
    EXPECT_TRUE(!(asked.needs.*flag) || can.*flag) << best;
  }
  EXPECT_TRUE(can.reliable || asked.may_lose) << best;
  EXPECT_TRUE(best.at("carries").get<bool>()) << best;
  EXPECT_GE(best.at("capacity").get<double>(), answer.at("rate").get<double>());
  const double share = best.at("core_share").get<double>();
  for (const Json& other : answer.at("candidates")) {
    const bool in_files = capabilities(mechanism_of(other)).survives && !asked.needs.survives;
    if (!other.at("carries").get<bool>() || in_files) continue;
    const double cheaper = other.at("core_share").get<double>();
    EXPECT_LE(share, std::max(cheaper * 1.25, cheaper + 0.005) * 1.0001) << best << other;
  }
  EXPECT_FALSE(answer.at("why").empty());
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {{"--size", "4096", "--rate", "10000", "--topology", "1:1"}, {}},
      {{"--size", "64", "--rate", "100k"}, {}},
      {{"--size", "1mb", "--rate", "20"}, {}},
      {{"--size", "200", "--rate", "1000", "--topology", "N:1"}, {.many_clients = true}},
      {{"--size", "4k", "--rate", "500", "--topology", "1:5"}, {.many_clients = true}},
      {{"--size", "64", "--rate", "2000", "--topology", "N:M"}, {.many_clients = true}},
      {{"--size", "100", "--rate", "1000", "--needs", "priority,both-ways"},
       {.priority = true, .both_ways = true}},
      {{"--size", "1000", "--rate", "1000", "--needs", "remote"}, {.other_machine = true}},
      {{"--size", "300", "--rate", "500", "--needs", "durable"}, {.survives = true}},
      {{"--size", "30000", "--rate", "200", "--needs", "handles,unrelated,untrusted"},
       {.handles = true, .unrelated = true}},
      {{"--size", "500", "--rate", "1000", "--needs", "remote", "--may-lose"},
       {.other_machine = true},
       true},
  };
  return all;
}

void advise::expect_words() const {
  const Outcome outcome = run({"--size", "4096", "--rate", "1000"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  for (const char* part :
       {"4 KiB messages, 1,000 a second, one to one", "address", "costs", "of a core", "carries",
        "why", "next best", "shared memory or a queue", "measured"}) {
    EXPECT_THAT(outcome.output, HasSubstr(part));
  }
  EXPECT_LT(std::ranges::count(outcome.output, '\n'), 30) << "it is to be read at a glance";
}

void advise::expect_impossible_told() const {
  const std::vector<std::string> impossible{"--size", "10",      "--rate",
                                            "10",     "--needs", "handles,remote"};
  const Outcome outcome = run(impossible);
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.output, "");
  EXPECT_THAT(outcome.error, HasSubstr("handles together; the nearest is"));

  const Outcome fast = run({"--size", "64", "--rate", "1e12"});
  EXPECT_EQ(fast.exit_code, 1);
  EXPECT_THAT(fast.error, HasSubstr("nothing measured here that meets the needs carries"));
  EXPECT_THAT(fast.error, HasSubstr("the nearest is"));

  std::vector<std::string> as_json = impossible;
  as_json.push_back("--json");
  const Outcome json = run(as_json);
  EXPECT_EQ(json.exit_code, 1);
  const Json answer = Json::parse(json.output, nullptr, false);
  EXPECT_TRUE(answer.at("recommended").is_null());
  EXPECT_THAT(answer.at("impossible").get<std::string>(), HasSubstr("handles together"));
  EXPECT_TRUE(answer.at("nearest").is_string());
}

/// One test for all that is asked of one measuring, which takes some seconds.
TEST_F(advise, recommends_the_cheapest_that_meets_the_needs_and_says_why) {
  for (const Case& asked : cases()) {
    SCOPED_TRACE(testing::PrintToString(asked.words));
    expect_well_chosen(asked, ask(asked.words));
  }
  expect_words();
  expect_impossible_told();
}

TEST_F(advise, throws_spoilt_figures_away_measures_once_and_then_knows) {
  std::filesystem::create_directories(file().parent_path());
  std::ofstream{file()} << "{\"format\": 1, \"lines\": 7}";
  const Outcome first = run({"--size", "64", "--rate", "10"});
  EXPECT_EQ(first.exit_code, 0) << first.error;
  EXPECT_THAT(first.error, HasSubstr("not what was written there"));
  EXPECT_THAT(first.error, HasSubstr("measuring"));
  const Outcome second = run({"--size", "64", "--rate", "10"});
  EXPECT_EQ(second.error, "") << "nothing to say and nothing to measure";
  EXPECT_EQ(second.output, first.output);
}

TEST_F(advise, wrong_input_is_told_before_anything_is_measured) {
  const std::vector<std::vector<std::string>> wrong{
      {},
      {"--size", "10"},
      {"--size", "-1", "--rate", "10"},
      {"--size", "ten", "--rate", "10"},
      {"--size", "10", "--rate", "0"},
      {"--size", "10", "--rate", "many"},
      {"--size", "10", "--rate", "nan"},
      {"--size", "10", "--rate", "10", "--topology", "1"},
      {"--size", "10", "--rate", "10", "--topology", "0:1"},
      {"--size", "10", "--rate", "10", "--topology", "1:1:1"},
      {"--size", "10", "--rate", "10", "--topology", "X:1"},
      {"--size", "10", "--rate", "10", "--needs", "telepathy"},
      {"--size", "10", "--rate", "10", "--needs", "one-way,both-ways"},
      {"--size", "10", "--rate", "10", "--what"},
  };
  for (const auto& words : wrong) {
    const Outcome outcome = run(words);
    EXPECT_NE(outcome.exit_code, 0) << testing::PrintToString(words);
    EXPECT_EQ(outcome.output, "") << testing::PrintToString(words);
    EXPECT_NE(outcome.error, "") << testing::PrintToString(words);
    EXPECT_THAT(outcome.error, testing::Not(HasSubstr("measuring")))
        << testing::PrintToString(words);
  }
}

}  // namespace

#else

TEST(advise, needs_the_json_library) { GTEST_SKIP() << "nlohmann-json is not installed"; }

#endif
