// SPDX-License-Identifier: Apache-2.0
//
// Deadlocks of real processes and threads, named; what is none; and `bulkhead locks` on them.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>
#include <regex>
#include <sched.h>
#include <sstream>
#include <sys/prctl.h>
#include <thread>
#include <unistd.h>

#include <bulkhead/diagnosing.hpp>
#include <bulkhead/fd.hpp>
#include <bulkhead/mutex.hpp>
#include <bulkhead/names.hpp>
#include <bulkhead/semaphore.hpp>
#include <bulkhead/shared.hpp>
#include <bulkhead/shared_mutex.hpp>

#include "support/children.hpp"
#include "support/forked.hpp"
#include "support/soak.hpp"
#include "support/watchdog.hpp"

namespace {

using namespace bulkhead;
using namespace std::chrono_literals;
using test::Forked;
using testing::AllOf;
using testing::HasSubstr;

constexpr std::size_t most_members = 4;

struct Scene {
  explicit Scene(Place place)
      : locks{Mutex{place, "a"}, Mutex{place, "b"}, Mutex{place, "c"}, Mutex{place, "d"}},
        table(place, "table"),
        ready(place),
        go(place) {}

  std::array<Mutex, most_members> locks;
  SharedMutex table;
  Semaphore ready;
  Semaphore go;
  std::array<std::array<char, 2000>, most_members> said{};
  std::atomic<int> told{0};
  std::atomic<int> named{0};

  void say(std::size_t member, const Error& error) {
    std::strncpy(said[member].data(), error.sentence().c_str(), said[member].size() - 1);
  }
};

/// How it went for one.
constexpr int got_it = 0, was_deadlock = 1, was_late = 2, went_wrong = 3, not_allowed = 77;

int outcome_of(Scene& scene, std::size_t member, const Result<Mutex::Guard>& got) {
  if (got) return got_it;
  scene.say(member, got.error());
  return got.error() == ErrorKind::deadlock    ? was_deadlock
         : got.error() == ErrorKind::timed_out ? was_late
                                               : went_wrong;
}

/// Takes a lock, and another one when it is told to go.
int take_two(Scene& scene, std::size_t member, std::size_t first, std::size_t second,
             Deadline deadline = never) {
  auto one = scene.locks[first].lock();
  if (!one || !scene.ready.post() || !scene.go.wait(never)) return went_wrong;
  const auto other = scene.locks[second].lock(deadline);
  return outcome_of(scene, member, other);
}

class locks : public testing::Test {
 protected:
  locks()
      : scene_(or_throw(Shared<Scene>::create({.kind = SharedRegion::Kind::anonymous}))),
        waiting_("the processes of a deadlock") {}
  ~locks() override { static_cast<void>(remove_stale_names()); }

  Scene& scene() { return *scene_; }

  /// A process of that name that diagnoses.
  Forked process(const std::string& name, const std::function<int()>& body) {
    return Forked{[&] {
      ::prctl(PR_SET_NAME, name.c_str());
      return diagnose_locks() ? body() : went_wrong;
    }};
  }
  void until_ready(int count) {
    for (int i = 0; i < count; ++i) or_throw(scene().ready.wait(never));
  }
  void let_go(int count) {
    for (int i = 0; i < count; ++i) or_throw(scene().go.post());
  }
  std::string said(std::size_t member) { return scene().said[member].data(); }
  /// Of several that were told of one circle in the same moment, the first to look finds all names;
  /// the others may find it gone.
  std::string named() {
    for (std::size_t i = 0; i < most_members; ++i) {
      if (said(i).find("locks_test.cpp:") != std::string::npos) return said(i);
    }
    return "nobody was told a name";
  }

