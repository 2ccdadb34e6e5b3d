// SPDX-License-Identifier: Apache-2.0
//
// Region inside one process: what it can do, and what the kernel refuses its own maker. Attacks A15
// to A18 and A51 of the threat list; tests/region_test.cpp has them from another process.
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <fstream>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <string>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <bulkhead/region.hpp>

#include "memory/memory_file.hpp"

namespace bulkhead {
namespace {

using testing::HasSubstr;

constexpr std::size_t page = 4096;

Region make(std::size_t size) { return or_throw(Region::create(size)); }

std::string mapping_of(const void* at) {
  std::ifstream maps{"/proc/self/maps"};
  char start[32];
  std::snprintf(start, sizeof start, "%lx-", reinterpret_cast<unsigned long>(at));
  for (std::string line; std::getline(maps, line);) {
    if (line.starts_with(start)) return line;
  }
  return {};
}

/// Everything that changes the bytes or the size of a file behind a descriptor; each returns what
/// the system call did.
struct Attempt {
  const char* name;
  std::function<long(int fd, std::size_t size)> act;
};

long map_for_writing(int fd, std::size_t size) {
  void* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) return -1;
  ::munmap(at, size);
  return 0;
}

long make_writable(int fd, std::size_t size) {
  void* at = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) return -1;
  const long outcome = ::mprotect(at, size, PROT_READ | PROT_WRITE);
  ::munmap(at, size);
  return outcome;
}

std::vector<Attempt> attempts() {
  return {
      {"write", [](int fd, std::size_t) { return ::write(fd, "x", 1); }},
      {"pwrite", [](int fd, std::size_t) { return ::pwrite(fd, "x", 1, 0); }},
      {"shrink", [](int fd, std::size_t) { return long{::ftruncate(fd, 0)}; }},
      {"grow",
       [](int fd, std::size_t size) {
         return long{::ftruncate(fd, static_cast<off_t>(size) + 4096)};
       }},
      {"punch a hole",
       [](int fd, std::size_t) {
         return long{::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096)};
       }},
      {"fallocate more",
       [](int fd, std::size_t size) {
         return long{::fallocate(fd, 0, static_cast<off_t>(size), 4096)};
       }},
      {"map for writing", map_for_writing},
      {"mprotect a mapping", make_writable},
      {"add a seal",
       [](int fd, std::size_t) { return long{::fcntl(fd, F_ADD_SEALS, F_SEAL_GROW)}; }},
  };
}

void expect_all_refused(int fd, std::size_t size) {
  for (const auto& [name, act] : attempts()) EXPECT_EQ(act(fd, size), -1) << name;
}

