// SPDX-License-Identifier: Apache-2.0
//
// shm between real processes that may not have memory: each limit, on the one side, the other and
// both. Whatever forbids it, the channel works, on its socket; where nothing does, it moves to
// memory. Every order within one process, and hostile peers: src/transport/shm/moving_test.cpp.
#include <csignal>
#include <cstddef>
#include <fcntl.h>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <optional>
#include <random>
#include <string>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <bulkhead/bulkhead.hpp>

#include "support/census.hpp"
#include "support/children.hpp"
#include "support/process_roles.hpp"
#include "support/watchdog.hpp"

namespace {

using namespace bulkhead;
using namespace std::chrono_literals;

/// A forked process that does `work` and ends with what it returns.
class Other {
 public:
  explicit Other(const std::function<int()>& work) : pid_(::fork()) {
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::_exit(work());
  }
  Other(const Other&) = delete;
  Other& operator=(const Other&) = delete;
  ~Other() {
    if (pid_ > 0) kill();
  }

  void kill() {
    ::kill(pid_, SIGKILL);
    static_cast<void>(wait());
  }
  /// What it returned; -1 for a signal.
  int wait() {
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  pid_t pid_;
};

void lower(decltype(RLIMIT_NOFILE) what, rlim_t most) {
  rlimit limit{};
  ::getrlimit(what, &limit);
  limit.rlim_cur = most;
  ::setrlimit(what, &limit);
}

/// What a sandbox answers to calls of `number`, if `flag` is set in its argument `argument`.
void deny(unsigned number, unsigned argument = 0, unsigned flag = 0) {
  const auto argument_at = static_cast<unsigned>(offsetof(seccomp_data, args)) + 8 * argument;
  const std::vector<sock_filter> code{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument_at),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, flag, 0, static_cast<std::uint8_t>(flag == 0 ? 0 : 1)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog program{.len = static_cast<unsigned short>(code.size()),
                           .filter = const_cast<sock_filter*>(code.data())};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    ::_exit(99);
  }
}

rlim_t address_space_in_use() {
  rlim_t pages = 0;
  std::ifstream{"/proc/self/statm"} >> pages;
  return pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE));
}

rlim_t next_free_descriptor() {
  return static_cast<rlim_t>(Fd::adopt(::open("/dev/null", O_RDONLY | O_CLOEXEC)).native());
}

/// Something that keeps a process from memory.
struct Obstacle {
  const char* name;
  /// In the process, before or, when it binds itself, in the middle of the first use of its channel.
  std::function<void(Channel&)> meet;
  std::size_t capacity = 64 * 1024;
  std::size_t capacity_of_the_other = 64 * 1024;
  bool takes_handles = true;
  bool sanitizers_can = true;
};

std::ostream& operator<<(std::ostream& out, const Obstacle& obstacle) {
  return out << obstacle.name;
}

const std::vector<Obstacle>& obstacles() {
  static const std::vector<Obstacle> all{
      {.name = "files_are_too_small", .meet = [](Channel&) { lower(RLIMIT_FSIZE, 4096); }},
      {.name = "no_memory_file", .meet = [](Channel&) { deny(SYS_memfd_create); }},
      {.name = "no_shared_mapping", .meet = [](Channel&) { deny(SYS_mmap, 3, MAP_SHARED); }},
      {.name = "no_seals", .meet = [](Channel&) { deny(SYS_fallocate); }},
      {.name = "no_descriptors",
       .meet = [](Channel&) { lower(RLIMIT_NOFILE, next_free_descriptor()); },
       .takes_handles = false},
      {.name = "no_descriptors_for_theirs",
       .meet =
           [](Channel& channel) {
             static_cast<void>(channel.readable());  // binds, and receives nothing
             lower(RLIMIT_NOFILE, next_free_descriptor() + 2);
           },
       .takes_handles = false},
      {.name = "no_address_space",
       .meet = [](Channel&) { lower(RLIMIT_AS, address_space_in_use() + (8 << 20)); },
       .capacity = 16 << 20,
       .sanitizers_can = false},
      {.name = "no_address_space_for_theirs",
       .meet = [](Channel&) { lower(RLIMIT_AS, address_space_in_use() + (8 << 20)); },
       .capacity = 4096,
       .capacity_of_the_other = 16 << 20,
       .sanitizers_can = false},
  };
  return all;
}

