// SPDX-License-Identifier: Apache-2.0
#include "left_behind.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace contact_sheet {
namespace {

namespace fs = std::filesystem;

/// The parent in /proc/PID/stat: the second field behind the command, which may hold anything.
pid_t parent_of(const fs::path& process) {
  std::ifstream file(process / "stat");
  const std::string stat(std::istreambuf_iterator<char>(file), {});
  const std::size_t end = stat.rfind(") ");
  return end == std::string::npos ? 0 : std::atoi(stat.c_str() + std::min(end + 4, stat.size()));
}

void add_children(std::set<std::string>& found) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    const std::string pid = entry.path().filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    if (parent_of(entry.path()) == ::getpid()) found.insert("process " + pid);
  }
}

void add_descriptors(std::set<std::string>& found) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd", error)) {
    const fs::path target = fs::read_symlink(entry.path(), error);
    if (!error && target != "/proc/" + std::to_string(::getpid()) + "/fd") {  // not this walk's own
      found.insert("descriptor " + entry.path().filename().string() + " of " + target.string());
    }
  }
}

/// Files, sockets and the like of this user, in all folders below.
void add_names(const fs::path& folder, std::set<std::string>& found) {
  std::error_code error;
  constexpr auto options = fs::directory_options::skip_permission_denied;
  fs::recursive_directory_iterator entry(folder, options, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    struct stat status{};
    const bool there = ::lstat(entry->path().c_str(), &status) == 0;
    if (there && !S_ISDIR(status.st_mode) && status.st_uid == ::geteuid()) {
      found.insert("name " + entry->path().string());
    }
  }
}

fs::path runtime_directory() {
  const char* given = std::getenv("XDG_RUNTIME_DIR");
  if (given && *given) return fs::path(given) / "bulkhead";
  return "/tmp/bulkhead-" + std::to_string(::geteuid());
}

std::set<std::string> held_and_not_in(const std::set<std::string>& before) {
  const std::set<std::string> now = holdings();
  std::set<std::string> added;
  std::ranges::set_difference(now, before, std::inserter(added, added.end()));
  return added;
}

}  // namespace

std::set<std::string> holdings() {
  std::set<std::string> found;
  add_children(found);
  add_descriptors(found);
  add_names("/dev/shm", found);
  add_names(runtime_directory(), found);
  return found;
}

std::set<std::string> left_behind(const std::set<std::string>& before) {
  std::set<std::string> added = held_and_not_in(before);
  if (added.empty()) return added;
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  std::set<std::string> stayed;
  std::ranges::set_intersection(added, held_and_not_in(before),
                                std::inserter(stayed, stayed.end()));
  return stayed;
}

}  // namespace contact_sheet
