// SPDX-License-Identifier: Apache-2.0
//
// Attacks on names and on who listens at them: squatters, links swapped in, odd umasks (A25 to A28),
// nonsense, floods of descriptors and none left to accept with (A1, A2, A19, A20).
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <random>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bulkhead/bulkhead.hpp>

#include "os/name_record.hpp"
#include "os/names.hpp"
#include "os/poll.hpp"
#include "os/socket.hpp"
#include "support/census.hpp"
#include "support/children.hpp"
#include "support/soak.hpp"
#include "support/watchdog.hpp"
#include "transport/unix_meeting.hpp"

namespace {

using namespace bulkhead;
using namespace std::chrono_literals;

class names_attack : public testing::TestWithParam<Mechanism> {
 protected:
  void SetUp() override {
    if (!capabilities(GetParam()).unrelated) GTEST_SKIP() << "not in this build";
    address_ = GetParam() == Mechanism::shm ? "shm:attacked" : "unix://" + folder() + "/attacked";
    path_ = GetParam() == Mechanism::shm ? or_throw(os::runtime_directory()) + "/attacked.shm"
                                         : folder() + "/attacked";
  }
  std::string folder() {
    if (folder_.empty()) folder_ = test::temporary_folder();
    return folder_;
  }
  /// It serves a well-behaved client.
  static void expect_served(Listener& listener, const std::string& address) {
    Channel client = or_throw(connect(address, 20s));
    or_throw(client.send(as_bytes("hello"), 20s));
    Channel server = or_throw(listener.accept(20s));
    EXPECT_EQ(or_throw(server.receive(20s)).text(), "hello");
  }
  Result<Fd> raw_connection() { return transport::connect_to({path_, false}, 20s); }

