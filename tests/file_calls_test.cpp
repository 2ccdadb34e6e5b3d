// SPDX-License-Identifier: Apache-2.0
//
// Logs and mapped files on a disk that fails (F9): write, sync or cut number N fails, once or from
// then on, for every N that there is. Every failure is an error at that call; what was acknowledged
// is read, in order; a write that failed leaves nothing to be read; sending goes on when there is
// room again, and never after a failed sync. The calls are the executable's own, which the static
// library binds to.
#include <algorithm>
#include <cerrno>
#include <dlfcn.h>
#include <filesystem>
#include <functional>
#include <gtest/gtest.h>
#include <ostream>
#include <string>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <bulkhead/channel.hpp>

namespace {

enum class Call : std::uint8_t { write, sync, cut };

/// What fails while it is armed.
struct Fault {
  Call call = Call::write;
  int number = 0;  ///< of the call, from 1 on
  bool for_good = false;
  int error = EIO;
  bool half = false;  ///< a write that fails has written half of what it should
  bool cuts_fail = false;
};

Fault fault;
bool armed = false;
int calls = 0;
int failures = 0;
bool cut_failed = false;

bool fails(Call call) {
  if (!armed) return false;
  const bool now = call == Call::cut && fault.cuts_fail && failures > 0;
  if (!now && call != fault.call) return false;
  if (!now && (++calls < fault.number || (calls > fault.number && !fault.for_good))) return false;
  ++failures;
  cut_failed = cut_failed || call == Call::cut;
  errno = fault.error;
  return true;
}

template <class Function> Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

ssize_t real_pwrite(int fd, const void* from, std::size_t size, off_t at) {
  static const auto real = next<ssize_t(int, const void*, std::size_t, off_t)>("pwrite");
  return real(fd, from, size, at);
}

/// Of a record, not of what is smaller than a sector: that is written whole or not at all.
void write_half(int fd, const iovec* parts, int count, off_t at) {
  const int error = errno;
  if (!fault.half) return;
  std::string all;
  for (const iovec& part : std::span{parts, static_cast<std::size_t>(count)}) {
    all.append(static_cast<const char*>(part.iov_base), part.iov_len);
  }
  if (all.size() > 64) static_cast<void>(real_pwrite(fd, all.data(), all.size() / 2, at));
  errno = error;
}

}  // namespace

extern "C" {

ssize_t pwrite(int fd, const void* from, std::size_t size, off_t at) {
  if (!fails(Call::write)) return real_pwrite(fd, from, size, at);
  const iovec part{const_cast<void*>(from), size};
  write_half(fd, &part, 1, at);
  return -1;
}

ssize_t pwritev(int fd, const iovec* parts, int count, off_t at) {
  static const auto real = next<ssize_t(int, const iovec*, int, off_t)>("pwritev");
  if (!fails(Call::write)) return real(fd, parts, count, at);
  write_half(fd, parts, count, at);
  return -1;
}

/// The disk itself need not be waited for.
int fdatasync(int) { return fails(Call::sync) ? -1 : 0; }
int fsync(int) { return fails(Call::sync) ? -1 : 0; }

int ftruncate(int fd, off_t size) {
  static const auto real = next<int(int, off_t)>("ftruncate");
  return fails(Call::cut) ? -1 : real(fd, size);
}

}  // extern "C"

namespace {

using namespace bulkhead;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

std::ostream& operator<<(std::ostream& out, const Fault& what) {
  constexpr const char* names[] = {"write", "sync", "cut"};
  return out << names[static_cast<int>(what.call)] << ' ' << what.number
             << (what.for_good ? " and all behind it" : "") << " with " << what.error
             << (what.half ? ", half written" : "") << (what.cuts_fail ? ", no cuts" : "");
}

struct Sent {
  std::string text;
  bool acknowledged;
};

class Armed {
 public:
  Armed() { armed = true; }
  ~Armed() { armed = false; }
};

class file_calls : public testing::Test {
 protected:
  ~file_calls() override { fs::remove_all(folder_); }

