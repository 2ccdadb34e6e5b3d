// SPDX-License-Identifier: Apache-2.0
//
// A folder for the names of one contender, removed with all that is in it by the process that made
// it: the sides of a pair leave without destructors.
#pragma once

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace bulkhead::bench {

class Folder {
 public:
  Folder() : path_{std::filesystem::temp_directory_path() / "bulkhead-bench.XXXXXX"} {
    if (::mkdtemp(path_.data()) == nullptr) {
      throw std::system_error{errno, std::generic_category(), "mkdtemp " + path_};
    }
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code unimportant;
    if (maker_ == ::getpid()) std::filesystem::remove_all(path_, unimportant);
  }

  std::string operator/(const char* name) const { return path_ + '/' + name; }

 private:
  std::string path_;
  const pid_t maker_ = ::getpid();
};

}  // namespace bulkhead::bench
