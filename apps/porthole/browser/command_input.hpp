// SPDX-License-Identifier: Apache-2.0
//
// What is typed or piped into a held Porthole: a command a line.
//
//   screenshot FILE [TAB]    back TAB       scroll TAB Y      end TAB
//   reload TAB               forward TAB    go TAB URL        processes     quit
//
// CommandInput reads standard input in the event loop. It changes no flag of the descriptor, which
// may be shared with a shell; its end, or an error, ends the reading and nothing else.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <bulkhead/fd.hpp>
#include <bulkhead/result.hpp>

#include "interfaces/types.hpp"

namespace asio {
class io_context;
}

namespace porthole {

struct Command {
  enum class Verb : std::uint8_t {
    screenshot,
    reload,
    back,
    forward,
    scroll,
    go,
    end,
    processes,
    quit,
  };
  Verb verb = Verb::quit;
  std::optional<TabId> tab = {};
  /// A file or a URL.
  std::string argument = {};
  std::int32_t y = 0;
};

/// `invalid`, with what is wrong. REQUIRES: the line is not blank.
bulkhead::Result<Command> parse_command(std::string_view line);

class CommandInput {
 public:
  using Line = std::function<void(std::string line)>;

  CommandInput(asio::io_context& loop, bulkhead::FdView input, Line line);
  ~CommandInput();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace porthole
