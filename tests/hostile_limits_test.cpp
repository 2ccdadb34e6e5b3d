// SPDX-License-Identifier: Apache-2.0
//
// Nothing left to take: descriptors (F11), file size and address space (F8, F12 in part), room in
// the folder of names (F8). Whatever fails says `exhausted`, leaves nothing behind, and works again
// when there is room. A channel of shared memory that finds no memory stays on its socket; one that
// needs it says `exhausted` (who stays, when and how: upgrade_test.cpp).
#include <fcntl.h>
#include <fstream>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <string>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bulkhead/bulkhead.hpp>

#include "support/census.hpp"
#include "support/process_roles.hpp"
#include "support/watchdog.hpp"

namespace {

using namespace bulkhead;
using namespace std::chrono_literals;

/// A limit of this process for as long as it lives.
class Limit {
 public:
  Limit(decltype(RLIMIT_NOFILE) what, rlim_t most) : what_(what) {
    ::getrlimit(what_, &before_);
    rlimit lower = before_;
    lower.rlim_cur = most;
    ::setrlimit(what_, &lower);
  }
  ~Limit() { ::setrlimit(what_, &before_); }

 private:
  decltype(RLIMIT_NOFILE) what_;
  rlimit before_{};
};

rlim_t next_free_descriptor() {
  return static_cast<rlim_t>(Fd::adopt(::open("/dev/null", O_RDONLY | O_CLOEXEC)).native());
}

/// The work with no descriptor free, then one, and so on until it succeeds: each call in it that
/// makes one has then been the first to fail.
void fail_at_each_descriptor(const std::function<Result<void>()>& work) {
  ASSERT_TRUE(work()) << "it works where there is room";  // and makes what is made once
  const auto before = test::Census::take();
  const rlim_t lowest = next_free_descriptor();
  int refusals = 0;
  for (rlim_t room = 0; room < 80; ++room) {
    Result<void> done;
    timespec cpu_before{};
    timespec cpu_after{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu_before);
    {
      const test::Waiting waiting{"work without descriptors"};
      const Limit limit{RLIMIT_NOFILE, lowest + room};
      done = work();
    }
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu_after);
    EXPECT_LT(cpu_after.tv_sec - cpu_before.tv_sec, 2) << "no busy loop";
    if (done) {
      EXPECT_GT(refusals, 0);
      EXPECT_THAT(before.settle(2s), testing::IsEmpty());
      return;
    }
    EXPECT_EQ(done.error(), ErrorKind::exhausted) << room << ": " << done.error();
    EXPECT_THAT(before.settle(2s), testing::IsEmpty()) << room;
    ++refusals;
  }
  FAIL() << "80 descriptors are not enough";
}

Result<void> exchange(Channel& one, Channel& other) {
  BULKHEAD_TRY(one.send(as_bytes("there"), 10s));
  BULKHEAD_TRY(other.receive(10s));
  BULKHEAD_TRY(other.send(as_bytes("back"), 10s));
  BULKHEAD_TRY(one.receive(10s));
  return {};
}

class hostile_limits : public testing::TestWithParam<Mechanism> {};
INSTANTIATE_TEST_SUITE_P(mechanisms, hostile_limits,
                         testing::Values(Mechanism::inproc, Mechanism::unix_socket, Mechanism::shm),
                         [](const auto& chosen) { return std::string(to_string(chosen.param)); });

TEST_P(hostile_limits, of_descriptors_make_a_pair_exhausted_at_each_step) {
  fail_at_each_descriptor([&]() -> Result<void> {
    auto ends = BULKHEAD_TRY(pair(GetParam()));
    BULKHEAD_TRY(exchange(ends.first, ends.second));
    BULKHEAD_TRY(ends.first.readable());
    BULKHEAD_TRY(ends.first.writable());
    return exchange(ends.first, ends.second);
  });
}

TEST_P(hostile_limits, of_descriptors_make_a_meeting_exhausted_at_each_step) {
  const std::string at =
      (GetParam() == Mechanism::unix_socket ? "unix://" + test::temporary_folder().string() + "/"
                                            : std::string{to_string(GetParam())} + ":") +
      "meeting-" + std::to_string(::getpid());
  fail_at_each_descriptor([&]() -> Result<void> {
    auto listener = BULKHEAD_TRY(listen(at));
    auto client = BULKHEAD_TRY(connect(at, 10s));
    auto server = BULKHEAD_TRY(listener.accept(10s));
    return exchange(client, server);
  });
}

TEST_P(hostile_limits, of_descriptors_make_handles_exhausted_at_each_step) {
  fail_at_each_descriptor([&]() -> Result<void> {
    auto ends = BULKHEAD_TRY(pair(GetParam()));
    BULKHEAD_TRY(exchange(ends.first, ends.second));
    Message message{as_bytes("with a region")};
    Region region = BULKHEAD_TRY(Region::create(4096));
    message.handles().push_back(BULKHEAD_TRY(std::move(region).into_handle()));
    BULKHEAD_TRY(ends.first.send(message, 10s));
    auto got = BULKHEAD_TRY(ends.second.receive(10s));
    BULKHEAD_TRY(Region::from_handle(std::move(got.handles().at(0)), Trust::equal));
    return {};
  });
}

int answer() { return 42; }

