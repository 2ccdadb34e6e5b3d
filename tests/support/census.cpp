// SPDX-License-Identifier: Apache-2.0
#include "support/census.hpp"

#include <cctype>
#include <cstdio>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <optional>
#include <signal.h>
#include <sstream>
#include <stdlib.h>
#include <string_view>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace fs = std::filesystem;

namespace bulkhead::test {
namespace {

struct Surroundings {
  fs::path temporary;  // this process's own
  bool own_session = false;
  std::vector<fs::path> given;  // to the running test
};

Surroundings& surroundings() {
  static Surroundings instance;
  return instance;
}

struct Stat {
  std::string command;
  char state = '?';
  pid_t parent = 0;
  pid_t session = 0;
};

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == text.npos;
}

/// /proc/PID/stat; nothing when the process has gone meanwhile.
std::optional<Stat> read_stat(const std::string& pid) {
  std::ifstream file{"/proc/" + pid + "/stat"};
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  auto open = line.find('(');
  auto close = line.rfind(')');  // the command may contain anything
  if (open == line.npos || close == line.npos) return std::nullopt;
  Stat stat;
  stat.command = line.substr(open + 1, close - open - 1);
  std::istringstream rest{line.substr(close + 1)};
  pid_t group = 0;
  rest >> stat.state >> stat.parent >> group >> stat.session;
  return stat;
}

/// The names in a folder of /proc or elsewhere; empty when there is none.
std::vector<std::string> entries(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it{folder, error}, end; !error && it != end; it.increment(error)) {
    names.push_back(it->path().filename());
  }
  return names;
}

/// Ours: our children, zombies included; and whoever lives in our session, so that a grandchild
/// whose parent died is counted. A zombie that another process has to reap is not.
bool is_descendant(const Stat& stat) {
  if (stat.parent == getpid()) return true;
  return surroundings().own_session && stat.session == getpid() && stat.state != 'Z';
}

/// Whether a process that is not of this test has the file open or mapped: then it is not ours,
/// but a neighbour's that runs at the same time.
bool held_by_a_neighbour(const fs::path& file) {
  for (const auto& pid : entries("/proc")) {
    if (!is_number(pid) || pid == std::to_string(getpid())) continue;
    auto stat = read_stat(pid);
    if (!stat || is_descendant(*stat)) continue;
    std::error_code error;
    for (const auto& fd : entries("/proc/" + pid + "/fd")) {
      if (fs::read_symlink("/proc/" + pid + "/fd/" + fd, error) == file) return true;
    }
    std::ifstream maps{"/proc/" + pid + "/maps"};
    std::string text{std::istreambuf_iterator<char>{maps}, {}};
    if (text.find(file.string()) != text.npos) return true;
  }
  return false;
}

std::map<std::string, std::string> descriptors() {
  std::map<std::string, std::string> found;
  for (const auto& fd : entries("/proc/self/fd")) {
    std::error_code error;
    auto target = fs::read_symlink("/proc/self/fd/" + fd, error);
    // The descriptor that walked the folder is closed by now.
    if (!error)
      found.emplace(fd + " " + target.string(), "descriptor " + fd + " -> " + target.string());
  }
  return found;
}

std::map<std::string, std::string> processes() {
  std::map<std::string, std::string> found;
  for (const auto& pid : entries("/proc")) {
    if (!is_number(pid) || pid == std::to_string(getpid())) continue;
    auto stat = read_stat(pid);
    if (!stat || !is_descendant(*stat)) continue;
    found.emplace(pid, "process " + pid + " (" + stat->command + ", state " + stat->state +
                           ", parent " + std::to_string(stat->parent) + ")");
  }
  return found;
}

std::map<std::string, std::string> threads() {
  std::map<std::string, std::string> found;
  for (const auto& tid : entries("/proc/self/task")) {
    std::ifstream file{"/proc/self/task/" + tid + "/comm"};
    std::string name;
    std::getline(file, name);
    found.emplace(tid, "thread " + tid + " (" + name + ")");
  }
  return found;
}

/// System V message queues that this process was the last to send to or to receive from: whose a
/// queue is, the kernel does not say otherwise, and neighbours have theirs.
void add_queues(std::map<std::string, std::string>& found) {
  std::ifstream table{"/proc/sysvipc/msg"};
  std::string line;
  std::getline(table, line);  // the headings
  while (std::getline(table, line)) {
    std::istringstream row{line};
    std::string key, id, mode, bytes, count;
    pid_t sender = 0;
    pid_t receiver = 0;
    row >> key >> id >> mode >> bytes >> count >> sender >> receiver;
    if (sender != getpid() && receiver != getpid()) continue;
    found.emplace("sysv " + id, "System V message queue " + id + " (key " + key + ")");
  }
  // Where the file system of POSIX queues is mounted; names of tests have their process in them.
  for (const auto& name : entries("/dev/mqueue")) {
    if (name.find(std::to_string(getpid())) == name.npos) continue;
    found.emplace("/dev/mqueue/" + name, "POSIX message queue /" + name);
  }
}

