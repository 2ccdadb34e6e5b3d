// SPDX-License-Identifier: Apache-2.0
//
// Rings in files, and channels over them: what stays when ends go, and what is refused.
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <bulkhead/channel.hpp>
#include <bulkhead/listener.hpp>

#include "os/file.hpp"
#include "support/census.hpp"
#include "transport/mmap/ring_ends.hpp"

namespace bulkhead::transport::mmap {
namespace {

namespace fs = std::filesystem;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

constexpr std::uint64_t capacity = 16 * 1024;

class ring : public testing::Test {
 protected:
  ring() { fs::create_directory(folder_); }

  const std::string folder_ = (test::temporary_folder() / "ring").string();

  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  Fd open(const std::string& name) const {
    return or_throw(os::open_file(path(name), O_RDWR | O_CREAT));
  }
  Result<RingSender> open_sender(SyncOptions sync = {}) const {
    auto file = BULKHEAD_TRY(RingFile::open(path("0.ring"), capacity));
    return RingSender::open(std::move(file), open("0.tail"), path("0.tail"), open("1.head"),
                            path("1.head"), sync);
  }
  RingSender sender(SyncOptions sync = {}) const { return or_throw(open_sender(sync)); }
  Result<RingReceiver> open_receiver() const {
    auto file = BULKHEAD_TRY(RingFile::open(path("0.ring"), capacity));
    return RingReceiver::open(std::move(file), open("0.tail"), path("0.tail"), open("1.head"),
                              path("1.head"), 1 << 20);
  }
  RingReceiver receiver() const { return or_throw(open_receiver()); }

