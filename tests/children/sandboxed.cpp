// SPDX-License-Identifier: Apache-2.0
// Confines itself as told and then does one thing, most of them forbidden. For sandbox_test.cpp.
//
//   sandboxed [--user UID] [--deny CALL ERRNO] [--set FIELD VALUE] PROFILE DEED [argument]...
//
// PROFILE: compute, network, all, none, read=PATH, write=PATH. Prints the report's sentence (or
// "error KIND SENTENCE"), then what came of the deed; "violation CALL" when the filter ended it.
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <grp.h>
#include <iostream>
#include <map>
#include <random>
#include <seccomp.h>
#include <sstream>
#include <string>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <bulkhead/region.hpp>
#include <bulkhead/sandbox.hpp>

#include "sandbox/apply.hpp"
#include "sandbox/violation.hpp"

namespace {

using namespace bulkhead;
using Arguments = std::vector<std::string>;
using Deed = std::function<void(const Arguments&)>;

void tell(const std::string& line) {
  const std::string text = line + "\n";
  static_cast<void>(!::write(STDOUT_FILENO, text.data(), text.size()));
}

void tell_violation(int call, void* /*context*/) noexcept {
  std::array<char, 32> text{"violation "};
  std::size_t size = std::strlen(text.data());
  std::array<char, 12> digits{};
  std::size_t count = 0;
  do {
    digits[count++] = static_cast<char>('0' + call % 10);
  } while ((call /= 10) > 0);
  while (count > 0) text[size++] = digits[--count];
  text[size++] = '\n';
  static_cast<void>(!::write(STDOUT_FILENO, text.data(), size));
}

void tell_outcome(long outcome) {
  const int error = errno;
  tell(outcome == -1 ? std::string{"failed "} + ::strerrorname_np(error)
                     : "returned " + std::to_string(outcome));
}

/// `@self`, `@parent`, `@text`: a pid, a pid, the address of an absolute path that exists.
unsigned long value_of(const std::string& text) {
  if (text == "@self") return static_cast<unsigned long>(::getpid());
  if (text == "@parent") return static_cast<unsigned long>(::getppid());
  if (text == "@path") return reinterpret_cast<unsigned long>("/etc/passwd");
  if (text == "@name") return reinterpret_cast<unsigned long>("name");
  if (text == "@memory") {
    static std::array<char, 4096> memory{};
    return reinterpret_cast<unsigned long>(memory.data());
  }
  return std::stoul(text, nullptr, 0);
}

void call(const Arguments& arguments) {
  std::array<unsigned long, 7> values{};
  for (std::size_t i = 0; i < arguments.size(); ++i) values.at(i) = value_of(arguments[i]);
  tell_outcome(::syscall(static_cast<long>(values[0]), values[1], values[2], values[3], values[4],
                         values[5], values[6]));
}

void threads_that_give_memory_back() {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      std::vector<std::string> blocks;
      for (std::size_t size = 1; size < 200'000; size += 997) blocks.emplace_back(size, 'x');
    });
  }
  for (auto& thread : threads) thread.join();
}

/// What decoders, parsers and simulations do all day.
void be_innocent(const Arguments& /*arguments*/) {
  std::vector<std::vector<char>> blocks;
  for (std::size_t size = 16; size < (std::size_t{32} << 20); size *= 2) blocks.emplace_back(size);
  blocks.clear();
  threads_that_give_memory_back();
  std::ostringstream text;
  text << std::thread::hardware_concurrency() << ' ' << 1.5 << ' ' << std::random_device{}();
  const std::time_t now = std::time(nullptr);
  text << ' ' << std::put_time(std::localtime(&now), "%c") << ' ' << std::strerror(ENOENT);
  try {
    throw std::runtime_error("thrown");
  } catch (const std::exception& error) {
    text << error.what();
  }
  std::this_thread::sleep_for(std::chrono::milliseconds{1});
  struct stat status{};
  if (::fstat(STDOUT_FILENO, &status) != 0) tell("fstat failed");
  static_cast<void>(::isatty(STDOUT_FILENO));
  std::error_code ignored;
  static_cast<void>(std::filesystem::exists("/etc/passwd", ignored));
  static_cast<void>(std::system_category().message(ENOENT));
  std::printf("printed %s\n", text.str().empty() ? "nothing" : "something");
  std::cout << "streamed" << std::endl;
  std::fprintf(stderr, "%s", "");
  tell("innocent");
}

