// SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <cstring>
#include <string_view>

#include <bulkhead/process.hpp>

#include "process/child.hpp"
#include "process/executable.hpp"

namespace bulkhead {
namespace {

/// The bootstrap socket's number in a child's arguments, else -1.
int bootstrap_of(int argc, char** argv) {
  if (argc < 2 || argv[1] == nullptr) return -1;
  std::string_view text = argv[1];
  if (!text.starts_with(process::child_flag)) return -1;
  text.remove_prefix(std::strlen(process::child_flag));
  int fd = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), fd);
  return error == std::errc{} && end == text.data() + text.size() ? fd : -1;
}

}  // namespace

void init(int argc, char** argv) {
  if (process::origin() != nullptr) return;
  process::remember_origin(argc > 0 ? argv[0] : nullptr);
  const int fd = bootstrap_of(argc, argv);
  if (fd >= 0) process::run_child(Fd::adopt(fd));
}

}  // namespace bulkhead