/// Through the descriptor itself, a duplicate, and the file opened anew with every right.
void expect_unwritable(FdView file, std::size_t size) {
  expect_all_refused(file.native(), size);
  const Fd copy = or_throw(Fd::duplicate(file));
  expect_all_refused(copy.native(), size);
  const auto path = "/proc/self/fd/" + std::to_string(file.native());
  const Fd again = Fd::adopt(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (again) expect_all_refused(again.native(), size);
  EXPECT_EQ(::open(path.c_str(), O_RDWR | O_TRUNC | O_CLOEXEC), -1);
}

TEST(attempts, succeed_on_a_memory_file_without_seals) {
  for (const auto& [name, act] : attempts()) {
    const Fd file = Fd::adopt(::memfd_create("naive", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    ASSERT_EQ(::fallocate(file.native(), 0, 0, 2 * page), 0);
    EXPECT_NE(act(file.native(), 2 * page), -1) << name;
  }
}

TEST(region, is_made_zeroed_and_writable_in_both_kinds) {
  for (const auto kind : {Region::Kind::anonymous, Region::Kind::memory_file}) {
    for (const std::size_t size : {std::size_t{1}, page - 1, page, page + 1, 3 * page}) {
      for (const bool prefault : {false, true}) {
        auto region = or_throw(Region::create(size, {.kind = kind, .prefault = prefault}));
        EXPECT_EQ(region.size(), size);
        EXPECT_EQ(region.kind(), kind);
        EXPECT_EQ(region.state(), Region::State::shared);
        EXPECT_TRUE(region.writable());
        EXPECT_EQ(region.mutable_bytes().size(), size);
        EXPECT_TRUE(
            std::ranges::all_of(region.bytes(), [](std::byte b) { return b == std::byte{}; }));
        std::ranges::fill(region.mutable_bytes(), std::byte{7});
        EXPECT_EQ(region.bytes().back(), std::byte{7});
        EXPECT_EQ(static_cast<bool>(region.descriptor()), kind == Region::Kind::memory_file);
      }
    }
  }
}

TEST(region, shows_its_name_in_the_map_of_the_process) {
  auto region = or_throw(Region::create(page, {.name = "frames"}));
  EXPECT_THAT(mapping_of(region.bytes().data()), HasSubstr("memfd:bulkhead-frames"));
  const std::string endless(1000, 'n');
  EXPECT_TRUE(Region::create(page, {.name = endless.c_str()}).has_value());
}

TEST(region, has_all_its_space_reserved_from_the_start) {
  auto region = make(10 * page);
  struct stat status{};
  ASSERT_EQ(::fstat(region.descriptor().native(), &status), 0);
  EXPECT_GE(static_cast<std::size_t>(status.st_blocks) * 512, 10 * page);
}

TEST(region, of_no_bytes_or_of_more_than_the_machine_is_an_error) {
  EXPECT_EQ(Region::create(0).error(), ErrorKind::invalid);
  EXPECT_EQ(Region::create(0, {.kind = Region::Kind::anonymous}).error(), ErrorKind::invalid);
  for (const std::size_t size : {std::size_t{1} << 46, std::size_t{1} << 62, ~std::size_t{0}}) {
    EXPECT_EQ(Region::create(size).error(), ErrorKind::exhausted) << size;
    EXPECT_EQ(Region::create(size, {.kind = Region::Kind::anonymous}).error(), ErrorKind::exhausted)
        << size;
  }
}

TEST(region, beyond_the_file_size_limit_is_exhausted_and_no_signal) {
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit limit{.rlim_cur = 4 * page, .rlim_max = 4 * page};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const auto fits = Region::create(4 * page);
    const auto refused = Region::create(4 * page + 1);
    const bool right = fits && !refused && refused.error() == ErrorKind::exhausted;
    ::_exit(right ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(region, without_a_free_descriptor_is_exhausted_and_leaves_nothing) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto refused = Region::create(page);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), ErrorKind::exhausted);
}

TEST(region, that_is_shared_cannot_be_resized_by_anybody) {
  auto region = make(page);
  const int fd = region.descriptor().native();
  EXPECT_EQ(::ftruncate(fd, 0), -1);
  EXPECT_EQ(::ftruncate(fd, 2 * page), -1);
  EXPECT_EQ(region.bytes()[page - 1], std::byte{});
}

TEST(region, is_not_executable) {
  constexpr unsigned noexec_seal = 8;  // Linux 6.3
  if (!Fd::adopt(::memfd_create("probe", MFD_CLOEXEC | noexec_seal))) {
    GTEST_SKIP() << "this kernel cannot tell";
  }
  auto region = make(page);
  const auto program = "/proc/self/fd/" + std::to_string(region.descriptor().native());
  EXPECT_NE(::access(program.c_str(), X_OK), 0);
}

TEST(published_region, is_written_by_its_maker_alone) {
  auto region = make(2 * page);
  ASSERT_TRUE(region.publish());
  EXPECT_EQ(region.state(), Region::State::published);
  EXPECT_TRUE(region.writable());
  const auto reader = or_throw(region.duplicate());
  EXPECT_FALSE(reader.writable());
  EXPECT_EQ(reader.state(), Region::State::published);
  region.mutable_bytes()[page] = std::byte{9};
  EXPECT_EQ(reader.bytes()[page], std::byte{9});
}

TEST(published_region, is_refused_to_every_other_writer) {
  auto region = make(2 * page);
  region.mutable_bytes()[0] = std::byte{1};
  ASSERT_TRUE(region.publish());
  expect_unwritable(region.descriptor(), region.size());
  EXPECT_EQ(region.bytes()[0], std::byte{1});
}

TEST(published_region, has_no_hole_made_through_its_own_mapping) {
  auto region = make(2 * page);
  region.mutable_bytes()[0] = std::byte{1};
  ASSERT_TRUE(region.publish());
  EXPECT_EQ(::madvise(region.mutable_bytes().data(), page, MADV_REMOVE), -1);
  EXPECT_EQ(region.bytes()[0], std::byte{1});
}

TEST(published_region, is_not_made_writable_by_moving_a_reader) {
  auto region = make(2 * page);
  ASSERT_TRUE(region.publish());
  auto reader = or_throw(region.duplicate());
  void* const at = const_cast<std::byte*>(reader.bytes().data());
  EXPECT_EQ(::mprotect(at, reader.size(), PROT_READ | PROT_WRITE), -1);
  void* const moved = ::mremap(at, 0, reader.size(), MREMAP_MAYMOVE);
  ASSERT_NE(moved, MAP_FAILED);
  EXPECT_EQ(::mprotect(moved, reader.size(), PROT_READ | PROT_WRITE), -1);
  ::munmap(moved, reader.size());
}

TEST(published_region, is_not_published_or_frozen_again) {
  auto region = make(page);
  ASSERT_TRUE(region.publish());
  EXPECT_EQ(region.publish().error(), ErrorKind::invalid);
  EXPECT_EQ(region.freeze().error(), ErrorKind::invalid);
  EXPECT_TRUE(region.writable());
}

TEST(frozen_region, cannot_be_written_by_anybody) {
  auto region = make(2 * page);
  std::ranges::fill(region.mutable_bytes(), std::byte{5});
  ASSERT_TRUE(region.freeze());
  EXPECT_EQ(region.state(), Region::State::frozen);
  EXPECT_FALSE(region.writable());
  EXPECT_TRUE(region.mutable_bytes().empty());
  expect_unwritable(region.descriptor(), region.size());
  EXPECT_TRUE(std::ranges::all_of(region.bytes(), [](std::byte b) { return b == std::byte{5}; }));
  EXPECT_TRUE(region.freeze());  // it is already
  EXPECT_EQ(region.publish().error(), ErrorKind::invalid);
}

TEST(frozen_region, keeps_its_bytes_whatever_its_maker_does_to_his_mapping) {
  auto region = make(page);
  region.mutable_bytes()[0] = std::byte{5};
  ASSERT_TRUE(region.freeze());
  auto reader =
      or_throw(Region::attach(or_throw(Fd::duplicate(region.descriptor())), Trust::untrusted));
  void* const at = const_cast<std::byte*>(region.bytes().data());
  // A private mapping (before Linux 6.7) may become writable, to a copy of its own.
  if (::mprotect(at, page, PROT_READ | PROT_WRITE) == 0)
    *static_cast<std::byte*>(at) = std::byte{6};
  EXPECT_EQ(reader.bytes()[0], std::byte{5});
}

TEST(frozen_region, is_refused_while_another_can_write) {
  auto region = make(page);
  {
    auto writer = or_throw(region.duplicate());
    const auto refused = region.freeze();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), ErrorKind::invalid);
    EXPECT_THAT(refused.error().sentence(), HasSubstr("another writable mapping"));
    EXPECT_EQ(region.state(), Region::State::shared);
    region.mutable_bytes()[0] = std::byte{1};  // goes on as before
    EXPECT_EQ(writer.bytes()[0], std::byte{1});
  }
  EXPECT_TRUE(region.freeze());
  EXPECT_EQ(region.bytes()[0], std::byte{1});
}