  static Result<std::size_t> send(RingSender& to, const std::string& text) {
    const Bytes bytes = as_bytes(text);
    return to.send({&bytes, 1});
  }
  static std::string text_of(int number) {
    return std::to_string(number) + std::string(static_cast<std::size_t>(number * 13 % 300), '.');
  }
  void flip(const std::string& name, std::size_t bit) const {
    const Fd file = open(name);
    std::byte byte{};
    or_throw(os::read_at(file, bit / 8, {&byte, 1}, name));
    byte ^= std::byte{1} << (bit % 8);
    or_throw(os::write_at(file, bit / 8, {&byte, 1}, name));
  }
  std::uint64_t size_of(const std::string& name) const { return fs::file_size(path(name)); }
};

TEST_F(ring, goes_round_many_times_and_keeps_order_and_content) {
  auto from = sender();
  auto to = receiver();
  Message message;
  int sent = 0;
  int received = 0;
  while (received < 2000) {
    while (sent < 2000 && send(from, text_of(sent))) ++sent;
    for (int i = 0; i < 7 && or_throw(to.next(message)); ++i) {
      ASSERT_EQ(message.text(), text_of(received++));
    }
  }
  EXPECT_FALSE(or_throw(to.next(message)));
}

TEST_F(ring, is_gone_on_with_by_whoever_opens_it_again) {
  Message message;
  int received = 0;
  for (int round = 0; round < 200; ++round) {
    {
      auto from = sender();
      ASSERT_TRUE(send(from, text_of(2 * round)));
      ASSERT_TRUE(send(from, text_of(2 * round + 1)));
    }
    auto to = receiver();
    ASSERT_TRUE(or_throw(to.next(message)));
    EXPECT_EQ(message.text(), text_of(received));
    ASSERT_TRUE(or_throw(to.next(message)));
    EXPECT_EQ(message.text(), text_of(received + 1));
    if (round % 3 == 0) {  // it dies with a message in hand: that one comes again
      to = receiver();
      ASSERT_TRUE(or_throw(to.next(message)));
      EXPECT_EQ(message.text(), text_of(received + 1));
    }
    ASSERT_TRUE(to.acknowledge());
    received += 2;
  }
}

TEST_F(ring, that_is_full_says_so_and_takes_more_when_something_was_dealt_with) {
  auto from = sender();
  const std::string text(1000, 'x');
  int sent = 0;
  while (send(from, text)) ++sent;
  EXPECT_EQ(sent, static_cast<int>(capacity / 1032));
  EXPECT_EQ(send(from, text).error(), ErrorKind::full);
  auto to = receiver();
  Message message;
  ASSERT_TRUE(or_throw(to.next(message)));
  EXPECT_EQ(send(from, text).error(), ErrorKind::full) << "it is still in hand";
  ASSERT_TRUE(or_throw(to.next(message)));
  EXPECT_TRUE(send(from, text));
}

TEST_F(ring, puts_large_messages_aside_and_removes_them_when_they_were_dealt_with) {
  auto from = sender();
  const std::string large(100'000, 'l');
  ASSERT_TRUE(send(from, large));
  EXPECT_TRUE(fs::exists(path("0.1")));
  EXPECT_EQ(send(from, large).error(), ErrorKind::full) << "one at a time";
  ASSERT_TRUE(send(from, "small"));
  Message message;
  {
    auto dies = receiver();
    ASSERT_TRUE(or_throw(dies.next(message)));
  }
  auto to = receiver();
  ASSERT_TRUE(or_throw(to.next(message)));
  EXPECT_EQ(message.text(), large);
  ASSERT_TRUE(or_throw(to.next(message)));
  EXPECT_EQ(message.text(), "small");
  EXPECT_FALSE(fs::exists(path("0.1")));
  EXPECT_FALSE(or_throw(to.next(message)));

  // Killed between the removal and the cursor: it had been dealt with.
  ASSERT_TRUE(send(from, large));
  ASSERT_TRUE(send(from, "next"));
  fs::remove(path("0.3"));
  auto after = receiver();
  ASSERT_TRUE(or_throw(after.next(message)));
  EXPECT_EQ(message.text(), "next");

  // Killed between making it and publishing it: the next sender removes it.
  std::ofstream{path("0.5")} << "half of one";
  from = sender();
  EXPECT_FALSE(fs::exists(path("0.5")));
}

TEST_F(ring, shows_every_flipped_bit_of_what_it_holds) {
  constexpr int count = 3;
  {
    auto from = sender();
    for (int i = 0; i < count; ++i) ASSERT_TRUE(send(from, "message " + std::to_string(i)));
  }
  const auto try_all = [&] {
    fs::remove(path("1.head"));  // as if it were read for the first time
    auto to = open_receiver();
    if (!to) return -1;
    Message message;
    for (int i = 0; i < count; ++i) {
      auto got = to->next(message);
      if (!got) return -1;
      if (!*got) return i;
      EXPECT_EQ(message.text(), "message " + std::to_string(i));
    }
    return count;
  };
  for (std::size_t bit = 0; bit < sizeof(RingHeader) * 8; ++bit) {
    flip("0.ring", bit);
    ASSERT_EQ(try_all(), -1) << "header, bit " << bit;
    flip("0.ring", bit);
  }
  const auto used = static_cast<std::size_t>(file::record_bytes(9)) * count;
  std::size_t unseen = 0;
  for (std::size_t bit = ring_offset * 8; bit < (ring_offset + used) * 8; ++bit) {
    flip("0.ring", bit);
    unseen += try_all() == count ? 1 : 0;
    flip("0.ring", bit);
  }
  EXPECT_EQ(unseen, std::size_t{count * 7 * 8}) << "the padding";
  for (std::size_t bit = cursor_offset * 8; bit < (cursor_offset + sizeof(Cursor)) * 8; ++bit) {
    flip("0.tail", bit);
    ASSERT_EQ(try_all(), -1) << "cursor, bit " << bit;
    flip("0.tail", bit);
  }
  EXPECT_EQ(try_all(), count);
}

TEST_F(ring, with_a_cursor_that_cannot_be_is_refused) {
  auto from = sender();
  ASSERT_TRUE(send(from, "one"));
  auto to = receiver();
  const Fd tail = open("0.tail");
  const std::uint64_t salt = or_throw(RingFile::open(path("0.ring"), capacity)).salt();
  for (const std::uint64_t position : {capacity + 8, std::uint64_t{3}, ~std::uint64_t{7}}) {
    ASSERT_TRUE(write_cursor(tail, cursor_offset,
                             {.position = position, .sequence = 2, .salt = salt}, "tail"));
    Message message;
    auto got = open_receiver();
    ASSERT_FALSE(got) << position;
    EXPECT_EQ(got.error(), ErrorKind::corrupt);
  }
  const Fd head = open("1.head");
  ASSERT_TRUE(write_cursor(head, 0, {.position = 1 << 20, .sequence = 2, .salt = salt}, "head"));
  auto sent = send(from, "two");
  for (int i = 0; i < 20 && sent; ++i) sent = send(from, std::string(4000, 'x'));
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error(), ErrorKind::corrupt);
}

TEST_F(ring, cut_short_by_somebody_is_an_error_and_no_signal) {
  auto from = sender();
  auto to = receiver();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(send(from, text_of(i)));
  fs::resize_file(path("0.ring"), ring_offset + 100);
  Message message;
  Result<bool> got = true;
  for (int i = 0; i < 10 && got; ++i) got = to.next(message);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error(), ErrorKind::corrupt);
  EXPECT_THAT(got.error().sentence(), testing::HasSubstr("cut short"));
  EXPECT_FALSE(open_receiver());
}

TEST_F(ring, that_has_no_room_on_the_disk_is_not_made) {
  rlimit limit{};
  ::getrlimit(RLIMIT_FSIZE, &limit);
  const rlimit tight{8192, limit.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &tight);
  auto made = RingFile::open(path("0.ring"), capacity);
  ::setrlimit(RLIMIT_FSIZE, &limit);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error(), ErrorKind::exhausted);
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(ring, is_made_once_by_many_that_want_it_at_once_threaded) {
  std::vector<std::uint64_t> salts(8);
  {
    std::vector<std::jthread> threads;
    for (auto& salt : salts) {
      threads.emplace_back(
          [&, &out = salt] { out = or_throw(RingFile::open(path("0.ring"), capacity)).salt(); });
    }
  }
  EXPECT_THAT(salts, testing::Each(salts[0]));
  EXPECT_EQ(size_of("0.ring"), ring_offset + capacity);
}

class mapped_file : public testing::Test {
 protected:
  const std::string at_ = "mmap://" + (test::temporary_folder() / "link").string();
};

TEST_F(mapped_file, takes_messages_while_nobody_is_there_and_waits_when_it_is_full) {
  {
    auto early = or_throw(connect(at_, 1s, {.capacity_bytes = 16 * 1024}));
    int sent = 0;
    while (early.try_send(as_bytes("early"))) ++sent;
    EXPECT_GT(sent, 300);
    EXPECT_EQ(early.send(as_bytes("more"), 5ms).error(), ErrorKind::timed_out);
    EXPECT_EQ(early.receive(5ms).error(), ErrorKind::timed_out);
  }
  auto listener = or_throw(listen(at_));
  EXPECT_EQ(listener.try_accept().error(), ErrorKind::empty);
  auto again = or_throw(connect(at_, 1s));
  auto server = or_throw(listener.accept(20s));
  EXPECT_EQ(or_throw(server.receive(20s)).text(), "early");
  EXPECT_EQ(server.peer().pid, ::getpid());
}

TEST_F(mapped_file, has_two_seats_and_each_says_who_has_it) {
  auto listener = or_throw(listen(at_));
  auto client = or_throw(connect(at_, 1s));
  auto second = connect(at_, 1s);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error(), ErrorKind::exists);
  EXPECT_THAT(second.error().sentence(), testing::HasSubstr(std::to_string(::getpid())));
  EXPECT_EQ(listen(at_).error(), ErrorKind::exists);
}