  Shared<Scene> scene_;
  test::Waiting waiting_;
};

std::string who(const Forked& process, const std::string& name) {
  return name + " (" + std::to_string(process.pid()) + ") thread " + std::to_string(process.pid());
}

std::string line_after(int line, int lines) {
  return "locks_test.cpp:" + std::to_string(line + lines);
}

TEST_F(locks, of_two_processes_in_opposite_orders_one_is_told_the_circle_and_the_other_goes_on) {
  for (int round = 0; round < 5; ++round) {
    scene().said = {};
    Forked transfer = process("transfer", [&] { return take_two(scene(), 0, 0, 1); });
    Forked audit = process("audit", [&] { return take_two(scene(), 1, 1, 0); });
    until_ready(2);
    let_go(2);
    const std::string names[] = {who(transfer, "transfer"), who(audit, "audit")};
    const int of_transfer = transfer.wait();
    const int of_audit = audit.wait();
    // Both only when they close it in the same moment.
    EXPECT_TRUE(of_transfer == was_deadlock || of_audit == was_deadlock);
    EXPECT_LE(std::max(of_transfer, of_audit), was_deadlock);
    EXPECT_THAT(named(),
                AllOf(HasSubstr("deadlock: "), HasSubstr(names[0] + " has \"a\" (locks_test.cpp:"),
                      HasSubstr(names[1] + " has \"b\" (locks_test.cpp:"),
                      HasSubstr("and waits for \"a\" (locks_test.cpp:"),
                      HasSubstr("and waits for \"b\" (locks_test.cpp:"),
                      HasSubstr("take these locks in the same order everywhere")));
  }
}

TEST_F(locks, name_the_line_at_which_each_was_taken) {
  Forked closer = process("closer", [&] {
    auto one = scene().locks[1].lock();
    if (!scene().ready.post() || !scene().go.wait(never)) return went_wrong;
    return outcome_of(scene(), 1, scene().locks[0].lock());
  });
  const int closed = __LINE__ - 4;
  until_ready(1);
  Forked owner = process("owner", [&] {
    auto one = scene().locks[0].lock();
    return outcome_of(scene(), 0, scene().locks[1].lock());
  });
  const int taken = __LINE__ - 3;
  owner.until_asleep();  // over "b": a board says so a moment before
  let_go(1);
  EXPECT_EQ(closer.wait(), was_deadlock);
  EXPECT_EQ(owner.wait(), got_it);
  EXPECT_THAT(said(1), HasSubstr("has \"b\" (" + line_after(closed, 0) + ") and waits for \"a\" (" +
                                 line_after(closed, 2) + "); "));
  EXPECT_THAT(said(1), HasSubstr("has \"a\" (" + line_after(taken, 0) + ") and waits for \"b\" (" +
                                 line_after(taken, 1) + ")"));
}

TEST_F(locks, of_three_processes_in_a_circle_name_all_three) {
  std::vector<Forked> members;
  for (const std::size_t i : {0U, 1U, 2U}) {
    members.push_back(process("member" + std::to_string(i),
                              [&, i] { return take_two(scene(), i, i, (i + 1) % 3); }));
  }
  until_ready(3);
  let_go(3);
  std::vector<std::string> names;
  for (const std::size_t i : {0U, 1U, 2U})
    names.push_back(who(members[i], "member" + std::to_string(i)));
  int told = 0;
  for (Forked& member : members) told += member.wait() == was_deadlock ? 1 : 0;
  EXPECT_GE(told, 1);
  for (const std::string& name : names) EXPECT_THAT(named(), HasSubstr(name));
}

TEST_F(locks, of_threads_and_processes_in_one_circle_are_named_by_thread) {
  Forked family = process("family", [&] {
    int outcomes[2] = {};
    std::jthread elder{[&] {
      ::prctl(PR_SET_NAME, "elder");
      outcomes[0] = take_two(scene(), 0, 0, 1);
    }};
    std::jthread younger{[&] {
      ::prctl(PR_SET_NAME, "younger");
      outcomes[1] = take_two(scene(), 1, 1, 2);
    }};
    elder.join();
    younger.join();
    return outcomes[0] * 4 + outcomes[1];
  });
  Forked stranger = process("stranger", [&] { return take_two(scene(), 2, 2, 0); });
  until_ready(3);
  let_go(3);
  const std::string of_family = "family (" + std::to_string(family.pid()) + ") thread ";
  const std::string of_stranger = who(stranger, "stranger");
  const int outcome = family.wait();
  const int of_other = stranger.wait();
  EXPECT_TRUE(outcome / 4 == was_deadlock || outcome % 4 == was_deadlock ||
              of_other == was_deadlock);
  EXPECT_THAT(named(),
              AllOf(HasSubstr(of_family), HasSubstr(" \"elder\" has \"a\""),
                    HasSubstr(" \"younger\" has \"b\""), HasSubstr(of_stranger + " has \"c\"")));
}

TEST_F(locks, through_a_reader_and_a_writer_that_waits_name_both) {
  // The reader has the table and wants a; who has a wants to read, behind a writer that waits.
  Forked reader = process("reader", [&] {
    auto reading = scene().table.lock_shared();
    if (!reading || !scene().ready.post() || !scene().go.wait(never)) return went_wrong;
    return outcome_of(scene(), 0, scene().locks[0].lock());
  });
  until_ready(1);
  Forked writer = process("writer", [&] { return scene().table.lock() ? got_it : went_wrong; });
  writer.until_asleep();
  Forked other = process("other", [&] {
    auto one = scene().locks[0].lock();
    if (!one || !scene().ready.post()) return went_wrong;
    const auto reading = scene().table.lock_shared();
    if (reading) return got_it;
    scene().say(1, reading.error());
    return reading.error() == ErrorKind::deadlock ? was_deadlock : went_wrong;
  });
  until_ready(1);
  other.until_asleep();
  let_go(1);
  const std::string of_reader = who(reader, "reader");
  const std::string of_writer = who(writer, "writer");
  const std::string of_other = who(other, "other");
  EXPECT_EQ(reader.wait(), was_deadlock);
  EXPECT_EQ(writer.wait(), got_it);
  EXPECT_EQ(other.wait(), got_it);
  EXPECT_THAT(said(0), AllOf(HasSubstr(of_reader + " reads \"table\""),
                             HasSubstr(of_writer + " is the next to write \"table\""),
                             HasSubstr(of_other + " has \"a\"")));
}

TEST_F(locks, of_which_a_waiter_gives_up_in_time_are_no_deadlock) {
  Forked quiet{[&] {
    auto held = scene().locks[0].lock();
    or_throw(scene().ready.post());
    if (!scene().go.wait(never)) return went_wrong;
    // The patient one has let go of what it had.
    return scene().locks[1].lock() ? got_it : went_wrong;
  }};
  until_ready(1);
  Forked patient = process("patient", [&] {
    auto one = scene().locks[1].lock();
    return outcome_of(scene(), 0, scene().locks[0].lock(20ms));
  });
  EXPECT_EQ(patient.wait(), was_late);
  EXPECT_THAT(said(0), testing::Not(HasSubstr("deadlock")));
  let_go(1);
  EXPECT_EQ(quiet.wait(), got_it);
}

TEST_F(locks, that_time_out_say_where_their_owner_took_them) {
  Forked owner = process("owner", [&] {
    auto one = scene().locks[0].lock();
    or_throw(scene().ready.post());
    return scene().go.wait(never) ? 0 : went_wrong;
  });
  const int line = __LINE__ - 4;
  until_ready(1);
  Forked late = process("late", [&] { return outcome_of(scene(), 0, scene().locks[0].lock(1ms)); });
  EXPECT_EQ(late.wait(), was_late);
  EXPECT_THAT(said(0), HasSubstr(who(owner, "owner") + " took it at " + line_after(line, 0)));
  let_go(1);
  EXPECT_EQ(owner.wait(), 0);
}

TEST_F(locks, of_a_killed_process_are_nobodys_and_its_board_is_stale) {
  Forked killed = process("killed", [&] { return take_two(scene(), 0, 1, 0); });
  until_ready(1);
  Forked heir = process("heir", [&] {
    auto one = scene().locks[0].lock();
    or_throw(scene().ready.post());
    auto other = scene().locks[1].lock();  // until its owner is killed
    if (!other || !other->owner_died()) return went_wrong;
    other->repaired();
    const auto report = or_throw(report_locks());
    for (const auto& state : report.locks) {
      if (state.owners.size() != 1 || state.owners[0].who.process != ::getpid()) return went_wrong;
    }
    return report.locks.size() == 2 ? got_it : went_wrong;
  });
  until_ready(1);
  heir.until_asleep();
  const pid_t pid = killed.pid();
  killed.kill();
  EXPECT_EQ(heir.wait(), got_it);
  const auto names = or_throw(list_names());
  EXPECT_TRUE(std::ranges::any_of(names, [&](const OwnedName& name) {
    return name.mechanism == "locks" && name.owner == pid && name.state == OwnedName::State::stale;
  }));
  EXPECT_TRUE(or_throw(report_locks()).processes.empty());
  EXPECT_FALSE(or_throw(remove_stale_names()).empty());
  EXPECT_TRUE(or_throw(list_names()).empty());
}

/// Takes two of four locks in any order, gives way when told to, and tries again, until it has had
/// two so often and somebody was told.
int take_any_two(Scene& scene, unsigned seed, int times) {
  std::mt19937 random{seed};
  for (int had = 0; had < times || scene.told == 0;) {
    const std::size_t first = random() % most_members;
    const std::size_t second = (first + 1 + random() % (most_members - 1)) % most_members;
    auto one = scene.locks[first].lock();
    if (!one) return went_wrong;
    std::this_thread::yield();
    const auto other = scene.locks[second].lock();
    if (!other && other.error() != ErrorKind::deadlock) return went_wrong;
    if (other) {
      ++had;
      continue;
    }
    ++scene.told;
    if (other.error().cause().starts_with("deadlock: ")) ++scene.named;
  }
  return got_it;
}

TEST_F(locks, taken_in_any_order_by_many_hang_nobody) {
  const int times = test::soaked(150);
  const auto family = [&](unsigned seed) {
    return process("family" + std::to_string(seed), [this, seed, times] {
      int outcome = got_it;
      std::jthread other{[&] { outcome = take_any_two(scene(), seed + 100, times); }};
      const int mine = take_any_two(scene(), seed, times);
      other.join();
      return std::max(mine, outcome);
    });
  };
  Forked one = family(1);
  Forked two = family(2);
  Forked three = family(3);
  EXPECT_EQ(one.wait(), got_it);
  EXPECT_EQ(two.wait(), got_it);
  EXPECT_EQ(three.wait(), got_it);
  // Not each: of two that close a circle at once the second may find the first gone.
  EXPECT_GT(scene().named, 0);
}

TEST_F(locks, without_diagnosing_are_a_deadlock_without_names) {
  Forked quiet{[&] { return take_two(scene(), 0, 0, 1); }};
  Forked also_quiet{[&] { return take_two(scene(), 1, 1, 0); }};
  until_ready(2);
  let_go(2);
  const int first = quiet.wait();
  const int second = also_quiet.wait();
  EXPECT_EQ(std::max(first, second), was_deadlock);
  EXPECT_EQ(named(), "nobody was told a name");
  EXPECT_TRUE(or_throw(report_locks()).processes.empty());
}

/// Takes a lock again and again, each time until it is told to let go.
int take_urgently(Scene& scene, int times) {
  const sched_param urgent{.sched_priority = 1};
  if (::sched_setscheduler(0, SCHED_FIFO, &urgent) != 0) return not_allowed;
  for (int i = 0; i < times; ++i) {
    auto held = scene.locks[0].lock();
    if (!held || !scene.ready.post() || !scene.go.wait(never)) return went_wrong;
  }
  return got_it;
}

TEST_F(locks, that_more_urgent_ones_always_get_first_are_told_as_starvation) {
  constexpr int times = 60;
  std::vector<Forked> urgent;
  urgent.push_back(process("first", [&] { return take_urgently(scene(), times); }));
  urgent[0].until_asleep();
  if (urgent[0].has_ended()) {
    EXPECT_EQ(urgent[0].wait(), not_allowed);
    GTEST_SKIP() << "needs the right to a real-time priority";
  }
  Forked patient = process("patient", [&] {
    {
      auto held = scene().locks[0].lock();
    }
    return scene().ready.post() && scene().go.wait(never) ? got_it : went_wrong;
  });
  patient.until_asleep();
  EXPECT_EQ(or_throw(report_locks()).locks.at(0).waiters.at(0).passed_over, 0U);
  urgent.push_back(process("second", [&] { return take_urgently(scene(), times); }));
  for (int turn = 0; turn < 2 * times; ++turn) {
    until_ready(1);                       // one of them has it,
    urgent[1 - turn % 2].until_asleep();  // the other waits for it, or is done
    let_go(1);
  }
  for (Forked& each : urgent) EXPECT_EQ(each.wait(), got_it);
  until_ready(1);
  const auto seen = or_throw(report_locks()).seen;
  const auto starved =
      std::ranges::find(seen, LockReport::Seen::Kind::starvation, &LockReport::Seen::kind);
  ASSERT_NE(starved, seen.end());
  EXPECT_EQ(starved->who.process, patient.pid());
  EXPECT_EQ(starved->passed_over, 2U * times - 1);  // but for the one that had it when it came
  let_go(1);
  EXPECT_EQ(patient.wait(), got_it);
}

struct Outcome {
  int status = -1;
  std::string output;
};

Outcome run_command(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "locks");
  test::Child child = test::Child::start("bulkhead", arguments);
  child.close_input();
  Outcome run{-1, child.read_all()};
  const int status = child.wait();
  if (WIFEXITED(status)) run.status = WEXITSTATUS(status);
  return run;
}

