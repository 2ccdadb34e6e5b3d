// SPDX-License-Identifier: Apache-2.0
//
// SharedRegion in all kinds: made once whoever calls at the same time, ended with its users, its
// space reserved, never an untrusted process's.
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bulkhead/latch.hpp>
#include <bulkhead/names.hpp>
#include <bulkhead/region.hpp>
#include <bulkhead/shared.hpp>
#include <bulkhead/shared_region.hpp>

#include "memory/mapping.hpp"
#include "os/name_record.hpp"
#include "support/census.hpp"
#include "support/forked.hpp"

namespace bulkhead {
namespace {

using test::Forked;
using testing::HasSubstr;
using Keep = SharedRegion::Keep;

constexpr std::size_t page = 4096;

std::string own_name(const char* what) { return std::string{what} + std::to_string(::getpid()); }
key_t own_key() { return 0x42480000 + (::getpid() & 0xffff); }
bool is_there(const std::string& name) { return std::filesystem::exists("/dev/shm/" + name); }
bool has_segment(key_t key) { return ::shmget(key, 0, 0) >= 0; }

/// A name of each kind that has names, and whether it is there.
struct Named {
  MemoryName name;
  std::function<bool()> exists;
};
std::vector<Named> all_kinds() {
  const std::string posix = own_name("bh-test-");
  const std::string file = (test::temporary_folder() / "memory").string();
  return {{posix_memory(posix), [posix] { return is_there(posix); }},
          {system_v_memory(own_key()), [] { return has_segment(own_key()); }},
          {file_memory(file), [file] { return std::filesystem::exists(file); }}};
}

TEST(shared_region, of_every_kind_is_the_same_bytes_for_all_who_open_it) {
  for (const auto& [name, exists] : all_kinds()) {
    auto here = or_throw(SharedRegion::create(name, 2 * page));
    EXPECT_EQ(here.bytes()[page], std::byte{}) << exists();
    auto there = or_throw(SharedRegion::open(name));
    EXPECT_EQ(there.size(), 2 * page);
    EXPECT_EQ(there.identity(), here.identity());
    EXPECT_NE(there.bytes().data(), here.bytes().data());
    here.bytes()[page] = std::byte{7};
    EXPECT_EQ(there.bytes()[page], std::byte{7});
    EXPECT_EQ(SharedRegion::create(name, page).error(), ErrorKind::exists);
    EXPECT_TRUE(here.check());
    static_cast<void>(SharedRegion::remove(name));
  }
}

TEST(shared_region, ends_with_its_last_user_and_a_file_stays) {
  for (const auto& [name, exists] : all_kinds()) {
    {
      auto maker = std::make_unique<SharedRegion>(or_throw(SharedRegion::create(name, page)));
      auto other = or_throw(SharedRegion::open(name));
      maker.reset();
      EXPECT_TRUE(exists());
      EXPECT_TRUE(SharedRegion::open(name));
      EXPECT_TRUE(exists());
    }
    EXPECT_EQ(exists(), name.kind == MemoryName::Kind::file);
    if (exists()) {
      EXPECT_TRUE(SharedRegion::remove(name));
    }
    EXPECT_EQ(SharedRegion::open(name).error(), ErrorKind::not_found);
  }
}

TEST(shared_region, that_is_kept_stays_until_it_is_removed) {
  for (const auto& [name, exists] : all_kinds()) {
    or_throw(SharedRegion::create(name, page, {.keep = Keep::until_removed})).bytes()[1] =
        std::byte{5};
    EXPECT_TRUE(exists());
    EXPECT_EQ(or_throw(SharedRegion::open(name)).bytes()[1], std::byte{5});
    EXPECT_TRUE(exists());
    for (const auto& known : or_throw(remove_stale_names())) EXPECT_NE(known.name, "/" + name.name);
    EXPECT_TRUE(exists());
    EXPECT_TRUE(SharedRegion::remove(name));
    EXPECT_FALSE(exists());
  }
}

TEST(shared_region, of_dead_users_is_never_opened_again_but_made_anew) {
  for (const auto& [name, exists] : all_kinds()) {
    if (name.kind == MemoryName::Kind::file) continue;
    Forked user{[&name = name] {
      auto region = or_throw(SharedRegion::open_or_create(name, page));
      region.bytes()[0] = std::byte{1};
      ::kill(::getpid(), SIGKILL);
    }};
    user.wait();
    EXPECT_TRUE(exists());
    EXPECT_EQ(SharedRegion::open(name).error(), ErrorKind::not_found);
    auto anew = or_throw(SharedRegion::open_or_create(name, page));
    EXPECT_EQ(anew.bytes()[0], std::byte{});
  }
  EXPECT_TRUE(remove_stale_names());
}

TEST(shared_region, of_dead_users_is_found_by_clean_and_that_of_the_living_is_not) {
  for (const auto& [name, exists] : all_kinds()) {
    if (name.kind == MemoryName::Kind::file) continue;
    const auto told =
        name.kind == MemoryName::Kind::posix ? "/" + name.name : std::to_string(name.key);
    const auto state_of = [&told](const std::vector<OwnedName>& names) {
      for (const auto& found : names) {
        if (found.name == told) return std::string{to_string(found.state)};
      }
      return std::string{"unknown"};
    };
    {
      auto here = or_throw(SharedRegion::create(name, page));
      EXPECT_EQ(state_of(or_throw(list_names())), "live");
      EXPECT_EQ(state_of(or_throw(remove_stale_names())), "unknown");
      EXPECT_TRUE(exists());
      // A second user is killed: the first one's name stays.
      Forked{[&name = name] {
        auto there = or_throw(SharedRegion::open(name));
        ::kill(::getpid(), SIGKILL);
      }}.wait();
      EXPECT_EQ(state_of(or_throw(remove_stale_names())), "unknown");
      EXPECT_TRUE(exists());
    }
    EXPECT_FALSE(exists());
    Forked{[&name = name] {
      auto there = or_throw(SharedRegion::create(name, page));
      ::kill(::getpid(), SIGKILL);
    }}.wait();
    EXPECT_EQ(state_of(or_throw(list_names())), "stale");
    EXPECT_EQ(state_of(or_throw(remove_stale_names())), "removed");
    EXPECT_FALSE(exists());
  }
}

TEST(shared_region, of_system_v_whose_maker_died_before_it_could_tell_is_made_anew) {
  const key_t key = own_key();
  Forked{[key] {
    auto record = or_throw(os::NameRecord::create("system_v_memory"));
    or_throw(record.add(os::Named::segment, std::to_string(key)));
    static_cast<void>(::shmget(key, page, IPC_CREAT | IPC_EXCL | 0600));
    ::kill(::getpid(), SIGKILL);
  }}.wait();
  ASSERT_TRUE(has_segment(key));
  or_throw(SharedRegion::open_or_create(system_v_memory(key), page));
  EXPECT_FALSE(has_segment(key));
  EXPECT_TRUE(remove_stale_names());
}

TEST(shared_region, of_system_v_outlives_its_opener_for_a_forked_child_and_is_found_after_it) {
  const auto name = system_v_memory(own_key());
  auto words = or_throw(SharedRegion::create(page, {.kind = SharedRegion::Kind::anonymous}));
  auto* const leave = reinterpret_cast<std::uint32_t*>(words.bytes().data());
  auto region = std::make_unique<SharedRegion>(or_throw(SharedRegion::create(name, page)));
  Forked child{[&] {
    while (__atomic_load_n(leave, __ATOMIC_SEQ_CST) == 0) ::sched_yield();
    region->bytes()[0] = std::byte{1};
  }};
  region.reset();
  EXPECT_TRUE(has_segment(own_key()));
  EXPECT_TRUE(remove_stale_names());
  EXPECT_TRUE(has_segment(own_key()));
  __atomic_store_n(leave, 1, __ATOMIC_SEQ_CST);
  EXPECT_EQ(child.wait(), 0);
  EXPECT_TRUE(remove_stale_names());
  EXPECT_FALSE(has_segment(own_key()));
}

TEST(shared_region, is_made_once_by_many_at_once) {
  for (const auto& [name, exists] : all_kinds()) {
    for (int round = 0; round < 4; ++round) {
      // Everybody has it before anybody leaves.
      auto all_here = or_throw(Shared<Latch>::create({.kind = SharedRegion::Kind::anonymous}, 8U));
      std::vector<Forked> users;
      for (int i = 0; i < 8; ++i) {
        users.emplace_back([&name = name, &all_here] {
          auto region = SharedRegion::open_or_create(name, page);
          auto* const total =
              region ? reinterpret_cast<std::uint32_t*>(region->bytes().data()) : nullptr;
          if (total) __atomic_add_fetch(total, 1, __ATOMIC_SEQ_CST);
          or_throw(all_here->arrive_and_wait());
          return total && __atomic_load_n(total, __ATOMIC_SEQ_CST) % 8 == 0 ? 0 : 1;
        });
      }
      for (auto& user : users) EXPECT_EQ(user.wait(), 0);
    }
    if (name.kind == MemoryName::Kind::file) static_cast<void>(SharedRegion::remove(name));
    EXPECT_FALSE(exists());
  }
}

TEST(shared_region, of_another_size_or_of_other_users_is_refused) {
  const auto name = posix_memory(own_name("bh-size-"));
  auto here = or_throw(SharedRegion::create(name, page));
  EXPECT_EQ(SharedRegion::open_or_create(name, 2 * page).error(), ErrorKind::incompatible);
  ASSERT_EQ(::chmod(("/dev/shm/" + name.name).c_str(), 0666), 0);
  const auto refused = SharedRegion::open(name);
  EXPECT_EQ(refused.error(), ErrorKind::denied);
  EXPECT_THAT(refused.error().sentence(), HasSubstr("chmod 600"));
  // A file no less: there may be locks in it.
  const auto file = file_memory((test::temporary_folder() / "open to all").string());
  or_throw(SharedRegion::create(file, page));
  EXPECT_TRUE(SharedRegion::open(file));
  ASSERT_EQ(::chmod(file.name.c_str(), 0620), 0);
  EXPECT_EQ(SharedRegion::open(file).error(), ErrorKind::denied);
  EXPECT_EQ(SharedRegion::open(posix_memory("a/b")).error(), ErrorKind::invalid);
  EXPECT_EQ(SharedRegion::open(system_v_memory(0)).error(), ErrorKind::invalid);
}

TEST(shared_region, of_another_program_is_used_and_left_alone) {
  const auto name = own_name("bh-other-");
  {
    const Fd other = Fd::adopt(::shm_open(("/" + name).c_str(), O_RDWR | O_CREAT | O_EXCL, 0600));
    EXPECT_EQ(SharedRegion::open(posix_memory(name)).error(), ErrorKind::corrupt);  // no size yet
    ASSERT_EQ(::ftruncate(other.native(), page), 0);
    EXPECT_EQ(or_throw(SharedRegion::open(posix_memory(name))).size(), page);
  }
  EXPECT_TRUE(is_there(name));
  EXPECT_EQ(::shm_unlink(("/" + name).c_str()), 0);
}

TEST(shared_region, maps_a_part_of_a_file_at_any_byte) {
  const auto path = (test::temporary_folder() / "parts").string();
  std::ofstream{path} << std::string(3 * page, 'x');
  auto part = or_throw(SharedRegion::open(file_memory(path, page + 5, 10)));
  EXPECT_EQ(part.size(), 10U);
  part.bytes()[0] = std::byte{'y'};
  auto whole = or_throw(SharedRegion::open(file_memory(path)));
  EXPECT_EQ(whole.bytes()[page + 5], std::byte{'y'});
  EXPECT_NE(whole.identity(), part.identity());
  EXPECT_EQ(SharedRegion::open(file_memory(path, 3 * page)).error(), ErrorKind::invalid);
  EXPECT_EQ(SharedRegion::open(file_memory(path, page, 3 * page)).error(), ErrorKind::invalid);
}

TEST(shared_region, grows_where_it_lies_and_others_see_it) {
  for (const auto& [name, exists] : all_kinds()) {
    const SharedRegion::Options growable{.grow_to = 16 * page};
    if (name.kind == MemoryName::Kind::system_v) {
      EXPECT_EQ(SharedRegion::create(name, page, growable).error(), ErrorKind::unsupported);
      auto fixed = or_throw(SharedRegion::create(name, page));
      EXPECT_EQ(SharedRegion::open(name, growable).error(), ErrorKind::unsupported);
      continue;
    }
    auto here = or_throw(SharedRegion::create(name, page, growable));
    auto there = or_throw(SharedRegion::open(name, growable));
    const auto* const before = here.bytes().data();
    ASSERT_TRUE(here.grow(8 * page));
    EXPECT_EQ(here.bytes().data(), before);
    here.bytes()[8 * page - 1] = std::byte{3};
    EXPECT_EQ(there.size(), page);
    ASSERT_TRUE(there.refresh());
    EXPECT_EQ(there.bytes()[8 * page - 1], std::byte{3});
    EXPECT_EQ(here.grow(17 * page).error(), ErrorKind::too_large);
    static_cast<void>(SharedRegion::remove(name));
  }
  auto file = or_throw(SharedRegion::create(page, {.grow_to = 4 * page}));
  auto peer =
      or_throw(SharedRegion::attach(or_throw(or_throw(file.duplicate()).into_handle()).take_fd(),
                                    Trust::equal, {.grow_to = 4 * page}));
  ASSERT_TRUE(file.grow(2 * page));
  ASSERT_TRUE(peer.refresh());
  EXPECT_EQ(peer.size(), 2 * page);
  EXPECT_EQ(or_throw(SharedRegion::create(page)).grow(2 * page).error(), ErrorKind::unsupported);
}

/// In KiB, as the kernel counts it.
std::size_t locked_now() {
  std::ifstream status{"/proc/self/status"};
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmLck:")) return std::stoul(line.substr(6));
  }
  return 0;
}

bool mlock_is_the_kernels() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return false;
#else
  return true;
#endif
}

