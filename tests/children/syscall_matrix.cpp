// SPDX-License-Identifier: Apache-2.0
// Makes every system call by its number under the filter of a profile, each in a process of its
// own with arguments that fit none of them, and prints "NUMBER NAME VERDICT OUTCOME". For sandbox_test.cpp.
//
//   syscall_matrix PROFILE        compute, network, read, write, load, tighten, devices, graphics
//   syscall_matrix PROFILE lists  what the profile allows (beyond compute), for docs/sandbox.md
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <bulkhead/sandbox.hpp>

#include "sandbox/calls.hpp"
#include "sandbox/privileges.hpp"
#include "sandbox/violation.hpp"

namespace {

using namespace bulkhead;
using sandbox::Verdict;

const char* word(Verdict verdict) {
  switch (verdict) {
    case Verdict::allow:
      return "allow";
    case Verdict::by_argument:
      return "by_argument";
    case Verdict::answer:
      return "answer";
    case Verdict::unknown:
      return "unknown";
    case Verdict::violation:
      return "violation";
  }
  return "?";
}

/// These wait for a signal, or return into a frame that is not there.
bool never_returns(int number) {
  switch (number) {
#ifdef SYS_pause
    case SYS_pause:
#endif
    case SYS_rt_sigreturn:
    case SYS_restart_syscall:
      return true;
    default:
      return false;
  }
}

/// In a process of its own: the filter cannot be taken off.
[[noreturn]] void attempt(const Sandbox& profile, int number) {
  ::signal(SIGSYS, SIG_DFL);
  ::setsid();  // should a call about process groups get through
  if (!sandbox::set_no_new_privs() || !sandbox::filter_calls(profile)) ::_exit(77);
  errno = 0;
  const long outcome = ::syscall(number, -1L, -1L, -1L, -1L, -1L, -1L);
  ::_exit(outcome == -1 ? errno : 0);
}

std::string outcome_of(int status) {
  if (WIFSIGNALED(status)) return WTERMSIG(status) == SIGSYS ? "SIGSYS" : "signal";
  if (WEXITSTATUS(status) == 0) return "returned";
  const char* name = ::strerrorname_np(WEXITSTATUS(status));
  return name ? name : "exited";
}

std::string shown(const sandbox::Rule& rule) {
  auto name = sandbox::call_name(rule.number);
  if (rule.verdict == Verdict::answer) {
    name += std::string{" ("} + ::strerrorname_np(rule.answer) + ")";
  }
  return name;
}

/// What differs from `basis`; all that is not a violation when there is none.
void print_lists(const Sandbox& profile, const Sandbox* basis) {
  const auto rules = sandbox::verdicts(profile);
  const auto base = basis ? sandbox::verdicts(*basis) : std::vector<sandbox::Rule>(rules.size());
  std::map<Verdict, std::string> lists;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    if (rules[i].verdict == base[i].verdict) continue;
    auto& list = lists[rules[i].verdict];
    list += (list.empty() ? "" : ", ") + shown(rules[i]);
  }
  for (const auto verdict : {Verdict::allow, Verdict::by_argument, Verdict::answer}) {
    if (lists[verdict].empty()) continue;
    std::printf("- %s: %s\n", word(verdict), lists[verdict].c_str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "compute";
  Sandbox profile = sandbox::compute_only;
  if (name == "network") profile.network = Sandbox::Network::inherit;
  if (name == "read") profile.readable = {"/"};
  if (name == "write") profile.writable = {"/"};
  if (name == "load") profile.loadable = {"/"};
  if (name == "devices") profile.devices = {"/dev/null"};
  if (name == "graphics") profile.control = Sandbox::Control::graphics;
  if (name == "tighten") profile.tighten = Sandbox::Tighten::allowed;
  if (argc > 2) {
    print_lists(profile, name == "compute" ? nullptr : &sandbox::compute_only);
    return 0;
  }
  for (const auto& rule : sandbox::verdicts(profile)) {
    if (rule.verdict != Verdict::violation && never_returns(rule.number)) continue;
    const pid_t child = ::fork();
    if (child < 0) return 1;
    if (child == 0) attempt(profile, rule.number);
    int status = 0;
    if (::waitpid(child, &status, 0) != child) return 1;
    const auto call = sandbox::call_name(rule.number);
    std::printf("%d %s %s %s\n", rule.number, call.starts_with("system") ? "-" : call.c_str(),
                word(rule.verdict), outcome_of(status).c_str());
  }
}
