// SPDX-License-Identifier: Apache-2.0
//
// Names that killed processes left: `bulkhead clean` finds and removes them, of every kind, and
// never a live process's (F17). And `bulkhead mechanisms`, against the library.
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mqueue.h>
#include <random>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bulkhead/bulkhead.hpp>

#include "os/names.hpp"
#include "os/poll.hpp"
#include "support/census.hpp"
#include "support/children.hpp"
#include "support/soak.hpp"
#include "support/watchdog.hpp"

namespace {

using namespace bulkhead;
using namespace std::chrono_literals;
using os::Named;
using os::NameLock;
using os::NameRecord;
using State = OwnedName::State;
using testing::HasSubstr;
using testing::IsEmpty;

/// Runs `work` in a process that then ends without a word.
void in_a_process_that_dies(const std::function<bool()>& work) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(work() ? 0 : 1);
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
}

std::vector<std::string> with_state(const std::vector<OwnedName>& names, State state) {
  std::vector<std::string> found;
  for (const auto& name : names) {
    if (name.state == state) found.push_back(name.name);
  }
  return found;
}

std::vector<std::string> removed_now() {
  return with_state(or_throw(remove_stale_names()), State::removed);
}

bool exists(const std::string& path) {
  struct stat found{};
  return ::lstat(path.c_str(), &found) == 0;
}

std::vector<std::string> records() {
  std::vector<std::string> found;
  for (const auto& file : std::filesystem::directory_iterator{or_throw(os::record_directory())}) {
    found.push_back(file.path());
  }
  return found;
}

struct CommandRun {
  int status;
  std::string output;
};

CommandRun run_command(const std::vector<std::string>& arguments) {
  test::Child child = test::Child::start("bulkhead", arguments);
  child.close_input();
  const test::Waiting waiting{"bulkhead " + arguments.front()};
  CommandRun run{-1, child.read_all()};
  const int status = child.wait();
  if (WIFEXITED(status)) run.status = WEXITSTATUS(status);
  return run;
}

bool command_is_built() { return ::access(test::program_path("bulkhead").c_str(), X_OK) == 0; }

TEST(clean, removes_a_killed_listeners_socket_and_lock_and_leaves_a_live_ones) {
  if (!command_is_built()) GTEST_SKIP() << "the command is not built";
  const std::string folder = test::temporary_folder();
  const std::string dead = folder + "/dead";
  const std::string live = folder + "/live";
  auto killed = test::Child::start("channel_peer", {"hold_a_name", "unix://" + dead});
  auto kept = test::Child::start("channel_peer", {"hold_a_name", "unix://" + live});
  ASSERT_EQ(killed.read_line(), "ready");
  ASSERT_EQ(kept.read_line(), "ready");
  EXPECT_EQ(run_command({"clean"}).output, "nothing\n");
  killed.kill();
  killed.wait();
  ASSERT_TRUE(exists(dead) && exists(dead + ".lock"));

  const auto dry = run_command({"clean", "--dry-run"});
  EXPECT_THAT(dry.output, testing::AllOf(HasSubstr("stale"), HasSubstr(dead),
                                         HasSubstr(std::to_string(killed.pid())),
                                         testing::Not(HasSubstr(live))));
  EXPECT_TRUE(exists(dead));
  EXPECT_THAT(run_command({"clean", "--list"}).output, HasSubstr(live));
  const auto json = run_command({"clean", "--json"});
  EXPECT_EQ(json.status, 0);
  EXPECT_THAT(json.output, testing::AllOf(HasSubstr("\"removed\""), HasSubstr(dead)));
  EXPECT_FALSE(exists(dead) || exists(dead + ".lock"));
  EXPECT_TRUE(exists(live) && exists(live + ".lock"));
  EXPECT_TRUE(connect("unix://" + live, 10s));
  kept.write("\n");
  kept.wait();
  EXPECT_THAT(records(), IsEmpty());
}

