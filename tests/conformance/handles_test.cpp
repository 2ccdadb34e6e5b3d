// SPDX-License-Identifier: Apache-2.0
//
// What travels beside the bytes: descriptors, Regions and ends of channels; in any number, to their
// new owner or to nobody; and what happens when there is no room for them.
#include <fcntl.h>
#include <sys/resource.h>

#include <bulkhead/region.hpp>

#include "conformance/conformance.hpp"

namespace bulkhead::conformance {
namespace {

class handles : public Conformance {
 protected:
  static std::size_t open_descriptors() {
    std::size_t count = 0;
    for (int fd = 0; fd < 4096; ++fd) count += ::fcntl(fd, F_GETFD) != -1 ? 1 : 0;
    return count;
  }
};
INSTANTIATE_TEST_SUITE_P(mechanisms, handles, testing::ValuesIn(rows_where(with_handles)),
                         row_name);

class ends_handed_over : public handles {};
INSTANTIATE_TEST_SUITE_P(mechanisms, ends_handed_over,
                         testing::ValuesIn(rows_where(that_hand_over)), row_name);

struct Pipe {
  Fd read_end;
  Fd write_end;
};

Pipe make_pipe() {
  int fds[2];
  EXPECT_EQ(::pipe2(fds, O_CLOEXEC), 0);
  return {Fd::adopt(fds[0]), Fd::adopt(fds[1])};
}

/// One letter into the pipe, if it is one.
bool put(FdView fd, char letter) { return ::write(fd.native(), &letter, 1) == 1; }
char take(FdView fd) {
  char letter = 0;
  return ::read(fd.native(), &letter, 1) == 1 ? letter : '-';
}

TEST_P(handles, that_are_descriptors_work_at_the_other_end) {
  auto [here, there] = make_pair();
  Pipe pipe = make_pipe();
  Message message{as_bytes("a pipe")};
  message.handles().emplace_back(std::move(pipe.write_end));
  ASSERT_TRUE(ok(here.send(message, 20s)));
  EXPECT_TRUE(message.handles().empty());
  auto got = there.receive(20s);
  ASSERT_TRUE(ok(got));
  EXPECT_EQ(got->text(), "a pipe");
  ASSERT_EQ(got->handles().size(), 1u);
  EXPECT_EQ(got->handles()[0].kind(), Handle::Kind::descriptor);
  EXPECT_NE(::fcntl(got->handles()[0].fd().native(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_TRUE(put(got->handles()[0].fd(), 'x'));
  EXPECT_EQ(take(pipe.read_end), 'x');
}

TEST_P(handles, that_are_regions_are_seen_at_the_other_end) {
  auto [here, there] = make_pair();
  Region region = or_throw(Region::create(100'000));
  const auto bytes = content(5, region.size());
  std::copy(bytes.begin(), bytes.end(), region.mutable_bytes().begin());
  ASSERT_TRUE(ok(region.freeze()));
  Message message;
  message.handles().push_back(or_throw(std::move(region).into_handle()));
  ASSERT_TRUE(ok(here.send(message, 20s)));
  auto got = there.receive(20s);
  ASSERT_TRUE(ok(got));
  EXPECT_TRUE(got->empty());
  ASSERT_EQ(got->handles().size(), 1u);
  auto seen = Region::from_handle(std::move(got->handles()[0]), GetParam().trust);
  ASSERT_TRUE(ok(seen));
  EXPECT_TRUE(has_content(seen->bytes().first(bytes.size()), 5, bytes.size()));
}

TEST_P(handles, that_are_channels_work_at_the_other_end) {
  auto [here, there] = make_pair();
  auto inner = make_pair();
  Message message{as_bytes("a channel")};
  message.handles().push_back(or_throw(std::move(inner.there).into_handle()));
  ASSERT_TRUE(ok(inner.here.send(as_bytes("sent before you came"), 20s)));
  ASSERT_TRUE(ok(here.send(message, 20s)));
  auto got = there.receive(20s);
  ASSERT_TRUE(ok(got));
  ASSERT_EQ(got->handles().size(), 1u);
  auto end = Channel::from_handle(std::move(got->handles()[0]), GetParam().trust);
  ASSERT_TRUE(ok(end));
  auto first = end->receive(20s);
  ASSERT_TRUE(ok(first));
  EXPECT_EQ(first->text(), "sent before you came");
  expect_works(inner.here, *end);
}

TEST_P(ends_handed_over, take_limits_of_their_new_owner) {
  auto inner = make_pair();
  if (inner.there.mechanism() == Mechanism::inproc) GTEST_SKIP() << "both ends are one object";
  auto handle = std::move(inner.there).into_handle();
  ASSERT_TRUE(ok(handle));
  auto end = Channel::from_handle(std::move(*handle), {.trust = GetParam().trust,
                                                       .max_message_bytes = 1000,
                                                       .direction = other_options().direction});
  ASSERT_TRUE(ok(end));
  std::jthread sender{[&, &to = inner.here] {
    static_cast<void>(to.send(content(1, 1000), 20s));
    static_cast<void>(to.send(content(1, 1001), 20s));  // nobody will take it
  }};
  EXPECT_TRUE(ok(end->receive(20s)));
  EXPECT_TRUE(fails(end->receive(20s), ErrorKind::corrupt));
  end->close();
}

TEST_P(handles, keep_their_message_and_their_order) {
  auto [here, there] = make_pair();
  std::vector<Pipe> pipes;
  for (int i = 0; i < 40; ++i) pipes.push_back(make_pipe());
  for (std::size_t i = 0; i < pipes.size(); ++i) {
    Message message{content(i, i * 3000)};
    message.handles().emplace_back(std::move(pipes[i].write_end));
    if (i % 2 == 0) message.handles().clear();
    std::jthread sender{[&, &to = here] { ASSERT_TRUE(ok(to.send(message, 20s))); }};
    auto got = there.receive(20s);
    ASSERT_TRUE(ok(got));
    ASSERT_TRUE(has_content(got->bytes(), i, i * 3000));
    ASSERT_EQ(got->handles().size(), i % 2);
    if (i % 2 == 0) continue;
    EXPECT_TRUE(put(got->handles()[0].fd(), static_cast<char>('a' + i % 26)));
    EXPECT_EQ(take(pipes[i].read_end), static_cast<char>('a' + i % 26));
  }
}

TEST_P(handles, of_300_descriptors_or_as_many_as_there_may_be_go_in_one_message) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_max < 1000) GTEST_SKIP() << "this process may not open 700 descriptors";
  const rlimit more{std::max<rlim_t>(limit.rlim_cur, 1000), limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &more), 0);
  auto [here, there] = make_pair();
  EXPECT_TRUE(fails(here.try_receive(), ErrorKind::empty));
  EXPECT_TRUE(fails(there.try_receive(), ErrorKind::empty));
  const Pipe pipe = make_pipe();
  const std::size_t count = std::min<std::size_t>(300, GetParam().most_handles);
  Message message{as_bytes("many")};
  for (std::size_t i = 0; i < count; ++i) {
    message.handles().emplace_back(or_throw(Fd::duplicate(pipe.write_end)));
  }
  if (count < 300) {
    message.handles().emplace_back(or_throw(Fd::duplicate(pipe.write_end)));
    EXPECT_TRUE(fails(here.send(message, 20s), ErrorKind::too_large));
    EXPECT_EQ(message.handles().size(), count + 1) << "said before anything is sent";
    message.handles().pop_back();
  }
  ASSERT_TRUE(ok(here.send(message, 20s)));
  auto got = there.receive(20s);
  ASSERT_TRUE(ok(got));
  EXPECT_EQ(got->text(), "many");
  ASSERT_EQ(got->handles().size(), count);
  for (auto& handle : got->handles()) {
    EXPECT_TRUE(put(handle.fd(), 'z'));
    EXPECT_EQ(take(pipe.read_end), 'z');
  }
  expect_works(here, there);
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

TEST_P(handles, that_nobody_takes_are_closed) {
  const std::size_t before = open_descriptors();
  Pipe pipe = make_pipe();
  {
    auto [here, there] = make_pair();
    for (int i = 0; i < 5; ++i) {
      Message message;
      message.handles().emplace_back(or_throw(Fd::duplicate(pipe.write_end)));
      ASSERT_TRUE(ok(here.send(message, 20s)));
    }
    ASSERT_TRUE(ok(there.receive(20s)));  // dropped with its handle
    Message kept;
    ASSERT_TRUE(ok(there.receive(kept, 20s)));
    ASSERT_TRUE(ok(there.receive(kept, 20s)));  // the first goes when the second comes
    EXPECT_EQ(kept.handles().size(), 1u);
  }
  pipe.write_end.close();
  EXPECT_EQ(take(pipe.read_end), '-') << "somebody still has the other end of the pipe";
  pipe.read_end.close();
  EXPECT_EQ(open_descriptors(), before);
}

TEST_P(handles, stay_with_a_message_that_was_not_sent) {
  auto [here, there] = make_pair_of(64 * 1024);
  ASSERT_TRUE(ok(there.try_send(as_bytes("bound"))));
  ASSERT_TRUE(ok(here.receive(20s)));
  while (here.send(content(1, 3000), 5ms)) {
  }
  Pipe pipe = make_pipe();
  Message message{content(2, 3000)};
  message.handles().emplace_back(std::move(pipe.write_end));
  EXPECT_TRUE(fails(here.send(message, 5ms), ErrorKind::timed_out));
  EXPECT_TRUE(fails(here.try_send(message), ErrorKind::full));
  ASSERT_EQ(message.handles().size(), 1u);
  EXPECT_TRUE(put(message.handles()[0].fd(), 'k'));
  here.close();
  EXPECT_TRUE(fails(here.send(message, 5ms), ErrorKind::closed));
  EXPECT_EQ(message.handles().size(), 1u);
}

TEST_P(ends_handed_over, are_refused_when_they_were_used) {
  auto [here, there] = make_pair();
  expect_works(here, there);
  auto handle = std::move(here).into_handle();
  EXPECT_TRUE(fails(handle, ErrorKind::invalid));
  EXPECT_THAT(handle.error().sentence(), testing::HasSubstr("used"));
  expect_works(here, there);
}

TEST_P(handles, of_an_inproc_end_cannot_leave_the_process) {
  if (!GetParam().between_processes) GTEST_SKIP() << "this mechanism stays in the process";
  auto [here, there] = make_pair();
  auto local = or_throw(pair(Mechanism::inproc));
  Message message{as_bytes("not this")};
  message.handles().push_back(or_throw(std::move(local.second).into_handle()));
  auto sent = here.send(message, 20s);
  EXPECT_TRUE(fails(sent, ErrorKind::unsupported));
  EXPECT_THAT(sent.error().sentence(), testing::HasSubstr("inproc"));
  EXPECT_EQ(message.handles().size(), 1u);
  expect_works(here, there);
}

TEST_P(ends_handed_over, of_the_wrong_kind_are_not_made_into_a_channel) {
  Pipe pipe = make_pipe();
  const auto mechanism = static_cast<std::uint8_t>(GetParam().mechanism);
  EXPECT_TRUE(fails(Channel::from_handle(Handle{std::move(pipe.read_end)}, GetParam().trust),
                    ErrorKind::invalid));
  EXPECT_TRUE(fails(
      Channel::from_handle(Handle{std::move(pipe.write_end), Handle::Kind::channel, mechanism},
                           GetParam().trust),
      ErrorKind::invalid));
  EXPECT_TRUE(
      fails(Channel::from_handle(Handle{Fd{}, Handle::Kind::channel, mechanism}, GetParam().trust),
            ErrorKind::invalid));
  EXPECT_TRUE(fails(Channel::from_handle(Handle{Fd{}, Handle::Kind::channel, 99}, Trust::equal),
                    ErrorKind::unsupported));
}

TEST_P(handles, without_a_descriptor_to_spare_are_exhausted_and_nothing_leaks) {
  const std::size_t before = open_descriptors();
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  // Every number of free ones in turn. Downwards: a sanitizer needs some at its first sight of a type.
  int succeeded = 0;
  const ChannelOptions with = options();
  for (int spare = 40; spare >= 0; --spare) {
    const Pipe pipe = make_pipe();
    std::vector<Fd> filler;  // so that all numbers below the limit are taken
    const rlimit tight{
        static_cast<rlim_t>(open_descriptors() + static_cast<std::size_t>(spare)) + 8,
        limit.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &tight);
    for (;;) {
      auto one = Fd::duplicate(pipe.read_end);
      if (!one) break;
      filler.push_back(*std::move(one));
    }
    filler.resize(filler.size() -
                  std::min<std::size_t>(filler.size(), static_cast<std::size_t>(spare)));
    const auto attempt = [&]() -> Result<void> {
      auto ends = BULKHEAD_TRY(pair(GetParam().mechanism, with));
      Message message{as_bytes("one more")};
      message.handles().emplace_back(BULKHEAD_TRY(Fd::duplicate(pipe.write_end)));
      BULKHEAD_TRY(ends.second.readable());
      // Binds both ends where there is something to bind.
      auto none = ends.second.try_receive();
      if (!none && none.error() != ErrorKind::empty) return fail(none.error());
      BULKHEAD_TRY(ends.first.send(message, 20s));
      Message got;
      BULKHEAD_TRY(ends.second.receive(got, 20s));
      return {};
    };
    auto outcome = attempt();
    ::setrlimit(RLIMIT_NOFILE, &limit);
    if (outcome) {
      ++succeeded;
    } else {
      EXPECT_TRUE(fails(outcome, ErrorKind::exhausted)) << "with " << spare << " to spare";
    }
  }
  EXPECT_GT(succeeded, 0);
  EXPECT_EQ(open_descriptors(), before);
}

}  // namespace
}  // namespace bulkhead::conformance
