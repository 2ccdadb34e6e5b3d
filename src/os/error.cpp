// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <ostream>

#include <bulkhead/error.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead {

struct Error::Text {
  Details details;
  std::string who;
  std::optional<Exit> exit;
};

namespace {

const std::string nothing;

std::string default_cause(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::full:
      return "no room now";
    case ErrorKind::empty:
      return "nothing there now";
    case ErrorKind::timed_out:
      return "timed out";
    case ErrorKind::cancelled:
      return "cancelled";
    case ErrorKind::closed:
      return "closed";
    case ErrorKind::peer_died:
      return "the peer died";
    case ErrorKind::not_found:
      return "not found";
    case ErrorKind::exists:
      return "exists already";
    case ErrorKind::denied:
      return "not permitted";
    case ErrorKind::exhausted:
      return "a resource is used up";
    case ErrorKind::too_large:
      return "too large";
    case ErrorKind::invalid:
      return "invalid";
    case ErrorKind::incompatible:
      return "incompatible";
    case ErrorKind::corrupt:
      return "the peer broke the protocol";
    case ErrorKind::unsupported:
      return "unsupported";
    case ErrorKind::deadlock:
      return "would wait for ever";
    case ErrorKind::poisoned:
      return "it ended every process that tried it";
    case ErrorKind::system:
      return "the operating system failed";
  }
  return "unknown error";
}

ErrorKind kind_of(int number) {
  switch (number) {
    case EAGAIN:
      return ErrorKind::empty;
    case ETIMEDOUT:
      return ErrorKind::timed_out;
    case ECANCELED:
      return ErrorKind::cancelled;
    case EPIPE:
    case ENOTCONN:
      return ErrorKind::closed;
    case ECONNRESET:
    case ESRCH:
      return ErrorKind::peer_died;
    case ENOENT:
    case ECONNREFUSED:
      return ErrorKind::not_found;
    case EEXIST:
    case EADDRINUSE:
      return ErrorKind::exists;
    case EACCES:
    case EPERM:
      return ErrorKind::denied;
    case ENOMEM:
    case ENOSPC:
    case EMFILE:
    case ENFILE:
    case EDQUOT:
    case ENOBUFS:
    case ETOOMANYREFS:
      return ErrorKind::exhausted;
    case EMSGSIZE:
    case EFBIG:
    case E2BIG:
    case ENAMETOOLONG:
      return ErrorKind::too_large;
    case EINVAL:
    case EBADF:
      return ErrorKind::invalid;
    case ENOSYS:
    case EOPNOTSUPP:
      return ErrorKind::unsupported;
    case EDEADLK:
      return ErrorKind::deadlock;
    default:
      return ErrorKind::system;
  }
}

class Category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "bulkhead"; }
  std::string message(int value) const override {
    return default_cause(static_cast<ErrorKind>(value));
  }
  std::error_condition default_error_condition(int value) const noexcept override {
    switch (static_cast<ErrorKind>(value)) {
      case ErrorKind::full:
      case ErrorKind::empty:
        return std::errc::resource_unavailable_try_again;
      case ErrorKind::timed_out:
        return std::errc::timed_out;
      case ErrorKind::cancelled:
        return std::errc::operation_canceled;
      case ErrorKind::closed:
        return std::errc::broken_pipe;
      case ErrorKind::peer_died:
        return std::errc::connection_reset;
      case ErrorKind::not_found:
        return std::errc::no_such_file_or_directory;
      case ErrorKind::exists:
        return std::errc::file_exists;
      case ErrorKind::denied:
        return std::errc::permission_denied;
      case ErrorKind::exhausted:
        return std::errc::not_enough_memory;
      case ErrorKind::too_large:
        return std::errc::message_size;
      case ErrorKind::invalid:
        return std::errc::invalid_argument;
      case ErrorKind::incompatible:
        return std::errc::wrong_protocol_type;
      case ErrorKind::corrupt:
        return std::errc::protocol_error;
      case ErrorKind::unsupported:
        return std::errc::not_supported;
      case ErrorKind::deadlock:
        return std::errc::resource_deadlock_would_occur;
      default:
        return {value, *this};
    }
  }
};

