// SPDX-License-Identifier: Apache-2.0
#include "browser/self_test_run.hpp"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <string_view>

#include "browser/roles.hpp"
#include "gpu/sandbox.hpp"
#include "plugin/main.hpp"
#include "plugin/registry.hpp"
#include "plugin/sandbox.hpp"
#include "renderer/main.hpp"
#include "renderer/sandbox.hpp"

namespace porthole {
namespace {

using bulkhead::Process;
using bulkhead::Result;

RoleResults try_role(std::string role, const SpawnForAttempt& start) {
  RoleResults outcome{.role = std::move(role)};
  auto results = self_test([&](std::string attempt) -> Result<Process> {
    auto process = start(std::move(attempt));
    if (process) outcome.sandbox = to_string(process->sandbox_report());
    return process;
  });
  if (results) {
    outcome.results = std::move(*results);
  } else {
    outcome.sandbox = results.error().sentence();
  }
  return outcome;
}

Result<Process> start_plugin(std::string attempt) {
  const PluginKind& kind = plugin_kinds().front();
  const auto file = BULKHEAD_TRY(plugin_file(kind));
  const Roles roles{bulkhead::Placement::process};
  auto options = roles.options("plugin", plugin_sandbox(kind, file));
  options.arguments = bulkhead::arguments(std::move(attempt), file.string());
  return bulkhead::spawn<plugin_main>(std::move(options));
}

Result<Process> start_renderer(std::string attempt) {
  auto options = Roles{bulkhead::Placement::process}.options("renderer", renderer_sandbox());
  options.arguments = bulkhead::arguments(std::move(attempt));
  return bulkhead::spawn<renderer_main>(std::move(options));
}

Result<Process> start_gpu(GlUse gl, std::string attempt) {
  auto options = Roles{bulkhead::Placement::process}.options("gpu", gpu_sandbox(gl));
  options.arguments = bulkhead::arguments(std::move(attempt), gl);
  return bulkhead::spawn<gpu_main>(std::move(options));
}

std::string padded(std::string_view text, std::size_t width) {
  return std::string(text) + std::string(width > text.size() ? width - text.size() : 1, ' ');
}

std::string escaped(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    if (c == '<') {
      safe += "&lt;";
    } else if (c == '&') {
      safe += "&amp;";
    } else {
      safe += c;
    }
  }
  return safe;
}

}  // namespace

std::vector<RoleResults> try_all_roles(GlUse gl) {
  std::vector<RoleResults> roles{
      try_role("renderer", start_renderer),
      try_role("plugin while it loads",
               [](const std::string& attempt) {
                 return start_plugin(std::string(while_loading) + attempt);
               }),
      try_role("plugin", start_plugin)};
  if (gl != GlUse::none) {
    roles.push_back(try_role("gpu while it loads", [gl](const std::string& attempt) {
      return start_gpu(gl, std::string(while_loading) + attempt);
    }));
  }
  roles.push_back(
      try_role("gpu", [gl](std::string attempt) { return start_gpu(gl, std::move(attempt)); }));
  return roles;
}

bool all_refused(const std::vector<RoleResults>& roles) {
  return std::ranges::all_of(roles, [](const RoleResults& role) {
    return !role.results.empty() && std::ranges::all_of(role.results, [](const auto& result) {
      return result.verdict == AttemptResult::Verdict::refused;
    });
  });
}

std::string to_text(const std::vector<RoleResults>& roles) {
  std::string text;
  for (const RoleResults& role : roles) {
    text += role.role + ": " + role.sandbox + '\n';
    for (const auto& result : role.results) {
      text += "  " + padded(to_string(result.verdict), 10) + padded(result.words, 44) + result.how +
              '\n';
    }
  }
  return text;
}

std::string to_html(const std::vector<RoleResults>& roles) {
  std::string page =
      "<!doctype html><meta charset=utf-8><title>Sandboxes</title><style>body{font-family:"
      "sans-serif;margin:2em;color:#223}table{border-collapse:collapse;margin:0 0 2em}td{padding:"
      "3px 16px 3px 0;border-bottom:1px solid #dde}.refused{color:#175}.allowed{color:#b11}"
      ".unclear{color:#a60}p{color:#556}</style><h1>Sandboxes</h1><p>Each line was tried in a "
      "process of its own, started like those that show pages.</p>";
  for (const RoleResults& role : roles) {
    page += "<h2>" + escaped(role.role) + "</h2><p>" + escaped(role.sandbox) + "</p><table>";
    for (const auto& result : role.results) {
      const std::string verdict{to_string(result.verdict)};
      page += "<tr><td class=" + verdict + ">" + verdict + "<td>" + escaped(result.words) + "<td>" +
              escaped(result.how);
    }
    page += "</table>";
  }
  return page;
}

int run_self_test(GlUse gl) {
  const auto roles = try_all_roles(gl);
  std::cout << to_text(roles) << std::flush;
  return all_refused(roles) ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace porthole
