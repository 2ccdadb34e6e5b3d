// SPDX-License-Identifier: Apache-2.0
//
// Power cuts (F23): what a disk may hold when it lost power between two syncs, tried out. A sector
// that was written since the last sync is there (kept), as it was before (dropped), torn into garbage,
// or shows what another writer had once put there (stale). Whatever the combination: all that was
// synced is read, behind it nothing but whole messages of one writer in their order, and the next
// writer goes on. In CI small logs are tried exhaustively, larger ones at random; `make soak` more.
//
// A sector that holds synced bytes too is never garbage in those: disks do not tear what they are not
// told to write, and no log survives one that does.
#include <algorithm>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <unistd.h>
#include <vector>

#include "os/file.hpp"
#include "support/census.hpp"
#include "support/soak.hpp"
#include "transport/file/log_reader.hpp"
#include "transport/file/log_writer.hpp"
#include "transport/mmap/ring_ends.hpp"

/// What a sync would have kept is decided here; the real disk need not be waited for.
extern "C" int fdatasync(int) { return 0; }
extern "C" int fsync(int) { return 0; }

namespace bulkhead::transport::file {
namespace {

namespace fs = std::filesystem;
using std::chrono_literals::operator""h;

enum Fate : std::uint8_t { kept, dropped, garbage, stale };

std::string read_whole(const std::string& path) {
  const Fd file = or_throw(os::open_file(path, O_RDONLY));
  std::string content(or_throw(os::size_of(file, path)), '\0');
  or_throw(
      os::read_at(file, 0, {reinterpret_cast<std::byte*>(content.data()), content.size()}, path));
  return content;
}

/// A new file: one that is cut to be written anew is waited for by ext4.
void write_whole(const std::string& path, std::string_view content) {
  ::unlink(path.c_str());
  const Fd file = or_throw(os::open_file(path, O_RDWR | O_CREAT));
  or_throw(os::write_at(file, 0, as_bytes(content), path));
}

/// What can come of a power cut: the file as it was at the last sync, as it was written since, and
/// what else may stand in the blocks.
struct Disk {
  std::string synced;
  std::string written;
  std::string before;
  std::size_t sector;

  std::size_t first() const { return synced.size() / sector; }
  std::size_t count() const { return (written.size() + sector - 1) / sector - first(); }

  /// With the sectors from first() on as `fates` says. With `cut` the file ends behind the last one
  /// that is not dropped: its size was lost with the rest.
  std::string after(const std::vector<Fate>& fates, bool cut, std::mt19937_64& random) const {
    std::string image = written;
    std::size_t end = synced.size();
    for (std::size_t i = 0; i < fates.size(); ++i) {
      const std::size_t from = std::max((first() + i) * sector, synced.size());
      const std::size_t to = std::min((first() + i + 1) * sector, written.size());
      for (std::size_t at = from; at < to; ++at) {
        if (fates[i] == dropped) image[at] = '\0';
        if (fates[i] == garbage) image[at] = static_cast<char>(random());
        if (fates[i] == stale) image[at] = at < before.size() ? before[at] : '\0';
      }
      if (fates[i] != dropped) end = to;
    }
    if (cut) image.resize(end);
    return image;
  }
};

class power_cut : public testing::Test {
 protected:
  power_cut() { fs::create_directory(folder_); }

  const std::string folder_ = (test::temporary_folder() / "log").string();
  const std::string segment_ = folder_ + "/" + segment_name(1);
  std::mt19937_64 random_{23};

  static std::string text_of(const std::string& who, std::size_t number, std::size_t size) {
    std::string text = who + std::to_string(number) + ".";
    while (text.size() < size) text += static_cast<char>('a' + (text.size() * 7 + number) % 26);
    text.resize(size);
    return text;
  }
  static std::vector<std::string> texts(const std::string& who,
                                        const std::vector<std::size_t>& sizes) {
    std::vector<std::string> all;
    for (std::size_t i = 0; i < sizes.size(); ++i) all.push_back(text_of(who, i, sizes[i]));
    return all;
  }