/// TRUST: an Error may come from a peer, and a sentence goes to terminals and logs: no line breaks
/// and no control sequences. Bytes of UTF-8 stay.
std::string printable(std::string text) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  std::replace_if(text.begin(), text.end(), is_control, ' ');
  return text;
}

}  // namespace

std::string_view to_string(ErrorKind kind) noexcept {
  switch (kind) {
    case ErrorKind::full:
      return "full";
    case ErrorKind::empty:
      return "empty";
    case ErrorKind::timed_out:
      return "timed_out";
    case ErrorKind::cancelled:
      return "cancelled";
    case ErrorKind::closed:
      return "closed";
    case ErrorKind::peer_died:
      return "peer_died";
    case ErrorKind::not_found:
      return "not_found";
    case ErrorKind::exists:
      return "exists";
    case ErrorKind::denied:
      return "denied";
    case ErrorKind::exhausted:
      return "exhausted";
    case ErrorKind::too_large:
      return "too_large";
    case ErrorKind::invalid:
      return "invalid";
    case ErrorKind::incompatible:
      return "incompatible";
    case ErrorKind::corrupt:
      return "corrupt";
    case ErrorKind::unsupported:
      return "unsupported";
    case ErrorKind::deadlock:
      return "deadlock";
    case ErrorKind::poisoned:
      return "poisoned";
    case ErrorKind::system:
      return "system";
  }
  return "unknown";
}

Error::Error(ErrorKind kind, Details details)
    : kind_(kind), text_(std::make_shared<const Text>(Text{std::move(details), {}, {}})) {}

Error Error::from_errno(int number, Details details) {
  details.code = {number, std::system_category()};
  return {kind_of(number), std::move(details)};
}

Error Error::died(std::string operation, std::string who, Exit exit) {
  Error error{ErrorKind::peer_died};
  Details details{.operation = std::move(operation), .cause = who + " died: " + to_string(exit)};
  error.text_ =
      std::make_shared<const Text>(Text{std::move(details), std::move(who), std::move(exit)});
  return error;
}

Error Error::after_death(ErrorKind kind, Details details, std::string who, Exit exit) {
  Error error{kind};
  error.text_ =
      std::make_shared<const Text>(Text{std::move(details), std::move(who), std::move(exit)});
  return error;
}

std::error_code Error::code() const noexcept {
  return text_ && text_->details.code ? text_->details.code : make_error_code(kind_);
}
const std::string& Error::operation() const noexcept {
  return text_ ? text_->details.operation : nothing;
}
const std::string& Error::object() const noexcept {
  return text_ ? text_->details.object : nothing;
}
const std::string& Error::cause() const noexcept { return text_ ? text_->details.cause : nothing; }
const std::string& Error::remedy() const noexcept {
  return text_ ? text_->details.remedy : nothing;
}
const std::string& Error::who() const noexcept { return text_ ? text_->who : nothing; }
const Exit* Error::exit() const noexcept { return text_ && text_->exit ? &*text_->exit : nullptr; }

Error Error::during(std::string operation, std::string object) const {
  Text text = text_ ? *text_ : Text{};
  text.details.operation = std::move(operation);
  text.details.object = std::move(object);
  Error error{kind_};
  error.text_ = std::make_shared<const Text>(std::move(text));
  return error;
}

std::string Error::sentence() const {
  std::string text = operation();
  if (!object().empty()) text += (text.empty() ? "" : " ") + object();
  if (!text.empty()) text += ": ";
  if (!cause().empty()) {
    text += cause();
  } else if (text_ && text_->details.code) {
    text += text_->details.code.message();
  } else {
    text += default_cause(kind_);
  }
  if (!remedy().empty()) text += "; " + remedy();
  return printable(std::move(text));
}

std::ostream& operator<<(std::ostream& out, const Error& error) { return out << error.sentence(); }

const std::error_category& error_category() noexcept {
  static const Category category;
  return category;
}

std::error_code make_error_code(ErrorKind kind) noexcept {
  return {static_cast<int>(kind), error_category()};
}

namespace detail {

void print_and_exit(const Error& error) {
  std::fprintf(stderr, "%s\n", error.sentence().c_str());
  std::exit(1);
}

}  // namespace detail
}  // namespace bulkhead