class locks_verb : public locks {
 protected:
  void SetUp() override {
    if (::access(test::program_path("bulkhead").c_str(), X_OK) != 0) {
      GTEST_SKIP() << "the command is not part of this build";
    }
  }
};

TEST_F(locks_verb, shows_owners_and_waiters_of_a_running_program) {
  EXPECT_EQ(run_command({}).output, "no program diagnoses its locks\n");
  Forked owner = process("owner", [&] {
    auto one = scene().locks[0].lock();
    or_throw(scene().ready.post());
    return scene().go.wait(never) ? 0 : went_wrong;
  });
  const int line = __LINE__ - 4;
  until_ready(1);
  Forked waiter = process("waiter", [&] {
    return outcome_of(scene(), 0, scene().locks[0].lock(600s));  // while it waits
  });
  const int waits = __LINE__ - 2;
  waiter.until_asleep();

  const Outcome table = run_command({});
  EXPECT_EQ(table.status, 0);
  EXPECT_THAT(table.output,
              testing::ContainsRegex("a +has +owner \\(" + std::to_string(owner.pid()) +
                                     "\\) +[0-9.]+ m?u?s +" + line_after(line, 0)));
  EXPECT_THAT(
      table.output,
      testing::ContainsRegex("a +waits +waiter \\(" + std::to_string(waiter.pid()) +
                             "\\) +[0-9.]+ m?u?s +" + line_after(waits, 0) + " +[0-9.]+ s left"));
  const Outcome json = run_command({"--json", "--waiting"});
  EXPECT_EQ(json.status, 0);
  EXPECT_THAT(json.output, AllOf(HasSubstr("\"program\": \"owner\""), HasSubstr("\"name\": \"a\""),
                                 HasSubstr("\"pid\": " + std::to_string(waiter.pid())),
                                 HasSubstr("\"line\": " + std::to_string(line))));
  let_go(1);
  EXPECT_EQ(owner.wait(), 0);
  EXPECT_EQ(waiter.wait(), got_it);
}