  // In memory, where it takes seconds: a thousand logs are made and removed.
  const std::string folder_ = "/dev/shm/bulkhead-test-calls-" + std::to_string(::getpid());
  std::vector<Sent> sent_;
  bool final_ = false;  // a sync has failed, or what was half written could not be cut off
  bool reader_fails_ = false;

  static std::string text_of(std::size_t number) {
    const std::size_t size = number % 18 == 7 ? 5000 : 40 + number * 37 % 300;
    std::string text = "message " + std::to_string(number) + " ";
    text.resize(size, static_cast<char>('a' + number % 26));
    return text;
  }

  void expect_typed(const Error& error) {
    EXPECT_EQ(error.kind(), fault.error == ENOSPC ? ErrorKind::exhausted : ErrorKind::system)
        << error;
    EXPECT_NE(error.sentence().find(folder_), std::string::npos) << error;
  }

  /// Sends `group` messages more, and notes what became of them.
  void send(Channel& channel, std::size_t group) {
    const std::size_t first = sent_.size();
    for (std::size_t i = 0; i < group; ++i) sent_.push_back({text_of(first + i), false});
    std::vector<Bytes> views;
    for (std::size_t i = first; i < sent_.size(); ++i) views.push_back(as_bytes(sent_[i].text));
    const int before = failures;
    Result<std::size_t> done = std::size_t{0};
    {
      const Armed now;
      done = channel.send_many(views, 20ms);
    }
    // A reader that cannot note how far it is makes no room.
    if (!done && done.error() == ErrorKind::timed_out && reader_fails_) return;
    EXPECT_FALSE(done && final_) << "sent after what is final";
    if (!done) expect_typed(done.error());
    EXPECT_TRUE(done || final_ || failures > before) << "an error without a cause";
    for (std::size_t i = 0; done && i < *done; ++i) sent_[first + i].acknowledged = true;
    final_ = final_ || cut_failed || (!done && failures > before && fault.call == Call::sync);
  }

  /// All that was acknowledged, in order, and of the rest nothing, or what only a sync has failed for.
  void expect_read(const std::vector<std::string>& read) const {
    std::size_t at = 0;
    for (const Sent& one : sent_) {
      const bool there = at < read.size() && read[at] == one.text;
      EXPECT_TRUE(there || !one.acknowledged) << "lost: " << one.text.substr(0, 12);
      EXPECT_TRUE(!there || one.acknowledged || final_) << "not sent: " << one.text.substr(0, 12);
      if (there) ++at;
    }
    EXPECT_EQ(at, read.size()) << "read what nobody sent";
  }

  /// `run` for every number of the call, until there is no call with that number.
  template <class Run> void try_every_number(Fault which, Run run) {
    if (HasFailure()) return;
    for (which.number = 1;; ++which.number) {
      fault = which;
      calls = failures = 0;
      cut_failed = false;
      sent_.clear();
      final_ = false;
      fs::remove_all(folder_);
      run();
      if (HasFailure()) {
        std::cerr << "with " << which << '\n';
        return;
      }
      if (failures == 0) break;
      ASSERT_LT(which.number, 1000);
    }
    EXPECT_GT(which.number, 5) << "that is not all that there is";
  }
  template <class Run> void try_every(Run run) {
    for (const Call call : {Call::write, Call::sync}) {
      for (const int error : {EIO, ENOSPC}) {
        for (const bool for_good : {false, true}) {
          try_every_number({.call = call, .for_good = for_good, .error = error}, run);
        }
      }
    }
    for (const bool cuts_fail : {false, true}) {
      try_every_number({.error = ENOSPC, .half = true, .cuts_fail = cuts_fail}, run);
    }
  }

  static Result<Channel> opened(const std::string& address, Direction direction) {
    const Armed now;
    return connect(address, 1s, {.direction = direction});
  }
  void close(Channel& channel) {
    const Armed now;
    channel.close();
  }

  /// Looks by a timer: the kernel takes milliseconds to close an inotify descriptor.
  std::vector<std::string> read_log(ErrorKind& ended) const {
    std::vector<std::string> read;
    auto reader =
        or_throw(connect("file://" + folder_ + "?look=1s", 1s, {.direction = Direction::receive}));
    for (;;) {
      auto got = reader.try_receive();
      if (!got) {
        ended = got.error().kind();
        return read;
      }
      read.emplace_back(got->text());
    }
  }

