// SPDX-License-Identifier: Apache-2.0
//
// The sandbox from outside: real children (tests/children/sandboxed.cpp) that confine themselves and
// then do one thing. Every case runs as the user of the test and, when that is root, as a normal
// user too. Attacks A29, A35, A37, A38, A40, A41 and A51 of the threat list.
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <string>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "sandbox/sanitizer.hpp"
#include "sandbox/violation.hpp"
#include "support/census.hpp"
#include "support/children.hpp"

namespace bulkhead::test {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

using Arguments = std::vector<std::string>;

constexpr unsigned nobody = 65534;

enum class User { own, normal };

struct Outcome {
  std::string report;  ///< the first line
  std::string rest;    ///< what came of the deed
  int status = 0;

  bool skipped() const { return report.starts_with("skip"); }
  int signal() const { return WIFSIGNALED(status) ? WTERMSIG(status) : 0; }
  /// The name of the call that the filter ended it for.
  std::string violation() const {
    const auto at = rest.find("violation ");
    return at == std::string::npos ? "" : sandbox::call_name(std::stoi(rest.substr(at + 10)));
  }
};

Arguments as(User user, Arguments arguments) {
  if (user == User::normal) {
    arguments.insert(arguments.begin(), {"--user", std::to_string(nobody)});
  }
  return arguments;
}

Outcome run(User user, const Arguments& arguments) {
  Child child = Child::start("sandboxed", as(user, arguments));
  child.close_input();
  Outcome outcome;
  outcome.report = child.read_line();
  outcome.rest = child.read_all();
  outcome.status = child.wait();
  return outcome;
}

std::string name_of(const testing::TestParamInfo<User>& info) {
  return info.param == User::own ? "own_user" : "normal_user";
}

class Sandboxed : public testing::TestWithParam<User> {
 protected:
  void SetUp() override {
    if (GetParam() == User::normal && ::geteuid() != 0) GTEST_SKIP() << "this is one already";
    if (GetParam() == User::normal && ::access(program_path("sandboxed").c_str(), X_OK) == 0 &&
        run_in("none", {"state"}).skipped()) {
      GTEST_SKIP() << "a normal user cannot reach the test's folder";
    }
  }

  Outcome run_in(const std::string& profile, Arguments arguments) {
    arguments.insert(arguments.begin(), profile);
    return run(GetParam(), arguments);
  }

