// SPDX-License-Identifier: Apache-2.0
#include "crash/victim.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <sched.h>
#include <set>
#include <sstream>
#include <stdexcept>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <tuple>
#include <unistd.h>

#include "support/children.hpp"

namespace bulkhead::crash {
namespace {

/// How long it may run between two stops before the harness gives up: nothing here takes long.
constexpr int most_waits = 20'000;  // of a millisecond
constexpr timespec one_wait{.tv_sec = 0, .tv_nsec = 1'000'000};

[[noreturn]] void give_up(const std::string& what) {
  throw std::runtime_error{what + ": " + std::strerror(errno)};
}

/// The kernel, or who runs us, does not let us trace.
struct Refused : std::runtime_error {
  using runtime_error::runtime_error;
};
constexpr int refused_status = 126;

/// Between fork and exec. `descriptors` become 3, 4, ...
[[noreturn]] void become(const char* path, char* const* arguments, char* const* environment,
                         int* descriptors, int count, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int i = 0; i < count; ++i) descriptors[i] = ::fcntl(descriptors[i], F_DUPFD_CLOEXEC, 100);
  for (int i = 0; i < count; ++i) {
    if (::dup2(descriptors[i], 3 + i) < 0) ::_exit(127);
  }
  // Reading the present personality changes nothing: 0xffffffff (personality(2)).
  const int persona = ::personality(0xffffffff);
  ::personality(static_cast<unsigned long>(persona) | ADDR_NO_RANDOMIZE);
  if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(refused_status);
  ::execve(path, arguments, environment);
  ::_exit(127);
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> all;
  for (auto& one : strings) all.push_back(one.data());
  all.push_back(nullptr);
  return all;
}

std::string variable(const char* name) {
  const char* const value = ::getenv(name);
  return std::string{name} + "=" + (value != nullptr ? value : "");
}

}  // namespace

void prepare_tracing() {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<std::size_t>(::sched_getcpu()), &one);
  ::sched_setaffinity(0, sizeof one, &one);
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &child, nullptr);
}

#if defined(__x86_64__)

std::string Victim::why_not() {
  try {
    Victim victim{{"--list"}, {}};
    const auto before = victim.position();
    static_cast<void>(victim.step());
    return victim.position() == before ? "stepping does not step" : "";
  } catch (const Refused& refused) {
    return refused.what();
  }
}

Victim::Victim(const std::vector<std::string>& arguments, const std::vector<FdView>& inherited) {
  std::string path = test::program_path("crash_victim");
  std::vector<std::string> strings{path};
  strings.insert(strings.end(), arguments.begin(), arguments.end());
  // No more than it needs: the place of its stack depends on all of it.
  std::vector<std::string> variables{"LD_BIND_NOW=1", variable("TMPDIR"),
                                     variable("XDG_RUNTIME_DIR")};
  const auto argv = pointers(strings);
  const auto environment = pointers(variables);
  std::vector<int> descriptors;
  for (const FdView fd : inherited) descriptors.push_back(fd.native());
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) give_up("fork");
  if (pid_ == 0) {
    become(path.c_str(), argv.data(), environment.data(), descriptors.data(),
           static_cast<int>(descriptors.size()), parent);
  }
  try {
    // The exec of a traced process stops it.
    static_cast<void>(wait_for_stop(false));
    signal_ = 0;
    if (::ptrace(PTRACE_SETOPTIONS, pid_, nullptr, PTRACE_O_EXITKILL) != 0) give_up("ptrace");
    look();
  } catch (...) {
    kill();
    throw;
  }
}

Victim::Event Victim::run() {
  target_ = 0;
  stepping_ = false;
  resume();
  return go_on();
}

Victim::Event Victim::run_to(std::uint64_t address, std::uint32_t hits) {
  target_ = address;
  hits_ = hits;
  if (position_ == address && --hits_ == 0) return {.stop = Stop::breakpoint};
  stepping_ = position_ == address;  // past it first
  if (!stepping_) arm();
  resume();
  return go_on();
}

Victim::Event Victim::step() {
  target_ = 0;
  stepping_ = true;
  const bool may_sleep = at_call();
  resume();
  if (may_sleep) return go_on();
  static_cast<void>(wait_for_stop(false));
  return arrived();
}

Victim::Event Victim::wait() { return go_on(); }

Victim::Event Victim::go_on() {
  for (;;) {
    if (!wait_for_stop(true)) return {.stop = Stop::asleep};
    const Event event = arrived();
    if (target_ == 0 || event.stop == Stop::mark) return event;
    // Towards the target: a visit, or a step past it.
    if (event.stop == Stop::breakpoint && --hits_ == 0) return event;
    stepping_ = event.stop == Stop::breakpoint;
    if (!stepping_) arm();
    resume();
  }
}

/// It has stopped by a trap: what does that mean?
Victim::Event Victim::arrived() {
  const std::uint64_t before = position_;
  look();
  if (armed_) {
    disarm();
    if (position_ == target_ + 1) {
      set_position(target_);
      return {.stop = Stop::breakpoint};
    }
  }
  const bool trapped = stepping_ ? kind_of(before) == Kind::trap : true;
  if (trapped) return {.stop = Stop::mark, .mark = static_cast<Mark>(argument_)};
  return {.stop = Stop::step};
}

void Victim::resume() {
  const auto how = stepping_ ? PTRACE_SINGLESTEP : PTRACE_CONT;
  const long signal = std::exchange(signal_, 0);
  if (::ptrace(how, pid_, nullptr, signal) != 0) give_up("go on with the victim");
}