  std::string folder_;
  std::string address_;
  std::string path_;
};
INSTANTIATE_TEST_SUITE_P(mechanisms, names_attack,
                         testing::Values(Mechanism::unix_socket, Mechanism::shm),
                         [](const auto& chosen) { return std::string(to_string(chosen.param)); });

std::string content_of(const std::string& path) {
  std::ifstream file{path};
  return {std::istreambuf_iterator<char>{file}, {}};
}

mode_t mode_of(const std::string& path) {
  struct stat found{};
  return ::lstat(path.c_str(), &found) == 0 ? found.st_mode & 0777 : 0;
}

TEST_P(names_attack, of_files_in_the_place_of_name_and_lock_leave_them_as_they_are) {
  const std::string victim = folder() + "/victim";
  std::ofstream{victim} << "precious";
  for (const std::string& at : {path_, path_ + ".lock"}) {
    ASSERT_EQ(::symlink(victim.c_str(), at.c_str()), 0);
    EXPECT_FALSE(listen(address_)) << "a symbolic link at " << at;
    std::filesystem::remove(at);
    ASSERT_EQ(::link(victim.c_str(), at.c_str()), 0);
    EXPECT_FALSE(listen(address_)) << "a hard link at " << at;
    std::filesystem::remove(at);
    ASSERT_EQ(::mkfifo(at.c_str(), 0600), 0);
    EXPECT_FALSE(listen(address_)) << "a FIFO at " << at;
    std::filesystem::remove(at);
    ASSERT_EQ(::mkdir(at.c_str(), 0700), 0);
    EXPECT_FALSE(listen(address_)) << "a folder at " << at;
    std::filesystem::remove(at);
    EXPECT_EQ(content_of(victim), "precious");
    std::filesystem::remove(path_ + ".lock");
  }
  EXPECT_TRUE(listen(address_));
}

TEST_P(names_attack, of_a_swapper_of_links_never_reach_what_they_lead_to) {
  const std::string victim = folder() + "/victim";
  std::ofstream{victim} << "precious";
  const mode_t mode = mode_of(victim);
  const pid_t swapper = ::fork();
  if (swapper == 0) {
    const std::string link = folder() + "/link";
    for (unsigned i = 0;; ++i) {
      const std::string at = i % 2 == 0 ? path_ : path_ + ".lock";
      static_cast<void>(i % 4 < 2 ? ::symlink(victim.c_str(), link.c_str())
                                  : ::link(victim.c_str(), link.c_str()));
      static_cast<void>(::rename(link.c_str(), at.c_str()));
      static_cast<void>(::unlink(i % 3 == 0 ? at.c_str() : link.c_str()));
    }
  }
  int taken = 0;
  for (int i = 0; i < test::soaked(3000); ++i) {
    const test::Waiting waiting{"swap " + std::to_string(i)};
    if (listen(address_)) ++taken;
    if (i % 4 == 0) static_cast<void>(remove_stale_names());
    ASSERT_EQ(content_of(victim), "precious") << i;
  }
  ::kill(swapper, SIGKILL);
  int status = 0;
  ::waitpid(swapper, &status, 0);
  RecordProperty("taken", taken);
  EXPECT_EQ(mode_of(victim), mode) << "nor its mode";
  for (const auto& at : {path_, path_ + ".lock", folder() + "/link"}) std::filesystem::remove(at);
  static_cast<void>(or_throw(remove_stale_names()));
}

TEST_P(names_attack, of_any_umask_leave_names_their_owners_alone) {
  for (const mode_t mask : {0000U, 0077U, 0777U}) {
    std::filesystem::remove_all(or_throw(os::runtime_directory()));
    const mode_t before = ::umask(mask);
    auto listener = listen(address_);
    ::umask(before);
    ASSERT_TRUE(listener) << std::oct << mask << ": " << listener.error();
    EXPECT_EQ(mode_of(path_), 0600u) << std::oct << mask;
    EXPECT_EQ(mode_of(path_ + ".lock"), 0600u) << std::oct << mask;
    EXPECT_EQ(mode_of(or_throw(os::runtime_directory())), 0700u) << std::oct << mask;
    EXPECT_EQ(mode_of(or_throw(os::record_directory())), 0700u) << std::oct << mask;
    for (const auto& record :
         std::filesystem::directory_iterator{or_throw(os::record_directory())}) {
      EXPECT_EQ(mode_of(record.path()), 0600u) << std::oct << mask;
    }
    expect_served(*listener, address_);
  }
}

TEST_P(names_attack, by_another_user_who_was_there_first_show_who_it_is) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to be two users";
  if (GetParam() == Mechanism::shm) GTEST_SKIP() << "others cannot enter its folder";
  const std::string open_folder = folder() + "/open";
  ASSERT_EQ(::mkdir(open_folder.c_str(), 0777), 0);
  for (auto at = std::filesystem::path{open_folder}; at != "/tmp" && at != "/";
       at = at.parent_path()) {
    ::chmod(at.c_str(), 0777);
  }
  path_ = open_folder + "/squatted";
  address_ = "unix://" + path_;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t squatter = ::fork();
  if (squatter == 0) {
    ::setenv("XDG_RUNTIME_DIR", open_folder.c_str(), 1);
    ::setenv("TMPDIR", open_folder.c_str(), 1);
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(1);
    auto listener = listen(address_, {.allow = ListenOptions::Allow::anyone});
    static_cast<void>(::write(ready[1], listener ? "y" : "n", 1));
    for (;;) ::pause();
  }
  char answer = 0;
  EXPECT_EQ(::read(ready[0], &answer, 1), 1);
  ::close(ready[0]);
  ::close(ready[1]);
  EXPECT_EQ(answer, 'y');
  EXPECT_FALSE(listen(address_)) << "what is another's is not taken over";
  auto channel = connect(address_, 20s);
  EXPECT_TRUE(channel);
  if (channel) {
    EXPECT_EQ(channel->peer().uid, 65534u);
    EXPECT_EQ(channel->trust(), Trust::untrusted);
  }
  ::kill(squatter, SIGKILL);
  int status = 0;
  ::waitpid(squatter, &status, 0);
  // Dead now; but the lock is another user's, and stays.
  EXPECT_FALSE(listen(address_));
  static_cast<void>(or_throw(remove_stale_names()));
  EXPECT_EQ(mode_of(path_ + ".lock"), 0600u);
}

