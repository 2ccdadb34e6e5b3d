// SPDX-License-Identifier: Apache-2.0
//
// Logs as their writer and readers see them: what stays, what is found damaged, what is cut.
#include <algorithm>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>
#include <vector>

#include <bulkhead/channel.hpp>
#include <bulkhead/listener.hpp>

#include "support/census.hpp"
#include "transport/file/log_reader.hpp"
#include "transport/file/log_writer.hpp"

namespace bulkhead::transport::file {
namespace {

namespace fs = std::filesystem;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

class log : public testing::Test {
 protected:
  const std::string folder_ = (test::temporary_folder() / "log").string();

  std::string segment(std::uint64_t first = 1) const { return folder_ + "/" + segment_name(first); }

  static std::string text_of(std::uint64_t number) {
    return "message " + std::to_string(number) + std::string(number * 7 % 40, '.');
  }

  void write(std::uint64_t from, std::uint64_t to, const LogOptions& options = {}) {
    auto writer = or_throw(LogWriter::open(folder_, options));
    for (std::uint64_t i = from; i < to; ++i) {
      const std::string text = text_of(i);
      const Bytes bytes = as_bytes(text);
      or_throw(writer.append({&bytes, 1}));
    }
    writer.close();
  }

  /// What a reader from the start gets: texts, then the sentence of the error if there is one.
  std::vector<std::string> read(const ReadOptions& options = {}) const {
    std::vector<std::string> texts;
    auto reader = LogReader::open(folder_, options);
    if (!reader) return {reader.error().sentence()};
    Message message;
    for (;;) {
      auto got = reader->next(message);
      if (!got) {
        texts.push_back(got.error().sentence());
        if (got.error() == ErrorKind::not_found) continue;
        return texts;
      }
      if (*got == LogReader::Got::nothing) {
        or_throw(reader->store());
        return texts;
      }
      texts.emplace_back(message.text());
    }
  }

  static std::vector<std::string> texts(std::uint64_t from, std::uint64_t to) {
    std::vector<std::string> all;
    for (std::uint64_t i = from; i < to; ++i) all.push_back(text_of(i));
    return all;
  }