TEST(clean, removes_shared_memorys_meeting_place) {
  in_a_process_that_dies([] {
    auto listener = listen("shm:left");
    if (listener) new Listener{*std::move(listener)};  // not destroyed: as when killed
    return listener.has_value();
  });
  EXPECT_THAT(removed_now(), testing::ElementsAre(testing::EndsWith("/left.shm")));
  EXPECT_THAT(removed_now(), IsEmpty());
  EXPECT_THAT(records(), IsEmpty());
}

/// A name of `kind` whose owner died after `make`, with its identity told or not.
void leave(Named kind, const std::string& name, bool (*make)(const std::string&), bool told) {
  in_a_process_that_dies([&] {
    auto record = NameRecord::create("test");
    if (!record || !record->add(kind, name) || !make(name)) return false;
    if (told) record->made();
    new NameRecord{*std::move(record)};
    return true;
  });
}

bool make_fifo(const std::string& path) { return ::mkfifo(path.c_str(), 0600) == 0; }
bool make_queue(const std::string& name) {
  const mqd_t queue = ::mq_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600, nullptr);
  return queue >= 0 && ::mq_close(queue) == 0;
}
bool make_key(const std::string& key) {
  return ::msgget(std::stoi(key), IPC_CREAT | IPC_EXCL | 0600) >= 0;
}
bool make_nothing(const std::string&) { return true; }

TEST(clean, removes_fifos_and_both_kinds_of_queues) {
  const std::string fifo = test::temporary_folder().string() + "/fifo";
  const std::string queue = "/bulkhead-clean-" + std::to_string(::getpid());
  const std::string key = std::to_string(0x62000000 + ::getpid());
  for (const bool told : {true, false}) {
    leave(Named::fifo, fifo, make_fifo, told);
    leave(Named::queue, queue, make_queue, told);
    leave(Named::key, key, make_key, told);
    EXPECT_EQ(with_state(or_throw(list_names()), State::stale).size(), 3u);
    EXPECT_THAT(removed_now(), testing::UnorderedElementsAre(fifo, queue, key)) << told;
    EXPECT_FALSE(exists(fifo));
    EXPECT_LT(::msgget(std::stoi(key), 0), 0);
    EXPECT_LT(::mq_unlink(queue.c_str()), 0);
    EXPECT_THAT(records(), IsEmpty());
  }
}

TEST(clean, leaves_what_has_taken_the_place_of_a_name) {
  const std::string folder = test::temporary_folder();
  const std::string name = folder + "/name";
  const std::string victim = folder + "/victim";
  std::ofstream{victim} << "data";
  const std::vector<std::function<void()>> replacements{
      [&] { std::ofstream{name} << "data"; },
      [&] { ASSERT_EQ(::symlink(victim.c_str(), name.c_str()), 0); },
      [&] { ASSERT_EQ(::link(victim.c_str(), name.c_str()), 0); },
      [&] { ASSERT_EQ(::mkdir(name.c_str(), 0700), 0); },
      [&] { ASSERT_TRUE(make_fifo(name)); },  // of the right kind, but another one
  };
  for (const auto& replace : replacements) {
    leave(Named::fifo, name, make_fifo, true);
    // Kept elsewhere, so that its inode is not used again within the same tick of the clock.
    std::filesystem::rename(name, folder + "/moved away");
    replace();
    EXPECT_THAT(removed_now(), IsEmpty());
    EXPECT_TRUE(exists(name));
    EXPECT_TRUE(exists(victim));
    EXPECT_THAT(records(), IsEmpty()) << "what is somebody else's is not asked about again";
    std::filesystem::remove(name);
  }
}

TEST(clean, leaves_a_link_in_the_place_of_the_folder_alone) {
  const std::string folder = test::temporary_folder();
  ASSERT_EQ(::mkdir((folder + "/a").c_str(), 0700), 0);
  ASSERT_EQ(::mkdir((folder + "/b").c_str(), 0700), 0);
  leave(Named::fifo, folder + "/a/name", make_fifo, true);
  ASSERT_TRUE(make_fifo(folder + "/b/name"));
  std::filesystem::rename(folder + "/a", folder + "/moved");
  ASSERT_EQ(::symlink((folder + "/b").c_str(), (folder + "/a").c_str()), 0);
  EXPECT_THAT(removed_now(), IsEmpty());
  EXPECT_TRUE(exists(folder + "/b/name"));
}