/// System V memory that this process made.
void add_segments(std::map<std::string, std::string>& found) {
  std::ifstream table{"/proc/sysvipc/shm"};
  std::string line;
  std::getline(table, line);  // the headings
  while (std::getline(table, line)) {
    std::istringstream row{line};
    std::string key, id, mode, size;
    pid_t maker = 0;
    row >> key >> id >> mode >> size >> maker;
    if (maker != getpid()) continue;
    found.emplace("segment " + id, "System V memory " + id + " (key " + key + ")");
  }
}

std::map<std::string, std::string> names() {
  std::map<std::string, std::string> found;
  add_queues(found);
  add_segments(found);
  for (const auto& name : entries("/dev/shm"))
    found.emplace("/dev/shm/" + name, "/dev/shm/" + name);
  const auto& own = surroundings();
  if (own.temporary.empty()) return found;
  std::error_code error;
  fs::recursive_directory_iterator it{own.temporary, error};
  for (; !error && it != fs::recursive_directory_iterator{}; it.increment(error)) {
    // The library's folder in the runtime directory may stay: it is made once per user.
    std::error_code gone;  // a file that goes meanwhile does not end the walk
    if (it->is_directory(gone)) continue;
    // ThreadSanitizer's own, left by a child that was killed as it started.
    if (it->path().filename().string().starts_with("tsan.rodata.")) continue;
    found.emplace(it->path(), "file " + it->path().string());
  }
  return found;
}

void append_new(const std::map<std::string, std::string>& before,
                const std::map<std::string, std::string>& after, std::vector<std::string>& left) {
  for (const auto& [key, description] : after) {
    if (!before.contains(key)) left.push_back(description);
  }
}

}  // namespace

Census Census::take() {
  Census census;
  census.descriptors_ = descriptors();
  census.processes_ = processes();
  census.threads_ = threads();
  census.names_ = names();
  return census;
}

std::vector<std::string> Census::left_behind(const Census& after) const {
  std::vector<std::string> left;
  append_new(descriptors_, after.descriptors_, left);
  append_new(processes_, after.processes_, left);
  append_new(threads_, after.threads_, left);
  append_new(names_, after.names_, left);
  return left;
}

std::vector<std::string> Census::settle(std::chrono::milliseconds patience) const {
  auto until = std::chrono::steady_clock::now() + patience;
  std::vector<std::string> left = left_behind(take());
  while (!left.empty() && std::chrono::steady_clock::now() < until) {
    // Not synchronisation: the kernel tells nobody that its clean-up is done.
    std::this_thread::sleep_for(std::chrono::milliseconds{4});
    left = left_behind(take());
  }
  // A neighbour that makes one name after the other has gone on from the one that was seen.
  std::erase_if(left, [](const std::string& text) {
    std::error_code error;
    return text.starts_with("/dev/shm/") && (!fs::exists(text, error) || held_by_a_neighbour(text));
  });
  return left;
}

void prepare_process() {
#ifdef __SANITIZE_THREAD__
  std::thread{[] {}}.join();  // its background thread starts with the first thread
#endif
  auto& own = surroundings();
  const char* given = getenv("TMPDIR");
  std::string pattern = std::string{given && *given ? given : "/tmp"} + "/bulkhead-test.XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) {
    std::perror("mkdtemp");
    std::_Exit(1);
  }
  own.temporary = pattern;
  fs::path runtime = own.temporary / "run";
  mkdir(runtime.c_str(), 0700);
  setenv("TMPDIR", own.temporary.c_str(), 1);
  setenv("XDG_RUNTIME_DIR", runtime.c_str(), 1);
  // Fails for a process group leader, so when started from a shell: orphans are not seen then.
  own.own_session = setsid() == getpid();
  // Outside the terminal's session Ctrl-C no longer reaches us; die with ctest instead.
  if (own.own_session) prctl(PR_SET_PDEATHSIG, SIGKILL);
}

void clean_up_process() {
  std::error_code error;
  if (!surroundings().temporary.empty()) fs::remove_all(surroundings().temporary, error);
}

fs::path temporary_folder() {
  auto& own = surroundings();
  std::string pattern = (own.temporary / "t.XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) {
    std::perror("mkdtemp");
    std::abort();
  }
  own.given.emplace_back(pattern);
  return pattern;
}

void remove_temporary_folders() {
  std::error_code error;
  for (const auto& folder : std::exchange(surroundings().given, {})) fs::remove_all(folder, error);
}

}  // namespace bulkhead::test
