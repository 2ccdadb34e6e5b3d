// SPDX-License-Identifier: Apache-2.0
#include "transport/file/log_writer.hpp"

#include <algorithm>
#include <array>
#include <fcntl.h>
#include <unistd.h>

#include "os/file.hpp"

namespace bulkhead::transport::file {
namespace {

constexpr std::array<std::byte, 8> zeros{};
/// So much is written in one call; a group of messages larger than that takes several.
constexpr std::uint64_t most_at_once = 1 << 20;
constexpr std::size_t most_parts = 1000;
/// How far the limit on the size of files is looked ahead.
constexpr std::uint64_t limit_step = 1 << 20;

/// A larger payload is written from where it is.
constexpr std::size_t most_copied = 2048;

/// All but 0, which is nobody's.
std::uint32_t new_epoch() noexcept {
  return static_cast<std::uint32_t>(os::random_word() >> 40) | 1;
}

}  // namespace

Result<LogWriter> LogWriter::open(const std::string& folder, const LogOptions& options) {
  BULKHEAD_TRY(os::make_folder(folder));
  LogWriter writer{options};
  writer.folder_ = folder;
  const std::string path = folder + "/" + owner_name;
  Fd file = BULKHEAD_TRY(os::open_file(path, O_RDWR | O_CREAT));
  writer.owner_.emplace(BULKHEAD_TRY(os::FileOwner::take(std::move(file), 0, path)));
  BULKHEAD_TRY(writer.recover());
  writer.epoch_ = new_epoch();
  writer.last_sync_ = std::chrono::steady_clock::now();
  BULKHEAD_TRY(writer.owner_->open());
  return writer;
}

Result<LogWriter> LogWriter::on(Fd file, const LogOptions& options) {
  auto opened = BULKHEAD_TRY(Segment::open(std::move(file), "nameless log"));
  if (opened.opened == Segment::Opened::torn) {
    return fail(ErrorKind::invalid, {.cause = "the file is not a log"});
  }
  const auto end = BULKHEAD_TRY(opened.segment.scan());
  LogWriter writer{options};
  writer.path_ = opened.segment.path();
  writer.salt_ = opened.segment.salt();
  writer.size_ = end.offset;
  writer.next_sequence_ = end.next_sequence;
  writer.epoch_ = new_epoch();
  writer.last_sync_ = std::chrono::steady_clock::now();
  writer.file_ = std::move(opened.segment).take_file();
  return writer;
}

/// Idempotent: each step leaves a log that the same steps take further, whoever does them.
Result<void> LogWriter::recover() {
  for (;;) {
    const auto names = BULKHEAD_TRY(os::names_in(folder_));
    std::uint64_t newest = 0;
    for (const auto& name : names) {
      if (name.ends_with(".log.new")) ::unlink((folder_ + "/" + name).c_str());
      newest = std::max(newest, first_of(name));
    }
    if (newest == 0) return make_segment(next_sequence_);
    path_ = folder_ + "/" + segment_name(newest);
    Fd file = BULKHEAD_TRY(os::open_file(path_, O_RDWR));
    auto opened = BULKHEAD_TRY(Segment::open(std::move(file), path_));
    if (opened.opened == Segment::Opened::torn) {
      // Made, and not yet written when the power went.
      next_sequence_ = newest;
      if (::unlink(path_.c_str()) != 0) {
        return fail(Error::from_errno(errno, {.operation = "remove", .object = path_}));
      }
      continue;
    }
    Segment& segment = opened.segment;
    auto end = BULKHEAD_TRY(segment.scan());
    next_sequence_ = end.next_sequence;
    if (end.damaged) {
      // Left as it is, for whoever repairs it. What can still be read of it keeps its numbers.
      const std::uint64_t size = BULKHEAD_TRY(os::size_of(segment.file(), path_));
      return make_segment(next_sequence_ + (size - end.offset) / header_bytes + 1);
    }
    if (end.ended) return make_segment(next_sequence_);
    const std::uint64_t size = BULKHEAD_TRY(os::size_of(segment.file(), path_));
    if (size > end.offset) BULKHEAD_TRY(os::cut(segment.file(), end.offset, path_));
    salt_ = segment.salt();
    size_ = end.offset;
    file_ = std::move(segment).take_file();
    if (options_.sync != Sync::none) {
      BULKHEAD_TRY(os::sync_data(file_, path_));
      synced_ = size_;
    }
    return {};
  }
}

/// It has its name when it has its header.
Result<void> LogWriter::make_segment(std::uint64_t first) {
  const std::string path = folder_ + "/" + segment_name(first);
  BULKHEAD_TRY(os::check_size_limit(sizeof(SegmentHeader), path));
  const std::string aside = path + ".new";
  Fd file = BULKHEAD_TRY(os::open_file(aside, O_RDWR | O_CREAT | O_TRUNC));
  const auto header = SegmentHeader::create(first);
  BULKHEAD_TRY(os::write_at(file, 0, header.bytes(), aside));
  const bool durable = options_.sync != Sync::none;
  if (durable) {
    if (auto synced = os::sync_data(file, aside); !synced) return broken(synced.error());
  }
  if (::rename(aside.c_str(), path.c_str()) != 0) {
    return fail(Error::from_errno(errno, {.operation = "make", .object = path}));
  }
  if (durable) {
    // It has its name: readers go on there, and this writer does not.
    if (auto synced = os::sync_folder(folder_); !synced) return broken(synced.error());
  }
  path_ = path;
  file_ = std::move(file);
  salt_ = header.salt;
  next_sequence_ = first;
  size_ = sizeof header;
  synced_ = durable ? size_ : RecordHeader::not_tracked;
  limit_checked_ = 0;
  drop_old_segments();
  return {};
}

void LogWriter::drop_old_segments() noexcept {
  if (options_.keep == 0) return;
  auto names = os::names_in(folder_);
  if (!names) return;
  std::erase_if(*names, [](const std::string& name) { return first_of(name) == 0; });
  for (std::size_t i = 0; i + options_.keep < names->size(); ++i) {
    ::unlink((folder_ + "/" + (*names)[i]).c_str());
  }
}

Result<void> LogWriter::rotate() {
  if (folder_.empty() || size_ < options_.segment_bytes) return {};
  RecordHeader end{.sequence = next_sequence_,
                   .flags = RecordHeader::end | epoch_ << RecordHeader::epoch_shift,
                   .synced = synced_};
  if (opens_) end.flags |= RecordHeader::opens;
  end.crc = header_crc(end, salt_);
  BULKHEAD_TRY(os::check_size_limit(size_ + sizeof end, path_));
  const Bytes bytes{reinterpret_cast<const std::byte*>(&end), sizeof end};
  if (auto written = os::write_at(file_, size_, bytes, path_); !written) {
    if (auto undone = os::cut(file_, size_, path_); !undone) return broken(undone.error());
    return written;
  }
  if (options_.sync != Sync::none) BULKHEAD_TRY(sync());
  if (auto made = make_segment(next_sequence_); !made) {
    if (broken_) return made;
    if (auto undone = os::cut(file_, size_, path_); !undone) return broken(undone.error());
    return made;
  }
  return {};
}

void LogWriter::stage(Bytes bytes) {
  if (bytes.empty()) return;
  if (parts_.empty() || parts_.back().iov_base != nullptr) parts_.push_back({nullptr, 0});
  parts_.back().iov_len += bytes.size();
  staged_.insert(staged_.end(), bytes.begin(), bytes.end());
}

void LogWriter::prepare(Bytes message) {
  std::uint32_t crc = 0;
  for (std::size_t from = 0;;) {
    const Bytes some = message.subspan(from, std::min(message.size() - from, most_payload));
    const bool last = from + some.size() == message.size();
    crc = os::crc32c(some, crc);
    RecordHeader header{.size = static_cast<std::uint32_t>(some.size()),
                        .sequence = next_sequence_,
                        .flags = epoch_ << RecordHeader::epoch_shift,
                        .payload_crc = crc,
                        .synced = synced_};
    if (!last) header.flags |= RecordHeader::more;
    if (from > 0) header.flags |= RecordHeader::next;
    if (opens_ && records_.empty()) header.flags |= RecordHeader::opens;
    header.crc = header_crc(header, salt_);
    stage({reinterpret_cast<const std::byte*>(&header), sizeof header});
    if (some.size() <= most_copied) {
      stage(some);
    } else {
      parts_.push_back({const_cast<std::byte*>(some.data()), some.size()});
    }
    stage(Bytes{zeros}.first((8 - some.size() % 8) % 8));
    records_.push_back({record_bytes(some.size()), last});
    prepared_bytes_ += record_bytes(some.size());
    from += some.size();
    if (last) break;
  }
  ++next_sequence_;
}

/// Of what was prepared, what stands whole in the file; the rest is cut off.
Result<std::size_t> LogWriter::keep_whole_ones() {
  const std::uint64_t there = BULKHEAD_TRY(os::size_of(file_, path_));
  std::size_t messages = 0;
  std::uint64_t end = size_;
  std::uint64_t whole = size_;
  for (const Prepared& record : records_) {
    end += record.bytes;
    if (end > there) break;
    if (!record.ends_message) continue;
    ++messages;
    whole = end;
  }
  if (there > whole) BULKHEAD_TRY(os::cut(file_, whole, path_));
  size_ = whole;
  return messages;
}

/// How many of the `messages` that were prepared have been written; an error when none was.
Result<std::size_t> LogWriter::write_prepared(std::size_t messages) {
  std::byte* staged = staged_.data();
  for (iovec& part : parts_) {
    if (part.iov_base != nullptr) continue;
    part.iov_base = staged;
    staged += part.iov_len;
  }
  Result<void> written;
  if (size_ + prepared_bytes_ > limit_checked_) {
    limit_checked_ = size_ + prepared_bytes_ + limit_step;
    if (!os::check_size_limit(limit_checked_, path_)) {
      limit_checked_ = 0;  // near it: look each time
      written = os::check_size_limit(size_ + prepared_bytes_, path_);
    }
  }
  Result<std::size_t> kept = messages;
  if (written) {
    written = os::write_at(file_, size_, parts_, path_);
    if (written) {
      size_ += prepared_bytes_;
    } else {
      kept = keep_whole_ones();
    }
  } else {
    kept = 0;
  }
  records_.clear();
  staged_.clear();
  parts_.clear();
  prepared_bytes_ = 0;
  if (!kept) return broken(kept.error());
  if (*kept > 0) opens_ = false;
  next_sequence_ -= messages - *kept;
  if (*kept == 0) return fail(std::move(written).error());
  return kept;
}

Result<std::size_t> LogWriter::append(std::span<const Bytes> messages) {
  if (broken_) return fail(*broken_);
  std::size_t done = 0;
  while (done < messages.size()) {
    if (auto rotated = rotate(); !rotated) {
      if (done == 0) return fail(std::move(rotated).error());
      break;
    }
    std::size_t taken = 0;
    while (done + taken < messages.size() && prepared_bytes_ < most_at_once &&
           parts_.size() < most_parts) {
      prepare(messages[done + taken]);
      ++taken;
    }
    auto written = write_prepared(taken);
    if (!written && done == 0) return written;
    if (!written) break;
    done += *written;
    if (*written < taken) break;
  }
  BULKHEAD_TRY(sync_if_due());
  return done;
}

Result<void> LogWriter::sync_if_due() {
  if (options_.sync == Sync::none) return {};
  if (options_.sync == Sync::interval) {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_sync_ < options_.interval) return {};
    last_sync_ = now;
  }
  return sync();
}

Result<void> LogWriter::sync() {
  if (auto synced = os::sync_data(file_, path_); !synced) return broken(synced.error());
  synced_ = size_;
  return {};
}

std::unexpected<Error> LogWriter::broken(Error error) {
  broken_ = Error{error.kind(),
                  {.cause = path_ + " could not be written (" + error.cause() +
                            "); what it holds on the disk is not known",
                   .remedy = "close it, look after the disk and open the log again",
                   .code = error.code()}};
  return fail(*broken_);
}

void LogWriter::close() noexcept {
  if (owner_ && !owner_->is_ours()) return;
  if (!broken_ && options_.sync != Sync::none && file_ && synced_ != size_) {
    static_cast<void>(sync());
  }
  // Broken is not closed in good order: its readers see a writer that died.
  if (owner_ && !broken_) owner_->close(next_sequence_);
  owner_.reset();
  file_.close();
}

}  // namespace bulkhead::transport::file
