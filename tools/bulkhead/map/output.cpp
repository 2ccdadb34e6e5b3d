// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/map/output.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <unistd.h>
#include <utility>

namespace bulkhead::tools::map {
namespace {

Result<void> write_all(FdView to, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto written = ::write(to.native(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      return fail(Error::from_errno(errno, {.operation = "write", .object = "the output"}));
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

std::unexpected<Error> spool_failed(int number) {
  return fail(Error::from_errno(number, {.operation = "keep",
                                         .object = "the programs' output",
                                         .remedy = "TMPDIR says in which folder; with --unordered "
                                                   "less has to be kept"}));
}

}  // namespace

Result<void> Spool::make_file() {
  if (file_) return {};
  const char* const folder = std::getenv("TMPDIR");
  std::string at = folder == nullptr || *folder == '\0' ? "/tmp" : folder;
  file_ = Fd::adopt(::open(at.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file_) return {};
  if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT) return spool_failed(errno);
  at += "/bulkhead-map-XXXXXX";  // a file system without unnamed files
  file_ = Fd::adopt(::mkostemp(at.data(), O_CLOEXEC));
  if (!file_) return spool_failed(errno);
  ::unlink(at.c_str());
  return {};
}

Result<Spool::Piece> Spool::put(std::string_view bytes) {
  if (in_memory_ + bytes.size() <= most_in_memory) {
    in_memory_ += bytes.size();
    return Piece{.bytes = std::string{bytes}};
  }
  BULKHEAD_TRY(make_file());
  const Piece piece{.bytes = {}, .from = end_, .size = bytes.size()};
  while (!bytes.empty()) {
    const auto written =
        ::pwrite(file_.native(), bytes.data(), bytes.size(), static_cast<off_t>(end_));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return spool_failed(errno);
    end_ += static_cast<std::uint64_t>(written);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  in_file_ += piece.size;
  return piece;
}

void Spool::drop(const Piece& piece) noexcept {
  in_memory_ -= piece.bytes.size();
  in_file_ -= piece.size;
  if (in_file_ != 0 || end_ == 0) return;
  // Nothing in it is wanted any more; where it cannot be cut it is written over.
  static_cast<void>(::ftruncate(file_.native(), 0) == 0);
  end_ = 0;
}

Result<void> Spool::copy(const Piece& piece, FdView to) {
  if (!piece.bytes.empty()) return write_all(to, piece.bytes);
  std::array<char, 65536> buffer;
  for (std::size_t done = 0; done < piece.size;) {
    const std::size_t size = std::min(buffer.size(), piece.size - done);
    const auto read =
        ::pread(file_.native(), buffer.data(), size, static_cast<off_t>(piece.from + done));
    if (read < 0 && errno == EINTR) continue;
    if (read <= 0) return spool_failed(read < 0 ? errno : EIO);
    BULKHEAD_TRY(write_all(to, {buffer.data(), static_cast<std::size_t>(read)}));
    done += static_cast<std::size_t>(read);
  }
  return {};
}

Result<void> Output::write(std::uint64_t number, Stream stream, std::string_view bytes) {
  if (passing_ == Passing::at_once && is_first(number)) {
    wipe();
    return write_all(this->stream(stream), bytes);
  }
  auto piece = BULKHEAD_TRY(spool_.put(bytes));
  held_[number].pieces.push_back({stream, std::move(piece)});
  return {};
}

void Output::take_back(std::uint64_t number) noexcept {
  Held& held = held_[number];
  for (const Piece& piece : held.pieces) spool_.drop(piece.bytes);
  held.pieces.clear();
}

Result<void> Output::give_out(Held& held) {
  if (!held.pieces.empty()) wipe();
  Result<void> given;
  for (const Piece& piece : held.pieces) {
    if (given) given = spool_.copy(piece.bytes, stream(piece.stream));
    spool_.drop(piece.bytes);
  }
  held.pieces.clear();
  if (given && held.ended && held.given_out) return std::exchange(held.given_out, {})();
  return given;
}

/// All at the front that have ended, and what the next one has written so far.
Result<void> Output::give_first() {
  while (!held_.empty()) {
    Held& first = held_.begin()->second;
    if (first.ended || passing_ == Passing::at_once) BULKHEAD_TRY(give_out(first));
    if (!first.ended) break;
    held_.erase(held_.begin());
  }
  return {};
}

Result<void> Output::end(std::uint64_t number, std::function<Result<void>()> given_out) {
  const auto at = held_.find(number);
  at->second.ended = true;
  at->second.given_out = std::move(given_out);
  if (order_ == Order::of_inputs) {
    // One that wrote nothing need not wait for those before it.
    if (at->second.pieces.empty()) BULKHEAD_TRY(give_out(at->second));
    return give_first();
  }
  auto given = give_out(at->second);
  held_.erase(at);
  return given;
}

Result<void> Output::give_up(std::uint64_t number) {
  take_back(number);
  return end(number, {});
}

}  // namespace bulkhead::tools::map