  /// Dies by SIGSYS, named; and nothing of us is hurt by it.
  void expect_violation(const std::string& profile, const Arguments& deed,
                        const std::string& call) {
    const auto outcome = run_in(profile, deed);
    EXPECT_THAT(outcome.report, HasSubstr(": locked")) << testing::PrintToString(deed);
    EXPECT_EQ(outcome.signal(), SIGSYS) << testing::PrintToString(deed) << outcome.rest;
    EXPECT_EQ(outcome.violation(), call) << testing::PrintToString(deed) << outcome.rest;
    EXPECT_FALSE(WCOREDUMP(outcome.status));
  }
};

INSTANTIATE_TEST_SUITE_P(as, Sandboxed, testing::Values(User::own, User::normal), name_of);

std::string number(long value) { return std::to_string(value); }

struct Attack {
  const char* name;
  Arguments call;
};

/// Each is the call with arguments that would do something, were it allowed.
std::vector<Attack> attacks() {
  const auto at_cwd = number(AT_FDCWD);
  return {
      {"openat", {number(SYS_openat), at_cwd, "@path", "0", "0"}},
      {"openat2", {number(SYS_openat2), at_cwd, "@path", "@memory", "24"}},
      {"open_by_handle_at", {number(SYS_open_by_handle_at), at_cwd, "@memory", "0"}},
      {"socket", {number(SYS_socket), number(AF_INET), number(SOCK_STREAM), "0"}},
      {"socket", {number(SYS_socket), number(AF_INET), number(SOCK_DGRAM), "0"}},
      {"socket", {number(SYS_socket), number(AF_NETLINK), number(SOCK_RAW), "0"}},
      {"socket", {number(SYS_socket), number(AF_UNIX), number(SOCK_STREAM), "0"}},
      {"socketpair", {number(SYS_socketpair), number(AF_UNIX), number(SOCK_DGRAM), "0", "@memory"}},
      {"connect", {number(SYS_connect), "1", "@memory", "16"}},
      {"bind", {number(SYS_bind), "1", "@memory", "16"}},
      {"sendto", {number(SYS_sendto), "1", "@memory", "1", "0", "@memory", "16"}},
      {"execve", {number(SYS_execve), "@path", "0", "0"}},
      {"execveat", {number(SYS_execveat), at_cwd, "@path", "0", "0", "0"}},
      {"clone", {number(SYS_clone), number(SIGCHLD), "0", "0", "0", "0"}},
      {"clone", {number(SYS_clone), number(CLONE_NEWUSER | SIGCHLD), "0", "0", "0", "0"}},
      {"ptrace", {number(SYS_ptrace), number(PTRACE_ATTACH), "@parent", "0", "0"}},
      {"process_vm_readv",
       {number(SYS_process_vm_readv), "@parent", "@memory", "1", "@memory", "1", "0"}},
      {"process_vm_writev",
       {number(SYS_process_vm_writev), "@parent", "@memory", "1", "@memory", "1", "0"}},
      {"pidfd_getfd", {number(SYS_pidfd_getfd), "0", "0", "0"}},
      {"pidfd_send_signal", {number(SYS_pidfd_send_signal), "0", "9", "0", "0"}},
      {"kill", {number(SYS_kill), "@parent", "9"}},
      {"kill", {number(SYS_kill), "-1", "0"}},
      {"kill", {number(SYS_kill), "0", "0"}},
      {"tgkill", {number(SYS_tgkill), "@parent", "@parent", "9"}},
      {"tkill", {number(SYS_tkill), "@parent", "9"}},
      {"rt_sigqueueinfo", {number(SYS_rt_sigqueueinfo), "@parent", "9", "@memory"}},
      {"mmap",
       {number(SYS_mmap), "0", "4096", number(PROT_READ | PROT_EXEC),
        number(MAP_PRIVATE | MAP_ANONYMOUS), "-1", "0"}},
      {"mmap",
       {number(SYS_mmap), "0", "4096", number(PROT_READ | PROT_WRITE),
        number(MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN), "-1", "0"}},
      {"pipe2", {number(SYS_pipe2), "@memory", number(O_EXCL)}},  // O_NOTIFICATION_PIPE
      {"membarrier", {number(SYS_membarrier), "1", "0", "0"}},    // every processor
      {"mprotect", {number(SYS_mprotect), "0", "4096", number(PROT_READ | PROT_EXEC)}},
      {"pkey_mprotect", {number(SYS_pkey_mprotect), "0", "4096", number(PROT_EXEC), "0"}},
      {"io_uring_setup", {number(SYS_io_uring_setup), "8", "@memory"}},
      {"io_uring_enter", {number(SYS_io_uring_enter), "0", "0", "0", "0", "0"}},
      {"io_uring_register", {number(SYS_io_uring_register), "0", "0", "0", "0"}},
      {"bpf", {number(SYS_bpf), "0", "@memory", "128"}},
      {"userfaultfd", {number(SYS_userfaultfd), "0"}},
      {"keyctl", {number(SYS_keyctl), "0", "-3", "1"}},
      {"add_key", {number(SYS_add_key), "@name", "@name", "@memory", "1", "-3"}},
      {"perf_event_open", {number(SYS_perf_event_open), "@memory", "0", "-1", "-1", "0"}},
      {"kexec_load", {number(SYS_kexec_load), "0", "0", "0", "0"}},
      {"init_module", {number(SYS_init_module), "@memory", "1", "@name"}},
      {"mount", {number(SYS_mount), "@name", "@path", "@name", "0", "0"}},
      {"pivot_root", {number(SYS_pivot_root), "@path", "@path"}},
      {"chroot", {number(SYS_chroot), "@path"}},
      {"unshare", {number(SYS_unshare), number(CLONE_NEWUSER)}},
      {"setns", {number(SYS_setns), "0", "0"}},
      {"seccomp", {number(SYS_seccomp), "1", "0", "@memory"}},
      {"landlock_restrict_self", {number(SYS_landlock_restrict_self), "0", "0"}},
      {"prctl", {number(SYS_prctl), number(PR_SET_DUMPABLE), "1"}},
      {"prctl", {number(SYS_prctl), number(PR_SET_SECCOMP), "2", "@memory"}},
      {"prctl", {number(SYS_prctl), number(PR_SET_PDEATHSIG), "0"}},
      {"personality", {number(SYS_personality), number(0x0400000)}},
      {"rt_sigaction", {number(SYS_rt_sigaction), number(SIGSYS), "0", "@memory", "8"}},
      // The kernel looks at the lower half of a signal's number; so must the filter.
      {"rt_sigaction",
       {number(SYS_rt_sigaction), number((1L << 32) | SIGSYS), "0", "@memory", "8"}},
      {"ioctl", {number(SYS_ioctl), "0", number(0x5412), "@memory"}},  // TIOCSTI
      {"fcntl", {number(SYS_fcntl), "0", number(F_SETOWN), "@parent"}},
      {"memfd_create", {number(SYS_memfd_create), "@name", number(MFD_HUGETLB)}},
      {"memfd_create", {number(SYS_memfd_create), "@name", number(0x10)}},  // MFD_EXEC
      {"prlimit64", {number(SYS_prlimit64), "0", number(RLIMIT_CORE), "@memory", "0"}},
      {"prlimit64", {number(SYS_prlimit64), "@parent", number(RLIMIT_CPU), "0", "@memory"}},
      {"setsockopt", {number(SYS_setsockopt), "0", "1", number(SO_ATTACH_FILTER), "@memory", "16"}},
      {"shmget", {number(SYS_shmget), "0", "4096", "01600"}},
      {"msgget", {number(SYS_msgget), "0", "01600"}},
      {"mq_open", {number(SYS_mq_open), "@name", "0102", "0600", "0"}},
      {"setuid", {number(SYS_setuid), "0"}},
      {"capset", {number(SYS_capset), "@memory", "@memory"}},
      {"fanotify_init", {number(SYS_fanotify_init), "0", "0"}},
      {"name_to_handle_at",
       {number(SYS_name_to_handle_at), at_cwd, "@path", "@memory", "@memory", "0"}},
      {"splice", {number(SYS_splice), "0", "0", "1", "0", "1", "0"}},
      {"vmsplice", {number(SYS_vmsplice), "1", "@memory", "1", "0"}},
  };
}

TEST_P(Sandboxed, dies_by_each_attack_and_the_call_is_named) {
  for (const auto& [name, call] : attacks()) {
    Arguments deed{"call"};
    deed.insert(deed.end(), call.begin(), call.end());
    expect_violation("compute", deed, name);
  }
}

TEST_P(Sandboxed, dies_by_what_libc_calls_for_it) {
  expect_violation("compute", {"open", "/etc/passwd"}, "openat");
  expect_violation("compute", {"fork"}, "clone");
  expect_violation("compute", {"kill_the_parent"}, "kill");
  expect_violation("compute", {"connect", "/run/some.sock"}, "socket");
}

#if defined(__x86_64__)
TEST_P(Sandboxed, is_killed_at_the_door_of_another_architecture) {
  for (const char* door : {"int80", "x32"}) {
    const auto outcome = run_in("compute", {door});
    EXPECT_THAT(outcome.report, HasSubstr(": locked"));
    EXPECT_EQ(outcome.signal(), SIGSYS) << door;
    // The whole process, without a word: no handler runs.
    EXPECT_THAT(outcome.rest, IsEmpty()) << door;
  }
}
#endif

TEST_P(Sandboxed, innocent_code_lives) {
  const auto outcome = run_in("compute", {"innocent"});
  EXPECT_EQ(outcome.status, 0) << outcome.violation();
  EXPECT_THAT(outcome.rest, AllOf(HasSubstr("innocent"), HasSubstr("printed something"),
                                  HasSubstr("streamed"), Not(HasSubstr("failed"))));
}

TEST_P(Sandboxed, channels_and_regions_work) {
  auto outcome = run_in("compute", {"talk"});
  EXPECT_EQ(outcome.rest, "returned 1\nreturned 1\nreturned 0\n") << outcome.violation();
  outcome = run_in("compute", {"region", "100000"});
  EXPECT_EQ(outcome.rest, "published\nattached\n") << outcome.violation();
}

TEST_P(Sandboxed, newer_calls_do_not_exist_for_it) {
  for (const int call : {SYS_clone3, 463, 480, 500}) {
    const auto outcome = run_in("compute", {"call", number(call), "0", "0", "0", "0", "0", "0"});
    EXPECT_EQ(outcome.rest, "failed ENOSYS\n") << call;
    EXPECT_EQ(outcome.status, 0);
  }
}

TEST_P(Sandboxed, ends_by_abort_and_leaves_no_core) {
  for (const auto& [deed, signal] : {std::pair{"abort", SIGABRT}, {"crash", SIGSEGV}}) {
    const auto outcome = run_in("compute", {deed});
    if (!sandbox::sanitized) {
      EXPECT_EQ(outcome.signal(), signal);
    }
    EXPECT_FALSE(WCOREDUMP(outcome.status));
  }
  EXPECT_THAT(run_in("compute", {"state"}).rest, HasSubstr("core limit 0\n"));
}

TEST_P(Sandboxed, runs_out_of_memory_at_its_limit) {
  if (sandbox::sanitized) GTEST_SKIP() << "a sanitizer's allocator ends the process instead";
  const auto outcome = run(GetParam(), {"--set", "memory", number(64 << 20), "compute", "eat"});
  EXPECT_EQ(outcome.rest, "bad_alloc\n");
  EXPECT_EQ(outcome.status, 0);
}

TEST_P(Sandboxed, cannot_take_memory_by_mapping_it_as_shared) {
  if (sandbox::sanitized) GTEST_SKIP() << "address space is not limited under a sanitizer";
  const Arguments limits{"--set", "memory", number(64 << 20), "--set", "mapped", number(64 << 20)};
  Arguments deed = limits;
  for (const auto& word :
       {std::string{"compute"}, std::string{"call"}, number(SYS_mmap), std::string{"0"},
        number(256L << 20), number(PROT_READ | PROT_WRITE), number(MAP_SHARED | MAP_ANONYMOUS),
        std::string{"-1"}, std::string{"0"}}) {
    deed.push_back(word);
  }
  EXPECT_EQ(run(GetParam(), deed).rest, "failed ENOMEM\n");
}

TEST_P(Sandboxed, is_ended_at_its_cpu_limit) {
  const auto outcome = run(GetParam(), {"--set", "cpu", "1", "compute", "spin"});
  EXPECT_EQ(outcome.signal(), SIGXCPU);
}

TEST_P(Sandboxed, cannot_make_large_files) {
  const Arguments limit{"--set", "file", number(4 << 20), "compute"};
  Arguments deed = limit;
  deed.push_back("write_beyond_the_file_limit");
  EXPECT_EQ(run(GetParam(), deed).signal(), SIGXFSZ);
  // The library asks before, so a Region too large is an error and not the end.
  deed = limit;
  deed.insert(deed.end(), {"region", number(8 << 20)});
  const auto outcome = run(GetParam(), deed);
  EXPECT_THAT(outcome.rest, AllOf(StartsWith("exhausted"), HasSubstr("file size limit")));
  EXPECT_EQ(outcome.status, 0);
}

TEST_P(Sandboxed, has_threads_when_declared) {
  EXPECT_EQ(run_in("compute", {"threads", "8"}).rest, "started\n");
  EXPECT_EQ(run(GetParam(), {"--set", "threads", "0", "compute", "threads", "1"}).rest,
            "failed EAGAIN\n");
}

TEST_P(Sandboxed, keeps_the_parent_death_signal) {
  EXPECT_THAT(run_in("compute", {"state"}).rest,
              HasSubstr("parent-death signal " + number(SIGKILL) + "\n"));
}

class Folder {
 public:
  Folder() : path_(temporary_folder()) {
    ::chmod(path_.parent_path().c_str(), 0755);
    ::chmod(path_.c_str(), 0777);
    std::ofstream{path_ / "inside"} << "content";
    ::chmod((path_ / "inside").c_str(), 0666);
  }
  std::string path() const { return path_.string(); }
  std::string file() const { return (path_ / "inside").string(); }

