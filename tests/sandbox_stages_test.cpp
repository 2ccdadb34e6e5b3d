// SPDX-License-Identifier: Apache-2.0
//
// A sandbox in two stages: a role that loads code in the first and can no longer do so in the
// second; what the first refuses already; and that the second binds every thread and is never wider.
#include <cerrno>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <latch>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

#include <bulkhead/process.hpp>

#include "support/census.hpp"
#include "support/process_roles.hpp"

namespace {

using namespace bulkhead;
using namespace bulkhead::test;
using testing::AllOf;
using testing::HasSubstr;

/// Part of the C library's package, and nobody links it.
const char* const seldom_loaded = "libBrokenLocale.so.1";

Sandbox loading() {
  Sandbox made;
  made.name = "loading";
  made.tighten = Sandbox::Tighten::allowed;
  for (const char* place :
       {"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache"}) {
    if (std::filesystem::exists(place)) made.loadable.emplace_back(place);
  }
  return made;
}

Sandbox reading(std::vector<std::string> folders) {
  Sandbox made;
  made.name = "reading";
  made.tighten = Sandbox::Tighten::allowed;
  made.readable = std::move(folders);
  return made;
}

void tell(Bootstrap& boot, const std::string& text) {
  or_exit(boot.channel().send(as_bytes(text), 10s));
}

std::string outcome_of_open(const std::string& path) {
  const Fd file = Fd::adopt(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return file ? "opened" : ::strerrorname_np(errno);
}

std::string outcome_of_dlopen(const char* name) {
  return ::dlopen(name, RTLD_NOW | RTLD_LOCAL) != nullptr ? "loaded" : ::dlerror();
}

std::string outcome_of_tighten(Bootstrap& boot, const Sandbox& next) {
  const auto report = boot.tighten(next);
  return report ? to_string(*report) : report.error().sentence();
}

void load_and_tighten(Bootstrap& boot) {
  tell(boot, outcome_of_dlopen(seldom_loaded));
  tell(boot, outcome_of_tighten(boot, sandbox::compute_only));
  tell(boot, to_string(boot.sandbox_report()));
  wait_for_close(boot);
}

TEST(sandbox_stages, code_is_loaded_in_the_first_and_the_second_is_told) {
  auto child = or_throw(spawn<load_and_tighten>({.sandbox = loading()}));
  EXPECT_EQ(message_of(child.channel()), "loaded");
  const auto report = message_of(child.channel());
  EXPECT_THAT(report, AllOf(HasSubstr("compute_only: locked"), HasSubstr("tightened")));
  EXPECT_EQ(message_of(child.channel()), report);
}

/// Ends by what it does after the second stage, or before it.
template <auto Deed> void tighten_and_do(Bootstrap& boot) {
  or_exit(boot.tighten(sandbox::compute_only));
  Deed();
}
template <auto Deed> void only_do(Bootstrap&) { Deed(); }

template <auto Deed> Exit exit_after_tightening() {
  return exit_of<tighten_and_do<Deed>>({.sandbox = loading()});
}
template <auto Deed> Exit exit_while_loading() {
  return exit_of<only_do<Deed>>({.sandbox = loading()});
}

void open_the_cache() { outcome_of_open("/etc/ld.so.cache"); }
void load() { outcome_of_dlopen(seldom_loaded); }
void map_memory_as_code() {
  ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
void map_code_that_can_be_written() {
  const Fd file = Fd::adopt(::memfd_create("code", MFD_CLOEXEC));
  ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE, file.native(), 0);
}
void make_memory_code() {
  alignas(4096) static char page[4096];
  ::mprotect(page, sizeof page, PROT_READ | PROT_EXEC);
}
void start_a_program() { ::execl("/usr/lib/os-release", "os-release", nullptr); }
void open_a_socket() { ::syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0); }
void own_a_listener() { ::syscall(SYS_seccomp, 1, 8, nullptr); }
void add_a_filter() { ::syscall(SYS_seccomp, 1, 0, nullptr); }
void leave_a_namespace() { ::syscall(SYS_unshare, CLONE_NEWNET); }
void ask_for_threads() { ::syscall(SYS_unshare, CLONE_VM); }
void make_rules() { ::syscall(SYS_landlock_create_ruleset, nullptr, 0, 1); }

Exit violation(const char* call) { return Exit::of(Exit::Cause::sandbox_violation, call); }

TEST(sandbox_stages, after_the_second_nothing_is_opened_loaded_or_changed) {
  EXPECT_EQ(exit_after_tightening<open_the_cache>(), violation("openat"));
  EXPECT_EQ(exit_after_tightening<load>(), violation("openat"));
  EXPECT_EQ(exit_after_tightening<map_code_that_can_be_written>(), violation("mmap"));
  EXPECT_EQ(exit_after_tightening<add_a_filter>(), violation("seccomp"));
  EXPECT_EQ(exit_after_tightening<make_rules>(), violation("landlock_create_ruleset"));
  EXPECT_EQ(exit_after_tightening<ask_for_threads>(), violation("unshare"));
}

TEST(sandbox_stages, the_first_is_a_sandbox_already) {
  EXPECT_EQ(exit_while_loading<map_memory_as_code>(), violation("mmap"));
  EXPECT_EQ(exit_while_loading<map_code_that_can_be_written>(), violation("mmap"));
  EXPECT_EQ(exit_while_loading<make_memory_code>(), violation("mprotect"));
  EXPECT_EQ(exit_while_loading<start_a_program>(), violation("execve"));
  EXPECT_EQ(exit_while_loading<open_a_socket>(), violation("socket"));
  EXPECT_EQ(exit_while_loading<own_a_listener>(), violation("seccomp"));
  EXPECT_EQ(exit_while_loading<leave_a_namespace>(), violation("unshare"));
}

void open_what_is_not_declared(Bootstrap& boot) { tell(boot, outcome_of_open("/etc/passwd")); }

TEST(sandbox_stages, the_first_shows_no_other_files) {
  auto child = or_throw(spawn<open_what_is_not_declared>({.sandbox = loading()}));
  EXPECT_THAT(message_of(child.channel()), testing::AnyOf("ENOENT", "EACCES"));
}

struct Place {
  std::filesystem::path path = temporary_folder();