TEST_F(mapped_file, goes_on_with_the_next_client_and_the_next_server) {
  for (int round = 0; round < 5; ++round) {
    auto listener = or_throw(listen(at_));
    for (int client = 0; client < 3; ++client) {
      auto one = or_throw(connect(at_, 1s));
      auto server = or_throw(listener.accept(20s));
      ASSERT_TRUE(one.send(as_bytes("question"), 20s));
      EXPECT_EQ(or_throw(server.receive(20s)).text(), "question");
      ASSERT_TRUE(server.send(as_bytes("answer"), 20s));
      EXPECT_EQ(or_throw(one.receive(20s)).text(), "answer");
      one.close();
      EXPECT_EQ(server.receive(20s).error(), ErrorKind::closed);
    }
  }
}

TEST_F(mapped_file, with_follow_waits_for_a_peer_that_comes_again) {
  auto listener = or_throw(listen(at_ + "?follow=yes"));
  auto first = or_throw(connect(at_, 1s));
  auto server = or_throw(listener.accept(20s));
  first.close();
  EXPECT_EQ(server.receive(5ms).error(), ErrorKind::timed_out);
  auto second = or_throw(connect(at_, 1s));
  ASSERT_TRUE(second.send(as_bytes("back"), 20s));
  EXPECT_EQ(or_throw(server.receive(20s)).text(), "back");
}

TEST_F(mapped_file, refuses_paths_and_parameters_that_cannot_be) {
  for (const std::string bad : {"mmap:relative", "mmap:///tmp/../x", "mmap:///x/",
                                "mmap:///x?sync=maybe", "mmap:///x?colour=red"}) {
    EXPECT_EQ(connect(bad, 1s).error(), ErrorKind::invalid) << bad;
    EXPECT_EQ(listen(bad).error(), ErrorKind::invalid) << bad;
  }
}

}  // namespace
}  // namespace bulkhead::transport::mmap