TEST(anonymous_region, is_duplicated_but_neither_sealed_nor_sent) {
  auto region = or_throw(Region::create(page, {.kind = Region::Kind::anonymous}));
  auto copy = or_throw(region.duplicate());
  region.mutable_bytes()[5] = std::byte{3};
  EXPECT_EQ(copy.bytes()[5], std::byte{3});
  EXPECT_EQ(region.publish().error(), ErrorKind::invalid);
  EXPECT_EQ(region.freeze().error(), ErrorKind::invalid);
  EXPECT_EQ(std::move(region).into_handle().error(), ErrorKind::unsupported);
}

TEST(anonymous_region, is_inherited_by_a_fork) {
  auto region = or_throw(Region::create(page, {.kind = Region::Kind::anonymous}));
  const pid_t child = ::fork();
  if (child == 0) {
    region.mutable_bytes()[0] = std::byte{4};
    ::_exit(0);
  }
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_EQ(region.bytes()[0], std::byte{4});
}

TEST(attached_region, has_the_state_and_the_bytes_of_its_maker) {
  for (const auto state :
       {Region::State::shared, Region::State::published, Region::State::frozen}) {
    auto region = make(page + 1);
    region.mutable_bytes()[page] = std::byte{8};
    if (state == Region::State::published) {
      ASSERT_TRUE(region.publish());
    }
    if (state == Region::State::frozen) {
      ASSERT_TRUE(region.freeze());
    }
    auto peer =
        or_throw(Region::from_handle(or_throw(std::move(region).into_handle()), Trust::equal));
    EXPECT_EQ(peer.state(), state);
    EXPECT_EQ(peer.size(), page + 1);
    EXPECT_EQ(peer.bytes()[page], std::byte{8});
    EXPECT_EQ(peer.writable(), state == Region::State::shared);
    EXPECT_EQ(peer.publish().error(), ErrorKind::invalid);
  }
}