 private:
  std::filesystem::path path_;
};

TEST_P(Sandboxed, reads_its_folder_and_nothing_else) {
  const Folder folder;
  EXPECT_EQ(run_in("read=" + folder.path(), {"open", folder.file()}).rest, "opened\n");
  EXPECT_THAT(run_in("read=" + folder.path(), {"open", "/etc/passwd"}).rest,
              StartsWith("failed E"));
  EXPECT_THAT(run_in("read=" + folder.path(), {"open", "/proc/self/maps"}).rest,
              StartsWith("failed E"));
  EXPECT_THAT(run_in("read=" + folder.path(), {"open", folder.path() + "/../inside"}).rest,
              StartsWith("failed E"));
}

TEST_P(Sandboxed, cannot_write_in_a_folder_that_it_may_read) {
  const Folder folder;
  expect_violation("read=" + folder.path(), {"open", folder.file(), number(O_RDWR)}, "openat");
  expect_violation("read=" + folder.path(),
                   {"open", folder.path() + "/new", number(O_RDONLY | O_CREAT)}, "openat");
  expect_violation("read=" + folder.path(), {"open", folder.path(), number(O_TMPFILE | O_RDWR)},
                   "openat");
}

TEST_P(Sandboxed, writes_in_the_folder_declared_writable) {
  const Folder folder;
  EXPECT_EQ(run_in("write=" + folder.path(), {"open", folder.file(), number(O_RDWR)}).rest,
            "opened\n");
  EXPECT_EQ(
      run_in("write=" + folder.path(), {"open", folder.path() + "/new", number(O_RDWR | O_CREAT)})
          .rest,
      "opened\n");
  EXPECT_THAT(run_in("write=" + folder.path(), {"open", "/etc/passwd"}).rest,
              StartsWith("failed E"));
}

TEST_P(Sandboxed, reads_its_folder_with_either_guard_alone) {
  const Folder folder;
  const auto profile = "read=" + folder.path();
  for (const char* without : {"namespaces", "landlock"}) {
    EXPECT_EQ(run(GetParam(), {"--set", without, "0", profile, "open", folder.file()}).rest,
              "opened\n")
        << without;
    EXPECT_THAT(run(GetParam(), {"--set", without, "0", profile, "open", "/etc/passwd"}).rest,
                StartsWith("failed E"))
        << without;
  }
}

TEST_P(Sandboxed, reads_its_folder_when_a_step_to_its_own_root_is_refused) {
  const Folder folder;
  for (const char* step : {"open_tree", "mount_setattr", "mount", "move_mount", "pivot_root"}) {
    const auto outcome = run(GetParam(), {"--deny", step, number(ENOSYS), "read=" + folder.path(),
                                          "open", folder.file()});
    EXPECT_THAT(outcome.report, AllOf(HasSubstr(": locked"), HasSubstr("root_folder ("))) << step;
    EXPECT_EQ(outcome.rest, "opened\n") << step;
  }
}

TEST_P(Sandboxed, does_not_start_when_its_folder_cannot_be_guarded) {
  const Folder folder;
  const auto outcome =
      run(GetParam(), {"--deny", "unshare", number(EPERM), "--deny", "landlock_create_ruleset",
                       number(ENOSYS), "read=" + folder.path(), "open", folder.file()});
  EXPECT_THAT(outcome.report, AllOf(StartsWith("error denied"), HasSubstr("landlock")));
  EXPECT_THAT(outcome.rest, IsEmpty());
}

TEST_P(Sandboxed, does_not_start_when_its_folder_does_not_exist) {
  const auto outcome = run_in("read=/nowhere/at/all", {"state"});
  EXPECT_THAT(outcome.report, AllOf(StartsWith("error not_found"), HasSubstr("/nowhere/at/all")));
}

TEST_P(Sandboxed, cannot_reach_a_socket_file_through_gaps_of_landlock) {
  const Folder folder;
  for (const std::string& profile : {std::string{"compute"}, "read=" + folder.path()}) {
    expect_violation(profile, {"connect", "/run/some.sock"}, "socket");
    expect_violation(
        profile, {"call", number(SYS_socket), number(AF_INET), number(SOCK_DGRAM), "0"}, "socket");
    expect_violation(profile, {"call", number(SYS_shmget), "0", "4096", "01600"}, "shmget");
    expect_violation(profile, {"call", number(SYS_io_uring_setup), "8", "@memory"},
                     "io_uring_setup");
  }
}

struct MissingCall {
  const char* call;
  int error;
  const char* layer;
};

TEST_P(Sandboxed, goes_without_a_best_effort_layer_and_says_so) {
  for (const auto& [call, error, layer] : {MissingCall{"unshare", EPERM, "namespaces"},
                                           {"unshare", ENOSYS, "namespaces"},
                                           {"mount", EPERM, "root_folder"},
                                           {"pivot_root", EPERM, "root_folder"},
                                           {"landlock_create_ruleset", ENOSYS, "landlock"},
                                           {"landlock_create_ruleset", EOPNOTSUPP, "landlock"},
                                           {"landlock_restrict_self", EPERM, "landlock"}}) {
    const auto outcome = run(GetParam(), {"--deny", call, number(error), "compute", "innocent"});
    EXPECT_THAT(outcome.report, AllOf(HasSubstr(": locked"), HasSubstr("unavailable: "),
                                      HasSubstr(std::string{layer} + " (")));
    EXPECT_EQ(outcome.status, 0) << call << outcome.violation();
  }
}

TEST_P(Sandboxed, does_not_start_without_a_best_effort_layer_declared_required) {
  for (const auto& [call, error, layer] : {MissingCall{"unshare", EPERM, "namespaces"},
                                           {"landlock_create_ruleset", ENOSYS, "landlock"}}) {
    const auto outcome = run(
        GetParam(), {"--deny", call, number(error), "--set", layer, "2", "compute", "innocent"});
    EXPECT_THAT(outcome.report, AllOf(StartsWith("error denied"), HasSubstr(layer)));
    EXPECT_THAT(outcome.rest, IsEmpty());
  }
}

TEST_P(Sandboxed, does_not_start_without_a_required_layer) {
  for (const auto& [call, error, layer] : {MissingCall{"prctl", EPERM, "no_new_privs"},
                                           {"prlimit64", EPERM, "limits"},
                                           {"seccomp", EPERM, "calls"},
                                           {"personality", EPERM, "no_new_privs"}}) {
    const auto outcome = run(GetParam(), {"--deny", call, number(error), "compute", "innocent"});
    EXPECT_THAT(outcome.report, AllOf(StartsWith("error denied"), HasSubstr(layer))) << call;
    EXPECT_THAT(outcome.rest, IsEmpty()) << call;
  }
}

TEST_P(Sandboxed, is_not_confined_by_none) {
  const auto outcome = run_in("none", {"open", "/etc/passwd"});
  EXPECT_EQ(outcome.report, "none: not locked");
  EXPECT_EQ(outcome.rest, "opened\n");
  // The other attacks work there too, those that leave no harm behind.
  const auto socket =
      run_in("none", {"call", number(SYS_socket), number(AF_INET), number(SOCK_DGRAM), "0"});
  EXPECT_THAT(socket.rest, StartsWith("returned"));
  EXPECT_THAT(run_in("none", {"fork"}).rest, HasSubstr("returned 0"));
#if defined(__x86_64__)
  EXPECT_THAT(run_in("none", {"call", number(SYS_mmap), "0", "4096", number(PROT_READ | PROT_EXEC),
                              number(MAP_PRIVATE | MAP_ANONYMOUS), "-1", "0"})
                  .rest,
              StartsWith("returned"));
#endif
}

TEST_P(Sandboxed, has_a_network_only_when_declared) {
  EXPECT_THAT(
      run_in("network", {"call", number(SYS_socket), number(AF_INET), number(SOCK_STREAM), "0"})
          .rest,
      StartsWith("returned "));
  expect_violation(
      "network", {"call", number(SYS_socket), number(AF_PACKET), number(SOCK_RAW), "0"}, "socket");
}

/// What a process of the same user tries on another one (A29, A30); the ways that worked, as bits.
int attack_from_outside(pid_t victim) {
  int won = 0;
  char byte = 0;
  iovec here{&byte, 1};
  iovec there{reinterpret_cast<void*>(&::getpid), 1};
  if (::process_vm_readv(victim, &here, 1, &there, 1, 0) >= 0) won |= 2;
  const auto proc = "/proc/" + std::to_string(victim);
  for (const char* file : {"/mem", "/maps", "/environ", "/auxv", "/syscall", "/stack"}) {
    const int opened = ::open((proc + file).c_str(), O_RDONLY | O_CLOEXEC);
    // Some open and then do not tell.
    if (opened >= 0 && ::read(opened, &byte, 1) > 0) won |= 4;
  }
  char link[64];
  for (const char* name : {"/fd/0", "/cwd", "/root", "/exe"}) {
    if (::readlink((proc + name).c_str(), link, sizeof link) >= 0) won |= 8;
  }
  const auto pidfd = static_cast<int>(::syscall(SYS_pidfd_open, victim, 0));
  if (pidfd >= 0 && ::syscall(SYS_pidfd_getfd, pidfd, 0, 0) >= 0) won |= 16;
  if (::ptrace(PTRACE_SEIZE, victim, nullptr, nullptr) == 0) won |= 1;
  return won;
}

/// As a normal user against a child in `profile` of the same user; -1 when that cannot be tried.
int won_from_outside(const std::string& profile) {
  Child victim = Child::start("sandboxed", as(User::normal, {profile, "wait"}));
  if (victim.read_line().starts_with("skip")) return -1;
  const pid_t attacker = ::fork();
  if (attacker == 0) {
    const bool same =
        ::setresgid(nobody, nobody, nobody) == 0 && ::setresuid(nobody, nobody, nobody) == 0;
    ::_exit(same ? attack_from_outside(victim.pid()) : 99);
  }
  int status = 0;
  if (::waitpid(attacker, &status, 0) != attacker || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

TEST(sandbox_from_outside, is_closed_to_another_process_of_the_same_user) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become another user for both";
  const int won_without = won_from_outside("none");
  if (won_without < 0) GTEST_SKIP() << "a normal user cannot reach the test's folder";
  EXPECT_NE(won_without, 0) << "the attack does not work at all";
  EXPECT_EQ(won_from_outside("compute"), 0)
      << "ptrace 1, process_vm 2, files 4, links 8, pidfd_getfd 16";
}

}  // namespace
}  // namespace bulkhead::test