void eat(const Arguments& /*arguments*/) {
  try {
    for (std::vector<std::vector<char>> eaten;;) eaten.emplace_back(std::size_t{8} << 20, 'x');
  } catch (const std::bad_alloc&) {
    tell("bad_alloc");
  }
}

void make_region(const Arguments& arguments) {
  auto region = Region::create(std::stoul(arguments.at(0)));
  if (!region)
    return tell(std::string{to_string(region.error().kind())} + " " + region.error().sentence());
  region->mutable_bytes().back() = std::byte{1};
  auto published = region->publish();
  tell(published ? "published" : published.error().sentence());
  auto handle = std::move(*region).into_handle();
  auto again = Region::from_handle(std::move(*handle), Trust::untrusted);
  tell(again && again->bytes().back() == std::byte{1} ? "attached" : "lost");
}

/// What the channels need: a pair, a doorbell, an event loop, packets with descriptors.
void talk(const Arguments& /*arguments*/) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0) {
    return tell("no socket pair");
  }
  tell_outcome(::send(ends[0], "x", 1, MSG_NOSIGNAL));
  char byte = 0;
  tell_outcome(::recv(ends[1], &byte, 1, 0));
  tell_outcome(::fcntl(ends[0], F_SETFL, O_NONBLOCK));
}

void spin(const Arguments& /*arguments*/) {
  for (volatile unsigned long turns = 0;;) turns = turns + 1;
}

void write_beyond_the_file_limit(const Arguments& /*arguments*/) {
  const int file = ::memfd_create("big", MFD_CLOEXEC);
  const std::vector<char> block(std::size_t{1} << 20);
  for (;;) {
    if (::write(file, block.data(), block.size()) < 0) return tell_outcome(-1);
  }
}

void open_file(const Arguments& arguments) {
  const int flags = arguments.size() > 1 ? std::stoi(arguments[1], nullptr, 0) : O_RDONLY;
  const int file = ::open(arguments.at(0).c_str(), flags | O_CLOEXEC, 0600);
  tell(file < 0 ? std::string{"failed "} + ::strerrorname_np(errno) : "opened");
}

void count_threads(const Arguments& arguments) {
  std::vector<std::thread> threads;
  try {
    for (int i = 0; i < std::stoi(arguments.at(0)); ++i) {
      threads.emplace_back([] {});
    }
    tell("started");
  } catch (const std::system_error& error) {
    tell(std::string{"failed "} + ::strerrorname_np(error.code().value()));
  }
  for (auto& thread : threads) thread.join();
}

void connect_to_path(const Arguments& arguments) {
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un name{.sun_family = AF_UNIX, .sun_path = {}};
  std::strncpy(name.sun_path, arguments.at(0).c_str(), sizeof name.sun_path - 1);
  tell_outcome(::connect(socket, reinterpret_cast<sockaddr*>(&name), sizeof name));
}

#if defined(__x86_64__)
void enter_by_int80(const Arguments& /*arguments*/) {
  long outcome = 20;  // getpid of 32-bit programs: harmless, and on the list as a 64-bit call
  __asm__ volatile("int $0x80" : "+a"(outcome) : : "memory", "r8", "r9", "r10", "r11");
  tell_outcome(outcome);
}
void enter_by_x32(const Arguments& /*arguments*/) {
  tell_outcome(::syscall(0x40000000L | SYS_getpid));
}
#endif

void crash(const Arguments& /*arguments*/) {
  // The address passes through a volatile, or the compiler would see through the plan.
  const volatile std::uintptr_t address = 0x10;
  *reinterpret_cast<volatile int*>(address) = 1;
}

void tell_state(const Arguments& /*arguments*/) {
  int signal = 0;
  ::prctl(PR_GET_PDEATHSIG, &signal, 0, 0, 0);
  tell("parent-death signal " + std::to_string(signal));
  rlimit core{};
  ::getrlimit(RLIMIT_CORE, &core);
  tell("core limit " + std::to_string(core.rlim_max));
  tell("user " + std::to_string(::getuid()));
}