  /// By a writer that ends without a word; with `sync` all is on the disk when this returns, without
  /// it all that was there before.
  void write(const std::vector<std::string>& messages, bool sync) {
    LogOptions options{.sync = sync ? Sync::each : Sync::interval, .interval = 24h};
    auto writer = or_throw(LogWriter::open(folder_, options));
    std::vector<Bytes> group;
    for (const auto& message : messages) group.push_back(as_bytes(message));
    or_throw(writer.append(group));
  }

  /// The disk with `promised` synced and `sizes` written behind them; before that an earlier writer
  /// had put there others of the same sizes, which were cut off again.
  Disk disk(const std::vector<std::string>& promised, const std::vector<std::size_t>& sizes,
            std::size_t sector) {
    fs::remove_all(folder_);
    fs::create_directory(folder_);
    write(promised, true);
    Disk disk{.synced = read_whole(segment_), .written = {}, .before = {}, .sector = sector};
    write(texts("earlier", sizes), false);
    disk.before = read_whole(segment_);
    write_whole(segment_, disk.synced);
    write(texts("later", sizes), false);
    disk.written = read_whole(segment_);
    return disk;
  }

  std::vector<std::string> read() const {
    std::vector<std::string> all;
    auto reader = LogReader::open(folder_, {});
    if (!reader) return {reader.error().sentence()};
    Message message;
    for (;;) {
      auto got = reader->next(message);
      if (!got) all.push_back(got.error().sentence());
      if (!got || *got == LogReader::Got::nothing) return all;
      all.emplace_back(message.text());
    }
  }

  /// What is read from `image`, before the next writer and behind it, is right.
  void expect_right(const std::string& image, const std::vector<std::string>& promised,
                    const std::vector<std::size_t>& sizes) {
    write_whole(segment_, image);
    const auto found = read();
    ASSERT_GE(found.size(), promised.size()) << "what was synced is lost";
    ASSERT_TRUE(std::equal(promised.begin(), promised.end(), found.begin()));
    const std::vector<std::string> more(
        found.begin() + static_cast<std::ptrdiff_t>(promised.size()), found.end());
    const auto is_start_of = [&](const std::vector<std::string>& sent) {
      return more.size() <= sent.size() && std::equal(more.begin(), more.end(), sent.begin());
    };
    ASSERT_TRUE(is_start_of(texts("later", sizes)) || is_start_of(texts("earlier", sizes)))
        << "read " << testing::PrintToString(more);
    write({"behind it"}, false);
    auto expected = found;
    expected.push_back("behind it");
    ASSERT_EQ(read(), expected);
  }