TEST(clean, leaves_a_name_that_a_live_process_has_taken_over) {
  const std::string path = test::temporary_folder().string() + "/name";
  in_a_process_that_dies([&] {
    auto listener = listen("unix://" + path);
    if (listener) new Listener{*std::move(listener)};
    return listener.has_value();
  });
  auto mine = or_throw(listen("unix://" + path));
  EXPECT_EQ(records().size(), 1u) << "who takes a name over drops the record of the dead";
  EXPECT_THAT(removed_now(), IsEmpty());
  EXPECT_TRUE(exists(path) && exists(path + ".lock"));
  EXPECT_EQ(records().size(), 1u);
  EXPECT_THAT(with_state(or_throw(list_names()), State::live), testing::ElementsAre(path));
}

TEST(clean, removes_the_other_names_of_a_dead_owner_whose_first_was_taken_over) {
  const std::string path = test::temporary_folder().string() + "/name";
  in_a_process_that_dies([&] {
    auto lock = NameLock::take(path + ".lock", "test", Named::fifo, path);
    if (!lock || !make_fifo(path)) return false;
    lock->made();
    if (!lock->also(Named::fifo, path + ".1") || !make_fifo(path + ".1")) return false;
    lock->made();
    new NameLock{*std::move(lock)};
    return true;
  });
  auto mine = or_throw(NameLock::take(path + ".lock", "test", Named::fifo, path));
  EXPECT_FALSE(exists(path)) << "what the dead one made there goes at once";
  ASSERT_TRUE(make_fifo(path));
  mine.made();
  EXPECT_THAT(removed_now(), testing::ElementsAre(path + ".1"));
  EXPECT_TRUE(exists(path) && exists(path + ".lock"));
  EXPECT_EQ(records().size(), 1u);
  ::unlink(path.c_str());
}

TEST(clean, drops_records_of_what_was_never_made_or_never_finished) {
  leave(Named::fifo, test::temporary_folder().string() + "/never", make_nothing, false);
  std::ofstream{or_throw(os::record_directory()) + "/1.cut.name"} << "mechan";
  std::ofstream{or_throw(os::record_directory()) + "/1.lies.name"}
      << std::string{"fifo relative\0key 12x\0key \0lock x\0socket /\0made\0", 49};
  EXPECT_THAT(removed_now(), IsEmpty());
  EXPECT_THAT(records(), IsEmpty());
}

TEST(clean, removes_locks_without_a_record_from_the_runtime_directory) {
  const std::string lock = or_throw(os::runtime_directory()) + "/old.shm.lock";
  in_a_process_that_dies([&] {
    auto taken = NameLock::take(lock);
    if (taken) new NameLock{*std::move(taken)};
    return taken.has_value();
  });
  EXPECT_THAT(with_state(or_throw(list_names()), State::stale), testing::ElementsAre(lock));
  EXPECT_THAT(removed_now(), testing::ElementsAre(lock));
}

/// A forked process that did `work` and waits for its end.
class Held {
 public:
  explicit Held(const std::function<bool()>& work) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const Fd reads = Fd::adopt(ends[0]);
    const Fd writes = Fd::adopt(ends[1]);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      const char answer = work() ? 'y' : 'n';
      static_cast<void>(::write(writes.native(), &answer, 1));
      for (;;) ::pause();
    }
    const test::Waiting waiting{"a forked process"};
    char answer = 0;
    EXPECT_EQ(::read(reads.native(), &answer, 1), 1);
    EXPECT_EQ(answer, 'y');
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  ~Held() {
    kill();
    reap();
  }
  void kill() const { ::kill(pid_, SIGKILL); }
  void wait_unreaped() const {
    siginfo_t info{};
    ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT);
  }
  void reap() {
    int status = 0;
    if (pid_ > 0) ::waitpid(std::exchange(pid_, 0), &status, 0);
  }

 private:
  pid_t pid_ = 0;
};

/// Kept until the process ends, and never closed.
template <class T> bool keep(Result<T> made) {
  if (made) new T{*std::move(made)};
  return made.has_value();
}

