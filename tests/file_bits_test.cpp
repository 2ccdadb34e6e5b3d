// SPDX-License-Identifier: Apache-2.0
//
// Single flipped bits (F24) in what lies on the disk of a log that was closed in good order, or in a
// mapped file: each in a header or a payload is found, by `corrupt` behind the messages before it,
// and no message is ever anything but one that was sent. Every bit of small files; of larger ones, with
// messages in pieces and in files of their own, some at random, and more under `make soak`.
#include <algorithm>
#include <cstdint>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <unistd.h>
#include <vector>

#include <bulkhead/channel.hpp>

#include "os/file.hpp"
#include "support/soak.hpp"
#include "transport/file/segment.hpp"
#include "transport/mmap/layout.hpp"

namespace bulkhead::transport {
namespace {

namespace fs = std::filesystem;
using std::chrono_literals::operator""s;

class flipped_bits : public testing::Test {
 protected:
  // In memory, and looked at by a timer: closing inotify takes the kernel milliseconds.
  flipped_bits() { fs::remove_all(folder_); }
  ~flipped_bits() override { fs::remove_all(folder_); }

  const std::string folder_ = "/dev/shm/bulkhead-test-bits-" + std::to_string(::getpid());
  std::vector<std::string> sent_;
  std::mt19937_64 random_{24};

  void make_texts(const std::vector<std::size_t>& sizes) {
    sent_.clear();
    for (const std::size_t size : sizes) {
      std::string text(size, '\0');
      for (char& byte : text) byte = static_cast<char>(random_());
      sent_.push_back(text);
    }
  }

  static void flip(const std::string& path, std::uint64_t bit) {
    const Fd file = or_throw(os::open_file(path, O_RDWR));
    std::byte byte{};
    ASSERT_EQ(or_throw(os::read_at(file, bit / 8, {&byte, 1}, path)), 1u);
    byte ^= std::byte{1} << (bit % 8);
    or_throw(os::write_at(file, bit / 8, {&byte, 1}, path));
  }

  /// What the channel gives, and how it ends. Fails for a message that was not sent there.
  ErrorKind read(Result<Channel> channel) const {
    if (!channel) return channel.error().kind();
    for (std::size_t i = 0;; ++i) {
      auto got = channel->try_receive();
      if (!got) return got.error().kind();
      if (i == sent_.size() || got->text() != sent_[i]) {
        ADD_FAILURE() << "message " << i << " is none that was sent";
        return ErrorKind::system;
      }
      if (i + 1 == sent_.size()) return ErrorKind::closed;
    }
  }

  /// `bit` of `path` is found; true when it made no difference.
  bool is_unseen(const std::string& path, std::uint64_t bit,
                 const std::function<ErrorKind()>& read_all) {
    flip(path, bit);
    const ErrorKind ended = read_all();
    flip(path, bit);
    if (ended == ErrorKind::closed) return true;
    EXPECT_EQ(ended, ErrorKind::corrupt) << to_string(ended) << " for bit " << bit;
    return false;
  }
};

class flipped_bits_of_a_log : public flipped_bits {
 protected:
  const std::string segment_ = folder_ + "/" + file::segment_name(1);

