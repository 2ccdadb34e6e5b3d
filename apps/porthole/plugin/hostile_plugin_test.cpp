// SPDX-License-Identifier: Apache-2.0
//
// Plugins that misbehave, in real plugin processes: how each ends, and what its user and the browser
// hear of it.
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plugin/running_plugin.hpp"
#include "support/census.hpp"

namespace porthole {
namespace {

using bulkhead::ErrorKind;
using bulkhead::Exit;
using testing::HasSubstr;

const PluginKind& chaos() { return *plugin_for("application/x-chaos-calm"); }

std::string type(const std::string& how) { return "application/x-chaos-" + how; }

Exit violation(const char* call) { return Exit::of(Exit::Cause::sandbox_violation, call); }

TEST(hostile_plugin, is_harmless_when_it_is_calm) {
  RunningPlugin plugin{chaos()};
  EXPECT_THAT(plugin.told().mime_types, testing::ElementsAreArray(chaos().mime_types));
  const auto output = plugin.render(type("calm"), "x");
  ASSERT_TRUE(output) << output.error();
  EXPECT_EQ(output->size, (Size{16, 16}));
  EXPECT_TRUE(plugin.render("image/x-chaos-calm", "x"));
  EXPECT_TRUE(plugin.render("application/x-chaos", "calm\n"));
  EXPECT_FALSE(plugin.render("image/x-chaos", "exit"));
}

struct End {
  const char* how;
  Exit exit;
};

/// The call fails because the process died; the process's end says of what.
void expect_end(const End& end) {
  RunningPlugin plugin{chaos()};
  const auto output = plugin.render(type(end.how), "x");
  ASSERT_FALSE(output) << end.how;
  EXPECT_EQ(output.error(), ErrorKind::peer_died) << end.how << ": " << output.error();
  const auto exit = plugin.exit();
  EXPECT_EQ(exit, end.exit) << end.how << ": " << exit;
}

TEST(hostile_plugin, ends_by_what_it_does_and_the_end_is_named) {
  expect_end({"crash", Exit::killed(SIGSEGV, 0x10)});
  expect_end({"exit", Exit::exited(3)});
  expect_end({"open-file", violation("openat")});
  expect_end({"socket", violation("socket")});
  expect_end({"exec", violation("execve")});
  expect_end({"load", violation("openat")});
}

TEST(hostile_plugin, that_eats_memory_is_stopped_at_its_limit) {
  RunningPlugin plugin{chaos()};
  const auto output = plugin.render(type("memory"), "x");
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error(), ErrorKind::exhausted) << output.error();
  EXPECT_EQ(plugin.why_it_gave_up(), "it ran out of memory");
}

TEST(hostile_plugin, that_tells_a_wrong_size_is_not_believed) {
  RunningPlugin plugin{chaos()};
  const auto output = plugin.render(type("wrong-size"), "x");
  ASSERT_FALSE(output);
  // Not `corrupt`, which says that the channel is gone.
  EXPECT_EQ(output.error(), ErrorKind::invalid);
  EXPECT_THAT(output.error().sentence(), HasSubstr("a size that no picture has"));
  EXPECT_TRUE(plugin.render(type("calm"), "x"));
}

TEST(hostile_plugin, that_loops_keeps_its_user_until_the_deadline_and_can_be_ended) {
  RunningPlugin plugin{chaos()};
  const auto user = plugin.attach();
  const auto output = bulkhead::within(std::chrono::milliseconds(50), user)
                          .render({.mime_type = type("loop"), .bytes = frozen("x")});
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error(), ErrorKind::timed_out);
  EXPECT_TRUE(plugin.process().running());
  EXPECT_EQ(or_throw(plugin.process().kill("no answer")).cause, Exit::Cause::hang);
}

/// Its constructor runs in the first stage.
Exit exit_while_loading(const std::string& how) {
  RunningPlugin plugin{chaos(), {}, {"CHAOS_WHILE_LOADING=" + how}};
  EXPECT_NE(plugin.told().failure, "") << how;
  return plugin.exit();
}

TEST(hostile_plugin, is_held_while_it_is_loaded_too) {
  EXPECT_EQ(exit_while_loading("socket"), violation("socket"));
  EXPECT_EQ(exit_while_loading("exec"), violation("execve"));
  EXPECT_EQ(exit_while_loading("crash"), Exit::killed(SIGSEGV, 0x10));
  EXPECT_EQ(exit_while_loading("exit"), Exit::exited(3));
  // In the first stage files can be opened, but there are none.
  RunningPlugin plugin{chaos(), {}, {"CHAOS_WHILE_LOADING=open-file"}};
  EXPECT_EQ(plugin.told().failure, "");
}

TEST(hostile_plugin, with_a_wrong_table_is_refused) {
  for (const char* how : {"none", "version", "small"}) {
    RunningPlugin plugin{chaos(), {}, {std::string{"CHAOS_TABLE="} + how}};
    EXPECT_THAT(plugin.told().failure, HasSubstr("another version")) << how;
    EXPECT_EQ(plugin.exit(), Exit::exited(0)) << how;
  }
  RunningPlugin plugin{chaos(), {}, {"CHAOS_TABLE=gaps"}};
  EXPECT_THAT(plugin.told().failure, HasSubstr("gaps"));
}

TEST(hostile_plugin, that_is_none_is_told) {
  const auto folder = bulkhead::test::temporary_folder();
  const auto text = folder / "image.so";
  std::ofstream{text} << "this is no shared object";
  RunningPlugin plugin{*plugin_for("image/png"), text};
  EXPECT_THAT(plugin.told().failure, HasSubstr("image.so"));
  EXPECT_EQ(plugin.exit(), Exit::exited(0));
}

}  // namespace
}  // namespace porthole
