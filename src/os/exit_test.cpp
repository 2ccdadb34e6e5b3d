// SPDX-License-Identifier: Apache-2.0
#include <csignal>
#include <gtest/gtest.h>
#include <sstream>

#include <bulkhead/exit.hpp>

namespace bulkhead {
namespace {

using Cause = Exit::Cause;

TEST(exit, prints_itself_for_every_cause) {
  EXPECT_EQ(to_string(Exit::exited(3)), "exit code 3");
  EXPECT_EQ(to_string(Exit::killed(SIGKILL)), "SIGKILL");
  EXPECT_EQ(to_string(Exit::killed(SIGSEGV, 0x10)), "SIGSEGV at 0x10");
  EXPECT_EQ(to_string(Exit::killed(SIGSEGV, 0)), "SIGSEGV at 0x0");
  EXPECT_EQ(to_string(Exit::of(Cause::out_of_memory)), "out of memory");
  EXPECT_EQ(to_string(Exit::of(Cause::out_of_memory, "limit 256 MiB")),
            "out of memory (limit 256 MiB)");
  EXPECT_EQ(to_string(Exit::of(Cause::resource_limit, "CPU time")), "resource limit: CPU time");
  EXPECT_EQ(to_string(Exit::of(Cause::sandbox_violation, "openat")), "sandbox violation: openat");
  EXPECT_EQ(to_string(Exit::of(Cause::sandbox_violation)), "sandbox violation");
  EXPECT_EQ(to_string(Exit::of(Cause::hang, "after 5 s")), "hang: after 5 s");
  EXPECT_EQ(to_string(Exit::of(Cause::never_started, "no such file")),
            "never started: no such file");
  EXPECT_EQ(to_string(Exit{}), "exit status unknown");
  EXPECT_EQ(to_string(Exit::of(Cause::unknown, "reaped by pid 1")),
            "exit status unknown: reaped by pid 1");
}

TEST(exit, of_code_zero_by_its_own_decision_is_success) {
  EXPECT_TRUE(Exit::exited(0).success());
  EXPECT_FALSE(Exit::exited(1).success());
  EXPECT_FALSE(Exit::killed(SIGTERM).success());
  EXPECT_FALSE(Exit{}.success());
}

TEST(exit, names_signals_and_those_without_a_name) {
  EXPECT_EQ(signal_name(SIGSYS), "SIGSYS");
  EXPECT_EQ(signal_name(SIGABRT), "SIGABRT");
  EXPECT_EQ(signal_name(77), "signal 77");
  EXPECT_EQ(signal_name(-1), "signal -1");
}

TEST(exit, compares_and_prints) {
  EXPECT_EQ(Exit::exited(3), Exit::exited(3));
  EXPECT_NE(Exit::killed(SIGSEGV, 1), Exit::killed(SIGSEGV));
  std::ostringstream out;
  out << Exit::exited(3);
  EXPECT_EQ(out.str(), "exit code 3");
}

}  // namespace
}  // namespace bulkhead
