// SPDX-License-Identifier: Apache-2.0
//
// Drafts where the file system has no O_TMPFILE: nothing is found half made, nothing is replaced, and
// what a killed maker leaves is on record. A filter of the kernel denies the flag, and kills where said.
#include "os/draft.hpp"

#include <cerrno>
#include <cstddef>
#include <fcntl.h>
#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

#include <bulkhead/names.hpp>

#include "os/recorded_names.hpp"
#include "support/census.hpp"
#include "support/forked.hpp"

namespace bulkhead::os {
namespace {

using test::Forked;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::StartsWith;

constexpr unsigned unnamed = O_TMPFILE & ~O_DIRECTORY;

/// From now on this process has no O_TMPFILE, is killed when it makes the call `kills`, and told of
/// `lacks` that the file system has no such thing.
bool live_without_unnamed_files(unsigned kills, unsigned lacks) {
  constexpr unsigned number = offsetof(seccomp_data, nr);
  constexpr unsigned flags = offsetof(seccomp_data, args) + 16;  // of openat
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, number),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kills, 4, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, lacks, 4, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 4),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, flags),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, unnamed, 1, 2),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{.len = std::size(code), .filter = code};
  const rlimit no_core{};
  ::setrlimit(RLIMIT_CORE, &no_core);
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

constexpr unsigned none = ~0U;

std::vector<std::string> files_in(const std::filesystem::path& folder) {
  std::vector<std::string> found;
  for (const auto& file : std::filesystem::directory_iterator{folder}) {
    found.push_back(file.path().filename());
  }
  return found;
}

/// In a child: makes and names a draft; 0, or the kind of the error and 100.
int make_file(const std::string& path) {
  auto draft = Draft::make(path, path);
  if (!draft) return 1;
  if (draft->aside.path().empty()) return 2;
  if (::write(draft->file.native(), "all", 3) != 3) return 3;
  const auto named = name_draft(draft->file, draft->aside, path, path);
  if (!draft->aside.path().empty() && named) return 4;
  return named ? 0 : 100 + static_cast<int>(named.error().kind());
}

TEST(draft, has_its_name_when_it_is_complete_and_replaces_nothing) {
  const auto folder = test::temporary_folder();
  const std::string path = folder / "file";
  for (const unsigned lacks : {none, static_cast<unsigned>(SYS_link)}) {
    std::filesystem::remove(path);
    const auto make = [&] {
      Forked maker{[&] { return live_without_unnamed_files(none, lacks) ? make_file(path) : 9; }};
      return maker.wait();
    };
    EXPECT_EQ(make(), 0);
    EXPECT_EQ(std::filesystem::file_size(path), 3U);
    EXPECT_EQ(std::filesystem::hard_link_count(path), 1U);
    EXPECT_EQ(make(), 100 + static_cast<int>(ErrorKind::exists));
    EXPECT_THAT(files_in(folder), ElementsAre("file"));
  }
  EXPECT_THAT(files_in(or_throw(record_directory())), IsEmpty());
}

TEST(draft, of_a_killed_maker_is_removed_by_clean_and_what_was_named_stays) {
  const auto folder = test::temporary_folder();
  const std::string path = folder / "file";
  const auto killed_at = [&](unsigned call) {
    Forked maker{[&] { return live_without_unnamed_files(call, none) ? make_file(path) : 9; }};
    EXPECT_EQ(maker.wait(), 128 + SIGSYS);
  };
  killed_at(SYS_link);
  EXPECT_THAT(files_in(folder), ElementsAre(StartsWith(".bulkhead-draft-")));
  for (const auto& name : or_throw(remove_stale_names())) {
    EXPECT_EQ(name.state, OwnedName::State::removed);
  }
  EXPECT_THAT(files_in(folder), IsEmpty());

  killed_at(SYS_unlink);  // it has two names
  EXPECT_EQ(std::filesystem::hard_link_count(path), 2U);
  EXPECT_EQ(or_throw(list_names()).size(), 1U);
  or_throw(remove_stale_names());
  EXPECT_THAT(files_in(folder), ElementsAre("file"));
  EXPECT_EQ(std::filesystem::file_size(path), 3U);
  EXPECT_THAT(files_in(or_throw(record_directory())), IsEmpty());
}

TEST(draft, of_a_live_maker_is_left_alone_by_clean_and_by_its_forked_child) {
  const auto folder = test::temporary_folder();
  const std::string path = folder / "file";
  Forked maker{[&] {
    if (!live_without_unnamed_files(none, none)) return 9;
    auto draft = Draft::make(path, path);
    if (!draft) return 1;
    Forked child{[&draft] { draft->aside.release(); }};
    child.wait();
    if (!remove_stale_names() || ::access(draft->aside.path().c_str(), F_OK) != 0) return 2;
    return name_draft(draft->file, draft->aside, path, path) ? 0 : 3;
  }};
  EXPECT_EQ(maker.wait(), 0);
  EXPECT_THAT(files_in(folder), ElementsAre("file"));
}

}  // namespace
}  // namespace bulkhead::os
