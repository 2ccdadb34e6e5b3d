// SPDX-License-Identifier: Apache-2.0
//
// The declaration and what is computed from it. What it does to a process: tests/sandbox_test.cpp.
#include <cerrno>
#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <latch>
#include <sstream>
#include <string>
#include <sys/syscall.h>
#include <thread>

#include <bulkhead/sandbox.hpp>

#include "sandbox/apply.hpp"
#include "sandbox/calls.hpp"
#include "sandbox/limits.hpp"
#include "sandbox/root_folder.hpp"
#include "sandbox/tighten.hpp"
#include "sandbox/violation.hpp"
#include "support/census.hpp"

namespace bulkhead::sandbox {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Verdict verdict_of(const Sandbox& declared, long call) {
  return verdicts(declared).at(static_cast<std::size_t>(call)).verdict;
}

TEST(declaration, made_by_default_is_the_strictest) {
  EXPECT_EQ(Sandbox{}, compute_only);
  EXPECT_TRUE(compute_only.confines());
  EXPECT_FALSE(none.confines());
  Sandbox nameless = none;
  nameless.name.clear();
  EXPECT_FALSE(nameless.confines());
}

TEST(declaration, that_asks_for_anything_confines) {
  for (const auto& change :
       {+[](Sandbox& s) { s.limits.memory_bytes = 1; }, +[](Sandbox& s) { s.limits.tasks = 1; },
        +[](Sandbox& s) { s.network = Sandbox::Network::none; },
        +[](Sandbox& s) { s.landlock = Sandbox::Need::best_effort; },
        +[](Sandbox& s) { s.readable.emplace_back("/"); },
        +[](Sandbox& s) { s.loadable.emplace_back("/"); },
        +[](Sandbox& s) { s.devices.emplace_back("/dev/null"); },
        +[](Sandbox& s) { s.control = Sandbox::Control::graphics; }}) {
    Sandbox changed = none;
    change(changed);
    EXPECT_TRUE(changed.confines());
  }
}

TEST(declaration, read_only_is_compute_only_with_a_folder) {
  const auto declared = read_only("/usr");
  EXPECT_THAT(declared.readable, ElementsAre("/usr"));
  EXPECT_THAT(declared.name, HasSubstr("/usr"));
  EXPECT_EQ(declared.calls, Sandbox::Calls::compute);
  EXPECT_EQ(declared.limits, compute_only.limits);
}

TEST(profile, opens_files_only_when_some_are_declared) {
  EXPECT_EQ(verdict_of(compute_only, SYS_openat), Verdict::violation);
  EXPECT_EQ(verdict_of(read_only("/usr"), SYS_openat), Verdict::by_argument);
  Sandbox writing = compute_only;
  writing.writable.emplace_back("/tmp");
  EXPECT_EQ(verdict_of(writing, SYS_openat), Verdict::allow);
  EXPECT_EQ(verdict_of(none, SYS_openat), Verdict::allow);
}

TEST(profile, opens_sockets_only_when_the_network_is_declared) {
  EXPECT_EQ(verdict_of(compute_only, SYS_socket), Verdict::violation);
  Sandbox networked = compute_only;
  networked.network = Sandbox::Network::inherit;
  EXPECT_EQ(verdict_of(networked, SYS_socket), Verdict::by_argument);
  EXPECT_EQ(verdict_of(networked, SYS_io_uring_setup), Verdict::violation);
}

TEST(profile, does_not_know_calls_of_the_future) {
  EXPECT_EQ(verdict_of(compute_only, 470), Verdict::unknown);
  EXPECT_EQ(verdicts(compute_only).at(470).answer, ENOSYS);
}

TEST(profile, maps_code_only_where_it_is_declared_and_reads_there) {
  Sandbox loading = compute_only;
  loading.loadable.emplace_back("/usr/lib");
  EXPECT_EQ(verdict_of(loading, SYS_openat), Verdict::by_argument);
  EXPECT_EQ(verdict_of(loading, SYS_seccomp), Verdict::violation);
  loading.tighten = Sandbox::Tighten::allowed;
  EXPECT_EQ(verdict_of(loading, SYS_seccomp), Verdict::by_argument);
  EXPECT_EQ(verdict_of(loading, SYS_landlock_restrict_self), Verdict::allow);
}

TEST(profile, controls_devices_only_when_it_is_declared) {
  EXPECT_EQ(verdict_of(compute_only, SYS_kcmp), Verdict::violation);
  Sandbox drawing = compute_only;
  drawing.control = Sandbox::Control::graphics;
  EXPECT_EQ(verdict_of(drawing, SYS_kcmp), Verdict::answer);
  EXPECT_EQ(verdict_of(drawing, SYS_openat), Verdict::violation);
  drawing.devices.emplace_back("/dev/null");
  EXPECT_EQ(verdict_of(drawing, SYS_openat), Verdict::by_argument);
}

Sandbox with(void (*change)(Sandbox&)) {
  Sandbox made = compute_only;
  change(made);
  return made;
}

TEST(second_stage, names_what_would_make_it_wider) {
  const Sandbox now = with([](Sandbox& s) {
    s.threads = Sandbox::Threads::none;
    s.readable = {"/usr/share", "/etc/fonts/"};
    s.writable = {"/tmp/own"};
    s.loadable = {"/usr/lib"};
    s.devices = {"/dev/dri"};
  });
  EXPECT_EQ(wider(now, now), "");
  EXPECT_EQ(wider(now, none), "calls");
  EXPECT_EQ(wider(now, compute_only), "threads");
  EXPECT_EQ(wider(compute_only, with([](Sandbox& s) { s.network = Sandbox::Network::inherit; })),
            "network");
  EXPECT_EQ(wider(compute_only, with([](Sandbox& s) { s.tighten = Sandbox::Tighten::allowed; })),
            "tighten");
  EXPECT_EQ(wider(compute_only, with([](Sandbox& s) { s.control = Sandbox::Control::graphics; })),
            "control");
  const auto only = [](auto field, const char* path) {
    Sandbox made = compute_only;
    made.threads = Sandbox::Threads::none;
    made.*field = {path};
    return made;
  };
  for (const char* path : {"/usr/share/fonts", "/etc/fonts", "/usr/share/", "/tmp/own/x",
                           "/usr/lib/x86_64", "/etc/../usr/share"}) {
    EXPECT_EQ(wider(now, only(&Sandbox::readable, path)), "") << path;
  }
  for (const char* path : {"/", "/usr", "/usr/shared", "/usr/share/../bin", "/tmp"}) {
    EXPECT_EQ(wider(now, only(&Sandbox::readable, path)), std::string{"readable "} + path);
  }
  EXPECT_EQ(wider(now, only(&Sandbox::writable, "/usr/share")), "writable /usr/share");
  EXPECT_EQ(wider(now, only(&Sandbox::loadable, "/tmp/own")), "loadable /tmp/own");
  EXPECT_EQ(wider(now, only(&Sandbox::devices, "/dev/dri/card0")), "");
  EXPECT_EQ(wider(now, only(&Sandbox::devices, "/dev/null")), "devices /dev/null");
}

TEST(violation, has_the_name_of_the_call) {
  EXPECT_EQ(call_name(SYS_openat), "openat");
  EXPECT_EQ(call_name(SYS_ptrace), "ptrace");
  EXPECT_EQ(call_name(100'000), "system call 100000");
}

TEST(report, is_one_line_that_says_what_is_and_what_is_not) {
  const SandboxReport report{.name = "compute_only",
                             .locked = true,
                             .layers = {{.name = "calls", .state = SandboxLayer::State::in_force},
                                        {.name = "limits", .state = SandboxLayer::State::in_force},
                                        {.name = "landlock",
                                         .state = SandboxLayer::State::unavailable,
                                         .why = "use Landlock: Function not implemented"},
                                        {.name = "namespaces", .state = SandboxLayer::State::off}}};
  EXPECT_EQ(to_string(report),
            "compute_only: locked; in force: calls, limits; unavailable: landlock (use Landlock: "
            "Function not implemented)");
  std::ostringstream out;
  out << SandboxReport{.name = "none"};
  EXPECT_EQ(out.str(), "none: not locked");
}

TEST(grants, are_absolute_and_the_shorter_first) {
  const auto folder = test::temporary_folder();
  std::filesystem::create_directory(folder / "inner");
  std::filesystem::create_directory_symlink(folder / "inner", folder / "link");
  Sandbox declared = compute_only;
  declared.readable = {(folder / "link").string() + "/"};
  declared.writable = {folder.string()};
  const auto list = or_throw(grants(declared));
  ASSERT_EQ(list.size(), 3U);
  EXPECT_EQ(list[0].path, std::filesystem::canonical(folder));
  EXPECT_EQ(list[0].use, Grant::Use::write);
  // Under its own name and the one that it resolves to.
  EXPECT_EQ(list[1].path, folder / "link");
  EXPECT_EQ(list[2].path, std::filesystem::canonical(folder / "inner"));
}

TEST(grants, of_what_does_not_exist_are_an_error) {
  const auto missing = grants(read_only("/nowhere/at/all"));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error(), ErrorKind::not_found);
  EXPECT_THAT(missing.error().sentence(), HasSubstr("/nowhere/at/all"));
}

TEST(footprint, is_what_the_process_has) {
  const auto now = footprint();
  EXPECT_GT(now.data_bytes, 0U);
  EXPECT_GT(now.mapped_bytes, now.data_bytes / 2);
}

TEST(apply, of_none_changes_nothing) {
  const auto report = or_throw(apply(none));
  EXPECT_FALSE(report.locked);
  EXPECT_TRUE(report.layers.empty());
  EXPECT_FALSE(calls_are_filtered());
}

TEST(apply_threaded, is_refused_when_other_threads_would_stay_free) {
  std::latch done{1};
  std::thread other{[&] { done.wait(); }};
  const auto refused = apply(compute_only);
  done.count_down();
  other.join();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), ErrorKind::invalid);
  EXPECT_THAT(refused.error().sentence(), HasSubstr("several threads"));
  EXPECT_FALSE(calls_are_filtered());
}

}  // namespace
}  // namespace bulkhead::sandbox
