// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/map/inputs.hpp"

#include <array>
#include <asio/post.hpp>
#include <cerrno>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace bulkhead::tools::map {

Inputs::Inputs(std::vector<std::string> words) : source_ended_(true) {
  for (std::string& word : words) add(std::move(word));
}

Inputs::Inputs(asio::io_context& loop, Fd from, char separator, std::function<void()> arrived)
    : separator_(separator), loop_(&loop), arrived_(std::move(arrived)) {
  struct stat found{};
  const bool waits = ::fstat(from.native(), &found) != 0 || !S_ISREG(found.st_mode);
  if (waits) {
    asio::error_code refused;
    stream_.emplace(loop);
    stream_->assign(from.native(), refused);
    // What cannot be waited for (a directory, some devices) says so when it is read.
    if (refused) {
      stream_.reset();
    } else {
      static_cast<void>(from.release());
    }
  }
  if (!stream_) file_ = std::move(from);
  read_on();
}

std::optional<Inputs::Input> Inputs::next() {
  if (waiting_.empty()) return {};
  Input input = std::move(waiting_.front());
  waiting_.pop_front();
  waiting_bytes_ -= input.text.size();
  read_on();
  return input;
}

std::optional<std::uint64_t> Inputs::total() const noexcept {
  return source_ended_ ? std::optional{last_number_} : std::nullopt;
}

void Inputs::stop() noexcept {
  waiting_.clear();
  waiting_bytes_ = 0;
  source_ended_ = true;
  stream_.reset();
  file_.close();
}

void Inputs::read_on() {
  if (source_ended_ || reading_ || waiting_bytes_ > read_ahead_bytes) return;
  reading_ = true;
  const auto go = [this](asio::error_code cancelled) {
    if (cancelled == asio::error::operation_aborted) return;
    reading_ = false;
    if (source_ended_) return;
    read_some();
    read_on();
    arrived_();
  };
  if (stream_) {
    stream_->async_wait(asio::posix::stream_descriptor::wait_read, go);
  } else {
    asio::post(*loop_, [go] { go({}); });
  }
}

void Inputs::read_some() {
  std::array<char, 65536> buffer;
  const int fd = stream_ ? stream_->native_handle() : file_.native();
  const auto size = ::read(fd, buffer.data(), buffer.size());
  if (size > 0) {
    take({buffer.data(), static_cast<std::size_t>(size)});
  } else if (size == 0) {
    if (!partial_.empty()) add(std::exchange(partial_, {}));
    end();
  } else if (errno != EINTR && errno != EAGAIN) {
    end(Error::from_errno(errno, {.operation = "read", .object = "inputs"}));
  }
}

void Inputs::take(std::string_view bytes) {
  for (;;) {
    const auto at = bytes.find(separator_);
    const std::string_view piece = bytes.substr(0, at);
    if (partial_.size() + piece.size() > longest_input) {
      end(Error{ErrorKind::too_large,
                {.operation = "read",
                 .object = "input " + std::to_string(last_number_ + 1),
                 .cause = "it is longer than the 128 KiB that an argument may have",
                 .remedy = separator_ == '\n' ? "are the inputs ended by NUL? then give -0" : ""}});
      return;
    }
    partial_ += piece;
    if (at == std::string_view::npos) return;
    bytes.remove_prefix(at + 1);
    // An empty line is rather the end of a file than a file's name.
    if (!partial_.empty() || separator_ == '\0') add(std::exchange(partial_, {}));
  }
}

void Inputs::add(std::string text) {
  waiting_bytes_ += text.size();
  waiting_.push_back({std::move(text), ++last_number_});
}

void Inputs::end(std::optional<Error> error) {
  source_ended_ = true;
  error_ = std::move(error);
  stream_.reset();
  file_.close();
}

}  // namespace bulkhead::tools::map
