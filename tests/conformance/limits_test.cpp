// SPDX-License-Identifier: Apache-2.0
//
// Nothing left to take: descriptors at every step, room in the folders of names and files, room in
// /dev/shm. Whatever fails says `exhausted`, leaves nothing behind, and works when there is room.
#include <fcntl.h>
#include <fstream>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "conformance/conformance.hpp"

namespace bulkhead::conformance {
namespace {

class limits : public Conformance {
 protected:
  Result<void> exchange(Channel& one, Channel& other) const {
    BULKHEAD_TRY(one.send(as_bytes("there"), 10s));
    BULKHEAD_TRY(other.receive(10s));
    if (!GetParam().both_ways()) return {};
    BULKHEAD_TRY(other.send(as_bytes("back"), 10s));
    BULKHEAD_TRY(one.receive(10s));
    return {};
  }
};
INSTANTIATE_TEST_SUITE_P(mechanisms, limits, testing::ValuesIn(rows()), row_name);

class limits_of_a_meeting : public limits {};
INSTANTIATE_TEST_SUITE_P(mechanisms, limits_of_a_meeting,
                         testing::ValuesIn(rows_where(with_listener)), row_name);

/// RLIMIT_NOFILE for as long as it lives.
class Descriptors {
 public:
  explicit Descriptors(rlim_t most) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit lower{most, before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &lower);
  }
  ~Descriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

rlim_t next_free_descriptor() {
  return static_cast<rlim_t>(Fd::adopt(::open("/dev/null", O_RDONLY | O_CLOEXEC)).native());
}

/// What is left of this process's own; what a mechanism keeps in a file is meant to stay.
std::vector<std::string> left_since(const test::Census& before, const Row& row) {
  const auto meant_to_stay = [&row](const std::string& what) {
    return row.capabilities.survives && what.starts_with("file ");
  };
  auto left = before.settle(0ms);
  std::erase_if(left, meant_to_stay);
  if (left.empty()) return left;
  left = before.settle(2s);
  std::erase_if(left, meant_to_stay);
  return left;
}

double cpu_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// The work with no descriptor free, then one, and so on until it succeeds: each call in it that
/// makes one has then been the first to fail.
template <class Work> void fail_at_each_descriptor(const Row& row, Work work) {
  // It works where there is room, and makes what is made once.
  ASSERT_TRUE(ok(work()));
  const auto before = test::Census::take();
  const rlim_t lowest = next_free_descriptor();
  int refusals = 0;
  for (rlim_t room = 0; room < 80; ++room) {
    Result<void> done;
    const double begun = cpu_seconds();
    {
      const test::Waiting waiting{"work without descriptors"};
      const Descriptors limit{lowest + room};
      done = work();
    }
    EXPECT_LT(cpu_seconds() - begun, 2.0) << "no busy loop";
    ASSERT_THAT(left_since(before, row), testing::IsEmpty()) << "with room for " << room;
    if (done) {
      EXPECT_TRUE(refusals > 0 || row.mechanism == Mechanism::inproc);
      return;
    }
    ASSERT_TRUE(fails(done, ErrorKind::exhausted)) << "with room for " << room;
    ++refusals;
  }
  FAIL() << "80 descriptors are not enough";
}

TEST_P(limits, of_descriptors_exhaust_a_pair_at_each_step) {
  fail_at_each_descriptor(GetParam(), [&]() -> Result<void> {
    auto ends = BULKHEAD_TRY(try_make_pair(options()));
    BULKHEAD_TRY(exchange(ends.here, ends.there));
    BULKHEAD_TRY(ends.there.readable());
    BULKHEAD_TRY(ends.here.writable());
    return exchange(ends.here, ends.there);
  });
}

TEST_P(limits_of_a_meeting, of_descriptors_exhaust_it_at_each_step) {
  const std::string at = address();
  fail_at_each_descriptor(GetParam(), [&]() -> Result<void> {
    auto listener = BULKHEAD_TRY(listen_at(at));
    auto client = BULKHEAD_TRY(connect_to(at, 10s));
    auto server = BULKHEAD_TRY(listener.accept(10s));
    return exchange(client, server);
  });
}

/// File systems of its own in this process: `folder`, where this test's names and files are, and
/// /dev/shm. False where that is not allowed.
bool mount_small(const std::string& folder, const std::string& size) {
  const std::string options = "size=" + size;
  for (const std::string& at : {folder, std::string{"/dev/shm"}}) {
    if (::mount("tmpfs", at.c_str(), "tmpfs", 0, options.c_str()) != 0) return false;
  }
  ::setenv("XDG_RUNTIME_DIR", folder.c_str(), 1);
  ::setenv("TMPDIR", folder.c_str(), 1);
  return true;
}
void grow(const std::string& folder) {
  for (const char* at : {folder.c_str(), "/dev/shm"}) {
    static_cast<void>(::mount("tmpfs", at, "tmpfs", MS_REMOUNT, "size=256m"));
  }
}

bool enter_own_mounts() {
  const auto uid = std::to_string(::geteuid());
  const bool root = uid == "0";
  if (::unshare(CLONE_NEWNS | (root ? 0 : CLONE_NEWUSER)) != 0) return false;
  if (!root) {
    std::ofstream{"/proc/self/setgroups"} << "deny";
    std::ofstream{"/proc/self/uid_map"} << uid << ' ' << uid << " 1";
  }
  return ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

class limits_of_room : public limits {
 protected:
  /// What is wrong with two ends where there is so little room; empty when nothing is.
  std::string use_up_the_room(const std::string& when) {
    auto ends = try_make_pair(options(64 * 1024));
    if (!ends) {
      if (ends.error() == ErrorKind::exhausted) return {};
      return when + ", making a pair: " + ends.error().sentence() + "; ";
    }
    std::uint64_t sent = 0;
    Result<void> last;
    while (sent < 300 && (last = ends->here.try_send(content(sent, 4000)))) ++sent;
    std::string wrong;
    if (!last && last.error() != ErrorKind::exhausted && last.error() != ErrorKind::full) {
      wrong += when + ", sending: " + last.error().sentence() + "; ";
    }
    for (std::uint64_t i = 0; i < sent; ++i) {
      auto got = ends->there.receive(GetParam().lossy() ? 0s : 10s);
      if (!got && (GetParam().lossy() || got.error() == ErrorKind::exhausted)) break;
      if (got && has_content(got->bytes(), i, 4000)) continue;
      wrong += when + ", receiving: " + (got ? "damaged" : got.error().sentence()) + "; ";
      break;
    }
    return wrong;
  }
};
INSTANTIATE_TEST_SUITE_P(mechanisms, limits_of_room, testing::ValuesIn(rows()), row_name);

TEST_P(limits_of_room, in_the_folders_and_in_shared_memory_are_told_and_harm_nothing) {
  const std::string folder = test::temporary_folder().string();
  use_folder(folder);
  int told[2];
  ASSERT_EQ(::pipe2(told, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    std::string said = "skipped";
    if (enter_own_mounts()) {
      said = "";
      for (const char* size : {"4k", "8k", "12k", "16k", "32k", "64k", "128k", "512k"}) {
        if (!mount_small(folder, size)) {
          said = "skipped";
          break;
        }
        said += use_up_the_room(size);
        grow(folder);
        auto ends = try_make_pair(options());
        Result<void> works = ends ? exchange(ends->here, ends->there) : fail(ends.error());
        if (!works) said += std::string{size} + ", grown: " + works.error().sentence();
        ends = fail(ErrorKind::empty);
        ::umount2(folder.c_str(), MNT_DETACH);
        ::umount2("/dev/shm", MNT_DETACH);
      }
    }
    said += '\n';
    static_cast<void>(!::write(told[1], said.data(), said.size()));
    ::_exit(0);
  }
  ::close(told[1]);
  std::string said(4000, '\0');
  const auto size = ::read(told[0], said.data(), said.size());
  said.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  ::close(told[0]);
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << "no SIGBUS";
  if (said == "skipped\n") GTEST_SKIP() << "no file systems of our own here";
  EXPECT_EQ(said, "\n");
}

}  // namespace
}  // namespace bulkhead::conformance