bool Victim::wait_for_stop(bool may_sleep) {
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  int asleep = 0;
  for (int waits = 0; waits < most_waits;) {
    int status = 0;
    const pid_t found = ::waitpid(pid_, &status, may_sleep ? WNOHANG : 0);
    if (found < 0 && errno == EINTR) continue;
    if (found < 0) give_up("wait for the victim");
    if (found == 0) {
      // SIGCHLD is blocked (prepare_tracing): it comes with each stop.
      if (::sigtimedwait(&child, nullptr, &one_wait) >= 0) continue;
      ++waits;
      asleep = is_asleep() ? asleep + 1 : 0;
      if (asleep >= 2) return false;
      continue;
    }
    if (!WIFSTOPPED(status)) {
      pid_ = -1;
      if (WIFEXITED(status) && WEXITSTATUS(status) == refused_status) {
        throw Refused{"ptrace(2) is refused"};
      }
      throw std::runtime_error{"the victim ended by itself, status " + std::to_string(status)};
    }
    if (WSTOPSIG(status) == SIGTRAP) return true;
    signal_ = WSTOPSIG(status);  // one of its own: it gets it
    resume();
  }
  throw std::runtime_error{"the victim runs and runs"};
}

bool Victim::is_asleep() const {
  std::ifstream file{"/proc/" + std::to_string(pid_) + "/stat"};
  std::string line;
  std::getline(file, line);
  const auto name_end = line.rfind(')');
  return name_end != line.npos && line.compare(name_end, 3, ") S") == 0;
}

void Victim::look() {
  user_regs_struct registers{};
  if (::ptrace(PTRACE_GETREGS, pid_, nullptr, &registers) != 0) give_up("registers of the victim");
  position_ = registers.rip;
  argument_ = registers.rdi;
}

void Victim::set_position(std::uint64_t address) {
  if (::ptrace(PTRACE_POKEUSER, pid_, offsetof(user_regs_struct, rip), address) != 0) {
    give_up("registers of the victim");
  }
  position_ = address;
}

long Victim::peek(std::uint64_t address) const {
  errno = 0;
  const long word = ::ptrace(PTRACE_PEEKTEXT, pid_, address, nullptr);
  if (errno != 0) give_up("code of the victim");
  return word;
}

void Victim::poke(std::uint64_t address, long word) const {
  if (::ptrace(PTRACE_POKETEXT, pid_, address, word) != 0) give_up("code of the victim");
}

void Victim::arm() {
  original_ = peek(target_);
  poke(target_, (original_ & ~0xffL) | 0xcc);
  armed_ = true;
}

void Victim::disarm() {
  poke(target_, original_);
  armed_ = false;
}

Victim::Kind Victim::kind_of(std::uint64_t address) {
  const auto [found, is_new] = kinds_.try_emplace(address, Kind::other);
  if (!is_new) return found->second;
  const long word = peek(address);
  if ((word & 0xffff) == 0x050f) found->second = Kind::call;
  if ((word & 0xff) == 0xcc) found->second = Kind::trap;
  return found->second;
}

#else  // the trap and the registers are this processor's

std::string Victim::why_not() { return "not written for this processor"; }
Victim::Victim(const std::vector<std::string>&, const std::vector<FdView>&) { give_up(why_not()); }
Victim::Event Victim::run() { give_up(why_not()); }
Victim::Event Victim::run_to(std::uint64_t, std::uint32_t) { give_up(why_not()); }
Victim::Event Victim::step() { give_up(why_not()); }
Victim::Event Victim::wait() { give_up(why_not()); }
Victim::Kind Victim::kind_of(std::uint64_t) { give_up(why_not()); }

#endif

void Victim::kill() noexcept {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  int status = 0;
  while (::waitpid(pid_, &status, 0) >= 0 ? !WIFSIGNALED(status) && !WIFEXITED(status)
                                          : errno == EINTR) {
  }
  pid_ = -1;
}

void SharedMemory::look_again() {
  pieces_.clear();
  std::set<std::tuple<std::string, std::string, std::string>> seen;
  std::ifstream maps{"/proc/" + std::to_string(pid_) + "/maps"};
  for (std::string line; std::getline(maps, line);) {
    std::istringstream words{line};
    std::string range;
    std::string protection;
    std::string offset;
    std::string device;
    std::string inode;
    words >> range >> protection >> offset >> device >> inode;
    if (protection.size() != 4 || protection[1] != 'w' || protection[3] != 's') continue;
    // A ring is mapped twice in a row; both show the same.
    if (!seen.insert({offset, device, inode}).second) continue;
    const std::uint64_t start = std::stoull(range, nullptr, 16);
    const std::uint64_t end = std::stoull(range.substr(range.find('-') + 1), nullptr, 16);
    pieces_.push_back({.start = start, .size = end - start, .last = {}});
  }
  static_cast<void>(changed());
}

bool SharedMemory::changed() {
  bool any = false;
  for (Piece& piece : pieces_) {
    now_.resize(piece.size);
    iovec here{now_.data(), piece.size};
    iovec there{reinterpret_cast<void*>(piece.start), piece.size};
    const auto got = ::process_vm_readv(pid_, &here, 1, &there, 1, 0);
    now_.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    if (now_ == piece.last) continue;
    any = true;
    std::swap(now_, piece.last);
  }
  return any;
}

}  // namespace bulkhead::crash