std::string folder_of_test() {
  static std::string folder;
  if (!std::filesystem::exists(folder)) folder = test::temporary_folder();
  return folder;
}

struct Place {
  const char* name;
  std::string (*address)();
};
std::ostream& operator<<(std::ostream& out, const Place& one) { return out << one.name; }

const Place addresses[] = {
    {"unix", [] { return "unix://" + folder_of_test() + "/socket"; }},
    {"unix_stream", [] { return "unix://" + folder_of_test() + "/stream?type=stream"; }},
    {"shm", [] { return std::string{"shm:listens-again"}; }},
    {"fifo", [] { return "fifo://" + folder_of_test() + "/fifo"; }},
    {"mq", [] { return "mq:///listens-again-" + std::to_string(::getpid()); }},
    {"sysv", [] { return "sysv://" + std::to_string(0x61000000 + ::getpid()); }},
};

class listening_again : public testing::TestWithParam<Place> {};
INSTANTIATE_TEST_SUITE_P(mechanisms, listening_again, testing::ValuesIn(addresses),
                         [](const auto& chosen) { return chosen.param.name; });

/// Nobody has waited for it yet: its pid is still its own, and looks alive to who asks by it.
TEST_P(listening_again, where_a_killed_process_listened_is_possible_at_once) {
  const std::string address = GetParam().address();
  for (int i = 0; i < 10; ++i) {
    Held listener{[&] { return keep(listen(address)); }};
    EXPECT_EQ(listen(address).error(), ErrorKind::exists);
    listener.kill();
    listener.wait_unreaped();
    EXPECT_TRUE(listen(address)) << listen(address).error();
  }
  EXPECT_THAT(records(), IsEmpty());
}

bool is_lock(const std::string& path) {
  for (const char* ending : {".lock", ".mq", ".key", ".name"}) {
    if (path.ends_with(ending)) return true;
  }
  return false;
}

/// As in the moment in which a dying process has given up its locks and not yet its sockets, made
/// long: a child of it has the sockets.
TEST_P(listening_again, while_what_a_dead_process_listened_with_is_still_open_is_possible) {
  const std::string address = GetParam().address();
  pid_t child = 0;
  int told[2];
  ASSERT_EQ(::pipe2(told, O_CLOEXEC), 0);
  {
    Held listener{[&] {
      if (!keep(listen(address))) return false;
      const pid_t heir = ::fork();
      if (heir != 0) return ::write(told[1], &heir, sizeof heir) == sizeof heir;
      std::vector<int> locks;
      for (const auto& fd : std::filesystem::directory_iterator{"/proc/self/fd"}) {
        std::error_code ignored;
        if (is_lock(std::filesystem::read_symlink(fd, ignored))) {
          locks.push_back(std::stoi(fd.path().filename()));
        }
      }
      for (const int fd : locks) ::close(fd);
      for (;;) ::pause();
    }};
    ASSERT_EQ(::read(told[0], &child, sizeof child), static_cast<ssize_t>(sizeof child));
  }
  ::close(told[0]);
  ::close(told[1]);
  const test::Waiting waiting{"the locks of the dead process"};
  auto again = listen(address);
  while (!again && again.error() == ErrorKind::exists) {  // until the child has closed its locks
    ASSERT_TRUE(os::poll({}, std::chrono::milliseconds{1}));
    again = listen(address);
  }
  EXPECT_TRUE(again) << again.error();
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);  // not ours, as a rule
}

TEST(clean, removes_what_a_dead_client_of_a_live_fifo_server_made) {
  const std::string path = folder_of_test() + "/fifo";
  auto listener = or_throw(listen("fifo://" + path));
  Held live{[&] { return keep(connect("fifo://" + path, 20s)); }};
  {
    Held dies{[&] { return keep(connect("fifo://" + path, 20s)); }};
  }
  EXPECT_EQ(with_state(or_throw(list_names()), State::stale).size(), 2u);
  EXPECT_THAT(removed_now(),
              testing::UnorderedElementsAre(testing::EndsWith(".up"), testing::EndsWith(".down")));
  EXPECT_THAT(removed_now(), IsEmpty());
  // The live one's are there for the server.
  EXPECT_TRUE(listener.accept(20s));
}

