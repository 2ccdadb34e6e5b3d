// SPDX-License-Identifier: Apache-2.0
#include "sandbox/calls.hpp"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <seccomp.h>
#include <sys/prctl.h>

#include "os/syscall.hpp"
#include "sandbox/profile.hpp"
#include "sandbox/violation.hpp"

namespace bulkhead::sandbox {
namespace {

/// How many numbers after the newest known call are answered: some years of kernels. Each costs 5 us.
constexpr int unknown_calls = 48;

struct Release {
  void operator()(void* filter) const noexcept { ::seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, Release>;

/// libseccomp tells failures as negative errno values.
Result<void> check(int outcome, std::string_view what) {
  if (outcome == 0) return {};
  return fail(Error::from_errno(-outcome, {.operation = "filter", .object = std::string{what}}));
}

int number_of(std::string_view call) {
  return ::seccomp_syscall_resolve_name(std::string{call}.c_str());
}

std::vector<scmp_arg_cmp> compare(const std::vector<Condition>& conditions) {
  std::vector<scmp_arg_cmp> tests;
  for (const auto& condition : conditions) {
    if (condition.test == Condition::Test::masked_equal) {
      tests.push_back({condition.argument, SCMP_CMP_MASKED_EQ, condition.mask, condition.value});
    } else {
      tests.push_back({condition.argument, SCMP_CMP_NE, condition.value, 0});
    }
  }
  return tests;
}

Result<void> add(const Filter& filter, const Entry& entry) {
  const int number = number_of(entry.call);
  // Calls that this architecture never had (open, stat on newer ones) need no rule.
  if (number < 0) return {};
  const auto action = entry.answer != 0 ? static_cast<std::uint32_t>(SCMP_ACT_ERRNO(entry.answer))
                                        : static_cast<std::uint32_t>(SCMP_ACT_ALLOW);
  const auto tests = compare(entry.conditions);
  const int outcome = ::seccomp_rule_add_array(filter.get(), action, number,
                                               static_cast<unsigned>(tests.size()), tests.data());
  return check(outcome, entry.call);
}

Result<Filter> make(const Sandbox& sandbox) {
  Filter filter{::seccomp_init(SCMP_ACT_TRAP)};
  if (!filter) return fail(ErrorKind::exhausted, {.operation = "make", .object = "call filter"});
  // x32 numbers count as another architecture, libseccomp's seccomp_arch_add(3).
  BULKHEAD_TRY(
      check(::seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS),
            "other architectures"));
  BULKHEAD_TRY(check(::seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_NNP, 0), "options"));
  // For all threads: apply refuses to run beside others, but without /proc it cannot see them.
  BULKHEAD_TRY(check(::seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1), "all threads"));
  // A binary tree of the numbers: 7 tests a call instead of 150. Without it (old libseccomp) all
  // works, only slower.
  static_cast<void>(::seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2));
  for (const auto& entry : profile(sandbox)) BULKHEAD_TRY(add(filter, entry));
  for (int number = newest_known_call + 1; number <= newest_known_call + unknown_calls; ++number) {
    BULKHEAD_TRY(
        check(::seccomp_rule_add_array(filter.get(), SCMP_ACT_ERRNO(ENOSYS), number, 0, nullptr),
              "newer calls"));
  }
  return filter;
}

}  // namespace

std::vector<Rule> verdicts(const Sandbox& sandbox) {
  std::vector<Rule> rules(static_cast<std::size_t>(newest_known_call + unknown_calls) + 1);
  for (int number = 0; auto& rule : rules) {
    rule.number = number;
    if (number > newest_known_call) rule = {number, Verdict::unknown, ENOSYS};
    if (sandbox.calls == Sandbox::Calls::all) rule.verdict = Verdict::allow;
    ++number;
  }
  if (sandbox.calls == Sandbox::Calls::all) return rules;
  for (const auto& entry : profile(sandbox)) {
    const int number = number_of(entry.call);
    if (number < 0 || number >= static_cast<int>(rules.size())) continue;
    auto& rule = rules[static_cast<std::size_t>(number)];
    if (!entry.conditions.empty()) {
      if (rule.verdict != Verdict::allow) rule.verdict = Verdict::by_argument;
    } else {
      rule = {number, entry.answer != 0 ? Verdict::answer : Verdict::allow, entry.answer};
    }
  }
  return rules;
}

Result<void> filter_calls(const Sandbox& sandbox) {
  const Filter filter = BULKHEAD_TRY(make(sandbox));
  return check(::seccomp_load(filter.get()), "system calls");
}

bool calls_are_filtered() { return ::prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == SECCOMP_MODE_FILTER; }

std::string call_name(int number) {
  const std::unique_ptr<char, decltype(&std::free)> name{
      ::seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number), &std::free};
  return name ? std::string{name.get()} : "system call " + std::to_string(number);
}

}  // namespace bulkhead::sandbox
