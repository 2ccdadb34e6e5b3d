// SPDX-License-Identifier: Apache-2.0
//
// Region over files, devices and memory with names; and the SIGBUS guard (F10).
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bulkhead/region.hpp>
#include <bulkhead/shared_region.hpp>
#include <bulkhead/sigbus_guard.hpp>

#include "support/census.hpp"
#include "support/forked.hpp"

namespace bulkhead {
namespace {

using test::Forked;
using testing::HasSubstr;
using Cut = Region::Cut;
using Writes = Region::Writes;

constexpr std::size_t page = 4096;

std::string a_file(std::size_t size) {
  const auto path = (test::temporary_folder() / "file").string();
  std::ofstream{path} << std::string(size, 'x');
  return path;
}
std::string content_of(const std::string& path) {
  std::ifstream file{path};
  return {std::istreambuf_iterator<char>{file}, {}};
}

TEST(region_of_a_file, that_is_private_keeps_its_writes_to_itself) {
  const auto path = a_file(2 * page);
  auto own = or_throw(
      Region::open(file_memory(path), {.writes = Writes::stay_private, .cut = Cut::excluded}));
  auto other = or_throw(Region::open(file_memory(path), {.cut = Cut::excluded}));
  own.mutable_bytes()[page] = std::byte{'y'};
  EXPECT_EQ(own.bytes()[page], std::byte{'y'});
  EXPECT_EQ(other.bytes()[page], std::byte{'x'});
  EXPECT_EQ(content_of(path), std::string(2 * page, 'x'));
  Forked child{[&] {
    own.mutable_bytes()[0] = std::byte{'z'};  // a copy of the child's own
    return own.bytes()[page] == std::byte{'y'} ? 0 : 1;
  }};
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(own.bytes()[0], std::byte{'x'});
}

TEST(region_of_a_file, that_is_shared_reaches_the_file_and_every_mapper) {
  const auto path = a_file(2 * page);
  auto writer = or_throw(
      Region::open(file_memory(path), {.writes = Writes::reach_all, .cut = Cut::excluded}));
  auto part = or_throw(Region::open(file_memory(path, page + 1, 3), {.cut = Cut::excluded}));
  writer.mutable_bytes()[page + 1] = std::byte{'y'};
  EXPECT_EQ(part.size(), 3U);
  EXPECT_EQ(part.bytes()[0], std::byte{'y'});
  EXPECT_TRUE(part.mutable_bytes().empty());
  EXPECT_EQ(content_of(path)[page + 1], 'y');
  EXPECT_EQ(writer.publish().error(), ErrorKind::invalid);
  EXPECT_EQ(writer.freeze().error(), ErrorKind::invalid);
  EXPECT_EQ(or_throw(part.duplicate()).bytes()[0], std::byte{'y'});
  EXPECT_EQ(std::move(writer).into_handle().error(), ErrorKind::unsupported);
}

TEST(region_of_a_file, is_not_mapped_without_the_guard_unless_asked) {
  const auto path = a_file(page);
  Forked child{[&] {
    const auto refused = Region::open(file_memory(path));
    if (refused || refused.error() != ErrorKind::invalid) return 1;
    return refused.error().sentence().find("guard_mappings") != std::string::npos ? 0 : 2;
  }};
  EXPECT_EQ(child.wait(), 0);
}

TEST(region_of_a_file, is_read_and_written_by_calls_and_a_cut_is_an_error) {
  const auto path = a_file(2 * page);
  auto region = or_throw(
      Region::open(file_memory(path), {.writes = Writes::reach_all, .cut = Cut::by_calls}));
  EXPECT_TRUE(region.bytes().empty());
  EXPECT_EQ(region.size(), 2 * page);
  const std::array word{std::byte{'a'}, std::byte{'b'}};
  ASSERT_TRUE(region.write(page, word));
  std::array<std::byte, 2> read{};
  EXPECT_EQ(or_throw(region.read(page, read)), 2U);
  EXPECT_EQ(read, word);
  EXPECT_EQ(region.write(2 * page - 1, word).error(), ErrorKind::too_large);
  EXPECT_TRUE(region.check());
  ASSERT_EQ(::truncate(path.c_str(), page), 0);
  EXPECT_EQ(region.read(page, read).error(), ErrorKind::corrupt);
  EXPECT_EQ(region.write(0, word).error(), ErrorKind::corrupt);
  EXPECT_EQ(region.check().error(), ErrorKind::corrupt);
}

TEST(region_of_a_file, that_is_cut_under_the_guard_is_an_error_and_no_signal) {
  const auto path = a_file(4 * page);
  Forked child{[&] {
    if (!guard_mappings() || !guard_mappings()) return 1;
    for (const auto writes : {Writes::refused, Writes::stay_private, Writes::reach_all}) {
      std::ofstream{path} << std::string(4 * page, 'x');
      auto region = or_throw(Region::open(file_memory(path), {.writes = writes}));
      auto other = or_throw(Region::open(file_memory(path), {.writes = writes}));
      auto shared = or_throw(SharedRegion::open(file_memory(path)));
      if (!region.check() || region.bytes()[3 * page] != std::byte{'x'}) return 2;
      if (::truncate(path.c_str(), static_cast<off_t>(page)) != 0) return 3;
      if (region.bytes()[3 * page] != std::byte{}) return 4;
      if (writes != Writes::refused) region.mutable_bytes()[2 * page] = std::byte{1};
      shared.bytes()[2 * page] = std::byte{1};
      if (region.check() || region.check().error() != ErrorKind::corrupt) return 5;
      // Grown again by somebody: the page that was lost stays lost.
      if (::truncate(path.c_str(), static_cast<off_t>(4 * page)) != 0) return 6;
      if (region.check() || shared.check() || !other.check()) return 7;
      if (region.bytes()[0] != std::byte{'x'}) return 8;
    }
    return 0;
  }};
  EXPECT_EQ(child.wait(), 0);
}

volatile std::sig_atomic_t handled = 0;
extern "C" void count_signal(int) { handled = handled + 1; }

TEST(sigbus_guard, passes_on_what_is_not_its_own) {
  const auto path = a_file(2 * page);
  Forked host{[] {
    ::signal(SIGBUS, count_signal);
    if (!guard_mappings()) return 1;
    ::raise(SIGBUS);
    return handled == 1 ? 0 : 2;
  }};
  EXPECT_EQ(host.wait(), 0);
  Forked plain{[&path] {
    ::signal(SIGBUS, SIG_DFL);  // AddressSanitizer has a handler of its own
    if (!guard_mappings()) return 1;
    const Fd file = Fd::adopt(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    void* const at = ::mmap(nullptr, 2 * page, PROT_READ, MAP_SHARED, file.native(), 0);
    if (::ftruncate(file.native(), 0) != 0) return 2;
    return static_cast<int>(*static_cast<volatile char*>(at));  // not of this library
  }};
  EXPECT_EQ(plain.wait(), 128 + SIGBUS);
  Forked told{[] {
    ::signal(SIGBUS, SIG_DFL);
    if (!guard_mappings()) return 1;
    ::raise(SIGBUS);
    return 0;
  }};
  EXPECT_EQ(told.wait(), 128 + SIGBUS);
}

TEST(region_of_a_device, is_mapped_where_its_length_is_said) {
  auto zeros = or_throw(
      Region::open(file_memory("/dev/zero", 0, 2 * page), {.writes = Writes::stay_private}));
  zeros.mutable_bytes()[page] = std::byte{1};
  EXPECT_EQ(zeros.bytes()[0], std::byte{});
  EXPECT_TRUE(zeros.check());
  EXPECT_EQ(Region::open(file_memory("/dev/zero")).error(), ErrorKind::invalid);
  EXPECT_EQ(Region::open(file_memory("/dev")).error(), ErrorKind::unsupported);
  EXPECT_FALSE(Region::open(file_memory("/dev/null", 0, page)));
  EXPECT_EQ(Region::open(file_memory("/no/such/file")).error(), ErrorKind::not_found);
}

TEST(region_of_a_name, looks_at_posix_and_system_v_memory_without_writing) {
  const auto posix = posix_memory("bh-look-" + std::to_string(::getpid()));
  const auto key = system_v_memory(0x42490000 + (::getpid() & 0xffff));
  for (const auto& name : {posix, key}) {
    auto writer = or_throw(SharedRegion::create(name, page));
    auto reader = or_throw(Region::open(name, {.cut = Cut::excluded}));
    writer.bytes()[9] = std::byte{4};
    EXPECT_EQ(reader.bytes()[9], std::byte{4});
    EXPECT_FALSE(reader.writable());
    EXPECT_EQ(reader.size(), page);
  }
  auto writer = or_throw(SharedRegion::create(key, page));
  EXPECT_EQ(Region::open(key, {.writes = Writes::stay_private}).error(), ErrorKind::unsupported);
}

}  // namespace
}  // namespace bulkhead