  explicit Place(const char* name) {
    std::filesystem::create_directory(path / name);
    path /= name;
    std::ofstream{path / "file"} << "content";
  }
  std::string file() const { return path / "file"; }
};

void narrow_its_folders(Bootstrap& boot) {
  auto [kept, given_up] = or_exit(boot.arguments<std::string, std::string>());
  tell(boot, outcome_of_open(given_up + "/file"));
  auto next = reading({kept});
  next.tighten = Sandbox::Tighten::none;
  or_exit(boot.tighten(next));
  tell(boot, outcome_of_open(kept + "/file") + " " + outcome_of_open(given_up + "/file"));
  tell(boot, outcome_of_tighten(boot, sandbox::compute_only));
}

TEST(sandbox_stages, the_second_has_some_of_the_firsts_folders) {
  if (is_sanitized()) GTEST_SKIP() << "a sanitizer may have a thread of its own";
  const Place kept{"kept"};
  const Place given_up{"given_up"};
  auto child = or_throw(spawn<narrow_its_folders>(
      {.sandbox = reading({kept.path, given_up.path}),
       .arguments = arguments(kept.path.string(), given_up.path.string())}));
  EXPECT_EQ(message_of(child.channel()), "opened");
  EXPECT_EQ(message_of(child.channel()), "opened EACCES");
  EXPECT_THAT(message_of(child.channel()), HasSubstr("does not allow a second stage"));
}

void tighten_beside_a_thread(Bootstrap& boot) {
  auto [folder] = or_exit(boot.arguments<std::string>());
  std::latch tightened{1};
  std::thread other{[&] {
    tightened.wait();
    outcome_of_open(folder + "/file");
  }};
  tell(boot, outcome_of_tighten(boot, reading({folder})));
  or_exit(boot.tighten(sandbox::compute_only));
  tightened.count_down();
  other.join();
  tell(boot, "still here");
}

TEST(sandbox_stages, the_second_binds_every_thread_or_is_refused) {
  const Place place{"place"};
  auto child = or_throw(spawn<tighten_beside_a_thread>(
      {.sandbox = reading({place.path}), .arguments = arguments(place.path.string())}));
  EXPECT_THAT(message_of(child.channel()), HasSubstr("several threads"));
  EXPECT_EQ(or_throw(child.wait(30s)), violation("openat"));
}

/// No device of every machine has graphics; the calls reach its driver, which knows none of them.
constexpr const char* device = "/dev/null";
constexpr unsigned long graphics_call = 0xc0406400;  // DRM_IOCTL_VERSION

Sandbox controlling() {
  Sandbox made;
  made.name = "controlling";
  made.tighten = Sandbox::Tighten::allowed;
  made.devices = {device};
  made.control = Sandbox::Control::graphics;
  return made;
}

std::string outcome_of_control(int file) {
  return ::ioctl(file, graphics_call, nullptr) == 0 ? "done" : ::strerrorname_np(errno);
}

void open_and_keep_a_device(Bootstrap& boot) {
  const Fd file = Fd::adopt(::open(device, O_RDWR | O_CLOEXEC));
  tell(boot, file ? "opened" : ::strerrorname_np(errno));
  tell(boot, outcome_of_control(file.native()));
  tell(boot, outcome_of_open("/dev/zero"));
  Sandbox next;
  next.control = Sandbox::Control::graphics;
  or_exit(boot.tighten(next));
  tell(boot, outcome_of_control(file.native()));
  const void* code =
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  tell(boot, code == MAP_FAILED ? ::strerrorname_np(errno) : "mapped");
  outcome_of_open(device);
}

TEST(sandbox_stages, a_device_is_opened_in_the_first_and_controlled_in_the_second) {
  auto child = or_throw(spawn<open_and_keep_a_device>({.sandbox = controlling()}));
  EXPECT_EQ(message_of(child.channel()), "opened");
  EXPECT_EQ(message_of(child.channel()), "ENOTTY");
  EXPECT_THAT(message_of(child.channel()), testing::AnyOf("ENOENT", "EACCES"));
  EXPECT_EQ(message_of(child.channel()), "ENOTTY");
  EXPECT_EQ(message_of(child.channel()), "EACCES");
  EXPECT_EQ(or_throw(child.wait(30s)), violation("openat"));
}

void control_otherwise(Bootstrap&) { ::ioctl(0, TIOCSTI, ""); }
void control_without(Bootstrap&) { ::ioctl(0, graphics_call, nullptr); }

TEST(sandbox_stages, only_the_declared_kind_of_control_is_there) {
  EXPECT_EQ(exit_of<control_otherwise>({.sandbox = controlling()}), violation("ioctl"));
  EXPECT_EQ(exit_of<control_without>({.sandbox = loading()}), violation("ioctl"));
}

void ask_for_more(Bootstrap& boot) {
  Sandbox next = reading({"/"});
  tell(boot, outcome_of_tighten(boot, next));
  next = sandbox::compute_only;
  next.network = Sandbox::Network::inherit;
  tell(boot, outcome_of_tighten(boot, next));
  tell(boot, outcome_of_tighten(boot, sandbox::none));
}

TEST(sandbox_stages, the_second_is_never_wider) {
  const Place place{"place"};
  auto child = or_throw(spawn<ask_for_more>({.sandbox = reading({place.path})}));
  EXPECT_THAT(message_of(child.channel()), HasSubstr("readable /"));
  EXPECT_THAT(message_of(child.channel()), HasSubstr("network"));
  EXPECT_THAT(message_of(child.channel()), HasSubstr("calls"));
}

void only_tighten(Bootstrap& boot) {
  tell(boot, outcome_of_tighten(boot, sandbox::compute_only));
  wait_for_close(boot);
}

TEST(sandbox_stages, without_a_declared_second_stage_there_is_none) {
  auto child = or_throw(spawn<only_tighten>({.sandbox = sandbox::compute_only}));
  EXPECT_THAT(message_of(child.channel()), HasSubstr("does not allow a second stage"));
  child = or_throw(spawn<only_tighten>());
  EXPECT_THAT(message_of(child.channel()), HasSubstr("does not allow a second stage"));
}

TEST(sandbox_stages, a_role_on_a_thread_is_left_alone) {
  auto child = or_throw(spawn<only_tighten>({.placement = Placement::thread}));
  EXPECT_EQ(message_of(child.channel()), "none: not locked");
}

}  // namespace