TEST(attached_region, from_an_untrusted_peer_must_be_published_or_frozen) {
  auto region = make(page);
  const auto refused =
      Region::attach(or_throw(Fd::duplicate(region.descriptor())), Trust::untrusted);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), ErrorKind::corrupt);
  ASSERT_TRUE(region.publish());
  EXPECT_TRUE(Region::attach(or_throw(Fd::duplicate(region.descriptor())), Trust::untrusted));
}

Fd memory_file(int seals, std::size_t size, bool reserve = true) {
  Fd file = Fd::adopt(::memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(reserve ? ::fallocate(file.native(), 0, 0, static_cast<off_t>(size))
                    : ::ftruncate(file.native(), static_cast<off_t>(size)),
            0);
  EXPECT_EQ(::fcntl(file.native(), F_ADD_SEALS, seals), 0);
  return file;
}

TEST(attached_region, must_be_sealed_completely) {
  constexpr int all = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
  EXPECT_TRUE(Region::attach(memory_file(all, page), Trust::untrusted));
  for (const int missing : {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_FUTURE_WRITE, F_SEAL_SEAL}) {
    const auto refused = Region::attach(memory_file(all & ~missing, page), Trust::untrusted);
    ASSERT_FALSE(refused) << missing;
    EXPECT_EQ(refused.error(), ErrorKind::corrupt);
  }
}

TEST(attached_region, must_have_its_space_reserved) {
  constexpr int all = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
  const auto sparse = Region::attach(memory_file(all, 100 * page, false), Trust::untrusted);
  ASSERT_FALSE(sparse);
  EXPECT_EQ(sparse.error(), ErrorKind::corrupt);
  const Fd empty = Fd::adopt(::memfd_create("empty", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::fcntl(empty.native(), F_ADD_SEALS, all), 0);
  EXPECT_FALSE(Region::attach(or_throw(Fd::duplicate(empty)), Trust::untrusted));
}

/// Another kind of descriptor each; some block whoever reads them.
std::vector<std::pair<std::string, Fd>> other_descriptors() {
  std::vector<std::pair<std::string, Fd>> list;
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  list.emplace_back("pipe, read end", Fd::adopt(ends[0]));
  list.emplace_back("pipe, write end", Fd::adopt(ends[1]));
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  list.emplace_back("socket", Fd::adopt(ends[0]));
  list.emplace_back("socket", Fd::adopt(ends[1]));
  list.emplace_back("folder", Fd::adopt(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
  list.emplace_back("device", Fd::adopt(::open("/dev/zero", O_RDWR | O_CLOEXEC)));
  list.emplace_back("eventfd", Fd::adopt(::eventfd(0, EFD_CLOEXEC)));
  list.emplace_back("epoll", Fd::adopt(::epoll_create1(EPOLL_CLOEXEC)));
  list.emplace_back("pidfd", Fd::adopt(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0))));
  list.emplace_back("timerfd", Fd::adopt(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)));
  sigset_t none;
  ::sigemptyset(&none);
  list.emplace_back("signalfd", Fd::adopt(::signalfd(-1, &none, SFD_CLOEXEC)));
  list.emplace_back("file", Fd::adopt(::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)));
  list.emplace_back("file in memory",
                    Fd::adopt(::open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)));
  list.emplace_back("path", Fd::adopt(::open("/etc/passwd", O_PATH | O_CLOEXEC)));
  list.emplace_back("proc", Fd::adopt(::open("/proc/self/status", O_RDONLY | O_CLOEXEC)));
  list.emplace_back("memory file that cannot be sealed",
                    Fd::adopt(::memfd_create("x", MFD_CLOEXEC)));
  list.emplace_back("memory file, unsealed",
                    Fd::adopt(::memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING)));
  list.emplace_back("no descriptor", Fd{});
  return list;
}

