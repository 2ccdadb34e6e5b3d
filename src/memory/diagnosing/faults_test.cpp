// SPDX-License-Identifier: Apache-2.0
//
// Diagnosing where something is missing: no descriptor, no room, a board that somebody cuts, boards
// that claim too much. The locks work on as without (F8, F10, F11 of the threat list).
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <bulkhead/diagnosing.hpp>
#include <bulkhead/mutex.hpp>
#include <bulkhead/shared.hpp>
#include <bulkhead/sigbus_guard.hpp>

#include "memory/diagnosing/cycle.hpp"
#include "memory/diagnosing/diagnosing.hpp"
#include "memory/diagnosing/own_board.hpp"
#include "os/process_identity.hpp"
#include "support/forked.hpp"
#include "support/watchdog.hpp"

namespace bulkhead::memory::diagnosing {
namespace {

using namespace std::chrono_literals;
using test::Forked;

struct Locks {
  explicit Locks(Place place) : one(place, "one"), held(place, "held") {}
  Mutex one, held;
};

/// Each in a forked process: the number of the first line that was wrong, or 0.
class diagnosing_faults : public testing::Test {
 protected:
  void TearDown() override { remove_dead_boards(or_throw(make_board_folder())); }

  int in_a_process(const std::function<int()>& body) {
    const auto waiting = test::waiting_for("a process that diagnoses");
    return Forked{body}.wait();
  }
  /// Lock and unlock; and a wait that fails, which reads the boards.
  bool locks_work() {
    for (int i = 0; i < 3; ++i) {
      auto one = locks_->one.lock();
      if (!one) return false;
    }
    const auto late = locks_->held.lock(Deadline{0ns});
    return !late && late.error() == ErrorKind::timed_out;
  }