TEST(hostile_limits, of_descriptors_make_a_process_exhausted_at_each_step) {
  fail_at_each_descriptor([]() -> Result<void> {
    auto child = BULKHEAD_TRY(spawn<test::say_hello>({.output = Output::captured()}));
    BULKHEAD_TRY(child.channel().receive(20s));
    return {};
  });
}

TEST(hostile_limits, of_descriptors_make_an_isolated_call_exhausted_at_each_step) {
  fail_at_each_descriptor([]() -> Result<void> {
    BULKHEAD_TRY(isolate<answer>());
    return {};
  });
}

const ChannelOptions needs_memory{.needs = {.in_place = true}};

TEST(hostile_limits, of_file_size_make_channels_that_need_memory_and_regions_exhausted) {
  const auto before = test::Census::take();
  for (const rlim_t most : {0UL, 1UL, 4096UL, 100'000UL}) {
    const Limit limit{RLIMIT_FSIZE, most};
    for (int i = 0; i < 250; ++i) {
      auto region = Region::create(1 << 20);
      ASSERT_FALSE(region);
      EXPECT_EQ(region.error(), ErrorKind::exhausted) << region.error();
      auto refused = or_throw(pair(Mechanism::shm, needs_memory));
      const auto sent = refused.first.send(as_bytes("x"), 1s);
      ASSERT_FALSE(sent);
      EXPECT_EQ(sent.error(), ErrorKind::exhausted) << sent.error();
      EXPECT_EQ(refused.first.receive(1s).error(), ErrorKind::exhausted);
      auto ends = or_throw(pair(Mechanism::shm));
      const auto exchanged = exchange(ends.first, ends.second);
      ASSERT_TRUE(exchanged) << exchanged.error();
      EXPECT_FALSE(ends.first.capabilities().in_place);
    }
  }
  EXPECT_THAT(before.settle(2s), testing::IsEmpty());
  auto ends = or_throw(pair(Mechanism::shm));
  EXPECT_TRUE(exchange(ends.first, ends.second));
}

rlim_t address_space_in_use() {
  rlim_t pages = 0;
  std::ifstream{"/proc/self/statm"} >> pages;
  return pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE));
}

TEST(hostile_limits, of_memory_make_channels_that_need_it_and_regions_exhausted) {
  if (test::is_sanitized()) GTEST_SKIP() << "sanitizers need the address space";
  const auto before = test::Census::take();
  // In a child: the limit is of the whole process.
  const pid_t child = ::fork();
  if (child == 0) {
    const Limit limit{RLIMIT_AS, address_space_in_use() + (16 << 20)};
    int wrong = 0;
    for (int i = 0; i < 20; ++i) {
      const auto region = Region::create(32 << 20);
      if (region || region.error() != ErrorKind::exhausted) wrong |= 1;
      for (const bool needed : {false, true}) {
        auto ends =
            pair(Mechanism::shm, {.capacity_bytes = 16 << 20, .needs = {.in_place = needed}});
        if (!ends) {
          wrong |= 2;
          continue;
        }
        const auto sent = ends->first.send(as_bytes("x"), 1s);
        if (needed ? sent || sent.error() != ErrorKind::exhausted
                   : !sent || !ends->second.receive(1s)) {
          wrong |= 4;
        }
      }
    }
    auto ends = pair(Mechanism::shm, needs_memory);
    if (!ends || !exchange(ends->first, ends->second)) wrong |= 8;
    ::_exit(wrong);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_THAT(before.settle(2s), testing::IsEmpty());
}

/// In a child with a file system of its own that has room for `inodes` names and one page. What
/// listening says there, and afterwards with room.
std::string listen_in_a_full_folder(const std::string& inodes) {
  int told[2];
  if (::pipe2(told, O_CLOEXEC) != 0) return "no pipe";
  const auto folder = test::temporary_folder();
  const pid_t child = ::fork();
  if (child == 0) {
    std::string said = "skipped";
    if (::unshare(CLONE_NEWNS) == 0 &&
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
        ::mount("tmpfs", folder.c_str(), "tmpfs", 0, ("size=4k,nr_inodes=" + inodes).c_str()) ==
            0) {
      ::setenv("XDG_RUNTIME_DIR", folder.c_str(), 1);
      const auto refused = listen("shm:no-room");
      said = refused ? "there was room" : refused.error().sentence() + " | ";
      if (!refused) said += to_string(refused.error().kind());
      // Memory needs no name and no room there.
      auto ends = pair(Mechanism::shm);
      if (!ends || !exchange(ends->first, ends->second)) said += " and no pair";
      if (::mount("tmpfs", folder.c_str(), "tmpfs", MS_REMOUNT, "size=64k,nr_inodes=100") == 0 &&
          !listen("shm:no-room")) {
        said += " and never again";
      }
    }
    static_cast<void>(::write(told[1], said.data(), said.size()));
    ::_exit(0);
  }
  ::close(told[1]);
  std::string said(1000, '\0');
  const auto size = ::read(told[0], said.data(), said.size());
  said.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  ::close(told[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  return said;
}

TEST(hostile_limits, of_room_for_names_make_listening_exhausted) {
  // The folder itself, its first sub-folder, the lock, the socket: one after the other finds none.
  for (const char* inodes : {"1", "2", "3"}) {
    const std::string said = listen_in_a_full_folder(inodes);
    if (said == "skipped") GTEST_SKIP() << "no file systems of our own here";
    EXPECT_TRUE(said.ends_with("| exhausted")) << inodes << ": " << said;
  }
}

}  // namespace
