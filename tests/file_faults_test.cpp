// SPDX-License-Identifier: Apache-2.0
//
// Logs and mapped files when the system says no: a full disk, a failing disk, a kernel without
// inotify, a writer that is killed. Denials are real: a system-call filter on one thread, a file
// system of 256 KiB, SIGKILL.
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <string>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <bulkhead/channel.hpp>
#include <bulkhead/listener.hpp>

#include "support/census.hpp"
#include "support/children.hpp"

namespace {

using namespace bulkhead;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

/// This thread's calls `numbers` fail with `error` from now on.
void deny(const std::vector<long>& numbers, int error) {
  std::vector<sock_filter> program{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  for (const long number : numbers) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(number), 0, 1));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  ASSERT_EQ(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_EQ(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), 0);
}

/// On a thread of its own, which takes what was done to it along.
void apart(const std::function<void()>& what) { std::jthread{what}.join(); }

class file_faults : public testing::Test {
 protected:
  const std::string folder_ = (test::temporary_folder() / "log").string();

  static Result<Channel> writer(const std::string& folder, const std::string& parameters = {}) {
    return connect("file://" + folder + parameters, 1s, {.direction = Direction::send});
  }
  static Result<Channel> reader(const std::string& folder, const std::string& parameters = {}) {
    return connect("file://" + folder + parameters, 1s, {.direction = Direction::receive});
  }
};

TEST_F(file_faults, without_inotify_a_timer_looks) {
  apart([&] {
    deny({SYS_inotify_init1}, EPERM);
    auto to = or_throw(reader(folder_));
    auto from = or_throw(writer(folder_));
    EXPECT_EQ(to.receive(30ms).error(), ErrorKind::timed_out);
    std::jthread later{[&] { ASSERT_TRUE(from.send(as_bytes("seen"), 20s)); }};
    auto got = to.receive(20s);
    ASSERT_TRUE(got) << got.error();
    EXPECT_EQ(got->text(), "seen");
    later.join();
    from.close();
    EXPECT_EQ(to.receive(20s).error(), ErrorKind::closed);

    const std::string at = "mmap://" + folder_ + "-ring";
    auto listener = or_throw(listen(at));
    auto client = or_throw(connect(at, 1s));
    auto server = or_throw(listener.accept(20s));
    std::jthread asks{[&] { ASSERT_TRUE(client.send(as_bytes("seen too"), 20s)); }};
    EXPECT_EQ(or_throw(server.receive(20s)).text(), "seen too");
    asks.join();
    client.close();
    EXPECT_EQ(server.receive(20s).error(), ErrorKind::closed);
  });
}

TEST_F(file_faults, of_a_sync_are_final) {
  apart([&] {
    auto log = or_throw(writer(folder_, "?sync=each"));
    ASSERT_TRUE(log.send(as_bytes("safe"), 20s));
    deny({SYS_fdatasync, SYS_fsync}, EIO);
    auto failed = log.send(as_bytes("lost?"), 20s);
    ASSERT_FALSE(failed);
    EXPECT_THAT(failed.error().sentence(), testing::HasSubstr("is not known"));
    EXPECT_FALSE(log.send(as_bytes("never again"), 20s)) << "even if the next sync would succeed";
    log.close();
  });
  auto to = or_throw(reader(folder_));
  EXPECT_EQ(or_throw(to.receive(20s)).text(), "safe");
  auto got = to.receive(20s);  // it is there, and nobody said that it would be
  while (got) got = to.receive(20s);
  EXPECT_EQ(got.error(), ErrorKind::peer_died) << "a writer that broke did not close in good order";
}

TEST_F(file_faults, of_a_write_leave_the_log_readable_and_it_goes_on) {
  apart([&] {
    auto log = or_throw(writer(folder_));
    ASSERT_TRUE(log.send(as_bytes("before"), 20s));
    std::jthread{[&] {
      deny({SYS_pwrite64, SYS_pwritev, SYS_pwritev2}, ENOSPC);
      EXPECT_EQ(log.send(as_bytes("no room"), 20s).error(), ErrorKind::exhausted);
    }}.join();
    ASSERT_TRUE(log.send(as_bytes("room again"), 20s));
    auto to = or_throw(reader(folder_));
    EXPECT_EQ(or_throw(to.receive(20s)).text(), "before");
    EXPECT_EQ(or_throw(to.receive(20s)).text(), "room again");
  });
}

