// SPDX-License-Identifier: Apache-2.0
//
// Channels of every mechanism in sandboxed roles: handed over at the start, or in a message when the
// sandbox is in force. Each works there, or is refused in words; none ends the role for a violation.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>
#include <string>
#include <sys/stat.h>
#include <vector>

#include <bulkhead/bulkhead.hpp>

#include "support/census.hpp"
#include "support/process_roles.hpp"

namespace {

using namespace bulkhead;
using namespace bulkhead::test;
using testing::AllOf;
using testing::HasSubstr;

/// Gives back what comes, until the parent closes it or hangs up.
void echo(Channel& channel) {
  for (;;) {
    auto message = channel.receive(30s);
    if (!message) return;
    if (!channel.capabilities().both_ways) continue;
    or_exit(channel.send(*message, 30s));
  }
}

void tell(Bootstrap& boot, const std::string& text) {
  or_exit(boot.channel().send(as_bytes(text), 10s));
}

void echo_on_what_it_was_born_with(Bootstrap& boot) {
  auto channel = or_exit(boot.channel("given"));
  tell(boot, "ready");
  echo(channel);
  channel.close();
  tell(boot, "done");
  wait_for_close(boot);
}

/// Each handle that comes is an end of a channel; what cannot be one is told.
void echo_on_what_comes(Bootstrap& boot) {
  for (;;) {
    auto message = boot.channel().receive(never);
    if (!message) return;
    auto channel = Channel::from_handle(std::move(message->handles().at(0)), Trust::equal);
    if (!channel) {
      tell(boot,
           std::string{to_string(channel.error().kind())} + ": " + channel.error().sentence());
      continue;
    }
    tell(boot, "ready");
    echo(*channel);
    channel->close();
    tell(boot, "done");
  }
}

void echo_on_the_main_channel(Bootstrap& boot) { echo(boot.channel()); }

/// The first is the parent's; the second is handed over.
Result<std::pair<Channel, Channel>> two_ends(Mechanism mechanism, const std::string& parameters) {
  if (parameters.empty()) return pair(mechanism);
  const std::string address =
      "unix://" + test::temporary_folder().string() + "/meeting" + parameters;
  auto listener = or_throw(listen(address));
  Channel mine = or_throw(connect(address, 20s));
  return std::pair{std::move(mine), or_throw(listener.accept(20s))};
}

struct Case {
  std::string name;
  Mechanism mechanism;
  Sandbox sandbox = sandbox::compute_only;
  std::string parameters{};
};

std::ostream& operator<<(std::ostream& out, const Case& one) { return out << one.name; }

/// The filter alone, as where there are neither namespaces nor Landlock.
Sandbox only_filtered() {
  Sandbox made = sandbox::compute_only;
  made.namespaces = Sandbox::Need::off;
  made.landlock = Sandbox::Need::off;
  return made;
}

std::vector<Case> that_work() {
  using enum Mechanism;
  std::vector<Case> cases{{"pipe", pipe},
                          {"unix", unix_socket},
                          {"unix_stream", unix_socket, sandbox::compute_only, "?type=stream"},
                          {"shm", shm},
                          {"tcp", tcp},
                          {"udp", udp},
                          {"file", file}};
  for (const Case& one : std::vector{cases}) {
    cases.push_back({one.name + "_only_filtered", one.mechanism, only_filtered(), one.parameters});
  }
  return cases;
}

class sandboxed_channel : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    auto ends = two_ends(GetParam().mechanism, GetParam().parameters);
    ASSERT_TRUE(ends) << ends.error();
    mine_.emplace(std::move(ends->first));
    theirs_.emplace(std::move(ends->second));
  }

  void expect_100_answers() {
    const Waiting waiting{"answers of the role"};
    for (std::size_t i = 0; i < 100; ++i) {
      const std::string text = std::to_string(i) + std::string(i * 100, 'x');
      or_throw(mine_->send(as_bytes(text), 20s));
      const Message answer = or_throw(mine_->receive(20s));
      ASSERT_EQ(answer.text(), text);
    }
    mine_->close();
  }

  std::optional<Channel> mine_;
  std::optional<Channel> theirs_;
};
INSTANTIATE_TEST_SUITE_P(mechanisms, sandboxed_channel, testing::ValuesIn(that_work()),
                         [](const auto& chosen) { return chosen.param.name; });