TEST_P(names_attack, with_nonsense_at_a_listener_cost_the_attacker_alone) {
  auto listener = or_throw(listen(address_));
  std::mt19937 random{17};
  std::vector<std::byte> packet(512);
  for (int i = 0; i < test::soaked(300); ++i) {
    const Fd attacker = or_throw(raw_connection());
    for (auto& byte : packet) byte = static_cast<std::byte>(random());
    // Beginnings that are right, too: the magic number of one protocol, a version of the other.
    if (i % 3 == 0) std::memcpy(packet.data(), "BHLK\1\0\1\0", 8);
    if (i % 3 == 1) std::memset(packet.data(), static_cast<int>(random() % 4), 4);
    static_cast<void>(os::send_packet(attacker, Bytes{packet}.first(1 + random() % 511)));
    auto channel = listener.accept(20s);
    ASSERT_TRUE(channel) << channel.error();
    EXPECT_FALSE(channel->receive(20s)) << i;
  }
  expect_served(listener, address_);
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& fd : std::filesystem::directory_iterator{"/proc/self/fd"}) {
    ++count;
  }
  return count;
}

TEST_P(names_attack, with_floods_of_descriptors_leave_none_in_the_listener) {
  auto listener = or_throw(listen(address_, {.channel = {.trust = Trust::untrusted}}));
  const std::size_t before = open_descriptors();
  const Fd null = Fd::adopt(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  for (int i = 0; i < test::soaked(50); ++i) {
    const Fd attacker = or_throw(raw_connection());
    const std::vector<int> flood(static_cast<std::size_t>(i % 2 == 0 ? 253 : 17), null.native());
    for (int packets = 0; packets < 20; ++packets) {
      if (!os::send_packet(attacker, as_bytes("BHLK take these"), flood)) break;
    }
    auto channel = listener.accept(20s);
    ASSERT_TRUE(channel) << channel.error();
    EXPECT_FALSE(channel->receive(20s));
  }
  EXPECT_EQ(open_descriptors(), before + 1);
  expect_served(listener, address_);
}

TEST_P(names_attack, that_take_all_descriptors_leave_the_links_that_there_are) {
  auto listener = or_throw(listen(address_));
  Channel client = or_throw(connect(address_, 20s));
  Channel server = or_throw(listener.accept(20s));
  or_throw(client.send(as_bytes("first"), 20s));
  or_throw(server.receive(20s));
  or_throw(server.send(as_bytes("met"), 20s));
  or_throw(client.receive(20s));
  auto waiting = test::Child::start("channel_peer", {"say_three", address_});
  rlimit limits{};
  ::getrlimit(RLIMIT_NOFILE, &limits);
  rlimit none = limits;
  none.rlim_cur = static_cast<rlim_t>(Fd::adopt(::open("/dev/null", O_RDONLY)).native());
  // The client is in the queue: from here on there is no descriptor for it.
  const test::Waiting queued{"a client in the queue"};
  ASSERT_GT(or_throw(os::poll_one(listener.readable(), POLLIN, 20s)), 0);
  ::setrlimit(RLIMIT_NOFILE, &none);
  for (int i = 0; i < 200; ++i) {
    const auto refused = listener.accept(1s);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), ErrorKind::exhausted) << refused.error();
    EXPECT_TRUE(client.send(as_bytes("served"), 20s));
    EXPECT_TRUE(server.receive(20s));
  }
  ::setrlimit(RLIMIT_NOFILE, &limits);
  Channel late = or_throw(listener.accept(20s));
  EXPECT_EQ(or_throw(late.receive(20s)).text(), "one");
}

}  // namespace