TEST(clean, removes_what_clients_of_a_dead_fifo_server_made) {
  const std::string path = folder_of_test() + "/fifo";
  {
    Held server{[&] { return keep(listen("fifo://" + path)); }};
    Held client{[&] { return keep(connect("fifo://" + path, 20s)); }};
  }
  EXPECT_EQ(with_state(or_throw(list_names()), State::stale).size(), 3u);
  EXPECT_THAT(removed_now(), testing::UnorderedElementsAre(path, testing::EndsWith(".up"),
                                                           testing::EndsWith(".down")));
  EXPECT_TRUE(std::filesystem::is_empty(folder_of_test()));
}

TEST(clean, finds_nothing_of_dead_clients_of_a_fifo_server_that_closed) {
  const std::string path = folder_of_test() + "/fifo";
  auto listener = or_throw(listen("fifo://" + path));
  {
    Held dies{[&] { return keep(connect("fifo://" + path, 20s)); }};
  }
  listener.close();
  EXPECT_TRUE(std::filesystem::is_empty(folder_of_test()));
}

TEST(clean, removes_what_dead_clients_left_in_a_dead_listeners_queue) {
  const std::string name = "/clean-clients-" + std::to_string(::getpid());
  {
    Held server{[&] { return keep(listen("mq://" + name)); }};
    Held one{[&] { return keep(connect("mq://" + name, 20s)); }};
    Held other{[&] { return keep(connect("mq://" + name, 20s, {.direction = Direction::send})); }};
  }
  EXPECT_THAT(removed_now(),
              testing::UnorderedElementsAre(name, testing::EndsWith(".c"), testing::EndsWith(".s"),
                                            testing::EndsWith(".c")));
  EXPECT_THAT(removed_now(), IsEmpty());
}

TEST(clean, has_nothing_to_do_when_the_next_listener_took_the_queue_over) {
  const std::string name = "/clean-clients-" + std::to_string(::getpid());
  {
    Held server{[&] { return keep(listen("mq://" + name)); }};
    Held client{[&] { return keep(connect("mq://" + name, 20s)); }};
  }
  EXPECT_TRUE(listen("mq://" + name));
  EXPECT_THAT(removed_now(), IsEmpty());
}

TEST(clean, removes_a_queue_of_which_one_end_closed_and_the_other_died_unused) {
  in_a_process_that_dies([] {
    auto ends = pair(Mechanism::sysv_mq);
    if (!ends || !ends->first.send(as_bytes("last words"), 20s)) return false;
    ends->first.close();
    new Channel{std::move(ends->second)};
    return true;
  });
  EXPECT_EQ(with_state(or_throw(list_names()), State::stale).size(), 1u);
  EXPECT_EQ(removed_now().size(), 1u);
  EXPECT_THAT(records(), IsEmpty());
}

TEST(clean, leaves_a_queue_that_was_left_to_an_end_that_lives) {
  auto ends = or_throw(pair(Mechanism::sysv_mq));
  or_throw(ends.first.send(as_bytes("last words"), 20s));
  ends.first.close();
  EXPECT_THAT(removed_now(), IsEmpty());
  EXPECT_EQ(records().size(), 1u);
  EXPECT_EQ(or_throw(ends.second.receive(20s)).text(), "last words");
  EXPECT_EQ(ends.second.receive(20s).error(), ErrorKind::closed);
  ends.second.close();
  EXPECT_THAT(records(), IsEmpty());
}

constexpr int lost_its_name = 77;

/// Takes one of a few names, looks that it stays there, and gives it back or dies with it.
[[noreturn]] void create(const std::string& folder, unsigned seed) {
  std::mt19937 random{seed};
  const std::string path = folder + "/" + std::to_string(random() % 3);
  const auto& other = addresses[random() % std::size(addresses)];
  for (int i = 0; i < 4; ++i) {
    // Of the others: that nothing stays is seen at the end.
    if (random() % 4 == 0) {
      const auto held = listen(other.address());
      if (held && listen(other.address())) ::_exit(lost_its_name);
      continue;
    }
    auto listener = listen("unix://" + path);
    if (!listener) continue;  // another has it
    for (int looks = 0; looks < 20; ++looks) {
      if (!exists(path) || !exists(path + ".lock") || !connect("unix://" + path, 10s)) {
        ::_exit(lost_its_name);
      }
      while (listener->try_accept()) {
      }
    }
    if (random() % 2 == 0) ::_exit(0);
  }
  ::_exit(0);
}