TEST_P(sandboxed_channel, of_its_birth_is_answered) {
  SpawnOptions options{.sandbox = GetParam().sandbox};
  options.channels.add("given", *std::move(theirs_));
  auto child = or_throw(spawn<echo_on_what_it_was_born_with>(std::move(options)));
  ASSERT_EQ(message_of(child.channel()), "ready");
  expect_100_answers();
  EXPECT_EQ(message_of(child.channel()), "done");
}

TEST_P(sandboxed_channel, that_came_in_a_message_is_answered) {
  auto child = or_throw(spawn<echo_on_what_comes>({.sandbox = GetParam().sandbox}));
  Message message;
  message.handles().push_back(or_throw(std::move(*theirs_).into_handle()));
  or_throw(child.channel().send(message, 20s));
  ASSERT_EQ(message_of(child.channel()), "ready");
  expect_100_answers();
  EXPECT_EQ(message_of(child.channel()), "done");
}

class sandboxed_main_channel : public testing::TestWithParam<Mechanism> {};
INSTANTIATE_TEST_SUITE_P(mechanisms, sandboxed_main_channel,
                         testing::Values(Mechanism::shm, Mechanism::unix_socket, Mechanism::pipe,
                                         Mechanism::tcp, Mechanism::udp, Mechanism::file),
                         [](const auto& chosen) { return std::string{to_string(chosen.param)}; });

TEST_P(sandboxed_main_channel, is_answered) {
  auto child = or_throw(
      spawn<echo_on_the_main_channel>({.sandbox = sandbox::compute_only, .mechanism = GetParam()}));
  for (int i = 0; i < 100; ++i) {
    or_throw(child.channel().send(as_bytes(std::to_string(i)), 20s));
    ASSERT_EQ(or_throw(child.channel().receive(20s)).text(), std::to_string(i));
  }
  child.channel().close();
  const Waiting waiting{"the role's end"};
  EXPECT_EQ(to_string(or_throw(child.wait(20s))), to_string(Exit::exited(0)));
}

TEST(sandboxed_one_way_channel, of_a_pipe_goes_either_way) {
  for (const Direction mine : {Direction::send, Direction::receive}) {
    auto ends = or_throw(pair(Mechanism::pipe, {.direction = mine}));
    auto child = or_throw(spawn<echo_on_what_comes>({.sandbox = sandbox::compute_only}));
    Message message;
    message.handles().push_back(or_throw(std::move(ends.second).into_handle()));
    or_throw(child.channel().send(message, 20s));
    ASSERT_EQ(message_of(child.channel()), "ready");
    if (mine == Direction::send) {
      for (int i = 0; i < 100; ++i) or_throw(ends.first.send(as_bytes("down"), 20s));
      ends.first.close();
    } else {
      EXPECT_FALSE(ends.first.receive(20s)) << "it cannot echo, and closes";
    }
    EXPECT_EQ(message_of(child.channel()), "done");
  }
}

class unfit_for_sandbox : public testing::TestWithParam<Mechanism> {};
INSTANTIATE_TEST_SUITE_P(mechanisms, unfit_for_sandbox,
                         testing::Values(Mechanism::posix_mq, Mechanism::sysv_mq),
                         [](const auto& chosen) { return std::string{to_string(chosen.param)}; });

TEST_P(unfit_for_sandbox, is_refused_by_spawn_in_words) {
  auto ends = or_throw(pair(GetParam()));
  SpawnOptions options{.sandbox = sandbox::compute_only};
  options.channels.add("given", std::move(ends.second));
  const auto given = spawn<echo_on_what_it_was_born_with>(std::move(options));
  ASSERT_FALSE(given);
  EXPECT_EQ(given.error(), ErrorKind::unsupported);
  EXPECT_THAT(given.error().sentence(), HasSubstr("cannot be used in a sandbox"));
  const auto main =
      spawn<echo_on_the_main_channel>({.sandbox = sandbox::compute_only, .mechanism = GetParam()});
  ASSERT_FALSE(main);
  EXPECT_EQ(main.error(), ErrorKind::unsupported);
}

