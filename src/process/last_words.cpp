// SPDX-License-Identifier: Apache-2.0
//
// The child's half: what runs in signal handlers makes system calls only, and allocates nothing.
#include "process/last_words.hpp"

#include <atomic>
#include <csignal>
#include <cstring>
#include <cxxabi.h>
#include <exception>
#include <new>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <typeinfo>
#include <unistd.h>

#include "sandbox/violation.hpp"

namespace bulkhead::process {
namespace {

constexpr int told_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGABRT};

std::atomic<int> parent{-1};
std::atomic<bool> told{false};
std::terminate_handler terminate_before = nullptr;

/// The first words count: an abort that follows an uncaught exception says nothing new.
void say(const LastWords& words) noexcept {
  if (told.exchange(true)) return;
  // send(2) as it is: the sandbox's filter knows it, and nothing in libc's wrapper can be in the
  // way.
  ::syscall(SYS_sendto, parent.load(), &words, sizeof words, MSG_DONTWAIT | MSG_NOSIGNAL, nullptr,
            0);
}

/// The sandbox's filter forbids to change the action of SIGSYS, its own signal; for that one the
/// first call ends the process, by SIGSYS, as it is blocked here. That is what is wanted.
void die_of(int signal) noexcept {
  struct sigaction action{};
  action.sa_handler = SIG_DFL;
  ::sigaction(signal, &action, nullptr);
  ::syscall(SYS_tgkill, ::getpid(), ::syscall(SYS_gettid), signal);
}

void on_signal(int signal, siginfo_t* info, void* context) noexcept {
  const int error_number = errno;
  if (signal == SIGSYS && sandbox::answer_probe(info, context)) {
    errno = error_number;
    return;
  }
  LastWords words{.kind = LastWords::fault, .signal = signal, .code = info->si_code};
  if (signal == SIGSYS) {
    words.system_call = info->si_syscall;
  } else if (info->si_code > 0) {
    words.address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  }
  say(words);
  // Pending until this handler returns. A fault would come again by itself; a signal that somebody
  // sent, or the filter's, would not.
  die_of(signal);
}

void copy_text(LastWords& words, const char* type, const char* what) noexcept {
  std::size_t at = 0;
  const auto append = [&](const char* text) {
    while (text != nullptr && *text != '\0' && at + 1 < sizeof words.text)
      words.text[at++] = *text++;
  };
  append(type);
  if (what != nullptr && *what != '\0') {
    append(": ");
    append(what);
  }
}

void describe_exception(LastWords& words) noexcept {
  const std::type_info* type = abi::__cxa_current_exception_type();
  if (type == nullptr) return;
  words.kind = *type == typeid(std::bad_alloc) ? LastWords::out_of_memory : LastWords::exception;
  if (words.kind == LastWords::out_of_memory) return;
#if __cpp_exceptions
  int status = 0;
  char* name = abi::__cxa_demangle(type->name(), nullptr, nullptr, &status);
  const char* spelled = status == 0 ? name : type->name();
  try {
    throw;
  } catch (const std::bad_alloc&) {
    words.kind = LastWords::out_of_memory;  // bad_array_new_length and the like
  } catch (const std::exception& error) {
    copy_text(words, spelled, error.what());
  } catch (...) {
    copy_text(words, spelled, nullptr);
  }
#endif
}

[[noreturn]] void on_terminate() noexcept {
  LastWords words{.kind = LastWords::none, .signal = SIGABRT};
  describe_exception(words);
  if (words.kind != LastWords::none) say(words);
  // The default handler would print; the parent tells it better.
  if (terminate_before != nullptr && terminate_before != __gnu_cxx::__verbose_terminate_handler) {
    terminate_before();
  }
  std::abort();
}

void make_alternate_stack() noexcept {
  constexpr std::size_t bytes = 64 * 1024;
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) return;  // only a stack overflow is told worse
  stack_t stack{.ss_sp = memory, .ss_flags = 0, .ss_size = bytes};
  ::sigaltstack(&stack, nullptr);
}

}  // namespace

void tell_death_through(FdView socket) {
  parent.store(socket.native());
  make_alternate_stack();
  struct sigaction action{};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  ::sigfillset(&action.sa_mask);
  for (const int signal : told_signals) ::sigaction(signal, &action, nullptr);
  terminate_before = std::set_terminate(on_terminate);
}

}  // namespace bulkhead::process
