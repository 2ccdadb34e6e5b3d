// SPDX-License-Identifier: Apache-2.0
#include "os/socket.hpp"

#include <array>
#include <cstring>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace bulkhead::os {
namespace {

struct Pair {
  Pair() {
    auto made = or_throw(socket_pair());
    left = std::move(made.first);
    right = std::move(made.second);
  }
  Fd left;
  Fd right;
};

struct Buffer {
  std::array<char, 64> bytes{};
  MutableBytes room(std::size_t size = 64) {
    return std::as_writable_bytes(std::span{bytes.data(), size});
  }
  std::string text(const Packet& packet) const { return {bytes.data(), packet.size}; }
};

std::vector<int> numbers(const std::vector<Fd>& fds) {
  std::vector<int> list;
  for (const auto& fd : fds) list.push_back(fd.native());
  return list;
}

std::vector<Fd> some(std::size_t count) {
  std::vector<Fd> fds;
  for (std::size_t i = 0; i < count; ++i) {
    fds.push_back(Fd::adopt(::open("/dev/null", O_RDONLY | O_CLOEXEC)));
  }
  return fds;
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  for (int fd = 0; fd < 1024; ++fd) count += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  return count;
}

TEST(socket_pair, is_close_on_exec_and_does_not_block) {
  const Pair pair;
  for (const auto* end : {&pair.left, &pair.right}) {
    EXPECT_EQ(::fcntl(end->native(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    EXPECT_EQ(::fcntl(end->native(), F_GETFL) & O_NONBLOCK, O_NONBLOCK);
  }
}

TEST(packet, keeps_its_boundaries_and_its_order) {
  const Pair pair;
  ASSERT_TRUE(send_packet(pair.left, as_bytes("one")));
  ASSERT_TRUE(send_packet(pair.left, as_bytes("three")));
  Buffer buffer;
  EXPECT_EQ(buffer.text(or_throw(receive_packet(pair.right, buffer.room(), 0))), "one");
  EXPECT_EQ(buffer.text(or_throw(receive_packet(pair.right, buffer.room(), 0))), "three");
  EXPECT_EQ(receive_packet(pair.right, buffer.room(), 0).error(), ErrorKind::empty);
}

TEST(packet, is_gathered_from_parts_and_scattered_into_parts) {
  const Pair pair;
  std::string head = "head";
  std::string body = "body";
  const std::array parts{iovec{head.data(), 4}, iovec{body.data(), 4}};
  ASSERT_TRUE(send_packet(pair.left, parts));
  std::array<char, 3> first{};
  std::array<char, 8> second{};
  const std::array into{iovec{first.data(), 3}, iovec{second.data(), 8}};
  const auto packet = or_throw(receive_packet(pair.right, into, 0));
  EXPECT_EQ(packet.size, 8U);
  EXPECT_EQ(std::string(first.data(), 3) + std::string(second.data(), 5), "headbody");
}

TEST(packet, carries_descriptors_that_are_close_on_exec) {
  const Pair pair;
  const auto fds = some(3);
  struct stat sent{};
  ASSERT_EQ(::fstat(fds[0].native(), &sent), 0);
  ASSERT_TRUE(send_packet(pair.left, as_bytes("x"), numbers(fds)));
  Buffer buffer;
  const auto packet = or_throw(receive_packet(pair.right, buffer.room(), 3));
  ASSERT_EQ(packet.fds.size(), 3U);
  for (const auto& fd : packet.fds) {
    struct stat got{};
    ASSERT_EQ(::fstat(fd.native(), &got), 0);
    EXPECT_EQ(got.st_rdev, sent.st_rdev);
    EXPECT_EQ(::fcntl(fd.native(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  }
}

TEST(packet, carries_as_many_descriptors_as_the_kernel_lets_it) {
  const Pair pair;
  const Fd one = Fd::adopt(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const std::vector<int> most(max_packet_fds, one.native());
  ASSERT_TRUE(send_packet(pair.left, as_bytes("x"), most));
  Buffer buffer;
  EXPECT_EQ(or_throw(receive_packet(pair.right, buffer.room(), max_packet_fds)).fds.size(),
            max_packet_fds);
  const std::vector<int> more(max_packet_fds + 1, one.native());
  EXPECT_EQ(send_packet(pair.left, as_bytes("x"), more).error(), ErrorKind::too_large);
}

TEST(packet, with_more_descriptors_than_allowed_is_corrupt_and_leaks_none) {
  const Pair pair;
  const auto fds = some(5);
  const auto before = open_descriptors();
  ASSERT_TRUE(send_packet(pair.left, as_bytes("x"), numbers(fds)));
  Buffer buffer;
  EXPECT_EQ(receive_packet(pair.right, buffer.room(), 4).error(), ErrorKind::corrupt);
  EXPECT_EQ(open_descriptors(), before);
}

TEST(packet, longer_than_the_room_is_corrupt_and_leaks_no_descriptors) {
  const Pair pair;
  const auto fds = some(2);
  const auto before = open_descriptors();
  ASSERT_TRUE(send_packet(pair.left, as_bytes("much too long"), numbers(fds)));
  Buffer buffer;
  EXPECT_EQ(receive_packet(pair.right, buffer.room(4), 2).error(), ErrorKind::corrupt);
  EXPECT_EQ(open_descriptors(), before);
}

TEST(packet, whose_descriptors_find_no_room_is_exhausted_and_leaks_none) {
  const Pair pair;
  const auto fds = some(4);
  ASSERT_TRUE(send_packet(pair.left, as_bytes("x"), numbers(fds)));
  const auto before = open_descriptors();
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  // Room for one or two of the four: what was installed must go again.
  const int next = Fd::duplicate(pair.left)->native();
  const rlimit few{.rlim_cur = static_cast<rlim_t>(next) + 2, .rlim_max = limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  Buffer buffer;
  const auto refused = receive_packet(pair.right, buffer.room(), 4);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), ErrorKind::exhausted);
  EXPECT_EQ(open_descriptors(), before);
}

TEST(packet, is_full_when_the_buffer_is_and_goes_when_there_is_room_again) {
  const Pair pair;
  const std::string block(4096, 'x');
  Result<void> sent{};
  std::size_t count = 0;
  while ((sent = send_packet(pair.left, as_bytes(block)))) ++count;
  EXPECT_EQ(sent.error(), ErrorKind::full);
  EXPECT_GT(count, 1U);
  std::vector<std::byte> room(4096);
  ASSERT_TRUE(receive_packet(pair.right, room, 0));
  EXPECT_TRUE(send_packet(pair.left, as_bytes(block)));
}

TEST(packet, larger_than_any_buffer_is_too_large) {
  const Pair pair;
  const std::string huge(std::size_t{64} << 20, 'x');
  EXPECT_EQ(send_packet(pair.left, as_bytes(huge)).error(), ErrorKind::too_large);
}

TEST(packet, to_a_closed_peer_is_an_error_and_no_signal) {
  Pair pair;
  pair.right.close();
  EXPECT_EQ(send_packet(pair.left, as_bytes("x")).error(), ErrorKind::closed);
}

TEST(packet, from_a_closed_peer_comes_before_the_end) {
  Pair pair;
  ASSERT_TRUE(send_packet(pair.left, as_bytes("last")));
  pair.left.close();
  Buffer buffer;
  EXPECT_EQ(buffer.text(or_throw(receive_packet(pair.right, buffer.room(), 0))), "last");
  for (int again = 0; again < 2; ++again) {
    const auto end = or_throw(receive_packet(pair.right, buffer.room(), 0));
    EXPECT_TRUE(end.closed);
    EXPECT_EQ(end.size, 0U);
  }
}

TEST(packet, dropped_with_its_socket_closes_the_descriptors_in_it) {
  const auto before = open_descriptors();
  {
    const Pair pair;
    const auto fds = some(2);
    ASSERT_TRUE(send_packet(pair.left, as_bytes("x"), numbers(fds)));
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST(peer, of_a_socket_pair_is_who_made_it) {
  const Pair pair;
  const auto credentials = peer_credentials(pair.left);
  EXPECT_EQ(credentials.pid, ::getpid());
  EXPECT_EQ(credentials.uid, ::geteuid());
  EXPECT_EQ(credentials.gid, ::getegid());
}

TEST(peer, of_something_else_is_nobody) {
  const Fd null = Fd::adopt(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(peer_credentials(null).pid, 0);
  EXPECT_EQ(peer_credentials(null).uid, static_cast<uid_t>(-1));
}

TEST(wrapped_descriptors, travel_as_one_and_come_out_in_order) {
  const auto fds = some(3);
  Fd parcel = or_throw(wrap_descriptors(numbers(fds)));
  const auto out = or_throw(unwrap_descriptors(std::move(parcel), 3));
  ASSERT_EQ(out.size(), 3U);
  struct stat first{};
  struct stat same{};
  ASSERT_EQ(::fstat(fds[0].native(), &first), 0);
  ASSERT_EQ(::fstat(out[0].native(), &same), 0);
  EXPECT_EQ(first.st_rdev, same.st_rdev);
}

TEST(wrapped_descriptors, are_closed_with_what_holds_them) {
  auto ends = or_throw(socket_pair());
  const std::array fds{ends.second.native()};
  Fd parcel = or_throw(wrap_descriptors(fds));
  ends.second.close();
  std::array<std::byte, 1> room;
  EXPECT_EQ(receive_packet(ends.first, room, 0).error(), ErrorKind::empty);
  parcel.close();
  EXPECT_TRUE(or_throw(receive_packet(ends.first, room, 0)).closed);
}

TEST(wrapped_descriptors, of_another_number_or_kind_are_refused) {
  const auto fds = some(2);
  EXPECT_EQ(unwrap_descriptors(or_throw(wrap_descriptors(numbers(fds))), 3).error(),
            ErrorKind::invalid);
  EXPECT_EQ(unwrap_descriptors(std::move(some(1).front()), 1).error(), ErrorKind::invalid);
  EXPECT_EQ(unwrap_descriptors(std::move(Pair{}.left), 1).error(), ErrorKind::invalid);
}

}  // namespace
}  // namespace bulkhead::os
