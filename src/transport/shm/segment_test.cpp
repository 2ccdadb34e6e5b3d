// SPDX-License-Identifier: Apache-2.0
//
// What the kernel keeps a peer from doing with a segment (A15, A16, A17), and what this side
// refuses to map (A11, A16, A18).
#include "transport/shm/segment.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <string>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memory/memory_file.hpp"

namespace bulkhead::transport::shm {
namespace {

constexpr std::size_t capacity = 65536;

struct Made {
  OwnSegment own;
  Fd file;
};

Made make() {
  auto own = OwnSegment::create(capacity, 0, nullptr);
  EXPECT_TRUE(own.has_value());
  Fd file = own->take_file();
  return {std::move(*own), std::move(file)};
}

Result<PeerSegment> attach(const Fd& file, std::uint64_t size = capacity) {
  return PeerSegment::attach(std::move(*Fd::duplicate(file)), size, nullptr);
}

TEST(shm_segment, is_seen_by_the_peer_as_it_is_written) {
  auto made = make();
  auto peer = attach(made.file);
  ASSERT_TRUE(peer.has_value());
  made.own.words().tail = 4711;
  EXPECT_EQ(peer->words()->tail.load(), 4711U);
  made.own.ring()[17] = std::byte{42};
  EXPECT_EQ(peer->ring()[17], std::byte{42});
}

TEST(shm_segment, has_its_ring_twice_in_a_row) {
  auto made = make();
  auto peer = attach(made.file);
  made.own.ring()[capacity + 5] = std::byte{1};
  made.own.ring()[capacity - 1] = std::byte{2};
  EXPECT_EQ(made.own.ring()[5], std::byte{1});
  EXPECT_EQ(peer->ring()[capacity + 5], std::byte{1});
  EXPECT_EQ(peer->ring()[2 * capacity - 1], std::byte{2});
}

TEST(shm_segment, cannot_be_written_by_who_gets_its_descriptor) {
  auto made = make();
  const int fd = made.file.native();
  const std::string again = "/proc/self/fd/" + std::to_string(fd);

  const Fd reopened = Fd::adopt(::open(again.c_str(), O_RDWR | O_CLOEXEC));
  for (int writable : {fd, reopened.native()}) {
    if (writable < 0) continue;  // the kernel refused already to open it again
    char byte = 1;
    EXPECT_EQ(::pwrite(writable, &byte, 1, 8192), -1) << "write(2)";
    void* at = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, writable, 0);
    EXPECT_EQ(at, MAP_FAILED) << "a second writable mapping";

    at = ::mmap(nullptr, 8192, PROT_READ, MAP_SHARED, writable, 0);
    ASSERT_NE(at, MAP_FAILED);
    EXPECT_NE(::mprotect(at, 4096, PROT_READ | PROT_WRITE), 0) << "made writable later";
    void* moved = ::mremap(at, 8192, 8192, MREMAP_MAYMOVE);
    ASSERT_NE(moved, MAP_FAILED);
    EXPECT_NE(::mprotect(moved, 4096, PROT_READ | PROT_WRITE), 0) << "moved, then made writable";
    void* copied = ::mremap(moved, 0, 4096, MREMAP_MAYMOVE);
    if (copied != MAP_FAILED) {
      EXPECT_NE(::mprotect(copied, 4096, PROT_READ | PROT_WRITE), 0) << "doubled";
      ::munmap(copied, 4096);
    }
    ::munmap(moved, 8192);
  }
}

TEST(shm_segment, cannot_be_resized_or_holed_by_anybody) {
  auto made = make();
  const int fd = made.file.native();
  made.own.ring()[0] = std::byte{42};
  EXPECT_NE(::ftruncate(fd, 4096), 0);
  EXPECT_NE(::ftruncate(fd, 1 << 24), 0);
  EXPECT_NE(::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, 4096), 0);
  EXPECT_NE(::fallocate(fd, 0, 0, 1 << 24), 0);
  EXPECT_NE(::madvise(made.own.ring(), 4096, MADV_REMOVE), 0);
  EXPECT_NE(::fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0) << "the seals are sealed too";
  EXPECT_EQ(made.own.ring()[0], std::byte{42});
}

