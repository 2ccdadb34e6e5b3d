// SPDX-License-Identifier: Apache-2.0
#include <cerrno>
#include <csignal>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>

#include <bulkhead/error.hpp>
#include <bulkhead/result.hpp>

#include "os/syscall.hpp"

namespace bulkhead {
namespace {

using testing::HasSubstr;

TEST(error, is_one_sentence_of_operation_object_cause_and_remedy) {
  const Error error{ErrorKind::exists,
                    {.operation = "listen",
                     .object = "shm:camera",
                     .cause = "name in use by pid 4711",
                     .remedy = "stop it or choose another name"}};
  EXPECT_EQ(error.sentence(),
            "listen shm:camera: name in use by pid 4711; stop it or choose another name");
}

TEST(error, leaves_out_what_it_does_not_know) {
  EXPECT_EQ((Error{ErrorKind::closed, {.operation = "send"}}).sentence(), "send: closed");
  EXPECT_EQ((Error{ErrorKind::closed, {.object = "shm:x"}}).sentence(), "shm:x: closed");
  EXPECT_EQ((Error{ErrorKind::closed, {.cause = "the peer has closed"}}).sentence(),
            "the peer has closed");
  EXPECT_EQ(Error{ErrorKind::timed_out}.sentence(), "timed out");
}

TEST(error, every_kind_has_a_name_and_a_sentence_of_its_own) {
  std::set<std::string> names;
  std::set<std::string> sentences;
  for (int kind = static_cast<int>(ErrorKind::full); kind <= static_cast<int>(ErrorKind::system);
       ++kind) {
    names.emplace(to_string(static_cast<ErrorKind>(kind)));
    sentences.insert(Error{static_cast<ErrorKind>(kind)}.sentence());
  }
  EXPECT_EQ(names.size(), 18U);
  EXPECT_EQ(sentences.size(), 18U);
  EXPECT_FALSE(names.contains("unknown"));
}

TEST(error, made_of_a_kind_alone_has_empty_words_and_the_code_of_its_kind) {
  const Error error{ErrorKind::full};
  EXPECT_EQ(error.operation(), "");
  EXPECT_EQ(error.object(), "");
  EXPECT_EQ(error.cause(), "");
  EXPECT_EQ(error.remedy(), "");
  EXPECT_EQ(error.who(), "");
  EXPECT_EQ(error.exit(), nullptr);
  EXPECT_EQ(error.code(), ErrorKind::full);
  EXPECT_EQ(error, ErrorKind::full);
}

TEST(error, of_a_death_says_who_and_how) {
  const auto error = Error::died("decode", "decoder (4711)", Exit::killed(SIGSEGV, 0x10));
  EXPECT_EQ(error, ErrorKind::peer_died);
  EXPECT_EQ(error.sentence(), "decode: decoder (4711) died: SIGSEGV at 0x10");
  EXPECT_EQ(error.who(), "decoder (4711)");
  ASSERT_NE(error.exit(), nullptr);
  EXPECT_EQ(error.exit()->signal, SIGSEGV);
}

TEST(error, told_as_part_of_another_operation_keeps_the_rest) {
  const auto died = Error::died("receive", "decoder (4711)", Exit::exited(3));
  const auto call = died.during("decode");
  EXPECT_EQ(call.sentence(), "decode: decoder (4711) died: exit code 3");
  EXPECT_NE(call.exit(), nullptr);
  EXPECT_EQ(Error{ErrorKind::closed}.during("send", "pipe").sentence(), "send pipe: closed");
}

TEST(error, from_errno_has_the_kind_that_a_caller_can_act_on) {
  const std::pair<int, ErrorKind> expected[] = {
      {ENOENT, ErrorKind::not_found},   {EEXIST, ErrorKind::exists},
      {EADDRINUSE, ErrorKind::exists},  {EACCES, ErrorKind::denied},
      {EPERM, ErrorKind::denied},       {ENOMEM, ErrorKind::exhausted},
      {ENOSPC, ErrorKind::exhausted},   {EMFILE, ErrorKind::exhausted},
      {ENFILE, ErrorKind::exhausted},   {EMSGSIZE, ErrorKind::too_large},
      {EINVAL, ErrorKind::invalid},     {EBADF, ErrorKind::invalid},
      {ENOSYS, ErrorKind::unsupported}, {EPIPE, ErrorKind::closed},
      {ESRCH, ErrorKind::peer_died},    {ETIMEDOUT, ErrorKind::timed_out},
      {EDEADLK, ErrorKind::deadlock},   {ECONNREFUSED, ErrorKind::not_found},
      {EIO, ErrorKind::system},
  };
  for (const auto& [number, kind] : expected) {
    const auto error = Error::from_errno(number, {.operation = "open", .object = "x"});
    EXPECT_EQ(error, kind) << number;
    EXPECT_EQ(error.code(), std::error_code(number, std::system_category())) << number;
    EXPECT_EQ(error.sentence(), "open x: " + std::system_category().message(number));
  }
}

TEST(error, compares_with_the_standard_conditions) {
  EXPECT_EQ(Error{ErrorKind::timed_out}.code(), std::errc::timed_out);
  EXPECT_EQ(Error{ErrorKind::denied}.code(), std::errc::permission_denied);
  EXPECT_EQ(Error{ErrorKind::full}.code(), std::errc::resource_unavailable_try_again);
  EXPECT_NE(Error{ErrorKind::poisoned}.code(), std::errc::timed_out);
  EXPECT_EQ(make_error_code(ErrorKind::full).category().name(), std::string{"bulkhead"});
  EXPECT_EQ(make_error_code(ErrorKind::corrupt).message(), "the peer broke the protocol");
}

TEST(error, prints_itself) {
  std::ostringstream out;
  out << Error{ErrorKind::closed, {.operation = "send"}};
  EXPECT_EQ(out.str(), "send: closed");
}

TEST(error, copies_share_their_words) {
  const Error error{ErrorKind::invalid, {.operation = "op", .object = "thing"}};
  const Error copy = error;
  EXPECT_EQ(&copy.object(), &error.object());
}

Result<int> half(int number) {
  if (number % 2 != 0) return fail(ErrorKind::invalid, {.operation = "half", .cause = "odd"});
  return number / 2;
}
Result<std::unique_ptr<int>> quarter(int number) {
  const int once = BULKHEAD_TRY(half(number));
  return std::make_unique<int>(BULKHEAD_TRY(half(once)));
}
Result<void> even(int number) {
  static_cast<void>(BULKHEAD_TRY(half(number)));
  return {};
}
Result<int> checked(int number) {
  BULKHEAD_TRY(even(number));
  return number;
}

TEST(result, is_used_up_by_try_with_values_nothing_and_errors) {
  EXPECT_EQ(**quarter(8), 2);
  EXPECT_EQ(quarter(6).error().sentence(), "half: odd");
  EXPECT_EQ(*checked(2), 2);
  EXPECT_EQ(checked(3).error(), ErrorKind::invalid);
}

TEST(result, is_used_up_by_throwing) {
  EXPECT_EQ(or_throw(half(4)), 2);
  EXPECT_NO_THROW(or_throw(even(4)));
  try {
    or_throw(half(3));
    FAIL() << "nothing was thrown";
  } catch (const Failure& failure) {
    EXPECT_STREQ(failure.what(), "half: odd");
    EXPECT_EQ(failure.error(), ErrorKind::invalid);
  }
  EXPECT_EQ(*or_throw(quarter(8)), 2);  // moves what cannot be copied
}

TEST(result, is_used_up_by_ending_the_program_with_its_sentence) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(or_exit(half(3)), testing::ExitedWithCode(1), "half: odd");
  EXPECT_EQ(or_exit(half(6)), 3);
}

TEST(syscall, is_repeated_until_no_signal_interrupts_it) {
  int calls = 0;
  const auto outcome = os::retry_eintr([&] {
    errno = ++calls < 4 ? EINTR : EAGAIN;
    return calls < 4 ? -1 : 7;
  });
  EXPECT_EQ(outcome, 7);
  EXPECT_EQ(calls, 4);
  EXPECT_EQ(os::retry_eintr([] {
              errno = EBADF;
              return -1;
            }),
            -1);
}

TEST(syscall, that_failed_tells_errno_as_it_was) {
  errno = EMFILE;
  const Result<int> failed = os::failed("open", "/x", "close some");
  EXPECT_EQ(failed.error(), ErrorKind::exhausted);
  EXPECT_THAT(failed.error().sentence(), HasSubstr("open /x: "));
  EXPECT_THAT(failed.error().sentence(), HasSubstr("; close some"));
}

}  // namespace
TEST(error, a_sentence_holds_no_control_characters_whoever_wrote_it) {
  const Error error{ErrorKind::invalid,
                    {.operation = "decode", .cause = "line\nbreak \x1b[31mred"}};
  EXPECT_EQ(error.sentence(), "decode: line break  [31mred");
  const Error umlaut{ErrorKind::invalid, {.cause = "Größe"}};
  EXPECT_EQ(umlaut.sentence(), "Größe");
}

}  // namespace bulkhead
