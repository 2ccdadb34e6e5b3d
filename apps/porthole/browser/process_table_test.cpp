// SPDX-License-Identifier: Apache-2.0
#include "browser/process_table.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace porthole {
namespace {

TEST(process_table, the_kernel_tells_of_this_process) {
  ProcessRow row{.kind = "browser", .pid = ::getpid()};
  ask_kernel(row);
  EXPECT_EQ(row.ppid, ::getppid());
  EXPECT_GT(row.rss_kb, 100u);
}

TEST(process_table, a_process_that_has_gone_has_no_memory) {
  ProcessRow row{.kind = "renderer", .pid = 0x7ffffff0, .ppid = 5, .rss_kb = 5};
  ask_kernel(row);
  EXPECT_EQ(row.ppid, 0);
  EXPECT_EQ(row.rss_kb, 0u);
}

TEST(process_table, json_has_every_key_and_null_for_what_is_not) {
  const std::vector<ProcessRow> rows{{.kind = "browser", .pid = 10, .ppid = 1, .rss_kb = 7},
                                     {.kind = "renderer",
                                      .pid = 11,
                                      .ppid = 10,
                                      .site = "file:",
                                      .tab = TabId{2},
                                      .sandbox = {"calls", "limits"},
                                      .rss_kb = 9}};
  const auto table = to_json(rows);
  EXPECT_EQ(table.dump(),
            R"([{"kind":"browser","pid":10,"ppid":1,"rss_kb":7,"sandbox":[],"site":null,)"
            R"("tab":null},{"kind":"renderer","pid":11,"ppid":10,"rss_kb":9,)"
            R"("sandbox":["calls","limits"],"site":"file:","tab":2}])");
}

TEST(process_table, a_gpu_process_tells_what_draws) {
  const std::vector<ProcessRow> rows{{.kind = "gpu", .pid = 12, .composer = "gl on softpipe"}};
  EXPECT_EQ(to_json(rows)[0]["compositor"], "gl on softpipe");
  EXPECT_TRUE(to_text(rows).contains("\ngpu gl on softpipe  12 ")) << to_text(rows);
}

TEST(process_table, only_layers_in_force_are_named) {
  using State = bulkhead::SandboxLayer::State;
  const bulkhead::SandboxReport report{
      .layers = {{.name = "calls", .state = State::in_force},
                 {.name = "landlock", .state = State::off},
                 {.name = "namespaces", .state = State::unavailable}}};
  EXPECT_EQ(layers_in_force(report), std::vector<std::string>{"calls"});
}

TEST(process_table, text_has_a_line_for_each_process_in_columns) {
  const std::vector<ProcessRow> rows{{.kind = "gpu", .pid = 12, .ppid = 10, .rss_kb = 3},
                                     {.kind = "plugin",
                                      .pid = 13,
                                      .ppid = 10,
                                      .site = "file:",
                                      .plugin = "image",
                                      .sandbox = {"calls"},
                                      .rss_kb = 4}};
  EXPECT_EQ(to_text(rows),
            "kind          pid  ppid  tab  site   rss kB  sandbox\n"
            "gpu           12   10    -    -      3       none\n"
            "plugin image  13   10    -    file:  4       calls\n");
}

}  // namespace
}  // namespace porthole