/// A memory file of the right size, sealed as asked, reserved or not.
Fd imitation(int seals, bool reserved = true) {
  Fd file = Fd::adopt(::memfd_create("imitation", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  const auto size = static_cast<off_t>(ring_offset() + capacity);
  EXPECT_EQ(reserved ? ::fallocate(file.native(), 0, 0, size) : ::ftruncate(file.native(), size),
            0);
  const Header header{.magic = magic,
                      .version = protocol_version,
                      .zero = 0,
                      .layout_hash = layout_hash(ring_offset()),
                      .capacity = capacity};
  EXPECT_EQ(::pwrite(file.native(), &header, sizeof header, 0), sizeof header);
  EXPECT_EQ(::fcntl(file.native(), F_ADD_SEALS, seals), 0);
  return file;
}

constexpr int whole = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;

TEST(shm_segment, is_attached_only_when_it_is_sealed_and_reserved) {
  EXPECT_TRUE(attach(imitation(whole)).has_value());
  for (int missing : {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_FUTURE_WRITE, F_SEAL_SEAL}) {
    auto peer = attach(imitation(whole & ~missing));
    ASSERT_FALSE(peer.has_value()) << "without seal " << missing;
    EXPECT_EQ(peer.error(), ErrorKind::corrupt);
  }
  auto sparse = attach(imitation(whole, false));
  ASSERT_FALSE(sparse.has_value()) << "reading a hole can fault when memory is short";
  EXPECT_EQ(sparse.error(), ErrorKind::corrupt);
}

TEST(shm_segment, is_attached_only_with_the_capacity_that_was_announced) {
  auto made = make();
  for (std::uint64_t lie :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{8}, std::uint64_t{4096}, capacity / 2,
        capacity - 1, capacity + 1, capacity * 2, std::uint64_t{1} << 31, std::uint64_t{1} << 32,
        std::uint64_t{1} << 63, ~std::uint64_t{0}}) {
    auto peer = attach(made.file, lie);
    ASSERT_FALSE(peer.has_value()) << lie;
    EXPECT_EQ(peer.error(), ErrorKind::corrupt);
  }
}

TEST(shm_segment, is_attached_only_with_the_header_that_was_announced) {
  // A11: every bit of it.
  for (std::size_t bit = 0; bit < sizeof(Header) * 8; ++bit) {
    auto made = make();
    // Its maker may write it still: that is what a hostile one does.
    const_cast<std::byte*>(made.own.ring() - ring_offset())[bit / 8] ^=
        static_cast<std::byte>(1U << bit % 8);
    auto peer = attach(made.file);
    if (bit / 8 == offsetof(Header, zero) || bit / 8 == offsetof(Header, zero) + 1) continue;
    ASSERT_FALSE(peer.has_value()) << "bit " << bit;
  }
}

TEST(shm_segment, is_not_made_of_any_other_descriptor) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const Fd reading = Fd::adopt(ends[0]);
  const Fd writing = Fd::adopt(ends[1]);
  const Fd zero = Fd::adopt(::open("/dev/zero", O_RDWR | O_CLOEXEC));
  const Fd folder = Fd::adopt(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const Fd file = Fd::adopt(::open("/proc/self/status", O_RDONLY | O_CLOEXEC));
  const Fd path = Fd::adopt(::open("/", O_PATH | O_CLOEXEC));
  for (const Fd* other : {&reading, &writing, &zero, &folder, &file, &path}) {
    auto peer = attach(*other);
    ASSERT_FALSE(peer.has_value());
    EXPECT_EQ(peer.error(), ErrorKind::corrupt);
  }
}

TEST(shm_segment, is_exhausted_when_no_descriptor_or_space_is_left) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  auto own = OwnSegment::create(capacity, 0, nullptr);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_FALSE(own.has_value());
  EXPECT_EQ(own.error(), ErrorKind::exhausted);
}

TEST(shm_segment, is_not_inherited_by_a_forked_child) {
  auto made = make();
  made.own.ring()[0] = std::byte{1};
  const pid_t child = ::fork();
  if (child == 0) {
    // Only the child's own page table is asked: mincore(2) fails on what is not mapped.
    unsigned char there = 0;
    ::_exit(::mincore(made.own.ring(), 4096, &there) == 0 ? 1 : 0);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << "a second writer";
}

TEST(shm_segment, rounds_capacities_up_to_powers_of_two_within_limits) {
  EXPECT_EQ(rounded_capacity(0), 4096U);
  EXPECT_EQ(rounded_capacity(4097), 8192U);
  EXPECT_EQ(rounded_capacity(256 * 1024), 256U * 1024);
  EXPECT_EQ(rounded_capacity(~std::size_t{0}), largest_capacity);
}

}  // namespace
}  // namespace bulkhead::transport::shm
