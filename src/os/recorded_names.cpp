// SPDX-License-Identifier: Apache-2.0
#include "os/recorded_names.hpp"

#include <charconv>
#include <fcntl.h>
#include <optional>
#include <unistd.h>

#include "os/file.hpp"
#include "os/syscall.hpp"

namespace bulkhead::os {
namespace {

constexpr std::size_t longest_record = 1 << 20;

std::optional<Named> kind_of(std::string_view word) {
  if (word == "socket") return Named::socket;
  if (word == "fifo") return Named::fifo;
  if (word == "queue") return Named::queue;
  if (word == "key") return Named::key;
  if (word == "memory") return Named::memory;
  if (word == "segment") return Named::segment;
  if (word == "semaphore") return Named::semaphore;
  if (word == "draft") return Named::draft;
  return std::nullopt;
}

void take_entry(RecordedNames& record, std::string_view what, std::string_view value) {
  if (what == "mechanism") {
    record.mechanism = value;
  } else if (what == "owner") {
    std::from_chars(value.data(), value.data() + value.size(), record.owner);
  } else if (what == "lock") {
    record.lock = value;
  } else if (what == "made") {
    if (!record.things.empty()) record.things.back().made = value;
  } else if (const auto kind = kind_of(what)) {
    record.things.push_back({*kind, std::string{value}, {}});
  }
}

RecordedNames parse(std::string_view text) {
  RecordedNames record;
  for (std::size_t end = 0; (end = text.find('\0')) != text.npos; text.remove_prefix(end + 1)) {
    const std::string_view entry = text.substr(0, end);
    const auto space = entry.find(' ');
    if (space != entry.npos) take_entry(record, entry.substr(0, space), entry.substr(space + 1));
  }
  return record;
}

}  // namespace

RecordedNames read_names(FdView file) {
  std::string text;
  for (std::size_t size = 0; size < longest_record;) {
    text.resize(size + 4096);
    const auto got = retry_eintr(
        [&] { return ::pread(file.native(), text.data() + size, 4096, static_cast<off_t>(size)); });
    if (got <= 0) {
      text.resize(size);
      break;
    }
    size += static_cast<std::size_t>(got);
    text.resize(size);
  }
  return parse(text);
}

RecordedNames read_names(const std::string& file_name) {
  const auto folder = record_directory();
  if (!folder || !file_name.ends_with(".name") || file_name.contains('/')) return {};
  const Fd file = Fd::adopt(::open((*folder + "/" + file_name).c_str(),
                                   O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  return file ? read_names(file) : RecordedNames{};
}

bool is_recorded(const NamedThing& thing, const std::string& except) {
  const auto folder = record_directory();
  if (!folder) return false;
  const auto files = names_in(*folder);
  if (!files) return false;
  for (const std::string& file : *files) {
    if (file == except) continue;
    for (const NamedThing& found : read_names(file).things) {
      if (found.kind == thing.kind && found.name == thing.name && found.made == thing.made) {
        return true;
      }
    }
  }
  return false;
}

}  // namespace bulkhead::os
