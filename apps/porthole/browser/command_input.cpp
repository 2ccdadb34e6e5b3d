// SPDX-License-Identifier: Apache-2.0
#include "browser/command_input.hpp"

#include <array>
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/post.hpp>
#include <cerrno>
#include <charconv>
#include <sys/epoll.h>
#include <unistd.h>
#include <utility>

namespace porthole {
namespace {

using bulkhead::ErrorKind;
using bulkhead::Fd;
using bulkhead::Result;
using Verb = Command::Verb;

constexpr std::size_t longest_line = std::size_t{1} << 16;

struct Form {
  std::string_view word;
  Verb verb;
  std::string_view usage;
};
constexpr std::array forms{
    Form{"screenshot", Verb::screenshot, "screenshot FILE [TAB]"},
    Form{"reload", Verb::reload, "reload TAB"},
    Form{"back", Verb::back, "back TAB"},
    Form{"forward", Verb::forward, "forward TAB"},
    Form{"scroll", Verb::scroll, "scroll TAB Y"},
    Form{"go", Verb::go, "go TAB URL"},
    Form{"end", Verb::end, "end TAB"},
    Form{"processes", Verb::processes, "processes"},
    Form{"quit", Verb::quit, "quit"},
};

constexpr std::string_view blanks = " \t\r";

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(blanks);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

std::string_view take_word(std::string_view& text) {
  const auto end = text.find_first_of(blanks);
  const auto word = text.substr(0, end);
  text = end == text.npos ? std::string_view{} : trimmed(text.substr(end));
  return word;
}

template <class T> std::optional<T> number_of(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<TabId> tab_of(std::string_view text) {
  const auto number = number_of<std::uint32_t>(text);
  if (!number || *number == 0) return std::nullopt;
  return TabId{*number};
}

bool read_file_and_tab(Command& command, std::string_view rest) {
  const auto space = rest.find_last_of(blanks);
  if (space != rest.npos) command.tab = tab_of(rest.substr(space + 1));
  command.argument = trimmed(command.tab ? rest.substr(0, space) : rest);
  return !command.argument.empty();
}

bool read_arguments(Command& command, std::string_view rest) {
  if (command.verb == Verb::processes || command.verb == Verb::quit) return rest.empty();
  if (command.verb == Verb::screenshot) return read_file_and_tab(command, rest);
  command.tab = tab_of(take_word(rest));
  if (!command.tab) return false;
  if (command.verb == Verb::go) {
    command.argument = rest;
    return !rest.empty();
  }
  if (command.verb != Verb::scroll) return rest.empty();
  const auto y = number_of<std::int32_t>(rest);
  command.y = y.value_or(0);
  return y && *y >= 0 && *y <= max_page_side;
}

}  // namespace

Result<Command> parse_command(std::string_view line) {
  std::string_view rest = trimmed(line);
  const auto word = take_word(rest);
  for (const Form& form : forms) {
    if (form.word != word) continue;
    Command command{.verb = form.verb};
    if (read_arguments(command, rest)) return command;
    return bulkhead::fail(
        ErrorKind::invalid,
        {.operation = std::string(word), .cause = "it is called as: " + std::string(form.usage)});
  }
  return bulkhead::fail(ErrorKind::invalid,
                        {.operation = "read a command",
                         .cause = "there is no command '" + std::string(word.substr(0, 40)) + "'"});
}

/// Asio makes what it waits for non-blocking, for all who share it: so it waits for an epoll
/// descriptor over the input, and what is there then is read.
struct CommandInput::State : std::enable_shared_from_this<State> {
  State(asio::io_context& loop, Fd from, Line told)
      : input(std::move(from)), ready(loop), line(std::move(told)) {}

  void begin() {
    Fd watch = Fd::adopt(::epoll_create1(EPOLL_CLOEXEC));
    epoll_event wanted{.events = EPOLLIN, .data = {}};
    if (!watch || ::epoll_ctl(watch.native(), EPOLL_CTL_ADD, input.native(), &wanted) != 0) {
      is_file = true;  // it cannot be waited for, and need not be
    } else {
      ready.assign(watch.native());
      static_cast<void>(watch.release());
    }
    wait();
  }

  void wait() {
    const auto go_on = [self = shared_from_this()](const asio::error_code& error) {
      if (!error && self->line) self->read();
    };
    if (!is_file) return ready.async_wait(asio::posix::stream_descriptor::wait_read, go_on);
    asio::post(ready.get_executor(), [go_on] { go_on({}); });
  }

  void read() {
    std::array<char, 4096> buffer;
    const ssize_t count = ::read(input.native(), buffer.data(), buffer.size());
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return wait();
    if (count <= 0) return finish();
    text.append(buffer.data(), static_cast<std::size_t>(count));
    for (std::size_t end; line && (end = text.find('\n')) != text.npos;) {
      tell(text.substr(0, end));
      text.erase(0, end + 1);
    }
    if (text.size() > longest_line) return finish();
    if (line) wait();
  }

  void finish() {
    if (text.size() <= longest_line) tell(std::exchange(text, {}));
    line = nullptr;
  }

  void tell(std::string one) {
    const Line told = line;  // what it does may end the reading
    if (told && !trimmed(one).empty()) told(std::move(one));
  }

  Fd input;
  asio::posix::stream_descriptor ready;
  Line line;
  bool is_file = false;
  std::string text;
};

CommandInput::CommandInput(asio::io_context& loop, bulkhead::FdView input, Line line) {
  auto copy = Fd::duplicate(input);
  if (!copy) return;  // it is closed: there are no commands
  state_ = std::make_shared<State>(loop, std::move(*copy), std::move(line));
  state_->begin();
}

CommandInput::~CommandInput() {
  if (!state_) return;
  state_->line = nullptr;
  asio::error_code ignored;
  state_->ready.close(ignored);
}

}  // namespace porthole