TEST(shared_region, that_is_locked_stays_so_as_it_grows_and_in_each_copy) {
  if (!mlock_is_the_kernels()) GTEST_SKIP() << "mlock(2) does nothing under this sanitizer";
  const std::size_t before = locked_now();
  auto growing = or_throw(SharedRegion::create(page, {.locked = true, .grow_to = 8 * page}));
  EXPECT_EQ(locked_now(), before + 4);
  ASSERT_TRUE(growing.grow(4 * page));
  EXPECT_EQ(locked_now(), before + 16);
  auto nameless =
      or_throw(SharedRegion::create(page, {.kind = SharedRegion::Kind::anonymous, .locked = true}));
  auto copy = or_throw(nameless.duplicate());
  EXPECT_EQ(locked_now(), before + 24);
  for (const auto& [name, exists] : all_kinds()) {
    auto named = or_throw(SharedRegion::create(name, page, {.locked = true}));
    EXPECT_EQ(locked_now(), before + 28) << exists();
    static_cast<void>(SharedRegion::remove(name));
  }
}

/// As a user without privileges, whatever this one is.
TEST(shared_region, beyond_the_limit_of_locked_memory_says_what_the_limit_is) {
  if (!mlock_is_the_kernels()) GTEST_SKIP() << "mlock(2) does nothing under this sanitizer";
  Forked child{[] {
    const rlimit small{.rlim_cur = 2 * page, .rlim_max = 2 * page};
    ::setrlimit(RLIMIT_MEMLOCK, &small);
    // A privileged process has no such limit.
    if (::geteuid() == 0 && ::setuid(65534) != 0) return 3;
    auto fits = SharedRegion::create(page, {.locked = true, .grow_to = 8 * page});
    if (!fits || locked_now() != 4) return 4;
    const auto grown = fits->grow(4 * page);
    if (grown || grown.error() != ErrorKind::exhausted || fits->size() != page) return 5;
    const auto refused = SharedRegion::create(16 * page, {.locked = true});
    if (refused || refused.error() != ErrorKind::exhausted) return 1;
    return refused.error().sentence().find("8192 bytes (RLIMIT_MEMLOCK)") != std::string::npos ? 0
                                                                                               : 2;
  }};
  EXPECT_EQ(child.wait(), 0);
}