pid_t start_cleaner() {
  const pid_t cleaner = ::fork();
  if (cleaner == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) static_cast<void>(remove_stale_names());
  }
  return cleaner;
}

void kill_and_reap(pid_t pid) {
  ::kill(pid, SIGKILL);
  int status = 0;
  ::waitpid(pid, &status, 0);
}

TEST(clean, races_with_creators_that_are_killed_and_never_takes_a_live_ones_name) {
  const std::string folder = test::temporary_folder();
  const std::string others = folder_of_test();
  const int rounds = test::soaked(700);
  std::mt19937 random{4711};
  int killed = 0;
  int lost = 0;
  pid_t cleaner = start_cleaner();
  for (int round = 0; round < rounds; ++round) {
    const test::Waiting waiting{"round " + std::to_string(round)};
    const auto seed = static_cast<unsigned>(random());
    const pid_t first = ::fork();
    if (first == 0) create(folder, seed);
    const pid_t second = ::fork();
    if (second == 0) create(folder, seed + 1);
    // The moment is random, not the outcome: whatever it is, nothing may be lost or left.
    static_cast<void>(os::poll({}, std::chrono::microseconds{random() % 3000}));
    for (const pid_t creator : {first, second}) {
      ::kill(creator, SIGKILL);
      int status = 0;
      ASSERT_EQ(::waitpid(creator, &status, 0), creator);
      killed += WIFSIGNALED(status) ? 1 : 0;
      lost += WIFEXITED(status) && WEXITSTATUS(status) == lost_its_name ? 1 : 0;
    }
    if (round % 50 == 49) {
      kill_and_reap(cleaner);
      cleaner = start_cleaner();
    }
  }
  kill_and_reap(cleaner);
  EXPECT_EQ(lost, 0);
  EXPECT_GT(killed, rounds / 10) << "kills that came too late show nothing";
  static_cast<void>(or_throw(remove_stale_names()));
  EXPECT_THAT(records(), IsEmpty());
  EXPECT_TRUE(std::filesystem::is_empty(folder));
  EXPECT_TRUE(others == folder || std::filesystem::is_empty(others));
}

TEST(mechanisms, are_shown_as_the_library_has_them) {
  if (!command_is_built()) GTEST_SKIP() << "the command is not built";
  const auto table = run_command({"mechanisms"});
  EXPECT_EQ(table.status, 0);
  const auto json = run_command({"mechanisms", "--json"});
  EXPECT_EQ(json.status, 0);
  for (const Mechanism mechanism : all_mechanisms) {
    EXPECT_THAT(table.output, HasSubstr("\n" + std::string{to_string(mechanism)} + " "));
    const auto at =
        json.output.find("\"mechanism\": \"" + std::string{to_string(mechanism)} + "\"");
    ASSERT_NE(at, std::string::npos);
    // The fields are in the order of the alphabet: these two stand around the name.
    const auto row = json.output.substr(0, json.output.find('}', at));
    const auto begin = row.rfind('{');
    const auto can = [&](const char* field) {
      return row.find("\"" + std::string{field} + "\": true", begin) != std::string::npos;
    };
    const Capabilities real = capabilities(mechanism);
    EXPECT_EQ(can("handles"), real.handles) << to_string(mechanism);
    EXPECT_EQ(can("in_place"), real.in_place) << to_string(mechanism);
    EXPECT_EQ(can("priority"), real.priority) << to_string(mechanism);
    EXPECT_EQ(can("other_machine"), real.other_machine) << to_string(mechanism);
    EXPECT_EQ(can("survives"), real.survives) << to_string(mechanism);
    EXPECT_EQ(can("reliable"), real.reliable) << to_string(mechanism);
  }
}

}  // namespace
