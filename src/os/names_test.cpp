// SPDX-License-Identifier: Apache-2.0
#include "os/names.hpp"

#include <atomic>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "support/census.hpp"

namespace bulkhead::os {
namespace {

std::string lock_path() { return test::temporary_folder().string() + "/name.lock"; }

TEST(names, have_one_owner_at_a_time) {
  const std::string path = lock_path();
  auto first = NameLock::take(path);
  ASSERT_TRUE(first);
  auto second = NameLock::take(path);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::exists);
  EXPECT_NE(second.error().sentence().find(std::to_string(::getpid())), std::string::npos);
  first->release();
  EXPECT_NE(::access(path.c_str(), F_OK), 0);
  EXPECT_TRUE(NameLock::take(path));
}

TEST(names, of_a_dead_owner_are_free) {
  const std::string path = lock_path();
  const pid_t child = ::fork();
  if (child == 0) {
    auto taken = NameLock::take(path);
    ::_exit(taken ? 0 : 1);  // without a word: the file stays
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  ASSERT_EQ(::access(path.c_str(), F_OK), 0);
  EXPECT_TRUE(NameLock::take(path));
}

TEST(names, are_not_removed_by_a_forked_child) {
  const std::string path = lock_path();
  auto mine = NameLock::take(path);
  ASSERT_TRUE(mine);
  const pid_t child = ::fork();
  if (child == 0) {
    const bool ours = mine->is_ours();
    mine->release();
    ::_exit(ours ? 1 : 0);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(::access(path.c_str(), F_OK), 0);
  EXPECT_EQ(NameLock::take(path).error().kind(), ErrorKind::exists);
}

TEST(names, taken_and_given_back_by_many_are_never_owned_twice_threaded) {
  const std::string path = lock_path();
  std::atomic<int> owners{0};
  std::atomic<int> taken{0};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int tries = 0; tries < 2000; ++tries) {
        auto lock = NameLock::take(path);
        if (!lock) continue;
        EXPECT_EQ(++owners, 1);
        ++taken;
        --owners;
      }
    });
  }
  threads.clear();
  EXPECT_GT(taken, 0);
  EXPECT_NE(::access(path.c_str(), F_OK), 0);
}

TEST(names, are_checked) {
  for (const char* good : {"camera", "a.b", "with space", "-"}) EXPECT_TRUE(check_name(good, 64));
  for (const char* bad : {"", ".", "..", ".hidden", "a/b", "/", "a..b", "../x"}) {
    EXPECT_EQ(check_name(bad, 64).error().kind(), ErrorKind::invalid) << bad;
  }
  EXPECT_TRUE(check_name(std::string(64, 'x'), 64));
  EXPECT_FALSE(check_name(std::string(65, 'x'), 64));
  EXPECT_FALSE(check_name(std::string_view{"a\0b", 3}, 64));
}

/// Sets a variable of the environment for a scope.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* old = ::getenv(name)) old_ = old;
    ::setenv(name, value.c_str(), 1);
  }
  ~Variable() { ::setenv(name_, old_.c_str(), 1); }

 private:
  const char* name_;
  std::string old_;
};

TEST(runtime_directory, is_private_and_made_once) {
  const std::string folder = test::temporary_folder();
  const Variable session{"XDG_RUNTIME_DIR", folder};
  auto first = runtime_directory();
  ASSERT_TRUE(first);
  EXPECT_EQ(*first, folder + "/bulkhead");
  EXPECT_EQ(*runtime_directory(), *first);
  struct stat found{};
  ASSERT_EQ(::stat(first->c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0700u);
}

TEST(runtime_directory, is_in_the_temporary_folder_where_there_is_no_session) {
  const std::string folder = test::temporary_folder();
  const Variable temporary{"TMPDIR", folder};
  for (const char* none : {"", "/does/not/exist", "relative"}) {
    const Variable session{"XDG_RUNTIME_DIR", none};
    auto found = runtime_directory();
    ASSERT_TRUE(found);
    EXPECT_EQ(*found, folder + "/bulkhead-" + std::to_string(::geteuid()));
  }
}

TEST(runtime_directory, that_others_can_enter_or_have_made_is_refused) {
  const std::string folder = test::temporary_folder();
  const Variable session{"XDG_RUNTIME_DIR", folder};
  const std::string path = folder + "/bulkhead";
  ASSERT_EQ(::mkdir(path.c_str(), 0700), 0);
  ASSERT_EQ(::chmod(path.c_str(), 0750), 0);
  EXPECT_EQ(runtime_directory().error().kind(), ErrorKind::denied);
  ASSERT_EQ(::rmdir(path.c_str()), 0);
  // A link that leads into a folder of somebody's choice.
  ASSERT_EQ(::symlink("/tmp", path.c_str()), 0);
  EXPECT_EQ(runtime_directory().error().kind(), ErrorKind::denied);
  ASSERT_EQ(::unlink(path.c_str()), 0);
  std::ofstream{path} << "a file";
  EXPECT_EQ(runtime_directory().error().kind(), ErrorKind::denied);
  if (::geteuid() == 0) {
    ASSERT_EQ(::unlink(path.c_str()), 0);
    ASSERT_EQ(::mkdir(path.c_str(), 0700), 0);
    ASSERT_EQ(::chown(path.c_str(), 65534, 65534), 0);
    EXPECT_EQ(runtime_directory().error().kind(), ErrorKind::denied);
  }
}

}  // namespace
}  // namespace bulkhead::os