constexpr SharedRegion::Options huge{.pages = SharedRegion::Pages::huge};

/// Some more huge pages for this machine, as long as it lives; its owner's wish is put back.
class ReservedHugePages {
 public:
  explicit ReservedHugePages(int more) : before_(read("nr_hugepages")) {
    std::ofstream{path("nr_hugepages")} << before_ + more << std::flush;
  }
  ReservedHugePages(const ReservedHugePages&) = delete;
  ReservedHugePages& operator=(const ReservedHugePages&) = delete;
  ~ReservedHugePages() { std::ofstream{path("nr_hugepages")} << before_ << std::flush; }

  static int free() { return read("free_hugepages"); }

 private:
  static std::string path(const char* what) {
    return "/sys/kernel/mm/hugepages/hugepages-" + std::to_string(memory::huge_page_size() / 1024) +
           "kB/" + what;
  }
  static int read(const char* what) {
    int number = 0;
    std::ifstream{path(what)} >> number;
    return number;
  }
  int before_;
};

TEST(shared_region, says_how_to_get_huge_pages_where_there_are_none) {
  const std::size_t one = memory::huge_page_size();
  const auto refused = SharedRegion::create(
      one == 0 ? page : (static_cast<std::size_t>(ReservedHugePages::free()) + 1) * one, huge);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error() == ErrorKind::exhausted || refused.error() == ErrorKind::unsupported);
  EXPECT_FALSE(refused.error().remedy().empty()) << refused.error();
  EXPECT_EQ(SharedRegion::create(posix_memory("x"), page, huge).error(), ErrorKind::unsupported);
  if (one != 0) {
    EXPECT_EQ(SharedRegion::create(page, huge).error(), ErrorKind::unsupported);
  }
}