const std::map<std::string, Deed> deeds{
    {"call", call},
    {"innocent", be_innocent},
    {"eat", eat},
    {"region", make_region},
    {"talk", talk},
    {"spin", spin},
    {"write_beyond_the_file_limit", write_beyond_the_file_limit},
    {"open", open_file},
    {"threads", count_threads},
    {"connect", connect_to_path},
#if defined(__x86_64__)
    {"int80", enter_by_int80},
    {"x32", enter_by_x32},
#endif
    {"crash", crash},
    {"state", tell_state},
    {"abort", [](const Arguments&) { std::abort(); }},
    {"fork", [](const Arguments&) { tell_outcome(::fork()); }},
    {"kill_the_parent", [](const Arguments&) { tell_outcome(::kill(::getppid(), SIGKILL)); }},
    {"wait",
     [](const Arguments&) {
       char byte = 0;
       static_cast<void>(!::read(STDIN_FILENO, &byte, 1));
     }},
};

[[noreturn]] void stop(const char* what) {
  tell(std::string{"skip "} + what + ": " + std::strerror(errno));
  std::exit(4);
}

/// Changing user ends what a fresh program may do to its own /proc files, hence the exec.
void become(char** argv) {
  const auto user = static_cast<uid_t>(std::stoul(argv[2]));
  if (::setgroups(0, nullptr) != 0 || ::setresgid(user, user, user) != 0 ||
      ::setresuid(user, user, user) != 0) {
    stop("change user");
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a change of user clears it
  argv[2] = argv[0];
  ::execv("/proc/self/exe", argv + 2);
  stop("run again as another user");
}

/// Makes this system one that lacks a call, before the sandbox is applied.
void deny(const char* name, int error) {
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  const scmp_filter_ctx filter = ::seccomp_init(SCMP_ACT_ALLOW);
  ::seccomp_rule_add(filter, SCMP_ACT_ERRNO(static_cast<unsigned>(error)),
                     ::seccomp_syscall_resolve_name(name), 0);
  if (::seccomp_load(filter) != 0) stop("deny");
  ::seccomp_release(filter);
}

Sandbox profile_named(const std::string& name) {
  if (name == "none") return sandbox::none;
  if (name.starts_with("read=")) return sandbox::read_only(name.substr(5));
  Sandbox made = sandbox::compute_only;
  if (name.starts_with("write=")) made.writable.push_back(name.substr(6));
  if (name == "all") made.calls = Sandbox::Calls::all;
  if (name == "network") made.network = Sandbox::Network::inherit;
  return made;
}

void set_field(Sandbox& made, const std::string& field, const std::string& value) {
  const auto number = static_cast<std::uint32_t>(std::strtoul(value.c_str(), nullptr, 0));
  const auto need = static_cast<Sandbox::Need>(number);
  if (field == "namespaces") made.namespaces = need;
  if (field == "landlock") made.landlock = need;
  if (field == "threads") made.threads = static_cast<Sandbox::Threads>(number);
  if (field == "memory") made.limits.memory_bytes = number;
  if (field == "mapped") made.limits.mapped_bytes = number;
  if (field == "file") made.limits.file_bytes = number;
  if (field == "cpu") made.limits.cpu_seconds = number;
  if (field == "tasks") made.limits.tasks = number;
  if (field == "descriptors") made.limits.descriptors = number;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 3 && argv[1] == std::string{"--user"}) become(argv);
  Arguments arguments{argv + 1, argv + argc};
  std::vector<std::pair<std::string, std::string>> fields;
  std::vector<std::pair<std::string, int>> denied;
  while (arguments.size() > 3 && arguments[0].starts_with("--")) {
    if (arguments[0] == "--deny") denied.emplace_back(arguments[1], std::stoi(arguments[2]));
    if (arguments[0] == "--set") fields.emplace_back(arguments[1], arguments[2]);
    arguments.erase(arguments.begin(), arguments.begin() + 3);
  }
  Sandbox made = profile_named(arguments.at(0));
  for (const auto& [field, value] : fields) set_field(made, field, value);
  const Deed deed = deeds.at(arguments.at(1));
  arguments.erase(arguments.begin(), arguments.begin() + 2);

  if (!sandbox::handle_violations(tell_violation)) stop("handle violations");
  for (const auto& [name, error] : denied) deny(name.c_str(), error);
  const auto report = sandbox::apply(made);
  if (!report) {
    tell("error " + std::string{to_string(report.error().kind())} + " " +
         report.error().sentence());
    return 3;
  }
  tell(to_string(*report));
  deed(arguments);
}