TEST_F(locks_verb, shows_the_longest_wait_after_it_is_over) {
  Forked waited = process("waited", [&] {
    std::jthread owner;
    {
      auto one = or_throw(scene().locks[0].lock());
      owner = std::jthread{[&] { static_cast<void>(scene().locks[0].lock()); }};
      while (or_throw(report_locks()).locks.at(0).waiters.empty()) std::this_thread::yield();
    }
    owner.join();
    or_throw(scene().ready.post());
    return scene().go.wait(never) ? 0 : went_wrong;
  });
  until_ready(1);
  const Outcome table = run_command({});
  EXPECT_THAT(table.output,
              AllOf(HasSubstr("nobody has a lock; programs that diagnose: 1\n"),
                    testing::ContainsRegex("long wait +a +[0-9.]+ m?u?s +1 +waited")));
  let_go(1);
  EXPECT_EQ(waited.wait(), 0);
}

TEST_F(locks_verb, refuses_what_it_does_not_know) {
  for (const std::vector<std::string>& wrong : std::vector<std::vector<std::string>>{
           {"--nonsense"}, {"a"}, {"--json=maybe"}, {"--json", "1"}}) {
    EXPECT_NE(run_command(wrong).status, 0) << wrong.front();
  }
  const Outcome help = run_command({"--help"});
  EXPECT_EQ(help.status, 0);
  EXPECT_THAT(help.output, AllOf(HasSubstr("--json"), HasSubstr("BULKHEAD_DIAGNOSE_LOCKS=1")));
}

