// SPDX-License-Identifier: Apache-2.0
//
// The verdict over a dead child: the kernel's word decides, the child's adds details and no more.
#include "process/last_words.hpp"

#include <csignal>
#include <cstring>
#include <gtest/gtest.h>
#include <span>

#include "os/socket.hpp"

namespace bulkhead::process {
namespace {

using Kind = os::Ending::Kind;

LastWords fault_at(int signal, std::uint64_t address) {
  return {.kind = LastWords::fault, .signal = signal, .code = 1, .address = address};
}

TEST(verdict, an_exit_code_is_what_the_kernel_says) {
  EXPECT_EQ(judge({Kind::exited, 3}, std::nullopt, {}), Exit::exited(3));
  EXPECT_EQ(judge({Kind::exited, 0}, fault_at(SIGSEGV, 16), {}), Exit::exited(0));
}

TEST(verdict, a_fault_address_counts_only_for_the_signal_that_the_kernel_saw) {
  EXPECT_EQ(judge({Kind::signalled, SIGSEGV}, fault_at(SIGSEGV, 16), {}),
            Exit::killed(SIGSEGV, 16));
  EXPECT_EQ(judge({Kind::signalled, SIGKILL}, fault_at(SIGSEGV, 16), {}), Exit::killed(SIGKILL));
}

TEST(verdict, a_claim_of_a_violation_counts_only_with_the_filters_signal) {
  LastWords words{.kind = LastWords::fault, .signal = SIGSYS, .system_call = 41};
  EXPECT_EQ(judge({Kind::signalled, SIGSYS}, words, {}),
            Exit::of(Exit::Cause::sandbox_violation, "socket"));
  EXPECT_EQ(judge({Kind::signalled, SIGKILL}, words, {}), Exit::killed(SIGKILL));
}

TEST(verdict, memory_that_ran_out_names_the_limit) {
  const LastWords words{.kind = LastWords::out_of_memory, .signal = SIGABRT};
  Sandbox::Limits limits;
  limits.memory_bytes = 256 << 20;
  EXPECT_EQ(to_string(judge({Kind::signalled, SIGABRT}, words, limits)),
            "out of memory (limit 256 MiB)");
}

TEST(verdict, an_exception_is_told_without_control_characters) {
  LastWords words{.kind = LastWords::exception, .signal = SIGABRT};
  std::strcpy(words.text, "std::runtime_error: \033[2Jboo\n");
  EXPECT_EQ(judge({Kind::signalled, SIGABRT}, words, {}).detail, "std::runtime_error:  [2Jboo ");
}

TEST(verdict, a_text_without_an_end_is_cut) {
  LastWords words{.kind = LastWords::exception, .signal = SIGABRT};
  std::memset(words.text, 'x', sizeof words.text);
  EXPECT_EQ(judge({Kind::signalled, SIGABRT}, words, {}).detail.size(), sizeof words.text);
}

TEST(verdict, a_status_that_somebody_took_is_unknown_and_the_childs_word_is_told_as_such) {
  const Exit exit = judge({Kind::taken, 0}, fault_at(SIGSEGV, 16), {});
  EXPECT_EQ(exit.cause, Exit::Cause::unknown);
  EXPECT_EQ(exit.detail,
            "it was reaped by somebody else in this process; it reported SIGSEGV at 0x10");
}

TEST(last_words, of_a_flood_of_packets_the_last_of_the_right_size_counts) {
  auto [parent, child] = or_throw(os::socket_pair());
  LastWords words = fault_at(SIGBUS, 1);
  const auto bytes = std::as_bytes(std::span{&words, 1});
  ASSERT_TRUE(os::send_packet(child, bytes));
  words.address = 2;
  ASSERT_TRUE(os::send_packet(child, bytes));
  ASSERT_TRUE(os::send_packet(child, bytes.first(7)));
  ASSERT_TRUE(os::send_packet(child, std::vector<std::byte>(4096)));
  const auto heard = hear(parent);
  ASSERT_TRUE(heard);
  EXPECT_EQ(heard->address, 2u);
  EXPECT_FALSE(hear(parent));
}

}  // namespace
TEST(verdict, a_forbidden_call_is_a_violation_even_when_nobody_lived_to_name_it) {
  const Exit exit = judge({Kind::signalled, SIGSYS}, std::nullopt, {});
  EXPECT_EQ(exit.cause, Exit::Cause::sandbox_violation);
}

}  // namespace bulkhead::process