TEST_P(unfit_for_sandbox, is_refused_in_the_role_in_words_and_the_role_goes_on) {
  for (const Sandbox& sandbox : {sandbox::compute_only, only_filtered()}) {
    auto child = or_throw(spawn<echo_on_what_comes>({.sandbox = sandbox}));
    for (int i = 0; i < 2; ++i) {
      auto ends = or_throw(pair(GetParam()));
      Message message;
      message.handles().push_back(or_throw(std::move(ends.second).into_handle()));
      or_throw(child.channel().send(message, 20s));
      EXPECT_THAT(message_of(child.channel()),
                  AllOf(HasSubstr("unsupported"), HasSubstr("cannot be used in a sandbox")));
    }
    child.channel().close();
    EXPECT_EQ(to_string(or_throw(child.wait(20s))), to_string(Exit::exited(0)));
  }
}

TEST_P(unfit_for_sandbox, works_in_a_role_without_one) {
  auto ends = or_throw(pair(GetParam()));
  SpawnOptions options;
  options.channels.add("given", std::move(ends.second));
  auto child = or_throw(spawn<echo_on_what_it_was_born_with>(std::move(options)));
  ASSERT_EQ(message_of(child.channel()), "ready");
  or_throw(ends.first.send(as_bytes("there"), 20s));
  EXPECT_EQ(or_throw(ends.first.receive(20s)).text(), "there");
  ends.first.close();
  EXPECT_EQ(message_of(child.channel()), "done");
}

/// What has an address only, or no process beyond its own, stays where it is.
TEST(channels_that_stay, are_refused_when_they_are_handed_over) {
  const std::string folder = test::temporary_folder();
  auto listener = or_throw(listen("fifo://" + folder + "/fifo"));
  Channel client = or_throw(connect("fifo://" + folder + "/fifo", 20s));
  const auto fifo = std::move(client).into_handle();
  ASSERT_FALSE(fifo);
  EXPECT_EQ(fifo.error(), ErrorKind::unsupported);

  auto writer = or_throw(connect("mmap://" + folder + "/mapped", 20s));
  const auto mapped = std::move(writer).into_handle();
  ASSERT_FALSE(mapped);
  EXPECT_EQ(mapped.error(), ErrorKind::unsupported);

  auto inside = or_throw(pair(Mechanism::inproc));
  SpawnOptions options{.sandbox = sandbox::compute_only};
  options.channels.add("given", std::move(inside.second));
  const auto child = spawn<echo_on_what_it_was_born_with>(std::move(options));
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error(), ErrorKind::unsupported) << child.error();
}

TEST(channels, of_every_mechanism_are_tried_in_a_sandbox) {
  std::set<Mechanism> tried{Mechanism::inproc, Mechanism::fifo, Mechanism::mmap,
                            Mechanism::posix_mq, Mechanism::sysv_mq};
  for (const Case& one : that_work()) tried.insert(one.mechanism);
  for (const Mechanism mechanism : all_mechanisms) {
    EXPECT_TRUE(tried.contains(mechanism)) << to_string(mechanism);
  }
}

/// What would be gained by changing modes, were it let through: files of this user's, for others.
void open_up_what_it_was_given(Bootstrap& boot) {
  const Fd file = or_exit(boot.descriptor("file"));
  const int outcome = ::fchmod(file.native(), 04777);
  tell(boot, outcome == 0 ? "changed" : std::string{"failed "} + ::strerrorname_np(errno));
}

TEST(sandboxed_channel_answers, do_not_let_a_role_change_the_mode_of_a_file) {
  const std::string path = test::temporary_folder().string() + "/file";
  SpawnOptions options{.sandbox = sandbox::compute_only};
  Fd file = Fd::adopt(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  options.descriptors.add("file", std::move(file));
  auto child = or_throw(spawn<open_up_what_it_was_given>(std::move(options)));
  EXPECT_EQ(message_of(child.channel()), "failed EPERM");
  struct stat found{};
  ASSERT_EQ(::stat(path.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0600u);
}

}  // namespace