  static std::string slurp(const std::string& path) {
    std::ifstream file{path, std::ios::binary};
    return {std::istreambuf_iterator<char>{file}, {}};
  }
  /// In place, which is quicker than writing the file anew.
  static void flip(const std::string& path, std::size_t bit) {
    const Fd file = or_throw(os::open_file(path, O_RDWR));
    std::byte byte{};
    or_throw(os::read_at(file, bit / 8, {&byte, 1}, path));
    byte ^= std::byte{1} << (bit % 8);
    or_throw(os::write_at(file, bit / 8, {&byte, 1}, path));
  }
  static void spill(const std::string& path, std::string_view content) {
    std::ofstream{path, std::ios::binary | std::ios::trunc} << content;
  }
};

TEST_F(log, is_read_again_and_written_on_by_the_next) {
  write(0, 10);
  write(10, 20);
  EXPECT_EQ(read(), texts(0, 20));
  EXPECT_EQ(fs::status(segment()).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(log, has_one_writer_and_says_who) {
  const auto writer = or_throw(LogWriter::open(folder_, {}));
  auto second = LogWriter::open(folder_, {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error(), ErrorKind::exists);
  EXPECT_THAT(second.error().sentence(), testing::HasSubstr(std::to_string(::getpid())));
}

TEST_F(log, cut_at_any_byte_keeps_all_that_is_whole_and_goes_on) {
  write(0, 5);
  const std::string whole = slurp(segment());
  std::vector<std::uint64_t> ends{sizeof(SegmentHeader)};
  for (std::uint64_t i = 0; i < 5; ++i)
    ends.push_back(ends.back() + record_bytes(text_of(i).size()));
  ASSERT_EQ(ends.back(), whole.size());
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    spill(segment(), std::string_view{whole}.substr(0, size));
    const auto behind = std::upper_bound(ends.begin(), ends.end(), size) - ends.begin();
    // The padding of a record need not be there.
    auto kept = static_cast<std::uint64_t>(behind > 0 ? behind - 1 : 0);
    if (kept < 5 && size + 7 >= ends[kept + 1] &&
        size >= ends[kept] + header_bytes + text_of(kept).size()) {
      ++kept;
    }
    ASSERT_EQ(read(), texts(0, kept)) << size;
    write(100, 101);
    auto expected = texts(0, kept);
    expected.push_back(text_of(100));
    ASSERT_EQ(read(), expected) << size;
  }
}

TEST_F(log, with_garbage_behind_it_is_cut_where_the_garbage_begins) {
  write(0, 5);
  const std::string whole = slurp(segment());
  std::uint64_t state = 42;
  for (int round = 0; round < 60; ++round) {
    std::string garbage(static_cast<std::size_t>(round) * 69 % 4096, '\0');
    for (char& byte : garbage) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      byte = round % 3 == 0 ? '\0' : static_cast<char>(state >> 40);
    }
    spill(segment(), whole + garbage);
    ASSERT_EQ(read(), texts(0, 5)) << round;
    write(5, 6);
    ASSERT_EQ(read(), texts(0, 6)) << round;
  }
}

TEST_F(log, shows_every_single_flipped_bit) {
  write(0, 4);
  const std::string whole = slurp(segment());
  const auto all = texts(0, 4);
  std::size_t unseen = 0;
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    flip(segment(), bit);
    const auto got = read();
    flip(segment(), bit);
    if (got == all) {
      ++unseen;  // in the padding
      continue;
    }
    // Whole messages from the first on, then nothing or the word for it.
    std::size_t i = 0;
    for (; i < got.size() && i < all.size() && got[i] == all[i];) ++i;
    ASSERT_LT(i, all.size()) << bit;
    if (i < got.size()) {
      ASSERT_EQ(i + 1, got.size()) << bit;
      EXPECT_THAT(got[i], testing::HasSubstr("is damaged at offset"));
    }
  }
  std::size_t padding = 0;
  for (const auto& text : all) padding += (8 - text.size() % 8) % 8;
  EXPECT_EQ(unseen, padding * 8);
}

TEST_F(log, damaged_in_the_middle_is_told_with_file_and_offset_and_never_cut) {
  write(0, 10);
  std::string content = slurp(segment());
  const std::uint64_t third =
      sizeof(SegmentHeader) + record_bytes(text_of(0).size()) + record_bytes(text_of(1).size());
  content[third + header_bytes + 2] ^= 1;
  spill(segment(), content);
  auto expected = texts(0, 2);
  expected.push_back(segment() + " is damaged at offset " + std::to_string(third) +
                     "; restore it from a copy, or begin a new log");
  EXPECT_EQ(read().size(), 3u);
  EXPECT_THAT(read().back(), testing::HasSubstr(expected.back()));
  write(10, 11);
  EXPECT_EQ(slurp(segment()), content) << "what can still be rescued from it is there";
  EXPECT_THAT(read().back(), testing::HasSubstr("damaged at offset"));
}

TEST_F(log, that_was_never_on_the_disk_at_a_place_is_cut_there) {
  // Three messages in one group: their records know that nothing behind the header was synced.
  const std::string text(100, 'x');
  const std::vector<Bytes> group(3, as_bytes(text));
  {
    auto writer = or_throw(LogWriter::open(folder_, {.sync = Sync::each}));
    or_throw(writer.append(group));
  }
  std::string content = slurp(segment());
  content[sizeof(SegmentHeader) + record_bytes(100) + 40] ^= 4;  // a block that the disk had not
  spill(segment(), content);
  EXPECT_EQ(read(), std::vector<std::string>{text});
  write(7, 8);
  EXPECT_EQ(read(), (std::vector<std::string>{text, text_of(7)}));
}

TEST_F(log, rotates_and_keeps_so_many_segments_and_tells_what_was_removed) {
  auto reader_options = ReadOptions{};
  reader_options.cursor = "slow";
  write(0, 3, {.segment_bytes = 4096, .keep = 2});
  EXPECT_EQ(read(reader_options), texts(0, 3));
  write(3, 400, {.segment_bytes = 4096, .keep = 2});
  std::vector<std::string> segments;
  for (const auto& entry : fs::directory_iterator{folder_}) {
    if (entry.path().extension() == ".log") segments.push_back(entry.path().filename());
  }
  ASSERT_EQ(segments.size(), 2u);
  std::ranges::sort(segments);
  const std::uint64_t oldest = first_of(segments[0]);
  ASSERT_GT(oldest, 4u);
  const auto got = read(reader_options);
  ASSERT_FALSE(got.empty());
  EXPECT_THAT(got[0], testing::HasSubstr(std::to_string(oldest - 4) + " messages were removed"));
  EXPECT_EQ(std::vector(got.begin() + 1, got.end()), texts(oldest - 1, 400));
  EXPECT_EQ(read(), texts(oldest - 1, 400)) << "who begins at the oldest has lost nothing";
}

TEST_F(log, is_read_across_its_segments_while_it_is_written) {
  LogOptions options{.segment_bytes = 4096};
  auto writer = or_throw(LogWriter::open(folder_, options));
  auto reader = or_throw(LogReader::open(folder_, {}));
  Message message;
  for (std::uint64_t i = 0; i < 500; ++i) {
    const std::string text = text_of(i);
    const Bytes bytes = as_bytes(text);
    or_throw(writer.append({&bytes, 1}));
    if (i % 5 != 4) continue;
    for (std::uint64_t k = i - 4; k <= i; ++k) {
      ASSERT_EQ(or_throw(reader.next(message)), LogReader::Got::message);
      ASSERT_EQ(message.text(), text_of(k));
    }
    ASSERT_EQ(or_throw(reader.next(message)), LogReader::Got::nothing);
  }
}

TEST_F(log, gives_each_cursor_its_own_place) {
  ReadOptions one;
  one.cursor = "one";
  ReadOptions two;
  two.cursor = "two";
  write(0, 5);
  {
    auto reader = or_throw(LogReader::open(folder_, one));
    auto same = LogReader::open(folder_, one);
    ASSERT_FALSE(same);
    EXPECT_EQ(same.error(), ErrorKind::exists);
    Message message;
    for (int i = 0; i < 3; ++i) ASSERT_EQ(*reader.next(message), LogReader::Got::message);
    or_throw(reader.store());
  }
  EXPECT_EQ(read(one), texts(3, 5));
  EXPECT_EQ(read(two), texts(0, 5));
  ReadOptions end;
  end.from_end = true;
  EXPECT_TRUE(read(end).empty());
  std::string cursor = slurp(folder_ + "/one.cursor");
  for (std::size_t bit = 0; bit < cursor.size() * 8; ++bit) {
    flip(folder_ + "/one.cursor", bit);
    ASSERT_THAT(read(one).at(0), testing::HasSubstr("cursor is damaged"));
    flip(folder_ + "/one.cursor", bit);
  }
}

TEST_F(log, carries_large_messages_in_pieces_and_a_torn_one_is_no_message) {
  std::string large(5'000'000, '\0');
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 31 + i / 4093);
  const Bytes bytes = as_bytes(large);
  {
    auto writer = or_throw(LogWriter::open(folder_, {}));
    or_throw(writer.append({&bytes, 1}));
    or_throw(writer.append({&bytes, 1}));
  }
  EXPECT_EQ(read(), (std::vector{large, large}));
  fs::resize_file(segment(), fs::file_size(segment()) - 1'500'000);
  EXPECT_EQ(read(), std::vector{large});
  write(1, 2);
  EXPECT_EQ(read(), (std::vector{large, text_of(1)}));
}

class two_logs : public testing::Test {
 protected:
  const std::string folder_ = (test::temporary_folder() / "desk").string();
  const std::string at_ = "file://" + folder_;