/// Tries until it is full, reads what is there, makes room and goes on. In a child: it has mounts
/// and limits of its own.
int fill_and_go_on(const std::string& folder, const std::function<void()>& make_room) {
  auto log = connect("file://" + folder, 1s, {.direction = Direction::send});
  if (!log) return 10;
  std::vector<std::byte> message(3000);
  std::vector<Bytes> group(5, Bytes{message});
  int sent = 0;
  for (;;) {
    auto many = log->send_many(group, never);
    if (!many && many.error() != ErrorKind::exhausted) return 11;
    if (!many) break;
    sent += static_cast<int>(*many);
    if (sent > 100'000) return 12;
  }
  if (sent == 0 || log->send(message, never).error() != ErrorKind::exhausted) return 13;
  auto reader = connect("file://" + folder, 1s, {.direction = Direction::receive});
  if (!reader) return 14;
  for (int i = 0; i < sent; ++i) {
    if (auto got = reader->try_receive(); !got || got->size() != message.size()) return 15;
  }
  if (reader->try_receive().error() != ErrorKind::empty) return 16;
  make_room();
  if (!log->send(as_bytes("room"), never)) return 17;
  auto got = reader->receive(20s);
  return got && got->text() == "room" ? 0 : 18;
}

int in_child(const std::function<int()>& what) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(what());
  int status = -1;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

TEST_F(file_faults, of_a_full_disk_end_when_there_is_room) {
  const std::string disk = (test::temporary_folder() / "disk").string();
  fs::create_directory(disk);
  const int outcome = in_child([&] {
    if (::unshare(::geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER) != 0) return 77;
    ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    if (::mount("none", disk.c_str(), "tmpfs", 0, "size=256k") != 0) return 77;
    const std::string ballast = disk + "/ballast";
    const int fd = ::open(ballast.c_str(), O_CREAT | O_WRONLY, 0600);
    if (::posix_fallocate(fd, 0, 65'536) != 0) return 78;
    ::close(fd);
    if (auto ring = connect("mmap://" + disk + "/ring", 1s);
        ring || ring.error() != ErrorKind::exhausted) {
      return 79;  // 256 KiB and more do not fit
    }
    fs::remove_all(disk + "/ring");
    return fill_and_go_on(disk + "/log", [&] { ::unlink(ballast.c_str()); });
  });
  if (outcome == 77) GTEST_SKIP() << "this system gives no mounts of one's own";
  EXPECT_EQ(outcome, 0);
}

TEST_F(file_faults, of_a_limit_on_files_are_told_before_the_signal) {
  const int outcome = in_child([&] {
    rlimit limit{};
    ::getrlimit(RLIMIT_FSIZE, &limit);
    const rlimit tight{200'000, limit.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &tight);
    return fill_and_go_on(folder_, [&] { ::setrlimit(RLIMIT_FSIZE, &limit); });
  });
  EXPECT_EQ(outcome, 0);
}

TEST_F(file_faults, that_kill_a_writer_are_told_behind_its_last_whole_message) {
  for (int round = 0; round < 20; ++round) {
    const std::string folder = folder_ + std::to_string(round);
    auto child = test::Child::start(
        "channel_peer",
        {"send", "file://" + folder, std::to_string(static_cast<int>(Direction::send))});
    auto to = or_throw(reader(folder));
    Message message;
    for (int i = 0; i < round * 3; ++i) ASSERT_TRUE(to.receive(message, 20s));
    ASSERT_TRUE(to.receive(message, 20s));
    child.kill();
    Result<void> got;
    while (got) got = to.receive(message, 20s);
    EXPECT_EQ(got.error(), ErrorKind::peer_died) << got.error();
    child.wait();
    // The next writer finds what was torn, and readers go on over it.
    auto next = or_throw(writer(folder));
    ASSERT_TRUE(next.send(as_bytes("next"), 20s));
    next.close();
    auto again = or_throw(reader(folder));
    std::string last;
    for (got = {}; got;) {
      got = again.receive(message, 20s);
      if (got) last = message.text();
    }
    EXPECT_EQ(got.error(), ErrorKind::closed) << got.error();
    EXPECT_EQ(last, "next");
  }
}

TEST_F(file_faults, of_others_that_cut_or_remove_files_are_errors_and_no_signals) {
  constexpr int links = 8;
  std::vector<Channel> clients;
  std::vector<Channel> servers;
  for (int i = 0; i < links; ++i) {
    const std::string at = "mmap://" + folder_ + std::to_string(i);
    auto listener = or_throw(listen(at));
    clients.push_back(or_throw(connect(at, 1s)));
    servers.push_back(or_throw(listener.accept(20s)));
  }
  std::vector<std::byte> message(1000);
  for (int i = 0; i < links; ++i) {
    const auto at = static_cast<std::size_t>(i);
    for (int k = 0; k < 20; ++k) ASSERT_TRUE(clients[at].send(message, 20s));
    const std::string folder = folder_ + std::to_string(i);
    if (i % 4 == 1) fs::resize_file(folder + "/1.ring", 5000);
    if (i % 4 == 2) fs::resize_file(folder + "/1.tail", 70);
    if (i % 4 == 3) fs::remove_all(folder);
  }
  for (int i = 0; i < links; ++i) {
    const auto at = static_cast<std::size_t>(i);
    Result<Message> got;
    int count = 0;
    while (count < 20 && (got = servers[at].receive(20s))) ++count;
    if (i % 4 == 0 || i % 4 == 3) {
      EXPECT_EQ(count, 20) << "link " << i << " has not been touched, or lives until it closes";
    } else {
      ASSERT_FALSE(got);
      EXPECT_EQ(got.error(), ErrorKind::corrupt) << got.error();
      EXPECT_EQ(servers[at].receive(20s).error(), ErrorKind::corrupt) << "for ever";
    }
  }
}

/// F10: eight links that are busy while the files of four of them are cut or removed under them.
TEST_F(file_faults, of_files_that_others_spoil_are_errors_of_their_link_alone_threaded) {
  struct Busy {
    std::string folder;
    bool ring;
    Channel from;
    Channel to;
    Error ended{ErrorKind::empty};
    int received = 0;
  };
  constexpr int rounds = 300;
  std::vector<Busy> links;
  for (int i = 0; i < 8; ++i) {
    const std::string folder = folder_ + std::to_string(i);
    const bool ring = i % 2 == 0;
    const std::string at = (ring ? "mmap://" : "file://") + folder;
    auto to = or_throw(connect(at + (ring ? "?seat=listen" : ""), 1s,
                               {.direction = ring ? Direction::both : Direction::receive}));
    auto from = or_throw(connect(at, 1s, {.direction = ring ? Direction::both : Direction::send}));
    links.push_back({folder, ring, std::move(from), std::move(to)});
  }
  const auto exchange = [](Busy& link, int from, int to) {
    for (int i = from; i < to; ++i) {
      const std::string text = std::to_string(i) + std::string(500, '.');
      if (auto sent = link.from.send(as_bytes(text), 20s); !sent) {
        link.ended = sent.error();
        return;
      }
      auto got = link.to.receive(20s);
      if (!got) {
        link.ended = got.error();
        return;
      }
      ASSERT_EQ(got->text(), text);
      ++link.received;
    }
  };
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < links.size(); ++i) {
      threads.emplace_back([&, i] {
        Busy& link = links[i];
        exchange(link, 0, rounds / 2);
        if (i >= 2 && i <= 4) {  // what was sent and not yet read is gone
          for (int k = 0; k < 20; ++k) ASSERT_TRUE(link.from.send(as_bytes("lost"), 20s));
          if (i == 2) fs::resize_file(link.folder + "/1.ring", 64);
          if (i == 3) fs::resize_file(link.folder + "/00000000000000000001.log", 64);
          if (i == 4) fs::resize_file(link.folder + "/1.tail", 20);
          if (auto got = link.to.try_receive(); !link.ring) {
            ASSERT_EQ(got.error(), ErrorKind::empty) << "until something stands behind the hole";
          } else {
            ASSERT_EQ(got.error(), ErrorKind::corrupt);
          }
        }
        if (i == 6 || i == 7) fs::remove_all(link.folder);
        exchange(link, rounds / 2, rounds);
      });
    }
  }
  for (const std::size_t whole : {0u, 1u, 5u}) {
    EXPECT_EQ(links[whole].received, rounds) << whole << ": " << links[whole].ended;
  }
  for (const std::size_t spoilt : {2u, 3u, 4u}) {
    EXPECT_EQ(links[spoilt].ended, ErrorKind::corrupt) << spoilt << ": " << links[spoilt].ended;
    EXPECT_EQ(links[spoilt].received, rounds / 2);
  }
  // A file without a name lives as long as it is open: those that have it go on.
  for (const std::size_t removed : {6u, 7u}) EXPECT_EQ(links[removed].received, rounds);
}

/// A large message on a full disk fails alone: the ring has its room, and other links have theirs.
TEST_F(file_faults, of_a_full_disk_under_a_ring_are_those_of_the_message_that_needs_room) {
  const std::string disk = (test::temporary_folder() / "disk").string();
  fs::create_directory(disk);
  const int outcome = in_child([&] {
    if (::unshare(::geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER) != 0) return 77;
    ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    if (::mount("none", disk.c_str(), "tmpfs", 0, "size=256k") != 0) return 77;
    const std::string full = "mmap://" + disk + "/ring";
    const std::string other = "mmap://" + folder_;
    auto to = connect(full + "?seat=listen", 1s, {.capacity_bytes = 16 * 1024});
    auto from = connect(full, 1s);
    auto other_to = connect(other + "?seat=listen", 1s);
    auto other_from = connect(other, 1s);
    if (!to || !from || !other_to || !other_from) return 10;
    const std::vector<std::byte> large(300'000);
    const auto works = [](Channel& one, Channel& two, Bytes bytes) {
      if (!one.send(bytes, 5s)) return false;
      auto got = two.receive(5s);
      if (!got || got->size() != bytes.size()) return false;
      return two.try_receive().error() == ErrorKind::empty;  // and has dealt with it
    };
    for (int round = 0; round < 3; ++round) {
      if (from->send(large, 5s).error() != ErrorKind::exhausted) return 11;
      if (!works(*from, *to, as_bytes("small ones have their room"))) return 12;
      if (!works(*other_from, *other_to, large)) return 13;
    }
    if (!works(*from, *to, Bytes{large}.first(100'000))) return 14;
    return 0;
  });
  if (outcome == 77) GTEST_SKIP() << "this system gives no mounts of one's own";
  EXPECT_EQ(outcome, 0);
}

}  // namespace