TEST_F(locks_verb, names_a_board_of_random_bytes_and_shows_the_others) {
  Forked owner = process("owner", [&] { return take_two(scene(), 0, 0, 1); });
  until_ready(1);
  const std::string path = std::string{::getenv("XDG_RUNTIME_DIR")} + "/bulkhead/locks/x.board";
  const Fd board = Fd::adopt(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  struct flock held{};
  held.l_type = F_WRLCK;
  EXPECT_EQ(::fcntl(board.native(), F_OFD_SETLK, &held), 0);
  std::mt19937 random{1};
  for (int i = 0; i < 20; ++i) {
    std::string bytes(random() % 40'000, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    EXPECT_EQ(::pwrite(board.native(), bytes.data(), bytes.size(), 0),
              static_cast<ssize_t>(bytes.size()));
    const Outcome run = run_command({});
    EXPECT_EQ(run.status, 1);
    EXPECT_THAT(run.output, testing::ContainsRegex("a +has +owner"));
  }
  ::unlink(path.c_str());
  let_go(1);
  EXPECT_EQ(owner.wait(), 0);
}

/// Process and thread ids are N, and all space is one space.
std::string without_numbers(const std::string& text) {
  const std::string numbers = std::regex_replace(text, std::regex{"\\([0-9]+\\)"}, "(N)");
  const std::string threads = std::regex_replace(numbers, std::regex{"thread [0-9]+"}, "thread N");
  return std::regex_replace(threads, std::regex{"\\s+"}, " ");
}

std::string handbook() {
  const auto top = std::filesystem::path{__FILE__}.parent_path().parent_path();
  std::ostringstream all;
  all << std::ifstream{top / "docs/handbook/models.html"}.rdbuf();
  return without_numbers(all.str());
}

TEST(deadlock_example, names_the_circle_as_the_handbook_shows_it_and_one_goes_on) {
  if (::access(test::program_path("deadlock").c_str(), X_OK) != 0) {
    GTEST_SKIP() << "the examples are not part of this build";
  }
  const auto waiting = test::waiting_for("the example");
  test::Child example = test::Child::start("deadlock");
  const std::string output = example.read_all();
  EXPECT_EQ(example.wait(), 0);
  const std::string words = without_numbers(output);
  const std::string page = handbook();
  for (const char* const member : {"buyer", "seller"}) {
    const std::regex said{
        std::string{member} +
        R"( \(N\) thread N has "\w+" \(deadlock.cpp:\d+\) and waits for "\w+" \(deadlock.cpp:\d+\))"};
    std::smatch found;
    ASSERT_TRUE(std::regex_search(words, found, said)) << output;
    EXPECT_THAT(page, HasSubstr(found.str())) << "the handbook shows another run";
  }
}

TEST_F(locks_verb, sees_a_program_whose_environment_asks_for_it) {
  Forked asked{[&] {
    ::setenv("BULKHEAD_DIAGNOSE_LOCKS", "1", 1);
    ::prctl(PR_SET_NAME, "asked");
    auto one = scene().locks[3].lock();
    or_throw(scene().ready.post());
    return scene().go.wait(never) ? 0 : went_wrong;
  }};
  until_ready(1);
  EXPECT_THAT(run_command({}).output, testing::ContainsRegex("d +has +asked"));
  let_go(1);
  EXPECT_EQ(asked.wait(), 0);
}

}  // namespace
