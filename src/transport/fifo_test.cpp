// SPDX-License-Identifier: Apache-2.0
//
// Named pipes: who has the name, clients that lie, die or stay silent, and many writers at once.
#include "transport/fifo.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <bulkhead/channel.hpp>
#include <bulkhead/listener.hpp>

#include "support/census.hpp"

namespace bulkhead {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;
using transport::fifo_frame::Request;

class named_pipe : public testing::Test {
 protected:
  std::string path_ = test::temporary_folder().string() + "/pipe";
  std::string at_ = "fifo://" + path_;

  std::size_t names_beside() const {
    std::size_t count = 0;
    for (const auto& entry : fs::directory_iterator{fs::path{path_}.parent_path()}) {
      count += entry.path().filename() != "pipe" && entry.path().filename() != "pipe.lock" ? 1 : 0;
    }
    return count;
  }
};

void expect_echo(Channel& one, Channel& other) {
  ASSERT_TRUE(one.send(as_bytes("there"), 20s));
  EXPECT_EQ(or_throw(other.receive(20s)).text(), "there");
  ASSERT_TRUE(other.send(as_bytes("back"), 20s));
  EXPECT_EQ(or_throw(one.receive(20s)).text(), "back");
}

TEST_F(named_pipe, is_open_to_its_user_alone_whatever_the_umask) {
  for (const mode_t mask : {0000, 0077, 0777}) {
    const mode_t before = ::umask(mask);
    {
      auto listener = listen(at_);
      struct stat found{};
      EXPECT_TRUE(listener) << listener.error();
      EXPECT_EQ(::stat(path_.c_str(), &found), 0);
      EXPECT_EQ(found.st_mode & 0777, 0600u);
      auto client = connect(at_, 20s);
      EXPECT_TRUE(client) << client.error();
      for (const auto& entry : fs::directory_iterator{fs::path{path_}.parent_path()}) {
        ::stat(entry.path().c_str(), &found);
        EXPECT_EQ(found.st_mode & 0077, 0u) << entry.path();
      }
    }
    ::umask(before);
  }
}

TEST_F(named_pipe, replaces_what_a_dead_server_left_and_nothing_else) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  const std::string left = path_ + "." + std::string(32, 'a');
  ASSERT_EQ(::mkfifo((left + ".up").c_str(), 0600), 0);
  ASSERT_EQ(::mkfifo((left + ".down").c_str(), 0600), 0);
  std::ofstream{path_ + ".notes"} << "mine";
  {
    auto listener = listen(at_);
    ASSERT_TRUE(listener) << listener.error();
    EXPECT_EQ(names_beside(), 1u) << "the notes";
  }
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(named_pipe, is_not_made_over_a_file_or_where_somebody_reads) {
  std::ofstream{path_} << "precious";
  EXPECT_EQ(listen(at_).error().kind(), ErrorKind::exists);
  EXPECT_EQ(connect(at_, 1s).error().kind(), ErrorKind::incompatible);
  EXPECT_EQ(fs::file_size(path_), 8u);
  fs::remove(path_);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  const Fd reader = Fd::adopt(::open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  EXPECT_EQ(listen(at_).error().kind(), ErrorKind::exists);
}

TEST_F(named_pipe, of_links_and_of_pipes_open_to_others_is_refused) {
  auto listener = or_throw(listen(at_));
  fs::create_symlink(path_, path_ + ".link");
  EXPECT_EQ(connect("fifo://" + path_ + ".link", 1s).error().kind(), ErrorKind::denied);
  ASSERT_EQ(::chmod(path_.c_str(), 0666), 0);
  EXPECT_EQ(connect(at_, 1s).error().kind(), ErrorKind::denied);
}

TEST_F(named_pipe, without_a_reader_is_not_found) {
  EXPECT_EQ(connect(at_, 1s).error().kind(), ErrorKind::not_found);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(connect(at_, 1s).error().kind(), ErrorKind::not_found);
}

TEST_F(named_pipe, leaves_no_name_when_both_have_joined_or_the_client_has_left) {
  auto listener = or_throw(listen(at_));
  auto client = or_throw(connect(at_, 20s));
  EXPECT_EQ(names_beside(), 2u);
  auto server = or_throw(listener.accept(20s));
  EXPECT_EQ(names_beside(), 0u);
  expect_echo(client, server);
  {
    const auto gone = or_throw(connect(at_, 20s));
  }
  EXPECT_EQ(names_beside(), 0u);
  EXPECT_EQ(listener.try_accept().error().kind(), ErrorKind::empty);
}

TEST_F(named_pipe, serves_the_honest_among_requests_that_lie) {
  auto listener = or_throw(listen(at_));
  const Fd raw = Fd::adopt(::open(path_.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  const auto say = [&](const void* data, std::size_t size) {
    ASSERT_EQ(::write(raw.native(), data, size), static_cast<ssize_t>(size));
  };
  say("noise", 5);
  Request nobody;
  say(&nobody, sizeof nobody);
  nobody.version = 9;
  say(&nobody, sizeof nobody);
  // The names of an instance, but of one that nobody holds, or with a file in its place.
  Request dead;
  dead.token.fill(0xaa);
  const std::string names = path_ + "." + std::string(32, 'a');
  ASSERT_EQ(::mkfifo((names + ".up").c_str(), 0600), 0);
  ASSERT_EQ(::mkfifo((names + ".down").c_str(), 0600), 0);
  say(&dead, sizeof dead);
  Request file;
  file.token.fill(0xbb);
  std::ofstream{path_ + "." + std::string(32, 'b') + ".up"} << "a file";
  say(&file, sizeof file);
  auto client = or_throw(connect(at_, 20s));
  auto server = or_throw(listener.accept(20s));
  expect_echo(client, server);
  EXPECT_EQ(listener.try_accept().error().kind(), ErrorKind::empty);
}

TEST_F(named_pipe, that_is_flooded_with_what_is_no_request_does_not_stop_a_deadline) {
  auto listener = or_throw(listen(at_));
  const Fd raw = Fd::adopt(::open(path_.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  const Request nobody;
  const std::string noise(4096, 'n');
  std::jthread flood{[&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      if (::write(raw.native(), &nobody, sizeof nobody) < 0) std::this_thread::yield();
      if (::write(raw.native(), noise.data(), noise.size()) < 0) std::this_thread::yield();
    }
  }};
  EXPECT_EQ(listener.accept(100ms).error().kind(), ErrorKind::timed_out);
  EXPECT_EQ(listener.try_accept().error().kind(), ErrorKind::empty);
}

TEST_F(named_pipe, tells_a_waiting_client_that_the_server_died) {
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const pid_t server = ::fork();
  if (server == 0) {
    auto listener = listen(at_);
    static_cast<void>(::write(ready[1], "x", 1));
    for (;;) ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ::close(ready[0]);
  ::close(ready[1]);
  auto client = or_throw(connect(at_, 20s));
  EXPECT_EQ(client.peer().pid, server);
  std::jthread killer{[&] { ::kill(server, SIGKILL); }};
  EXPECT_EQ(client.receive(20s).error().kind(), ErrorKind::peer_died);
  EXPECT_EQ(client.send(as_bytes("x"), 20s).error().kind(), ErrorKind::peer_died);
  int status = 0;
  ::waitpid(server, &status, 0);
  client.close();
  const auto next = listen(at_);
  EXPECT_TRUE(next) << next.error();
}

TEST_F(named_pipe, tells_a_client_that_only_sends_that_nobody_took_it_in) {
  auto listener = or_throw(listen(at_));
  auto client = or_throw(connect(at_, 20s, {.capacity_bytes = 64 * 1024}));
  while (client.try_send(as_bytes("more"))) {
  }
  listener.close();
  EXPECT_EQ(client.send(as_bytes("more"), 20s).error().kind(), ErrorKind::closed);
}

// Many writers into one

struct Gathering : named_pipe {
  ListenOptions in_{.channel = {.direction = Direction::receive}};
  ChannelOptions out_{.direction = Direction::send};
};

TEST_F(Gathering, puts_the_pieces_of_many_writers_together_for_each) {
  auto listener = or_throw(listen(at_, in_));
  constexpr int writers = 8;
  constexpr int messages = 30;
  std::vector<Channel> channels;  // all at once: when the last has gone, the gathering ends
  for (int w = 0; w < writers; ++w) channels.push_back(or_throw(connect(at_, 20s, out_)));
  std::vector<std::jthread> threads;
  for (int w = 0; w < writers; ++w) {
    threads.emplace_back([w, channel = std::move(channels[static_cast<std::size_t>(w)])]() mutable {
      for (int m = 0; m < messages; ++m) {
        const std::size_t size = m % 3 == 0 ? 20'000 + static_cast<std::size_t>(m * 100) : 100;
        std::vector<std::byte> bytes(size, static_cast<std::byte>(w));
        bytes[0] = static_cast<std::byte>(m);
        const auto sent = channel.send(bytes, 20s);
        ASSERT_TRUE(sent) << sent.error();
      }
    });
  }
  auto all = or_throw(listener.accept(20s));
  std::map<int, int> next;
  for (int i = 0; i < writers * messages; ++i) {
    const auto got = or_throw(all.receive(20s));
    const auto bytes = got.bytes();
    const int writer = static_cast<int>(bytes[1]);
    ASSERT_EQ(static_cast<int>(bytes[0]), next[writer]++) << "in the order of its writer";
    ASSERT_TRUE(std::ranges::all_of(bytes.subspan(1), [&](std::byte b) { return b == bytes[1]; }));
  }
  threads.clear();
  EXPECT_EQ(all.receive(20s).error().kind(), ErrorKind::closed);
}

TEST_F(Gathering, drops_the_half_message_of_a_writer_that_died) {
  auto listener = or_throw(listen(at_, in_));
  auto lives = or_throw(connect(at_, 20s, out_));
  ASSERT_TRUE(lives.send(as_bytes("first"), 20s));
  auto all = or_throw(listener.accept(20s));
  const pid_t writer = ::fork();
  if (writer == 0) {
    auto dies = connect(at_, 20s, out_);
    // Its pieces fill the pipe, and it is killed in the middle.
    if (dies) static_cast<void>(dies->send(std::vector<std::byte>(50'000'000), never));
    ::_exit(1);
  }
  EXPECT_EQ(or_throw(all.receive(20s)).text(), "first");
  EXPECT_EQ(all.receive(50ms).error().kind(), ErrorKind::timed_out);
  ::kill(writer, SIGKILL);
  int status = 0;
  ::waitpid(writer, &status, 0);
  const std::vector<std::byte> large(100'000, std::byte{5});
  std::jthread sender{[&] { EXPECT_TRUE(lives.send(large, 20s)); }};
  EXPECT_TRUE(std::ranges::equal(or_throw(all.receive(20s)).bytes(), large));
}

TEST_F(Gathering, serves_those_who_come_after_the_last_has_gone) {
  auto listener = or_throw(listen(at_, in_));
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(listener.try_accept().error().kind(), ErrorKind::empty);
    {
      auto writer = or_throw(connect(at_, 20s, out_));
      ASSERT_TRUE(writer.send(as_bytes("here"), 20s));
    }
    auto all = or_throw(listener.accept(20s));
    EXPECT_EQ(or_throw(all.receive(20s)).text(), "here");
    EXPECT_EQ(all.receive(20s).error().kind(), ErrorKind::closed);
  }
}

TEST_F(Gathering, tells_servers_of_both_kinds_apart) {
  {
    auto listener = or_throw(listen(at_, in_));
    EXPECT_EQ(connect(at_, 1s).error().kind(), ErrorKind::incompatible);
  }
  auto listener = or_throw(listen(at_));
  EXPECT_EQ(connect(at_, 1s, out_).error().kind(), ErrorKind::incompatible);
}

TEST_F(Gathering, of_a_writer_that_lies_is_corrupt) {
  auto listener = or_throw(listen(at_, in_));
  auto writer = or_throw(connect(at_, 20s, out_));
  auto all = or_throw(listener.accept(20s));
  const Fd raw = Fd::adopt(::open(path_.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  const std::string noise(100, 'x');
  ASSERT_EQ(::write(raw.native(), noise.data(), noise.size()), 100);
  EXPECT_EQ(all.receive(20s).error().kind(), ErrorKind::corrupt);
  EXPECT_EQ(all.receive(20s).error().kind(), ErrorKind::corrupt);
}

}  // namespace
}  // namespace bulkhead