  Shared<Locks> locks_ = or_throw(Shared<Locks>::create({.kind = SharedRegion::Kind::anonymous}));
  Mutex::Guard held_ = or_throw(locks_->held.lock());
};

#define REQUIRE_HERE(...) \
  if (!(__VA_ARGS__)) return __LINE__ % 250 + 1

/// No further descriptor can be had.
bool use_up_descriptors() {
  const int next = ::dup(STDERR_FILENO);
  ::close(next);
  rlimit limit{};
  if (next < 0 || ::getrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
  limit.rlim_cur = static_cast<rlim_t>(next);
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

TEST_F(diagnosing_faults, no_descriptor_for_a_board_is_an_error_and_locks_work_on) {
  const int outcome = in_a_process([&] {
    ::setenv("BULKHEAD_DIAGNOSE_LOCKS", "1", 1);
    setting = Setting::undecided;
    REQUIRE_HERE(use_up_descriptors());
    REQUIRE_HERE(locks_work() && diagnoses_locks());
    const auto refused = diagnose_locks();
    REQUIRE_HERE(!refused && refused.error() == ErrorKind::exhausted);
    return 0;
  });
  EXPECT_EQ(outcome, 0);
}

TEST_F(diagnosing_faults, no_descriptor_to_read_boards_is_an_error_and_locks_work_on) {
  const int outcome = in_a_process([&] {
    REQUIRE_HERE(diagnose_locks() && locks_work() &&
                 or_throw(report_locks()).processes.size() == 1);
    REQUIRE_HERE(use_up_descriptors());
    REQUIRE_HERE(locks_work());
    const auto refused = report_locks();
    REQUIRE_HERE(!refused && refused.error() == ErrorKind::exhausted);
    return 0;
  });
  EXPECT_EQ(outcome, 0);
}

constexpr int not_allowed = 77;

bool write_to(const char* path, const std::string& text) {
  return static_cast<bool>(std::ofstream{path} << text << std::flush);
}
std::string itself(unsigned id) { return std::to_string(id) + " " + std::to_string(id) + " 1"; }

/// A runtime directory of its own for this process, with room for 64 KiB.
bool have_a_small_runtime_directory() {
  const std::string user = itself(::geteuid());
  const std::string group = itself(::getegid());
  bool alone = ::unshare(CLONE_NEWNS) == 0;
  if (!alone && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) {
    alone = write_to("/proc/self/uid_map", user) && write_to("/proc/self/setgroups", "deny") &&
            write_to("/proc/self/gid_map", group);
  }
  return alone && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("tmpfs", ::getenv("XDG_RUNTIME_DIR"), "tmpfs", 0, "size=64k,mode=0700") == 0;
}
void fill_runtime_directory() {
  const std::string path = std::string{::getenv("XDG_RUNTIME_DIR")} + "/ballast";
  const Fd file = Fd::adopt(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  const std::vector<char> much(4096);
  while (::write(file.native(), much.data(), much.size()) > 0) {
  }
}

TEST_F(diagnosing_faults, no_room_for_a_board_is_an_error_that_leaves_nothing_and_locks_work_on) {
  const int outcome = in_a_process([&] {
    if (!have_a_small_runtime_directory()) return not_allowed;
    const auto folder = make_board_folder();
    REQUIRE_HERE(folder);
    fill_runtime_directory();
    const auto refused = diagnose_locks();
    REQUIRE_HERE(!refused && refused.error() == ErrorKind::exhausted);
    REQUIRE_HERE(or_throw(board_paths(*folder)).empty());
    ::setenv("BULKHEAD_DIAGNOSE_LOCKS", "1", 1);
    setting = Setting::undecided;
    REQUIRE_HERE(locks_work() && diagnoses_locks());
    return 0;
  });
  if (outcome == not_allowed) GTEST_SKIP() << "this process may not mount a file system of its own";
  EXPECT_EQ(outcome, 0);
}

TEST_F(diagnosing_faults, no_room_for_a_thread_is_told_and_its_locks_work_on) {
  const int outcome = in_a_process([&] {
    if (!have_a_small_runtime_directory()) return not_allowed;
    REQUIRE_HERE(diagnose_locks());
    fill_runtime_directory();
    bool worked = false;
    std::jthread{[&] { worked = locks_work(); }}.join();
    REQUIRE_HERE(worked && locks_work());
    const auto report = or_throw(report_locks());
    REQUIRE_HERE(report.processes.size() == 1 && report.processes[0].threads == 0);
    REQUIRE_HERE(report.processes[0].unseen == 2);
    return 0;
  });
  if (outcome == not_allowed) GTEST_SKIP() << "this process may not mount a file system of its own";
  EXPECT_EQ(outcome, 0);
}

bool cut_own_board(std::size_t size) {
  const auto boards = see_boards(own_board_folder());
  return boards.size() == 1 && ::truncate(boards[0].path.c_str(), static_cast<off_t>(size)) == 0;
}

TEST_F(diagnosing_faults, a_board_that_is_cut_is_told_and_its_process_goes_on_under_the_guard) {
  for (const std::size_t size : {page, page + 100, std::size_t{100}, std::size_t{0}}) {
    const int outcome = in_a_process([&] {
      REQUIRE_HERE(guard_mappings() && diagnose_locks());
      auto one = or_throw(locks_->one.lock());
      REQUIRE_HERE(or_throw(report_locks()).locks.size() == 1);
      REQUIRE_HERE(cut_own_board(size));
      one.unlock();
      REQUIRE_HERE(locks_work());
      const auto report = or_throw(report_locks());
      REQUIRE_HERE(report.locks.empty());
      // Its own page is there no more; or nothing is.
      if (size >= page) {
        REQUIRE_HERE(report.processes.at(0).unseen == 1);
      }
      if (size == 100) {
        REQUIRE_HERE(report.unreadable.size() == 1);
      }
      bool worked = false;
      std::jthread{[&] { worked = locks_work(); }}.join();
      REQUIRE_HERE(worked);
      return 0;
    });
    EXPECT_EQ(outcome, 0) << size;
  }
}

TEST_F(diagnosing_faults, a_board_that_is_cut_ends_its_process_without_the_guard) {
  const int outcome = in_a_process([&] {
    ::signal(SIGBUS, SIG_DFL);  // AddressSanitizer has a handler of its own
    REQUIRE_HERE(diagnose_locks() && locks_work() && cut_own_board(page));
    static_cast<void>(locks_->one.lock());
    return 0;
  });
  EXPECT_EQ(outcome, 128 + SIGBUS);
}

/// As many as are read at most: each thread has the same lock thirty times, and waits for it.
class Crowd {
 public:
  explicit Crowd(int boards) {
    for (int i = 0; i < boards; ++i) add(i);
  }
  ~Crowd() {
    for (const auto& path : paths_) ::unlink(path.c_str());
  }
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;

 private:
  void add(int number) {
    paths_.push_back(or_throw(make_board_folder()) + "/crowd" + std::to_string(number) + ".board");
    files_.push_back(
        Fd::adopt(::open(paths_.back().c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)));
    take_board(files_.back());
    Header header;
    header.magic = right_magic;
    header.version = right_version;
    header.entries = most_entries;
    header.used = most_entries;
    header.process = 1;
    header.boot = os::this_boot();
    header.space = os::process_namespace() + 1;  // of another one the lock alone says that it lives
    static_cast<void>(::pwrite(files_.back().native(), &header, sizeof header, 0));
    Entry entry;
    entry.sequence = 2;
    entry.held = most_held;
    entry.waiting = 1;
    entry.wanted.region = 1;
    entry.wanted.mode = 1;
    for (Record& record : entry.has) record.region = record.mode = 1;
    entry.has[most_held - 1].mode = 0;  // what is in the way is found last
    for (std::uint32_t i = 0; i < most_entries; ++i) {
      entry.thread = 1 + i;
      static_cast<void>(::pwrite(files_.back().native(), &entry, sizeof entry,
                                 static_cast<off_t>(offset_of_entry(i))));
    }
  }

  std::vector<std::string> paths_;
  std::vector<Fd> files_;
};

TEST_F(diagnosing_faults, thousands_of_threads_that_have_and_want_one_lock_keep_no_reader) {
  const int outcome = in_a_process([&] {
    const auto where = std::source_location::current();
    REQUIRE_HERE(diagnose_locks());
    const Crowd crowd{16};
    took({.region = 2, .offset = 1}, 1, where);
    const Waiting waiting{{.region = 1}, 0, never, where};
    const Waits waits{see_boards(own_board_folder())};
    REQUIRE_HERE(waits.circle_through(0).empty());
    // What is more than a report shows is counted.
    const auto report = or_throw(report_locks());
    std::uint64_t unseen = 0;
    for (const auto& process : report.processes) unseen += process.unseen;
    REQUIRE_HERE(report.locks.size() == 2 && unseen > 20'000);
    return 0;
  });
  EXPECT_EQ(outcome, 0);
}

}  // namespace
}  // namespace bulkhead::memory::diagnosing