TEST(shared_region, has_huge_pages_where_they_are_reserved) {
  const std::size_t one = memory::huge_page_size();
  if (one == 0) GTEST_SKIP() << "this kernel has no huge pages";
  const ReservedHugePages reserved{4};
  const int free = ReservedHugePages::free();
  if (free < 4) GTEST_SKIP() << "no huge pages can be reserved by this user, or not now";
  {
    auto file = or_throw(SharedRegion::create(2 * one, huge));
    EXPECT_EQ(ReservedHugePages::free(), free - 2);
    file.bytes()[one] = std::byte{3};
    auto there = or_throw(SharedRegion::attach(
        or_throw(or_throw(file.duplicate()).into_handle()).take_fd(), Trust::equal));
    EXPECT_EQ(there.size(), 2 * one);
    EXPECT_EQ(there.bytes()[one], std::byte{3});
    EXPECT_TRUE(there.check());
    // What several can write is not for who does not trust them.
    EXPECT_EQ(Region::attach(or_throw(or_throw(file.duplicate()).into_handle()).take_fd(),
                             Trust::untrusted)
                  .error(),
              ErrorKind::corrupt);
    EXPECT_EQ(SharedRegion::create(std::size_t(free) * one, huge).error(), ErrorKind::exhausted);
  }
  EXPECT_EQ(ReservedHugePages::free(), free);
  {
    auto nameless = or_throw(SharedRegion::create(
        one, {.kind = SharedRegion::Kind::anonymous, .pages = SharedRegion::Pages::huge}));
    EXPECT_EQ(ReservedHugePages::free(), free - 1);
    Forked child{[&] { nameless.bytes()[5] = std::byte{4}; }};
    EXPECT_EQ(child.wait(), 0);
    EXPECT_EQ(nameless.bytes()[5], std::byte{4});
    EXPECT_EQ(nameless.duplicate().error(), ErrorKind::unsupported);
  }
  {
    const auto name = system_v_memory(own_key());
    auto segment = or_throw(SharedRegion::create(name, one, huge));
    EXPECT_EQ(ReservedHugePages::free(), free - 1);
    auto there = or_throw(SharedRegion::open(name));
    segment.bytes()[6] = std::byte{5};
    EXPECT_EQ(there.bytes()[6], std::byte{5});
  }
  {
    // The kernel would make it larger, and give no pages to what is new.
    const auto refused =
        SharedRegion::create(one, {.pages = SharedRegion::Pages::huge, .grow_to = 2 * one});
    EXPECT_EQ(refused.error(), ErrorKind::unsupported);
    auto file = or_throw(SharedRegion::create(one, huge));
    EXPECT_EQ(SharedRegion::attach(or_throw(std::move(file).into_handle()).take_fd(), Trust::equal,
                                   {.grow_to = 2 * one})
                  .error(),
              ErrorKind::unsupported);
  }
  EXPECT_EQ(ReservedHugePages::free(), free);
}