TEST(attached_region, is_never_made_of_another_kind_of_descriptor) {
  for (const auto trust : {Trust::untrusted, Trust::equal}) {
    for (auto& [name, fd] : other_descriptors()) {
      const auto refused = Region::attach(std::move(fd), trust);
      ASSERT_FALSE(refused) << name;
      EXPECT_EQ(refused.error(), ErrorKind::corrupt) << name;
      EXPECT_FALSE(refused.error().sentence().empty());
    }
  }
}

TEST(attached_region, is_never_made_of_a_closed_descriptor_number) {
  const int closed = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::close(closed);
  EXPECT_EQ(memory::inspect(FdView{closed}).error(), ErrorKind::corrupt);
}

TEST(attached_region, is_made_of_a_handle_of_a_region_only) {
  const auto refused = Region::from_handle(
      Handle{Fd::adopt(::eventfd(0, EFD_CLOEXEC)), Handle::Kind::descriptor}, Trust::equal);
  EXPECT_EQ(refused.error(), ErrorKind::invalid);
}

TEST(region, that_was_moved_from_is_empty_and_says_so) {
  auto region = make(page);
  auto other = std::move(region);
  EXPECT_TRUE(region.bytes().empty());  // NOLINT(bugprone-use-after-move): that is the test
  EXPECT_TRUE(region.mutable_bytes().empty());
  EXPECT_EQ(region.publish().error(), ErrorKind::invalid);
  EXPECT_EQ(region.freeze().error(), ErrorKind::invalid);
  EXPECT_EQ(region.duplicate().error(), ErrorKind::invalid);
  EXPECT_EQ(std::move(region).into_handle().error(), ErrorKind::invalid);
  region = std::move(other);
  EXPECT_EQ(region.size(), page);
}

}  // namespace
}  // namespace bulkhead
