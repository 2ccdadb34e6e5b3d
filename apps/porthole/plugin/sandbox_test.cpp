// SPDX-License-Identifier: Apache-2.0
//
// The self-test, in real plugin processes: everything that is tried is refused in both stages, and
// where there is no sandbox the same attempts succeed, so that they can fail.
#include "plugin/sandbox.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>

#include "common/self_test.hpp"
#include "plugin/main.hpp"
#include "plugin/registry.hpp"

namespace porthole {
namespace {

using bulkhead::arguments;
using bulkhead::or_throw;
using bulkhead::Sandbox;
using Verdict = AttemptResult::Verdict;

SpawnForAttempt in_plugin(const PluginKind& kind, std::string before = {}) {
  return [&kind, before](const std::string& attempt) {
    const auto file = or_throw(plugin_file(kind)).string();
    return bulkhead::spawn<plugin_main>(
        {.sandbox = plugin_sandbox(kind, file), .arguments = arguments(before + attempt, file)});
  };
}

TEST(plugin_sandbox, refuses_all_that_the_self_test_tries) {
  for (const PluginKind& kind : plugin_kinds()) {
    for (const auto& result : or_throw(self_test(in_plugin(kind)))) {
      EXPECT_EQ(result.verdict, Verdict::refused)
          << kind.name << ", " << result.name << ": " << result.how;
    }
  }
}

TEST(plugin_sandbox, refuses_it_while_a_plugin_is_loaded_too) {
  const auto& kind = *plugin_for("image/svg+xml");
  for (const auto& result : or_throw(self_test(in_plugin(kind, std::string{while_loading})))) {
    EXPECT_EQ(result.verdict, Verdict::refused) << result.name << ": " << result.how;
  }
}

TEST(plugin_sandbox, opens_nothing_in_its_second_stage_unless_it_needs_fonts) {
  for (const PluginKind& kind : plugin_kinds()) {
    const auto declared = plugin_rendering_sandbox(kind);
    EXPECT_EQ(declared.readable.empty(), kind.name != "svg");
    EXPECT_TRUE(declared.loadable.empty());
    EXPECT_EQ(declared.tighten, Sandbox::Tighten::none);
  }
}

TEST(self_test, finds_what_is_allowed) {
  const auto& kind = *plugin_for("image/png");
  const auto file = or_throw(plugin_file(kind)).string();
  const auto results = or_throw(self_test([&](const std::string& attempt) {
    return bulkhead::spawn<plugin_main>({.arguments = arguments(attempt, file)});
  }));
  std::set<std::string> allowed;
  for (const auto& result : results) {
    if (result.verdict == Verdict::allowed) allowed.insert(result.name);
  }
  // The others depend on the system that the test runs on.
  for (const char* name : {"network", "read-file", "write-file", "list-processes", "exec", "fork",
                           "signal", "make-code"}) {
    EXPECT_TRUE(allowed.contains(name)) << name;
  }
}

TEST(self_test, judges_by_how_a_process_ended) {
  using bulkhead::Exit;
  const Attempt attempt{"a", "do it"};
  EXPECT_EQ(judge(attempt, Exit::of(Exit::Cause::sandbox_violation, "openat")),
            (AttemptResult{"a", "do it", Verdict::refused, "ended at: openat"}));
  EXPECT_EQ(judge(attempt, Exit::exited(101)).how, "EPERM");
  EXPECT_EQ(judge(attempt, Exit::exited(99)).verdict, Verdict::allowed);
  EXPECT_EQ(judge(attempt, Exit::exited(0)).verdict, Verdict::allowed);
  EXPECT_EQ(judge(attempt, Exit::exited(98)).verdict, Verdict::unclear);
  EXPECT_EQ(judge(attempt, Exit::exited(1)).verdict, Verdict::unclear);
  EXPECT_EQ(judge(attempt, Exit::killed(SIGKILL)).verdict, Verdict::unclear);
}

TEST(self_test, is_unclear_about_an_attempt_that_does_not_exist) {
  const auto& kind = *plugin_for("image/png");
  auto process = or_throw(in_plugin(kind)("levitate"));
  EXPECT_EQ(or_throw(process.wait(std::chrono::seconds(60))).code, 98);
}

TEST(registry, knows_what_is_shipped) {
  EXPECT_EQ(plugin_for("image/webp")->name, "image");
  EXPECT_EQ(plugin_for("image/svg+xml")->name, "svg");
  EXPECT_EQ(plugin_for("text/markdown")->name, "markdown");
  EXPECT_EQ(plugin_for("text/html"), nullptr);
  EXPECT_EQ(plugin_of_file("/somewhere/svg.so")->name, "svg");
  EXPECT_EQ(plugin_of_file("/somewhere/else.so"), nullptr);
  for (const PluginKind& kind : plugin_kinds()) EXPECT_TRUE(plugin_file(kind)) << kind.name;
}

}  // namespace
}  // namespace porthole