std::vector<std::byte> content(std::uint64_t number, std::size_t size) {
  std::vector<std::byte> bytes(std::max<std::size_t>(size, 8));
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>(number * 31 + i * 7);
  }
  std::memcpy(bytes.data(), &number, sizeof number);
  return bytes;
}

std::size_t size_of(std::uint64_t number) {
  return number % 37 == 36 ? 200'000 : number * 101 % 3000;
}

bool is_content(Bytes bytes, std::uint64_t number) {
  return std::ranges::equal(bytes, content(number, size_of(number)));
}

/// Ends this process with the line where it was not so: it has no test of its own to fail.
void demand(bool so, int line) {
  if (!so) ::_exit(line % 200 + 1);
}
#define DEMAND(so) demand(so, __LINE__)

constexpr std::uint64_t turns = 80;

/// Sends first, some of it before the other can have looked; then every message comes back.
int talk(Channel& channel, std::uint64_t early, bool stays, bool with_handles) {
  Message message;
  for (std::uint64_t i = 0; i < early; ++i) DEMAND(!!channel.send(content(i, size_of(i)), 20s));
  for (std::uint64_t i = 0; i < early; ++i) {
    DEMAND(!!channel.receive(message, 20s));  // the other's own early ones, the same
    DEMAND(is_content(message.bytes(), i));
  }
  DEMAND(channel.receive(2ms).error() == ErrorKind::timed_out);
  DEMAND(channel.try_receive().error() == ErrorKind::empty);
  for (std::uint64_t i = 0; i < turns; ++i) {
    const auto bytes = content(i, size_of(i));
    std::size_t handles = 0;
    if (i % 5 == 1 && bytes.size() < 1000) {
      auto loan = channel.loan(bytes.size(), 20s);
      DEMAND(!!loan);
      std::ranges::copy(bytes, loan->bytes().begin());
      DEMAND(!!channel.send(std::move(*loan)));
    } else {
      Message sent{bytes};
      if (with_handles && i % 8 == 0) {
        sent.handles().emplace_back(Fd::adopt(::open("/dev/zero", O_RDONLY | O_CLOEXEC)));
        handles = 1;
      }
      DEMAND(!!channel.send(std::move(sent), 20s));
    }
    if (i % 7 == 2) {
      auto view = channel.receive_view(20s);
      DEMAND(!!view && is_content(view->bytes(), i));
      DEMAND(!stays || !view->in_place());
    } else {
      DEMAND(!!channel.receive(message, 20s));
      DEMAND(is_content(message.bytes(), i));
      DEMAND(message.handles().size() == handles);
    }
  }
  DEMAND(channel.capabilities().in_place == !stays);
  channel.close();
  return 0;
}

int answer(Channel& channel, std::uint64_t early, bool stays) {
  Message message;
  for (std::uint64_t i = 0; i < early; ++i) DEMAND(!!channel.send(content(i, size_of(i)), 20s));
  for (std::uint64_t i = 0; i < early; ++i) {
    DEMAND(!!channel.receive(message, 20s));
    DEMAND(is_content(message.bytes(), i));
  }
  for (;;) {
    const auto got = channel.receive(message, 20s);
    if (!got) {
      DEMAND(got.error() == ErrorKind::closed);
      DEMAND(channel.send(as_bytes("x"), 20s).error() == ErrorKind::closed);
      DEMAND(channel.capabilities().in_place == !stays);
      return 0;
    }
    DEMAND(!!channel.send(std::move(message), 20s));
  }
}