  /// All combinations of `fates`, each with the size of the file kept and lost.
  void try_all(const std::vector<std::size_t>& sizes, std::size_t sector,
               const std::vector<Fate>& fates) {
    const auto promised = texts("promised", {100, 0, 300});
    const Disk disk = this->disk(promised, sizes, sector);
    const std::size_t sectors = disk.count();
    std::vector<std::size_t> choice(sectors, 0);
    for (std::size_t tried = 0;; ++tried) {
      std::vector<Fate> chosen;
      for (const std::size_t one : choice) chosen.push_back(fates[one]);
      for (const bool cut : {false, true}) {
        const std::string image = disk.after(chosen, cut, random_);
        ASSERT_NO_FATAL_FAILURE(expect_right(image, promised, sizes))
            << "fates " << testing::PrintToString(std::vector<int>(chosen.begin(), chosen.end()));
      }
      std::size_t at = 0;
      while (at < sectors && ++choice[at] == fates.size()) choice[at++] = 0;
      if (at < sectors) continue;
      EXPECT_GE(tried, 200u);
      EXPECT_LT(tried, 4096u);
      return;
    }
  }
};

TEST_F(power_cut, leaves_what_was_synced_with_any_sectors_of_512_bytes_kept_or_dropped) {
  try_all({700, 40, 0, 1500, 480, 1000, 9, 900}, 512, {kept, dropped});
}

TEST_F(power_cut, leaves_what_was_synced_with_any_sectors_torn_into_garbage) {
  try_all({700, 40, 0, 480, 512, 9, 800}, 512, {kept, dropped, garbage});
}

TEST_F(power_cut, never_shows_a_message_of_an_earlier_writer_behind_one_of_a_later) {
  // Records that end where sectors end: a stale one is whole wherever its sectors are.
  try_all({512 - 32 - 152 % 512 + 152 % 8, 480, 480, 480, 480, 480}, 512, {kept, dropped, stale});
}

TEST_F(power_cut, leaves_what_was_synced_with_any_sectors_of_4_KiB) {
  try_all({3000, 5000, 100, 6000, 2064, 1500, 20}, 4096, {kept, dropped, garbage, stale});
}

TEST_F(power_cut, in_the_middle_of_a_sector_of_4_KiB_leaves_what_was_synced) {
  const auto promised = texts("promised", {50, 60});
  const std::vector<std::size_t> sizes{2000, 0, 900, 700};
  const Disk disk = this->disk(promised, sizes, 4096);
  for (std::size_t torn = disk.synced.size(); torn <= disk.written.size(); torn += 7) {
    std::string image = disk.written;
    for (std::size_t at = torn; at < image.size(); ++at) {
      image[at] = torn % 2 == 0 ? '\0' : static_cast<char>(random_());
    }
    ASSERT_NO_FATAL_FAILURE(expect_right(image, promised, sizes)) << torn;
  }
}

TEST_F(power_cut, of_a_large_log_leaves_what_was_synced_whatever_its_sectors_are) {
  const int logs = test::soaked(6);
  for (int log = 0; log < logs; ++log) {
    std::vector<std::size_t> sizes;
    for (std::size_t bytes = 0; bytes < 100'000;) {
      sizes.push_back(random_() % 4 == 0 ? random_() % 20'000 : random_() % 500);
      bytes += sizes.back();
    }
    const auto promised = texts("promised", {random_() % 3000, random_() % 100});
    const Disk disk = this->disk(promised, sizes, log % 2 == 0 ? 512 : 4096);
    for (int state = 0; state < 40; ++state) {
      // Most are kept, or nothing but the first message would ever be looked at.
      std::vector<Fate> fates(disk.count(), kept);
      for (auto& fate : fates) {
        if (random_() % 40 == 0) fate = static_cast<Fate>(random_() % 4);
      }
      const std::string image = disk.after(fates, random_() % 2 == 0, random_);
      ASSERT_NO_FATAL_FAILURE(expect_right(image, promised, sizes)) << log << ", " << state;
    }
  }
}

TEST_F(power_cut, never_lets_pieces_of_a_large_message_be_taken_for_one) {
  const auto promised = texts("promised", {10});
  const std::vector<std::size_t> sizes{2'500'000, 10};
  const Disk disk = this->disk(promised, sizes, 4096);
  const int states = test::soaked(12);
  for (int state = 0; state < states; ++state) {
    std::vector<Fate> fates(disk.count(), kept);
    fates[random_() % fates.size()] = static_cast<Fate>(1 + random_() % 3);
    const std::string image = disk.after(fates, state % 2 == 0, random_);
    ASSERT_NO_FATAL_FAILURE(expect_right(image, promised, sizes)) << state;
  }
}

/// The same for a ring. A message is there when the cursor says so, and with Sync::each the cursor is
/// written when the message is on the disk.
class power_cut_of_a_ring : public testing::Test {
 protected:
  static constexpr std::uint64_t capacity = 16 * 1024;

  power_cut_of_a_ring() { fs::create_directory(folder_); }

  const std::string folder_ = (test::temporary_folder() / "ring").string();
  const std::string ring_ = folder_ + "/0.ring";
  const std::string tail_ = folder_ + "/0.tail";
  const std::string head_ = folder_ + "/1.head";

  Fd open(const std::string& path) const { return or_throw(os::open_file(path, O_RDWR | O_CREAT)); }
  mmap::RingSender sender() const {
    auto file = or_throw(mmap::RingFile::open(ring_, capacity));
    return or_throw(mmap::RingSender::open(std::move(file), open(tail_), tail_, open(head_), head_,
                                           {.sync = Sync::each}));
  }
  mmap::RingReceiver receiver() const {
    auto file = or_throw(mmap::RingFile::open(ring_, capacity));
    return or_throw(
        mmap::RingReceiver::open(std::move(file), open(tail_), tail_, open(head_), head_, 1 << 20));
  }
};

TEST_F(power_cut_of_a_ring, leaves_all_that_was_sent_and_of_the_last_all_or_nothing) {
  std::mt19937_64 random{29};
  const std::string last(3 * 512, 'L');
  std::vector<std::string> sent;
  std::string ring_before;
  std::string tail_before;
  {
    auto from = sender();
    auto to = receiver();
    Message message;
    // Once round, so that old records stand where the last one goes.
    for (int i = 0; i < 30; ++i) {
      sent.push_back("message " + std::to_string(i) +
                     std::string(static_cast<std::size_t>(i * 31), '.'));
      const Bytes bytes = as_bytes(sent.back());
      while (!from.send({&bytes, 1})) {
        ASSERT_TRUE(or_throw(to.next(message)));
        ASSERT_EQ(message.text(), sent.front());
        sent.erase(sent.begin());
      }
    }
    for (int i = 0; i < 4; ++i) {  // room for the last
      ASSERT_TRUE(or_throw(to.next(message)));
      if (i > 0) sent.erase(sent.begin());
    }
    sent.erase(sent.begin());
    ASSERT_TRUE(to.acknowledge());
    ring_before = read_whole(ring_);
    tail_before = read_whole(tail_);
    const Bytes bytes = as_bytes(last);
    ASSERT_TRUE(from.send({&bytes, 1}));
  }
  const std::string ring_after = read_whole(ring_);
  const std::string tail_after = read_whole(tail_);
  const std::string head = read_whole(head_);
  std::vector<std::size_t> changed;
  for (std::size_t at = 0; at < ring_after.size(); at += 512) {
    if (ring_after.compare(at, 512, ring_before, at, 512) != 0) changed.push_back(at);
  }
  ASSERT_GE(changed.size(), 3u);
  ASSERT_LE(changed.size(), 6u);
  std::size_t states = 1;
  for (std::size_t i = 0; i < changed.size(); ++i) states *= 2;
  // Bit i: sector i came to the disk. The cursor does only when all had: it is written behind a sync.
  for (std::size_t state = 0; state < states; ++state) {
    for (const bool published : {false, true}) {
      if (published && state != states - 1) continue;
      std::string image = ring_before;
      for (std::size_t i = 0; i < changed.size(); ++i) {
        if ((state >> i & 1) != 0) image.replace(changed[i], 512, ring_after, changed[i], 512);
      }
      write_whole(ring_, image);
      write_whole(tail_, published ? tail_after : tail_before);
      write_whole(head_, head);
      auto expected = sent;
      if (published) expected.push_back(last);
      {
        auto from = sender();
        const Bytes bytes = as_bytes(std::string_view{"behind it"});
        ASSERT_TRUE(from.send({&bytes, 1}));
        expected.emplace_back("behind it");
      }
      auto to = receiver();
      Message message;
      std::vector<std::string> found;
      while (or_throw(to.next(message))) found.emplace_back(message.text());
      ASSERT_EQ(found, expected) << "state " << state << (published ? ", published" : "");
    }
  }
}

}  // namespace
}  // namespace bulkhead::transport::file