TEST(shared_region, that_does_not_fit_is_exhausted_and_leaves_nothing) {
  for (const auto& [name, exists] : all_kinds()) {
    const auto refused = SharedRegion::create(name, std::size_t{1} << 46);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), ErrorKind::exhausted) << refused.error();
    EXPECT_FALSE(exists());
  }
}

/// In a namespace of its own, where /dev/shm has room for 1 MiB.
TEST(shared_region, on_a_full_file_system_is_exhausted_at_once_and_no_signal_later) {
  Forked child{[] {
    const auto itself = [](unsigned id) {
      return std::to_string(id) + " " + std::to_string(id) + " 1";
    };
    const std::string user = itself(::geteuid());
    const std::string group = itself(::getegid());  // not mapped, it could own no file
    bool alone = ::unshare(CLONE_NEWNS) == 0;
    if (!alone && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) {
      std::ofstream{"/proc/self/setgroups"} << "deny" << std::flush;
      alone = (std::ofstream{"/proc/self/uid_map"} << user << std::flush) &&
              (std::ofstream{"/proc/self/gid_map"} << group << std::flush);
    }
    if (!alone || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=1m") != 0) {
      return 77;
    }
    for (int round = 0; round < 50; ++round) {
      for (std::size_t size = page; size <= 2048 * 1024; size *= 2) {
        const auto refused = SharedRegion::create(posix_memory("full"), size);
        if (refused) std::memset(refused->bytes().data(), 1, size);
        if (refused ? size > 1024 * 1024 : refused.error() != ErrorKind::exhausted) return 1;
      }
    }
    return std::filesystem::is_empty("/dev/shm") ? 0 : 2;
  }};
  const int outcome = child.wait();
  if (outcome == 77) GTEST_SKIP() << "this process may not mount a file system of its own";
  EXPECT_EQ(outcome, 0);
}

TEST(shared_region, is_never_made_of_what_an_untrusted_process_passed) {
  auto region = or_throw(SharedRegion::create(page));
  const auto refused = SharedRegion::attach(
      or_throw(or_throw(region.duplicate()).into_handle()).take_fd(), Trust::untrusted);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), ErrorKind::denied);
  EXPECT_EQ(SharedRegion::attach(Fd{}, Trust::equal).error(), ErrorKind::corrupt);
  EXPECT_EQ(SharedRegion::attach(Fd::adopt(::open("/dev/zero", O_RDWR | O_CLOEXEC)), Trust::equal)
                .error(),
            ErrorKind::corrupt);
}

}  // namespace
}  // namespace bulkhead
