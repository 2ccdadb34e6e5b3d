// SPDX-License-Identifier: Apache-2.0
//
// Memory and semaphores with names in the system, POSIX and System V: made, left, and made anew after
// a death.
//
// The survivors are promised: whatever a process left of a name when it died, `bulkhead clean` removes
// it, and the next one that wants the name gets a new one, whole; and who lives keeps what it has.
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

#include <bulkhead/names.hpp>
#include <bulkhead/shared_region.hpp>
#include <bulkhead/sysv_semaphore.hpp>

#include "crash/operation.hpp"
#include "crash/survivors.hpp"

namespace bulkhead::crash {
namespace {

constexpr std::size_t size = 4096;

/// Of this harness: in both halves TMPDIR is its own.
std::string own_name() {
  const char* const folder = std::getenv("TMPDIR");
  std::string path = folder != nullptr ? folder : "bh-crash";
  return path.substr(path.rfind('/') + 1);
}
key_t own_key() {
  return static_cast<key_t>(std::hash<std::string>{}(own_name()) & 0x3fffffff) | 0x40000000;
}

/// Something with a name; kept as long as the pointer.
struct Kind {
  std::string name;
  std::shared_ptr<void> (*open_or_create)();
  bool (*exists)();
};

std::shared_ptr<void> posix_region() {
  return std::make_shared<SharedRegion>(
      or_throw(SharedRegion::open_or_create(posix_memory(own_name()), size)));
}
std::shared_ptr<void> system_v_region() {
  return std::make_shared<SharedRegion>(
      or_throw(SharedRegion::open_or_create(system_v_memory(own_key()), size)));
}
std::shared_ptr<void> semaphore() {
  return std::make_shared<SysvSemaphore>(or_throw(SysvSemaphore::open_or_create(own_key(), 3)));
}

const Kind kinds[] = {
    {"posix region", posix_region,
     [] { return ::access(("/dev/shm/" + own_name()).c_str(), F_OK) == 0; }},
    {"system v region", system_v_region, [] { return ::shmget(own_key(), 0, 0) >= 0; }},
    {"system v semaphore", semaphore, [] { return ::semget(own_key(), 0, 0) >= 0; }},
};

/// Nobody but the victim has it.
class Alone : public Scene {
 public:
  explicit Alone(const Kind& kind) : kind_(kind) {
    static const bool made = list_names().has_value();  // the folder of names, which stays
    static_cast<void>(made);
  }

  void after_death(bool, Verdict& verdict) override {
    use(verdict);
    verdict.expect(!kind_.exists(), "the last user has left, and it is still there");
  }

 protected:
  void use(Verdict& verdict) {
    try {
      const auto first = kind_.open_or_create();
      const auto second = kind_.open_or_create();
      verdict.expect(kind_.exists(), "it is used, and has no name");
    } catch (const Failure& failure) {
      verdict.violation(std::string{"cannot be had: "} + failure.what());
    }
  }
  void clean(Verdict& verdict) {
    if (const auto done = remove_stale_names(); !done) {
      verdict.violation("clean: " + done.error().sentence());
    }
  }
  const Kind& kind_;
};

/// The same, and it is cleaned before somebody wants it again.
class AloneAndCleaned final : public Alone {
 public:
  using Alone::Alone;
  void after_death(bool finished, Verdict& verdict) override {
    clean(verdict);
    verdict.expect(!kind_.exists(), "clean has left it");
    Alone::after_death(finished, verdict);
  }
};

/// Somebody else was killed who had it.
class AfterKill final : public Alone {
 public:
  explicit AfterKill(const Kind& kind) : Alone(kind) {
    const pid_t first = ::fork();
    if (first == 0) {
      const auto mine = kind.open_or_create();
      ::_exit(0);  // as if killed: nothing is given up
    }
    ::waitpid(first, nullptr, 0);
  }
};

/// A survivor has it too.
class WithAnother final : public Alone {
 public:
  using Alone::Alone;
  void after_death(bool finished, Verdict& verdict) override {
    clean(verdict);
    verdict.expect(kind_.exists(), "what a live process has was cleaned");
    use(verdict);
    verdict.expect(kind_.exists(), "what a live process has is gone");
    mine_.reset();
    clean(verdict);
    Alone::after_death(finished, verdict);
  }

 private:
  std::shared_ptr<void> mine_ = kind_.open_or_create();
};

void make_victim(const Kind& kind) {
  mark(Mark::begin);
  const auto mine = kind.open_or_create();
  mark(Mark::end);
}

void leave_victim(const Kind& kind) {
  auto mine = kind.open_or_create();
  mark(Mark::begin);
  mine.reset();
  mark(Mark::end);
}

template <class Of>
Operation operation(const Kind& kind, const char* what, void (*victim)(const Kind&)) {
  return {.name = kind.name + ": " + what,
          .stage = [&kind] { return std::make_unique<Of>(kind); },
          .victim = [&kind, victim] { victim(kind); }};
}

}  // namespace

std::vector<Operation> region_operations() {
  std::vector<Operation> all;
  for (const Kind& kind : kinds) {
    all.push_back(operation<AloneAndCleaned>(kind, "make", make_victim));
    all.push_back(operation<Alone>(kind, "leave, the last", leave_victim));
    all.push_back(operation<AfterKill>(kind, "make after a death (recovery)", make_victim));
    all.push_back(operation<WithAnother>(kind, "open, another has it", make_victim));
    all.push_back(operation<WithAnother>(kind, "leave, another has it", leave_victim));
  }
  return all;
}

}  // namespace bulkhead::crash
