// SPDX-License-Identifier: Apache-2.0
//
// A3 by method M3: while a process receives, its peer changes any shared word to any of six values
// between any two of its instructions. The victim lives, does not hang, and believes nothing that was
// not checked; what is told apart is in trials.cpp. The adversary is shown to find what it looks for.
#include "crash/adversary.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <iostream>

#include "support/soak.hpp"

namespace bulkhead::crash {
namespace {

/// Of each trial in CI, at every instruction others; so many times as many under `make soak`.
constexpr std::size_t changes_in_ci = 1'200;

class stepping_adversary : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    prepare_tracing();
    if (const auto why_not = Victim::why_not(); !why_not.empty()) {
      GTEST_SKIP() << "no process can be traced here: " << why_not;
    }
  }

  static Onslaught attack_named(const std::vector<Trial>& all, const std::string& name,
                                const Vehemence& how) {
    for (const auto& trial : all) {
      if (trial.name != name) continue;
      auto found = attack(trial, how);
      std::cout << name << ": " << found.instructions << " instructions, " << found.places
                << " places, " << found.words << " words, changes: " << found.changes
                << " missed: " << found.missed << " violations: " << found.violations << '\n';
      return found;
    }
    ADD_FAILURE() << "no trial " << name;
    return {};
  }
};

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const auto& trial : trials()) all.push_back(trial.name);
  return all;
}

INSTANTIATE_TEST_SUITE_P(of, stepping_adversary, testing::ValuesIn(names()),
                         [](const auto& chosen) {
                           std::string name = chosen.param;
                           for (char& c : name) {
                             if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
                           }
                           return name;
                         });

TEST_P(stepping_adversary, gains_nothing) {
  // What lies in files is looked at by system calls alone: between two of them all places are one.
  const bool in_files = GetParam().starts_with("attacked mmap");
  const auto times = static_cast<std::size_t>(test::soaked(1));
  const std::size_t stride = !in_files ? 1 : times > 1 ? std::max<std::size_t>(1, 400 / times) : 0;
  const auto found =
      attack_named(trials(), GetParam(), {.stride = stride, .most_changes = changes_in_ci * times});
  EXPECT_GT(found.changes, found.words);
  EXPECT_LE(found.missed, found.changes / 20);
  for (const auto& example : found.examples) ADD_FAILURE() << example;
  EXPECT_EQ(found.violations, 0U);
}

using stepping_adversary_of_the_naive = stepping_adversary;
INSTANTIATE_TEST_SUITE_P(all, stepping_adversary_of_the_naive, testing::Values(""));

TEST_P(stepping_adversary_of_the_naive, finds_a_size_that_is_fetched_twice) {
  const auto found =
      attack_named(naive_trials(), "attacked naive: a size that is fetched twice", {});
  EXPECT_GT(found.violations, 0U);
  EXPECT_LT(found.violations, found.changes) << "before the check and after the copy all is well";
}

}  // namespace
}  // namespace bulkhead::crash
