// SPDX-License-Identifier: Apache-2.0
#include "transport/sysv_mq_queue.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/random.h>
#include <unistd.h>

#include "os/name_record.hpp"
#include "os/syscall.hpp"
#include "transport/parameters.hpp"
#include "transport/queue_frame.hpp"

namespace bulkhead::transport::sysv_mq {
namespace {

/// Of a claim: what nobody would choose for a queue that is to carry something.
constexpr msglen_t claim_bytes = 3;

std::size_t limit(const char* name, std::size_t otherwise) {
  std::ifstream file{std::string{"/proc/sys/kernel/"} + name};
  std::size_t value = 0;
  return file >> value ? value : otherwise;
}

std::unexpected<Error> could_not_make() {
  if (errno != ENOSPC) return os::failed("make", "message queue");
  return fail(ErrorKind::exhausted,
              {.operation = "make",
               .object = "message queue",
               .cause = "the system has all " + std::to_string(limit("msgmni", 32'000)) +
                        " queues that it may have",
               .remedy = "remove some (ipcs -q, bulkhead clean) or raise /proc/sys/kernel/msgmni",
               .code = {ENOSPC, std::generic_category()}});
}

std::unexpected<Error> in_use(pid_t pid) {
  return fail(ErrorKind::exists,
              {.cause = "key in use by " +
                        (pid > 0 ? "pid " + std::to_string(pid) : std::string{"a process"}),
               .remedy = "stop it or choose another key"});
}

std::optional<msqid_ds> state_of(int id) {
  msqid_ds state{};
  if (::msgctl(id, IPC_STAT, &state) != 0) return std::nullopt;
  return state;
}

bool lives(pid_t pid) { return ::kill(pid, 0) == 0 || errno == EPERM; }

/// Leaves our pid as the one that last sent.
Result<void> sign(Queue queue) {
  auto state = state_of(queue.id);
  if (!state) return os::failed("look at", "message queue");
  state->msg_qbytes = claim_bytes;
  struct {
    long type = 1;
    char text[1] = {};
  } mark;
  if (::msgctl(queue.id, IPC_SET, &*state) != 0 ||
      ::msgsnd(queue.id, &mark, sizeof mark.text, IPC_NOWAIT) != 0 ||
      ::msgrcv(queue.id, &mark, sizeof mark.text, 0, IPC_NOWAIT) < 0) {
    return os::failed("sign", "message queue");
  }
  return {};
}

/// What has the key is gone afterwards, if it was a dead listener's.
Result<void> remove_stale(key_t key) {
  const int id = ::msgget(key, 0);
  if (id < 0) return errno == ENOENT ? Result<void>{} : os::failed("look at", "message queue");
  const auto state = state_of(id);
  if (!state) return errno == EINVAL || errno == EIDRM ? Result<void>{} : in_use(0);
  if (state->msg_qbytes != claim_bytes || state->msg_perm.cuid != ::geteuid()) {
    return fail(ErrorKind::exists, {.cause = "there is a queue that no listener made",
                                    .remedy = "remove it (ipcrm) or choose another key"});
  }
  if (state->msg_lspid != 0 && lives(state->msg_lspid)) return in_use(state->msg_lspid);
  remove_queue(id);
  return {};
}

std::unexpected<Error> no_key() {
  return fail(ErrorKind::invalid,
              {.cause = "it is not a key",
               .remedy = "write sysv://1234, sysv://0x4d2 or sysv:///path?id=7"});
}

}  // namespace

Size size_by_limits() {
  const std::size_t room = std::max<std::size_t>(limit("msgmnb", 16'384), queue_frame::least_unit);
  // Four to a queue, so that one is received while another is sent.
  const std::size_t unit = std::clamp(std::min(limit("msgmax", 8'192), room / 4),
                                      queue_frame::least_unit, queue_frame::most_unit);
  return {unit, room / unit};
}

Result<key_t> random_key() {
  std::uint32_t bits = 0;
  if (os::retry_eintr([&] { return ::getrandom(&bits, sizeof bits, 0); }) != sizeof bits) {
    return os::failed("get", "random bytes");
  }
  return static_cast<key_t>(std::max(bits >> 1, 1u));
}

Result<std::optional<Queue>> try_create(key_t key) {
  const int id = ::msgget(key, IPC_CREAT | IPC_EXCL | 0600);
  if (id >= 0) return Queue{id, key};
  if (errno == EEXIST) return std::optional<Queue>{};
  return could_not_make();
}

Result<Queue> find_queue(key_t key) {
  const int id = ::msgget(key, 0);
  const auto state = id < 0 ? std::nullopt : state_of(id);
  if (state && state->msg_perm.cuid == ::geteuid() && (state->msg_perm.mode & 0777) == 0600) {
    return Queue{id, key};
  }
  return fail(ErrorKind::corrupt, {.cause = "the peer's queue is not there, or another user's"});
}

void remove_queue(int id) noexcept {
  if (id >= 0) ::msgctl(id, IPC_RMID, nullptr);
}

void forget_records(pid_t pid, key_t key) noexcept {
  try {
    const auto folder = os::record_directory();
    if (!folder) return;
    const std::string named = "key " + std::to_string(key) + std::string(1, '\0');
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator{*folder, error}) {
      const std::string name = entry.path().filename().string();
      if (!name.starts_with(std::to_string(pid) + ".")) continue;
      std::ifstream file{entry.path()};
      const std::string text{std::istreambuf_iterator<char>{file}, {}};
      // The mechanism and the owner come first.
      const bool empty = std::count(text.begin(), text.end(), '\0') <= 2;
      if (empty || text.contains(named)) os::forget_record(name);
    }
  } catch (const std::exception&) {  // no memory: `bulkhead clean` will
  }
}

Result<Queue> claim(key_t key) {
  for (int tries = 0; tries < 2; ++tries) {
    if (const auto made = BULKHEAD_TRY(try_create(key))) {
      if (auto signed_by_us = sign(*made); !signed_by_us) {
        remove_queue(made->id);
        return fail(signed_by_us.error());
      }
      return *made;
    }
    BULKHEAD_TRY(remove_stale(key));
  }
  return in_use(0);
}

Result<bool> is_claimed(key_t key) {
  const int id = ::msgget(key, 0);
  if (id < 0 && errno == ENOENT) return false;
  const auto state = id < 0 ? std::nullopt : state_of(id);
  if (!state) return os::failed("look at", "message queue");
  return state->msg_qbytes == claim_bytes;
}

Result<key_t> key_of(std::string name) {
  auto parameters = BULKHEAD_TRY(Parameters::cut_from(name));
  if (name.starts_with('/')) {
    const auto id = BULKHEAD_TRY(parameters.number("id", 1, 255));
    BULKHEAD_TRY(parameters.expect_none_left());
    if (name.find('\0') != name.npos) return no_key();
    const key_t key = ::ftok(name.c_str(), static_cast<int>(id.value_or(1)));
    if (key == -1) {
      const int number = errno;
      return fail(ErrorKind::invalid, {.cause = "there is no file " + name.substr(0, 120),
                                       .remedy = "name one that stays: its inode makes the key",
                                       .code = {number, std::generic_category()}});
    }
    return key;
  }
  BULKHEAD_TRY(parameters.expect_none_left());
  const bool hex = name.starts_with("0x");
  const char* const begin = name.data() + (hex ? 2 : 0);
  const char* const end = name.data() + name.size();
  std::uint32_t key = 0;
  const auto [at, error] = std::from_chars(begin, end, key, hex ? 16 : 10);
  if (error != std::errc{} || at != end || key == 0) return no_key();
  return static_cast<key_t>(key);
}

}  // namespace bulkhead::transport::sysv_mq
