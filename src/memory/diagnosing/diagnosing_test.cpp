// SPDX-License-Identifier: Apache-2.0
//
// Boards: what is on them, what is believed of them, and what nonsense on one can do: nothing. Each
// test looks from a forked process, for whoever diagnoses does so until it ends.
#include "memory/diagnosing/diagnosing.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <fcntl.h>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>

#include <bulkhead/condition.hpp>
#include <bulkhead/diagnosing.hpp>
#include <bulkhead/mutex.hpp>
#include <bulkhead/shared.hpp>

#include "memory/diagnosing/cycle.hpp"
#include "memory/diagnosing/own_board.hpp"
#include "os/process_identity.hpp"
#include "support/forked.hpp"
#include "support/soak.hpp"
#include "support/watchdog.hpp"

namespace bulkhead::memory::diagnosing {
namespace {

using namespace std::chrono_literals;
using test::Forked;

struct Locks {
  explicit Locks(Place place)
      : one(place, "one"),
        other(place, "other"),
        again(place, "again", Mutex::Relock::allowed),
        nameless(place),
        a(place, "aaaaaaaaaaaaaaaaaaaaaaa"),
        b(place, "bbbbbbbbbbbbbbbbbbbbbbb"),
        changed(place) {}

  Mutex one, other, again, nameless, a, b;
  Condition changed;
};

Shared<Locks> some_locks() {
  return or_throw(Shared<Locks>::create({.kind = SharedRegion::Kind::anonymous}));
}

std::string folder() { return or_throw(make_board_folder()); }

/// Runs in a forked process that diagnoses; the number of the first line that was wrong, or 0.
class diagnosing : public testing::Test {
 protected:
  int in_a_process_that_diagnoses(const std::function<int()>& body) {
    const auto waiting = test::waiting_for("a process that diagnoses");
    Forked child{[&] { return diagnose_locks() ? body() : __LINE__ % 250; }};
    return child.wait();
  }
  void TearDown() override { remove_dead_boards(folder()); }
};

#define REQUIRE_HERE(...) \
  if (!(__VA_ARGS__)) return __LINE__ % 250 + 1

std::vector<LockReport::State> locks_now() { return or_throw(report_locks()).locks; }

TEST_F(diagnosing, shows_what_a_thread_has_from_when_to_when) {
  auto locks = some_locks();
  const int outcome = in_a_process_that_diagnoses([&] {
    REQUIRE_HERE(locks_now().empty());
    auto one = or_throw(locks->one.lock());
    const int line = __LINE__ - 1;
    auto other = or_throw(locks->other.try_lock());
    auto nameless = or_throw(locks->nameless.lock());
    const auto all = locks_now();
    REQUIRE_HERE(all.size() == 3 && all[0].owners.size() == 1 && all[0].waiters.empty());
    const auto& use = all[0].owners[0];
    REQUIRE_HERE(all[0].lock.name == "one" && use.who.process == ::getpid());
    REQUIRE_HERE(use.who.thread == ::gettid() && use.line == std::uint32_t(line));
    REQUIRE_HERE(use.file.ends_with("diagnosing_test.cpp") && !use.shared);
    REQUIRE_HERE(all[0].lock.region == locks.region().identity());
    REQUIRE_HERE(all[2].lock.name.empty());
    one.unlock();
    const auto rest = locks_now();
    REQUIRE_HERE(rest.size() == 2 && rest[0].lock.name == "other");
    return 0;
  });
  EXPECT_EQ(outcome, 0);
}

TEST_F(diagnosing, counts_how_often_a_thread_has_a_lock_and_shows_none_during_a_wait) {
  auto locks = some_locks();
  const int outcome = in_a_process_that_diagnoses([&] {
    auto first = or_throw(locks->again.lock());
    auto second = or_throw(locks->again.lock());
    REQUIRE_HERE(locks_now().at(0).owners.at(0).depth == 2);
    std::vector<LockReport::State> meanwhile{LockReport::State{}};
    std::jthread other{[&] {
      auto held = or_throw(locks->again.lock());  // only when the wait has begun
      meanwhile = locks_now();
      locks->changed.notify_all();
    }};
    REQUIRE_HERE(locks->changed.wait(second, never).has_value());
    other.join();
    REQUIRE_HERE(meanwhile.size() == 1 && meanwhile[0].owners.size() == 1);
    REQUIRE_HERE(meanwhile[0].owners[0].who.thread != ::gettid());
    second.unlock();
    REQUIRE_HERE(locks_now().at(0).owners.at(0).depth == 1);
    first.unlock();
    REQUIRE_HERE(locks_now().empty());
    return 0;
  });
  EXPECT_EQ(outcome, 0);
}

TEST_F(diagnosing, has_room_for_thirty_locks_of_a_thread_and_counts_the_others) {
  const int outcome = in_a_process_that_diagnoses([] {
    const auto where = std::source_location::current();
    for (std::uint64_t i = 0; i < 33; ++i) took({.region = 7, .offset = i}, 1, where);
    auto report = or_throw(report_locks());
    REQUIRE_HERE(report.locks.size() == 30 && report.processes.at(0).unseen == 3);
    for (std::uint64_t i = 0; i < 33; ++i) gives({.region = 7, .offset = i}, 0);
    report = or_throw(report_locks());
    REQUIRE_HERE(report.locks.empty() && report.processes.at(0).unseen == 0);
    return 0;
  });
  EXPECT_EQ(outcome, 0);
}

TEST_F(diagnosing, gives_the_room_of_a_thread_that_ended_to_the_next) {
  auto locks = some_locks();
  const int outcome = in_a_process_that_diagnoses([&] {
    for (int i = 0; i < most_entries + 20; ++i) {
      std::jthread{[&] { auto held = or_throw(locks->one.lock()); }}.join();
    }
    const auto report = or_throw(report_locks());
    REQUIRE_HERE(report.processes.at(0).threads == 0);
    REQUIRE_HERE(report.processes.at(0).unseen == 0 && report.locks.empty());
    return 0;
  });
  EXPECT_EQ(outcome, 0);
}

TEST_F(diagnosing, is_read_whole_while_threads_write) {
  auto locks = some_locks();
  const int outcome = in_a_process_that_diagnoses([&] {
    std::atomic<bool> enough{false};
    // The names lie in two cache lines each, so that one half can be older than the other.
    const auto work = [&] {
      while (!enough) {
        {
          auto held = or_throw(locks->a.lock());
        }
        {
          auto held = or_throw(locks->b.lock());
        }
      }
    };
    std::jthread first{work};
    std::jthread second{work};
    while (locks_now().empty()) std::this_thread::yield();
    const auto boards = see_boards(own_board_folder());
    const auto is_right = [](const Record& record) {
      const std::string name = text_of(record.name);
      return name == std::string(23, 'a') || name == std::string(23, 'b');
    };
    bool right = boards.size() == 1;
    int seen = 0;
    for (int i = 0; seen < 50 || i < 50'000; ++i) {
      const auto entry = read_entry(boards[0], i % 2);
      if (!entry || entry->held == 0) continue;
      right = right && is_right(entry->has[0]);
      ++seen;
    }
    enough = true;
    first.join();
    second.join();
    REQUIRE_HERE(right);
    return 0;
  });
  EXPECT_EQ(outcome, 0);
}

TEST_F(diagnosing, notes_who_was_passed_over_too_often) {
  const int outcome = in_a_process_that_diagnoses([] {
    const auto where = std::source_location::current();
    Waiting{{.name = "fair", .turns = 10}, 0, never, where}.took(111);  // 100 others
    REQUIRE_HERE(or_throw(report_locks()).seen.size() == 1);
    gives({.name = "fair"}, 0);
    Waiting{{.name = "fair", .turns = 10}, 0, never, where}.took(112);
    const auto seen = or_throw(report_locks()).seen;
    const auto starved =
        std::ranges::find(seen, LockReport::Seen::Kind::starvation, &LockReport::Seen::kind);
    REQUIRE_HERE(starved != seen.end() && starved->passed_over == 101);
    REQUIRE_HERE(starved->lock.name == "fair" && starved->times == 1);
    return 0;
  });
  EXPECT_EQ(outcome, 0);
}

TEST_F(diagnosing, notes_a_wait_for_a_thread_of_lower_priority) {
  if (::getpriority(PRIO_PROCESS, 0) == 19) GTEST_SKIP() << "no priority is lower than this one's";
  auto locks = some_locks();
  const int outcome = in_a_process_that_diagnoses([&] {
    pid_t low = 0;
    std::jthread owner{[&] {
      low = ::gettid();
      if (::setpriority(PRIO_PROCESS, static_cast<id_t>(low), 19) != 0) return;
      auto held = or_throw(locks->one.lock());
      while (locks_now().at(0).waiters.empty()) std::this_thread::yield();
    }};
    while (locks->one.owner() == 0) std::this_thread::yield();
    auto held = or_throw(locks->one.lock());
    const auto seen = or_throw(report_locks()).seen;
    const auto inversion =
        std::ranges::find(seen, LockReport::Seen::Kind::inversion, &LockReport::Seen::kind);
    REQUIRE_HERE(inversion != seen.end() && inversion->whom == low);
    REQUIRE_HERE(inversion->who.thread == ::gettid());
    return 0;
  });
  EXPECT_EQ(outcome, 0);
}

TEST_F(diagnosing, ends_with_the_process_and_starts_anew_in_a_fork) {
  auto locks = some_locks();
  const int outcome = in_a_process_that_diagnoses([&] {
    auto held = or_throw(locks->one.lock());
    Forked child{[&] {
      if (!diagnoses_locks()) return 1;
      auto other = or_throw(locks->other.lock());
      const auto report = or_throw(report_locks());
      if (report.processes.size() != 2 || report.locks.size() != 2) return 2;
      for (const auto& state : report.locks) {
        const pid_t owner = state.owners.at(0).who.process;
        if (owner != (state.lock.name == "one" ? ::getppid() : ::getpid())) return 3;
      }
      return 0;
    }};
    const int of_child = child.wait();
    REQUIRE_HERE(of_child == 0);
    REQUIRE_HERE(or_throw(report_locks()).processes.size() == 1);
    held.unlock();
    // In good order, which _exit is not.
    ::exit(0);
  });
  EXPECT_EQ(outcome, 0);
  EXPECT_TRUE(or_throw(report_locks()).processes.empty());
  EXPECT_EQ(see_boards(folder()).size(), 1U) << "of the child";
}

// What follows writes boards by hand.

class Forged {
 public:
  Forged() : path_(folder() + "/forged.board") {
    file_ = Fd::adopt(::open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    take_board(file_);
  }
  ~Forged() { ::unlink(path_.c_str()); }
  Forged(const Forged&) = delete;
  Forged& operator=(const Forged&) = delete;

  const std::string& path() const { return path_; }
  void let_go() { file_.close(); }
  void cut(std::size_t size) {
    static_cast<void>(::ftruncate(file_.native(), static_cast<off_t>(size)));
  }
  template <class T> void write(std::size_t offset, const T& value) {
    static_cast<void>(::pwrite(file_.native(), &value, sizeof value, static_cast<off_t>(offset)));
  }

 private:
  std::string path_;
  Fd file_;
};

Header right_header() {
  Header header;
  header.magic = right_magic;
  header.version = right_version;
  header.entries = most_entries;
  header.process = static_cast<std::uint32_t>(::getpid());
  header.used = 4;
  header.start = os::start_of(::getpid());
  header.boot = os::this_boot();
  header.space = os::process_namespace();
  std::memcpy(header.name.data(), "forger", 6);
  return header;
}

Entry entry_of_this_thread() {
  Entry entry;
  entry.sequence = 2;
  entry.thread = static_cast<std::uint32_t>(::gettid());
  entry.start = os::start_of(::getpid(), ::gettid());
  entry.held = 1;
  entry.has[0].region = 1;
  return entry;
}

std::size_t believed() {
  const auto report = or_throw(report_locks());
  return report.processes.size() * 10 + report.locks.size();
}

TEST_F(diagnosing, believes_a_board_of_a_process_and_thread_that_live_and_no_other) {
  Forged board;
  const auto with = [&](auto change_header, auto change_entry) {
    Header header = right_header();
    Entry entry = entry_of_this_thread();
    change_header(header);
    change_entry(entry);
    board.write(0, header);
    board.write(offset_of_entry(0), entry);
    return believed();
  };
  const auto as_it_is = [](auto&) {};
  EXPECT_EQ(with(as_it_is, as_it_is), 11U);
  // The number of a process, or of a thread, that another one has by now.
  EXPECT_EQ(with([](Header& header) { ++header.start; }, as_it_is), 0U);
  EXPECT_EQ(with([](Header& header) { ++header.boot; }, as_it_is), 0U);
  EXPECT_EQ(with(as_it_is, [](Entry& entry) { ++entry.start; }), 10U);
  EXPECT_EQ(with(as_it_is, [](Entry& entry) { ++entry.sequence; }), 10U) << "being written";
  EXPECT_EQ(with(as_it_is, [](Entry& entry) { entry.held = most_held + 1; }), 10U);
  EXPECT_EQ(with(as_it_is, [](Entry& entry) { entry.has[0].mode = 2; }), 10U);
  EXPECT_EQ(with([](Header& header) { header.used = 0; }, as_it_is), 10U);
  EXPECT_EQ(with(as_it_is, as_it_is), 11U);
  // Of another process namespace: the lock alone says that it lives.
  EXPECT_EQ(with([](Header& header) { ++header.space, ++header.start; }, as_it_is), 11U);
  EXPECT_EQ(with(as_it_is, as_it_is), 11U);
  board.let_go();
  EXPECT_EQ(believed(), 0U);
}

TEST_F(diagnosing, says_which_file_is_no_board) {
  Forged board;
  EXPECT_TRUE(or_throw(report_locks()).unreadable.empty()) << "it is being made";
  for (const std::size_t size : {1UL, 100UL, sizeof(Header) - 1}) {
    board.cut(size);
    const auto report = or_throw(report_locks());
    EXPECT_THAT(report.unreadable, testing::ElementsAre(board.path()));
    EXPECT_TRUE(report.processes.empty());
  }
  Header header = right_header();
  ++header.version;
  board.write(0, header);
  EXPECT_EQ(or_throw(report_locks()).unreadable.size(), 1U);
  EXPECT_THAT(remove_dead_boards(folder()), testing::IsEmpty()) << "somebody has it";
  board.let_go();
  EXPECT_TRUE(or_throw(report_locks()).unreadable.empty()) << "nobody has it any more";
  EXPECT_THAT(remove_dead_boards(folder()), testing::ElementsAre(board.path()));
}

TEST_F(diagnosing, shows_no_text_that_moves_a_cursor_or_has_no_end) {
  EXPECT_EQ(printable("Konto-\xc3\xa4 \xe2\x82\xac"), "Konto-\xc3\xa4 \xe2\x82\xac");
  EXPECT_EQ(printable("a\x1b[2Jb\x7f\n"), "a?[2Jb??");
  EXPECT_EQ(printable("\xc2\x9b[J"), "??[J") << "the same in one letter";
  EXPECT_EQ(printable("\x9b\xff\xc3"), "???") << "no UTF-8, and cut in the middle";
  EXPECT_EQ(printable("\xe2\x80\xaelive"), "???live") << "from right to left";
  std::array<char, 24> full;
  full.fill('x');
  EXPECT_EQ(text_of(full), std::string(24, 'x'));
}

TEST_F(diagnosing, follows_no_link_and_opens_no_pipe_in_the_place_of_a_board) {
  const std::string link = folder() + "/link.board";
  const std::string pipe = folder() + "/pipe.board";
  ASSERT_EQ(::symlink("/etc/passwd", link.c_str()), 0);
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const auto report = or_throw(report_locks());
  EXPECT_TRUE(report.unreadable.empty() && report.processes.empty());
  EXPECT_THAT(remove_dead_boards(folder()), testing::IsEmpty());
  EXPECT_EQ(::unlink(link.c_str()) + ::unlink(pipe.c_str()), 0);
}

using Random = std::mt19937_64;

/// Cut out of 64 KiB that are made once: making them anew takes longer than all that is tested.
template <class T> T random_bytes(Random& random) {
  static const std::vector<std::uint64_t> words = [&random] {
    std::vector<std::uint64_t> made(8192);
    for (auto& word : made) word = random();
    return made;
  }();
  T value;
  const std::size_t at = random() % (words.size() - sizeof value / sizeof words[0]);
  std::memcpy(static_cast<void*>(&value), &words[at], sizeof value);
  return value;
}

/// All nonsense; or nonsense behind a right header; or entries that are right in places.
void forge(Forged& board, Random& random) {
  const unsigned kind = random() % 4;
  auto header = random_bytes<Header>(random);
  if (kind != 0) {
    const Header right = right_header();
    std::memcpy(static_cast<void*>(&header), &right, offsetof(Header, name));
    header.used = random() % 2 == 0 ? 4 : static_cast<std::uint32_t>(random());
    for (Notice& notice : header.notices) {
      notice.sequence &= ~std::uint64_t{random() % 4 != 0};
      if (random() % 2 == 0) notice.kind %= 5;
      notice.record.mode %= 3;
    }
  }
  board.write(0, header);
  for (std::uint32_t i = 0; i < 3; ++i) {
    auto entry = random_bytes<Entry>(random);
    if (kind >= 2) {
      entry.sequence &= ~std::uint64_t{1};
      entry.thread = random() % 2 == 0 ? entry.thread : static_cast<std::uint32_t>(::gettid());
      entry.held %= most_held + 2;
      entry.waiting %= 3;
      for (Record& record : entry.has) record.mode %= 2;
      entry.wanted.mode %= 2;
    }
    if (kind == 3) {  // circles of all kinds among few locks
      entry.start = os::start_of(::getpid(), ::gettid());
      for (Record& record : entry.has) record.region = 1, record.offset = random() % 4;
      entry.wanted.region = 1;
      entry.wanted.offset = random() % 4;
    }
    board.write(offset_of_entry(i), entry);
  }
  if (random() % 8 == 0) board.cut(random() % (4 * page));
}

TEST_F(diagnosing, neither_crashes_nor_hangs_whatever_a_board_says) {
  auto locks = some_locks();
  auto held = or_throw(locks->one.lock());
  const int rounds = test::soaked(1'500);
  const int outcome = in_a_process_that_diagnoses([&] {
    Random random{4711};
    const auto where = std::source_location::current();
    took({.region = 1, .offset = 1}, 1, where);
    Forged board;
    std::size_t shown = 0;
    std::size_t circles = 0;
    for (int i = 0; i < rounds; ++i) {
      forge(board, random);
      // What a wait that failed reads, a deadlock, and `bulkhead locks`.
      if (i % 3 == 0) {
        REQUIRE_HERE(locks->one.lock(Deadline{0ns}).error() == ErrorKind::timed_out);
      } else if (i % 3 == 1) {
        const Waiting waiting{{.region = 1, .offset = 2}, 0, never, where};
        const Waits waits{see_boards(own_board_folder())};
        const auto circle = waits.circle_through(0);
        if (stands(circle) && !words_of(circle).empty()) ++circles;
      } else {
        shown += or_throw(report_locks()).locks.size();
      }
    }
    REQUIRE_HERE(shown > 0 && circles > 0);
    return 0;
  });
  EXPECT_EQ(outcome, 0);
}

TEST_F(diagnosing, goes_on_locking_when_nonsense_is_written_onto_its_own_board) {
  auto locks = some_locks();
  const int outcome = in_a_process_that_diagnoses([&] {
    {
      auto held = or_throw(locks->one.lock());
    }
    Random random{815};
    const auto boards = see_boards(own_board_folder());
    REQUIRE_HERE(boards.size() == 1);
    const Fd own = Fd::adopt(::open(boards[0].path.c_str(), O_RDWR | O_CLOEXEC));
    for (int i = 0; i < 1000; ++i) {
      const auto entry = random_bytes<Entry>(random);
      REQUIRE_HERE(::pwrite(own.native(), &entry, sizeof entry, offset_of_entry(0)) > 0);
      auto first = or_throw(locks->one.lock());
      auto again = or_throw(locks->again.lock());
      auto deeper = or_throw(locks->again.lock());
      first.unlock();
    }
    return 0;
  });
  EXPECT_EQ(outcome, 0);
}

}  // namespace
}  // namespace bulkhead::memory::diagnosing