  void write(const std::string& parameters) {
    fs::remove_all(folder_);
    auto log =
        or_throw(connect("file://" + folder_ + parameters, 1s, {.direction = Direction::send}));
    for (const auto& text : sent_) or_throw(log.send(as_bytes(text), 1s));
  }
  ErrorKind read_all() const {
    return read(connect("file://" + folder_ + "?look=1s", 1s, {.direction = Direction::receive}));
  }
  /// Bytes that belong to no header and no payload.
  std::size_t padding() const {
    std::size_t bytes = 0;
    for (const auto& text : sent_) bytes += (8 - text.size() % 8) % 8;
    return bytes;
  }
};

TEST_F(flipped_bits_of_a_log, are_found_one_and_all) {
  make_texts({9, 0, 1, 40, 17});
  for (const char* parameters : {"", "?sync=each"}) {
    write(parameters);
    const std::uint64_t bits = fs::file_size(segment_) * 8;
    std::size_t unseen = 0;
    for (std::uint64_t bit = 0; bit < bits; ++bit) {
      if (is_unseen(segment_, bit, [&] { return read_all(); })) ++unseen;
      ASSERT_FALSE(HasFailure()) << parameters << ", bit " << bit;
    }
    EXPECT_EQ(unseen, padding() * 8);
  }
}

TEST_F(flipped_bits_of_a_log, are_found_in_pieces_and_behind_a_rotation) {
  make_texts({100'000, 24, 1'500'000, 3000, 8});
  write("?segment=4096");
  std::vector<std::string> segments;
  for (const auto& entry : fs::directory_iterator{folder_}) {
    if (file::first_of(entry.path().filename().string()) != 0) segments.push_back(entry.path());
  }
  ASSERT_GE(segments.size(), 3u);
  const int flips = test::soaked(250);
  for (int i = 0; i < flips; ++i) {
    const auto& path = segments[random_() % segments.size()];
    const std::uint64_t bit = random_() % (fs::file_size(path) * 8);
    EXPECT_FALSE(is_unseen(path, bit, [&] { return read_all(); })) << path << ", bit " << bit;
    ASSERT_FALSE(HasFailure());
  }
}

class flipped_bits_of_a_ring : public flipped_bits {
 protected:
  const std::string ring_ = folder_ + "/1.ring";

  void write() {
    auto ring = or_throw(connect("mmap://" + folder_ + "?look=1s", 1s,
                                 {.capacity_bytes = 16 * 1024, .direction = Direction::send}));
    for (const auto& text : sent_) or_throw(ring.send(as_bytes(text), 1s));
  }
  /// As if it were read for the first time.
  ErrorKind read_all() const {
    const std::string kept = folder_ + "/kept";
    for (const auto& entry : fs::directory_iterator{folder_}) {
      const std::string name = entry.path().filename();
      if (name[0] == '1' && fs::file_size(entry) > 16 * 1024 && name != "1.ring") {
        fs::create_hard_link(entry, kept);
        break;
      }
    }
    fs::remove(folder_ + "/0.head");
    const ErrorKind ended = read(connect("mmap://" + folder_ + "?seat=listen&look=1s", 1s));
    if (fs::exists(kept)) {
      if (!fs::exists(folder_ + "/1.1")) fs::rename(kept, folder_ + "/1.1");
      fs::remove(kept);
    }
    return ended;
  }
};

TEST_F(flipped_bits_of_a_ring, are_found_in_its_header_its_records_and_its_cursor) {
  make_texts({9, 0, 40, 17});
  write();
  ASSERT_EQ(read_all(), ErrorKind::closed);
  std::uint64_t used = mmap::ring_offset;
  std::size_t padding = 0;
  for (const auto& text : sent_) {
    used += file::record_bytes(text.size());
    padding += (8 - text.size() % 8) % 8;
  }
  std::size_t unseen = 0;
  const auto try_bits = [&](const std::string& path, std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t bit = from * 8; bit < to * 8 && !HasFailure(); ++bit) {
      if (is_unseen(path, bit, [&] { return read_all(); })) ++unseen;
    }
  };
  try_bits(ring_, 0, sizeof(mmap::RingHeader));
  try_bits(folder_ + "/1.tail", mmap::cursor_offset, mmap::cursor_offset + sizeof(mmap::Cursor));
  EXPECT_EQ(unseen, 0u);
  try_bits(ring_, mmap::ring_offset, used);
  EXPECT_EQ(unseen, padding * 8);
}

TEST_F(flipped_bits_of_a_ring, are_found_in_a_message_with_a_file_of_its_own) {
  make_texts({200'000});
  write();
  ASSERT_EQ(read_all(), ErrorKind::closed);
  const std::string aside = folder_ + "/1.1";
  ASSERT_EQ(fs::file_size(aside), 200'000u);
  const int flips = test::soaked(250);
  for (int i = 0; i < flips; ++i) {
    EXPECT_FALSE(is_unseen(aside, random_() % 1'600'000, [&] { return read_all(); }));
    ASSERT_FALSE(HasFailure());
  }
}

}  // namespace
}  // namespace bulkhead::transport