struct Sides {
  bool talker;
  bool answerer;
};

/// Both ends are other processes; ours only makes them.
void converse(const Obstacle& the, Sides blocked, std::uint64_t early) {
  SCOPED_TRACE(std::string{the.name} + ", " + std::to_string(early) + " early, at" +
               (blocked.talker ? " the talker" : "") + (blocked.answerer ? " the answerer" : ""));
  auto ends = or_throw(pair(Mechanism::shm));
  Handle first = or_throw(std::move(ends.first).into_handle());
  Handle second = or_throw(std::move(ends.second).into_handle());
  const bool stays = blocked.talker || blocked.answerer;
  const auto end_of = [&](Handle& mine, Handle& other, bool is_blocked) {
    static_cast<void>(std::move(other).take_fd());
    const std::size_t capacity = is_blocked ? the.capacity : the.capacity_of_the_other;
    Channel channel = or_throw(Channel::from_handle(std::move(mine), {.capacity_bytes = capacity}));
    if (is_blocked) the.meet(channel);
    return channel;
  };
  Other talker{[&] {
    Channel channel = end_of(first, second, blocked.talker);
    return talk(channel, early, stays, the.takes_handles);
  }};
  Other answerer{[&] {
    Channel channel = end_of(second, first, blocked.answerer);
    return answer(channel, early, stays);
  }};
  static_cast<void>(std::move(first).take_fd());
  static_cast<void>(std::move(second).take_fd());
  const test::Waiting waiting{"two processes that talk"};
  EXPECT_EQ(talker.wait(), 0) << "the line, modulo 200, and 1";
  EXPECT_EQ(answerer.wait(), 0) << "the line, modulo 200, and 1";
}

class upgrade : public testing::TestWithParam<Obstacle> {};
INSTANTIATE_TEST_SUITE_P(against, upgrade, testing::ValuesIn(obstacles()),
                         [](const auto& chosen) { return std::string{chosen.param.name}; });

TEST_P(upgrade, stays_on_the_socket_and_works) {
  if (!GetParam().sanitizers_can && test::is_sanitized()) {
    GTEST_SKIP() << "sanitizers need the address space";
  }
  for (const Sides blocked : {Sides{true, false}, Sides{false, true}, Sides{true, true}}) {
    // Where only the other's memory is what cannot be had, both would be too small.
    const bool both = blocked.talker && blocked.answerer;
    if (both && GetParam().capacity < GetParam().capacity_of_the_other) continue;
    for (const std::uint64_t early : {0, 3, 30}) converse(GetParam(), blocked, early);
  }
}

TEST(upgrade, moves_where_nothing_forbids_it) {
  const Obstacle none{.name = "nothing", .meet = {}};
  for (const std::uint64_t early : {0, 3, 30}) converse(none, {false, false}, early);
}

/// Numbers without end, both ways, as it comes.
int chatter(Channel& channel, unsigned seed) {
  std::minstd_rand random{seed};
  std::uint64_t sent = 0;
  Message message;
  for (;;) {
    if (random() % 3 != 0) {
      if (channel.send(content(sent, size_of(sent)), 1ms)) ++sent;
    } else {
      static_cast<void>(channel.receive(message, random() % 2 == 0 ? Deadline{1ms} : never));
    }
  }
}