  /// Writes a log with rotation while the fault is armed; reads it, writes it on and reads it again.
  void write_and_read_log() {
    const std::string at = "file://" + folder_ + "?sync=each&segment=4096";
    if (auto log = opened(at, Direction::send)) {
      for (int i = 0; i < 12; ++i) {
        send(*log, i % 4 == 3 ? 3 : 1);
        if (i % 5 != 2 || final_) continue;
        // Beside the writer, between two calls: never damage.
        ErrorKind ended{};
        expect_read(read_log(ended));
        EXPECT_TRUE(ended == ErrorKind::empty || (fault.cuts_fail && failures > 0))
            << to_string(ended);
      }
      close(*log);
    } else {
      expect_typed(log.error());
    }
    if (fault.cuts_fail && failures > 0)
      final_ = true;  // it may be there: nobody could take it back
    ErrorKind ended{};
    if (fs::exists(folder_)) expect_read(read_log(ended));
    EXPECT_NE(ended, ErrorKind::corrupt);
    auto next = or_throw(connect("file://" + folder_, 1s, {.direction = Direction::send}));
    ASSERT_TRUE(next.send(as_bytes("the disk is well again"), 1s));
    next.close();
    auto all = read_log(ended);
    ASSERT_FALSE(all.empty());
    EXPECT_EQ(all.back(), "the disk is well again");
    EXPECT_EQ(ended, ErrorKind::closed);
    all.pop_back();
    expect_read(all);
  }

  /// The same through a ring, whose other end reads meanwhile, with the fault or without.
  void write_and_read_ring(bool reader_too) {
    reader_fails_ = reader_too;
    const std::string at = "mmap://" + folder_ + "?sync=each&look=1s";
    std::vector<std::string> read;
    const auto drain = [&](Channel& reader) {
      for (int errors = 0; errors < 3;) {
        const int before = failures;
        auto got = [&] {
          armed = reader_too;
          auto one = reader.try_receive();
          armed = false;
          return one;
        }();
        if (got) {
          read.emplace_back(got->text());
          continue;
        }
        if (got.error() == ErrorKind::empty || got.error() == ErrorKind::closed ||
            got.error() == ErrorKind::peer_died) {
          return;
        }
        EXPECT_GT(failures, before) << got.error();
        ++errors;
      }
    };
    {
      auto reader = connect(at + "&seat=listen", 1s, {.capacity_bytes = 16 * 1024});
      ASSERT_TRUE(reader) << reader.error();
      if (auto ring = opened(at, Direction::both)) {
        for (int i = 0; i < 12; ++i) {
          send(*ring, i % 4 == 3 ? 3 : 1);
          drain(*reader);
        }
        close(*ring);
      } else {
        expect_typed(ring.error());
      }
      drain(*reader);
    }
    auto reader = or_throw(connect(at + "&seat=listen", 1s));
    auto next = or_throw(connect(at, 1s));
    ASSERT_TRUE(next.send(as_bytes("the disk is well again"), 1s));
    // What could not be acknowledged comes again.
    std::vector<std::string> again;
    while (auto got = reader.try_receive()) again.emplace_back(got->text());
    ASSERT_FALSE(again.empty());
    EXPECT_EQ(again.back(), "the disk is well again");
    again.pop_back();
    for (const auto& text : again) {
      if (std::ranges::find(read, text) == read.end()) read.push_back(text);
    }
    expect_read(read);
  }
};

TEST_F(file_calls, that_fail_leave_a_log_readable_to_what_was_acknowledged) {
  try_every([&] { write_and_read_log(); });
}

TEST_F(file_calls, that_fail_leave_a_ring_with_all_that_was_acknowledged) {
  try_every([&] { write_and_read_ring(false); });
}

TEST_F(file_calls, that_fail_at_both_ends_of_a_ring_lose_nothing) {
  for (const bool for_good : {false, true}) {
    try_every_number({.for_good = for_good, .error = EIO}, [&] { write_and_read_ring(true); });
  }
}

}  // namespace
