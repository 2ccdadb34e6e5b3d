// SPDX-License-Identifier: Apache-2.0
//
// The system-call filter, number by number (tests/children/syscall_matrix.cpp), against what it
// declares and what docs/sandbox.md says. Attack A37 of the threat list.
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "sandbox/sanitizer.hpp"
#include "support/children.hpp"

namespace bulkhead::test {
namespace {

using testing::HasSubstr;

#if defined(__x86_64__)
constexpr bool kernel_is_x86_64 = true;
#else
constexpr bool kernel_is_x86_64 = false;
#endif

/// Each call number with arguments that fit no call, against what calls.hpp says of it (A37).
class Matrix : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(of, Matrix,
                         testing::Values("compute", "read", "write", "network", "load", "tighten",
                                         "devices", "graphics"),
                         [](const auto& profile) { return profile.param; });

struct Cell {
  int number = 0;
  std::string name;
  std::string verdict;
  std::string outcome;
};

std::vector<Cell> matrix_of(const std::string& profile) {
  Child child = Child::start("syscall_matrix", {profile});
  std::istringstream lines{child.read_all()};
  EXPECT_EQ(child.wait(), 0);
  std::vector<Cell> cells;
  for (Cell cell; lines >> cell.number >> cell.name >> cell.verdict >> cell.outcome;) {
    cells.push_back(cell);
  }
  return cells;
}

bool fits(const Cell& cell) {
  // The kernel lets its own trampolines through: uretprobe (Linux 6.14) and uprobe (6.18). They do
  // nothing but end a process that calls them from elsewhere.
  if (cell.number == 335 || cell.number == 336) return true;
  if (cell.verdict == "violation") return cell.outcome == "SIGSYS";
  if (cell.verdict == "unknown") return cell.outcome == "ENOSYS";
  if (cell.verdict == "answer") return cell.outcome != "SIGSYS" && cell.outcome != "returned";
  return cell.verdict == "by_argument" || cell.outcome != "SIGSYS";
}

/// What goes around a filter, or makes it worthless: on no list, whatever is declared.
const std::set<std::string> never{"io_uring_setup",
                                  "io_uring_enter",
                                  "io_uring_register",
                                  "ptrace",
                                  "bpf",
                                  "userfaultfd",
                                  "keyctl",
                                  "add_key",
                                  "request_key",
                                  "perf_event_open",
                                  "process_vm_readv",
                                  "process_vm_writev",
                                  "process_madvise",
                                  "pidfd_getfd",
                                  "pidfd_send_signal",
                                  "kexec_load",
                                  "kexec_file_load",
                                  "init_module",
                                  "finit_module",
                                  "delete_module",
                                  "mount",
                                  "umount2",
                                  "pivot_root",
                                  "chroot",
                                  "open_tree",
                                  "move_mount",
                                  "fsopen",
                                  "fsconfig",
                                  "fsmount",
                                  "fspick",
                                  "mount_setattr",
                                  "unshare",
                                  "setns",
                                  "seccomp",
                                  "landlock_create_ruleset",
                                  "landlock_add_rule",
                                  "landlock_restrict_self",
                                  "execve",
                                  "execveat",
                                  "fork",
                                  "vfork",
                                  "personality",
                                  "modify_ldt",
                                  "iopl",
                                  "ioperm",
                                  "swapon",
                                  "reboot",
                                  "open_by_handle_at",
                                  "name_to_handle_at",
                                  "fanotify_init",
                                  "kcmp",
                                  "setuid",
                                  "setgid",
                                  "setresuid",
                                  "setresgid",
                                  "capset",
                                  "shmget",
                                  "shmat",
                                  "semget",
                                  "msgget",
                                  "mq_open",
                                  "setrlimit",
                                  "vmsplice",
                                  "pkey_mprotect",
                                  "remap_file_pages",
                                  "move_pages",
                                  "migrate_pages",
                                  "ioprio_set",
                                  "acct",
                                  "quotactl",
                                  "syslog",
                                  "settimeofday",
                                  "clock_settime",
                                  "adjtimex"};

/// Filters and rules add up, so a process that may tighten its sandbox may make these of them.
const std::set<std::string> of_a_second_stage{"seccomp", "landlock_create_ruleset",
                                              "landlock_add_rule", "landlock_restrict_self"};

TEST_P(Matrix, every_call_is_judged_as_declared) {
  const auto cells = matrix_of(GetParam());
  EXPECT_GT(cells.size(), 470U);
  std::size_t never_seen = 0;
  for (const auto& cell : cells) {
    EXPECT_TRUE(fits(cell)) << cell.number << ' ' << cell.name << " is declared " << cell.verdict
                            << " and was answered " << cell.outcome;
    if (!never.contains(cell.name)) continue;
    ++never_seen;
    if (GetParam() == "tighten" && of_a_second_stage.contains(cell.name)) continue;
    if (GetParam() == "graphics" && cell.name == "kcmp") {  // drivers ask, and do without
      EXPECT_EQ(cell.verdict + " " + cell.outcome, "answer EPERM");
      continue;
    }
    if (GetParam() == "tighten" && cell.name == "unshare") {  // no more than a question
      EXPECT_EQ(cell.verdict + " " + cell.outcome, "by_argument SIGSYS");
      continue;
    }
    EXPECT_EQ(cell.verdict + " " + cell.outcome, "violation SIGSYS") << cell.name;
  }
  if (kernel_is_x86_64) {
    EXPECT_EQ(never_seen, never.size());
  }
}

TEST(sandbox_documentation, lists_the_calls_that_the_filter_knows) {
  if (sandbox::sanitized || !kernel_is_x86_64) GTEST_SKIP() << "the page is about plain x86-64";
  const auto page = std::filesystem::path{__FILE__}.parent_path().parent_path() / "docs/sandbox.md";
  std::ifstream file{page};
  if (!file) GTEST_SKIP() << "the source tree is not here";
  const std::string text{std::istreambuf_iterator<char>{file}, {}};
  for (const char* profile :
       {"compute", "read", "write", "network", "load", "tighten", "devices", "graphics"}) {
    Child child = Child::start("syscall_matrix", {profile, "lists"});
    EXPECT_THAT(text, HasSubstr(child.read_all()))
        << "replace the list of " << profile << " by what `syscall_matrix " << profile
        << " lists` prints";
    EXPECT_EQ(child.wait(), 0);
  }
}

}  // namespace
}  // namespace bulkhead::test