TEST(upgrade, tells_a_death_at_any_moment_of_it_after_all_that_came) {
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  for (unsigned round = 0; round < 160; ++round) {
    SCOPED_TRACE(round);
    std::minstd_rand random{round + 1};
    auto ends = or_throw(pair(Mechanism::shm, {.capacity_bytes = 4096}));
    Handle theirs = or_throw(std::move(ends.second).into_handle());
    const bool theirs_stays = random() % 3 == 0;
    const bool ours_stays = random() % 3 == 0;
    Channel& ours = ends.first;
    {
      Other other{[&] {
        if (theirs_stays) lower(RLIMIT_FSIZE, 0);
        Channel channel = or_throw(Channel::from_handle(std::move(theirs), {}));
        return chatter(channel, round);
      }};
      static_cast<void>(std::move(theirs).take_fd());
      if (ours_stays) lower(RLIMIT_FSIZE, 0);
      for (std::uint64_t i = random() % 4; i > 0; --i) {
        static_cast<void>(ours.try_send(as_bytes("early")));
      }
      ::setrlimit(RLIMIT_FSIZE, &before);
      const Deadline moment{std::chrono::microseconds{random() % 3000}};
      while (!moment.expired()) ::sched_yield();
      other.kill();
    }
    const test::Waiting waiting{"the end of a channel whose other end was killed"};
    Message message;
    Result<void> got;
    for (std::uint64_t i = 0;; ++i) {
      got = ours.receive(message, 20s);
      if (!got) break;
      ASSERT_TRUE(is_content(message.bytes(), i)) << i;
    }
    EXPECT_EQ(got.error(), ErrorKind::peer_died) << got.error();
    EXPECT_EQ(ours.send(content(0, 100'000), 20s).error(), ErrorKind::peer_died);
  }
}

TEST(upgrade, of_a_program_that_may_not_make_memory_is_found_by_name) {
  for (const bool listens : {false, true}) {
    const std::string at = "shm:upgrade-" + std::to_string(::getpid()) + (listens ? "-l" : "-c");
    std::optional<Listener> listener;
    if (!listens) listener.emplace(or_throw(listen(at)));
    std::vector<std::string> arguments{"memfd_create", test::program_path("channel_peer"), "echo",
                                       at, "0"};
    if (listens) arguments.emplace_back("listen");
    auto child = test::Child::start("lives_without", arguments);
    if (listens) {
      EXPECT_EQ(child.read_line(), "ready");
    }
    auto channel = listens ? or_throw(connect(at, 20s)) : or_throw(listener->accept(20s));
    for (std::uint64_t i = 0; i < turns; ++i) {
      ASSERT_TRUE(channel.send(content(i, size_of(i)), 20s));
      auto back = channel.receive(20s);
      ASSERT_TRUE(back) << back.error();
      ASSERT_TRUE(is_content(back->bytes(), i));
    }
    EXPECT_FALSE(channel.capabilities().in_place);
    channel.close();
    EXPECT_EQ(child.wait(), 0);
  }
}

TEST(upgrade, that_is_not_possible_is_refused_where_memory_is_needed) {
  auto ends = or_throw(pair(Mechanism::shm, {.needs = {.in_place = true}}));
  const Handle theirs = or_throw(std::move(ends.second).into_handle());
  auto child = test::Child::start("lives_without",
                                  {"memfd_create", test::program_path("channel_peer"), "echo",
                                   std::to_string(static_cast<int>(Mechanism::shm))},
                                  {theirs.fd()});
  const auto refused = ends.first.receive(20s);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), ErrorKind::unsupported) << refused.error();
  EXPECT_EQ(child.wait(), 0) << "the other hears that it is closed";
}

TEST(upgrade, passes_the_conformance_suite_where_it_is_not_possible) {
  const std::string suite = test::program_path("conformance_tests");
  if (::access(suite.c_str(), X_OK) != 0) GTEST_SKIP() << "conformance_tests is not built";
  // But for the bodies that make Regions themselves.
  auto run = test::Child::start("lives_without", {"memfd_create", suite, "--gtest_brief=1",
                                                  "--gtest_filter=*/shm_equal:-*regions*"});
  const test::Waiting waiting{"the suite without memory"};
  const std::string said = run.read_all();
  EXPECT_EQ(run.wait(), 0) << said;
  EXPECT_NE(said.find("[  PASSED  ]"), said.npos) << said;
  EXPECT_EQ(said.find(" 0 tests"), said.npos) << "no row has such a name";
}

}  // namespace
