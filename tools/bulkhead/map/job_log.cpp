// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/map/job_log.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <fcntl.h>
#include <fmt/format.h>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

namespace bulkhead::tools::map {
namespace {

constexpr std::string_view header =
    "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";
constexpr std::size_t fields = 9;

std::unexpected<Error> failed(const char* operation, const std::string& path) {
  return fail(Error::from_errno(errno, {.operation = operation, .object = path}));
}

Result<std::string> read_all(FdView file, const std::string& path) {
  std::string text;
  std::array<char, 65536> buffer;
  for (;;) {
    const auto size =
        ::pread(file.native(), buffer.data(), buffer.size(), static_cast<off_t>(text.size()));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return failed("read", path);
    if (size == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(size));
  }
}

template <class T> bool read_number(std::string_view text, T& number) {
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  return read.ec == std::errc{} && read.ptr == text.data() + text.size();
}

}  // namespace

Result<JobLog> JobLog::open(const std::string& path, Keep keep) {
  JobLog log{path};
  log.file_ = Fd::adopt(::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  if (!log.file_) return failed("open", path);
  // The lock of a process, which its children have no part in: it ends with us, not with a command
  // that is just being started.
  struct flock whole{};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  if (::fcntl(log.file_.native(), F_SETLK, &whole) != 0) {
    if (errno != EAGAIN && errno != EACCES) return failed("lock", path);
    return fail(ErrorKind::exists, {.operation = "open",
                                    .object = path,
                                    .cause = "another run is writing this log",
                                    .remedy = "let it end, or give another --joblog"});
  }
  if (keep == Keep::nothing) {
    // Not a device or a pipe, which keep nothing anyway.
    struct stat found{};
    if (::fstat(log.file_.native(), &found) == 0 && S_ISREG(found.st_mode) &&
        ::ftruncate(log.file_.native(), 0) != 0) {
      return failed("empty", path);
    }
    BULKHEAD_TRY(log.append(header));
  } else {
    BULKHEAD_TRY(log.read(keep));
  }
  return log;
}

Result<void> JobLog::read(Keep keep) {
  const std::string text = BULKHEAD_TRY(read_all(file_, path_));
  const std::size_t whole = text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1;
  if (whole < text.size() && !header.starts_with(text) && whole == 0) {
    return fail(ErrorKind::corrupt,
                {.operation = "read", .object = path_, .cause = "it is no log of such a run"});
  }
  std::string_view rest{text.data(), whole};
  for (std::size_t at = 1; !rest.empty(); ++at) {
    const std::size_t size = rest.find('\n');
    BULKHEAD_TRY(read_line(rest.substr(0, size), at, keep));
    rest.remove_prefix(size + 1);
  }
  // Only a log of ours is cut.
  if (whole < text.size() && ::ftruncate(file_.native(), static_cast<off_t>(whole)) != 0) {
    return failed("cut", path_);
  }
  return whole == 0 ? append(header) : Result<void>{};
}

Result<void> JobLog::read_line(std::string_view line, std::size_t at, Keep keep) {
  if (at == 1 && line == header.substr(0, header.size() - 1)) return {};
  std::array<std::string_view, fields> field{};
  std::size_t count = 0;
  for (std::string_view rest = line;;) {
    const std::size_t size = count + 1 == fields ? rest.npos : rest.find('\t');
    field[count++] = rest.substr(0, size);
    if (size == rest.npos) break;
    rest.remove_prefix(size + 1);
  }
  std::uint64_t number = 0;
  int code = 0;
  int signal = 0;
  if (count != fields || !read_number(field[0], number) || !read_number(field[6], code) ||
      !read_number(field[7], signal)) {
    return fail(ErrorKind::corrupt,
                {.operation = "read",
                 .object = path_,
                 .cause = "line " + std::to_string(at) + " is none of a log of such a run"});
  }
  const bool succeeded = code == 0 && signal == 0;
  if (keep == Keep::done || succeeded) {
    before_[number] = field[8];
  } else {
    before_.erase(number);
  }
  return {};
}

Result<bool> JobLog::has(std::uint64_t number, const std::string& command) const {
  const auto before = before_.find(number);
  if (before == before_.end()) return false;
  if (command.empty() || before->second == command) return true;
  return fail(ErrorKind::invalid,
              {.operation = "resume",
               .object = path_,
               .cause = "its input " + std::to_string(number) + " was done by `" + before->second +
                        "`, and now it is `" + command + "`",
               .remedy = "give the same inputs in the same order, or begin a new log"});
}

Result<void> JobLog::add(const Entry& entry) {
  const double begun = std::chrono::duration<double>(entry.begun.time_since_epoch()).count();
  const bool by_signal = entry.exit.cause == Exit::Cause::signal;
  const bool by_us = entry.exit.cause != Exit::Cause::code && !by_signal;
  return append(fmt::format("{}\t:\t{:.3f}\t{:10.3f}\t0\t{}\t{}\t{}\t{}\n", entry.number, begun,
                            entry.took.count(), entry.output_bytes, by_us ? -1 : entry.exit.code,
                            entry.exit.signal, entry.command));
}

Result<void> JobLog::append(std::string_view text) {
  while (!text.empty()) {
    const auto written = ::write(file_.native(), text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failed("write", path_);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace bulkhead::tools::map