  static std::string next(Channel& channel) {
    auto got = channel.receive(20s);
    return got ? std::string{got->text()} : std::string{to_string(got.error().kind())};
  }
};

TEST_F(two_logs, keep_what_each_end_wrote_when_both_have_gone) {
  {
    auto client = or_throw(connect(at_, 1s));
    for (const char* text : {"a", "b", "c"}) ASSERT_TRUE(client.send(as_bytes(text), 1s));
  }
  {
    auto listener = or_throw(listen(at_));
    EXPECT_EQ(listener.try_accept().error(), ErrorKind::empty) << "who has gone is no client";
  }
  {
    auto desk = or_throw(connect(at_ + "?seat=listen", 1s));
    EXPECT_EQ(next(desk), "a");
    EXPECT_EQ(next(desk), "b");
    ASSERT_TRUE(desk.send(as_bytes("re: a"), 1s));
    EXPECT_EQ(desk.peer().pid, 0) << "nobody is there";
  }
  auto listener = or_throw(listen(at_));
  auto client = or_throw(connect(at_, 1s));
  auto server = or_throw(listener.accept(20s));
  EXPECT_EQ(next(client), "re: a");
  EXPECT_EQ(next(server), "c") << "where its cursor was";
  EXPECT_EQ(server.peer().pid, ::getpid());
  EXPECT_EQ(server.try_receive().error(), ErrorKind::empty);
}

TEST_F(two_logs, are_gone_on_with_at_the_cursor_that_was_named) {
  {
    auto client = or_throw(connect(at_, 1s));
    for (const char* text : {"a", "b"}) ASSERT_TRUE(client.send(as_bytes(text), 1s));
  }
  const auto seat = [&](const std::string& name) {
    return or_throw(connect(at_ + "?seat=listen&cursor=" + name, 1s));
  };
  for (const std::string name : {"one", "two"}) {
    auto first = seat(name);
    EXPECT_EQ(next(first), "a") << "each from the oldest";
    first.close();
    auto second = seat(name);
    EXPECT_EQ(next(second), "b");
    EXPECT_EQ(second.try_receive().error(), ErrorKind::empty);
  }
}

TEST_F(two_logs, have_two_ends_and_each_says_who_has_it) {
  auto listener = or_throw(listen(at_));
  auto client = or_throw(connect(at_, 1s));
  for (const auto& second :
       {connect(at_, 1s).error(), listen(at_).error(), connect(at_ + "?seat=listen", 1s).error()}) {
    EXPECT_EQ(second, ErrorKind::exists);
    EXPECT_THAT(second.sentence(), testing::HasSubstr(std::to_string(::getpid())));
  }
  // The seat stays the accepted end's when its listener has gone, and is free behind both.
  auto server = or_throw(listener.accept(20s));
  listener.close();
  EXPECT_EQ(listen(at_).error(), ErrorKind::exists);
  server.close();
  EXPECT_TRUE(listen(at_));
}

TEST_F(two_logs, tell_of_a_peer_that_was_there_and_wait_for_one_that_has_gone_before) {
  for (int round = 0; round < 3; ++round) {
    auto listener = or_throw(listen(at_));
    auto client = or_throw(connect(at_, 1s));
    EXPECT_EQ(client.receive(5ms).error(), ErrorKind::timed_out)
        << "the server of the last round is not this one's";
    ASSERT_TRUE(client.send(as_bytes("question"), 1s));
    auto server = or_throw(listener.accept(20s));
    EXPECT_EQ(next(server), "question");
    ASSERT_TRUE(server.send(as_bytes("answer"), 1s));
    server.close();
    EXPECT_EQ(next(client), "answer");
    EXPECT_EQ(next(client), "closed");
    EXPECT_EQ(client.send(as_bytes("late"), 1s).error(), ErrorKind::closed);
  }
}

TEST_F(two_logs, take_a_client_in_that_has_gone_again_with_its_messages) {
  auto listener = or_throw(listen(at_));
  ASSERT_TRUE(or_throw(connect(at_, 1s)).send(as_bytes("I was here"), 1s));
  auto server = or_throw(listener.accept(20s));
  EXPECT_EQ(next(server), "I was here");
  EXPECT_EQ(next(server), "closed");
}

TEST_F(two_logs, serve_one_client_and_say_so) {
  ChannelOptions many;
  many.needs.many_clients = true;
  auto refused = connect(at_, 1s, many);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), ErrorKind::unsupported);
  EXPECT_THAT(refused.error().sentence(), testing::HasSubstr("many clients"));
  EXPECT_FALSE(fs::exists(folder_)) << "before anything is made";
  EXPECT_FALSE(or_throw(connect(at_, 1s)).capabilities().many_clients);
}

}  // namespace
}  // namespace bulkhead::transport::file
