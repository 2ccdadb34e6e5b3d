// SPDX-License-Identifier: Apache-2.0
#include "browser/headless.hpp"

#include <algorithm>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/thread_pool.hpp>
#include <cstdlib>
#include <deque>
#include <functional>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <unistd.h>
#include <utility>

#include "browser/command_input.hpp"

namespace porthole {
namespace {

using bulkhead::Result;
using nlohmann::json;
using std::chrono::milliseconds;

// A page that does not answer for so long has settled, as far as waiting for it goes. Who holds can
// end it; who does not would wait for nothing.
constexpr milliseconds patience_held{5'000};
constexpr milliseconds patience_once{30'000};
// Children that were killed need no longer; then they are left to the kernel.
constexpr milliseconds end_limit{3'000};
constexpr milliseconds look_again{250};

std::uint32_t number(TabId id) { return static_cast<std::uint32_t>(id); }

std::string word_of(const Tab& tab) {
  switch (tab.status()) {
    case Tab::Status::empty:
      return "empty";
    case Tab::Status::loading:
      return tab.busy() ? "busy" : "loading";
    case Tab::Status::painted:
      return tab.busy() ? "busy" : "painted";
    case Tab::Status::failed:
      return "failed";
    case Tab::Status::sad:
      return "sad";
  }
  return "empty";
}

class Headless {
 public:
  Headless(BrowserOptions browser, HeadlessOptions options)
      : options_(std::move(options)),
        browser_(loop_, workers_, std::move(browser)),
        hold_(loop_),
        look_(loop_) {}

  int run() {
    browser_.on_change([this](Tab&) { check_soon(); });
    for (const auto& input : options_.inputs) browser_.open(input);
    when_settled({}, [this] { show(); });
    const auto work = asio::make_work_guard(loop_);
    loop_.run();
    workers_.join();
    return status_;
  }

 private:
  using Then = std::function<void()>;

  // Waiting for tabs -----------------------------------------------------------------------------

  /// `then` once `tab`, or all of them, have settled.
  void when_settled(std::optional<TabId> tab, Then then) {
    awaited_ = tab;
    then_ = std::move(then);
    check_soon();
  }

  void check_soon() {
    if (std::exchange(check_posted_, true)) return;
    asio::post(loop_, [this] {
      check_posted_ = false;
      check();
    });
  }

  void check() {
    if (!then_) return;
    bool hangs = false;
    for (const auto& tab : browser_.tabs()) {
      if (awaited_ && tab->id() != *awaited_) continue;
      hangs = hangs || tab->busy();
      if (!settled(*tab)) return look_later(hangs);
    }
    const Then then = std::exchange(then_, nullptr);
    then();
  }

  bool settled(const Tab& tab) const {
    if (tab.status() != Tab::Status::loading) return true;
    return tab.silence() >= (options_.hold.count() > 0 ? patience_held : patience_once);
  }

  // Time passes without an event only for a page that hangs.
  void look_later(bool hangs) {
    if (!hangs) return;
    look_.expires_after(look_again);
    look_.async_wait([this](const asio::error_code& error) {
      if (!error) check();
    });
  }

  // What was asked for at the start --------------------------------------------------------------

  void show() {
    status_ = EXIT_SUCCESS;
    for (const auto& tab : browser_.tabs()) {
      if (tab->status() != Tab::Status::painted) status_ = EXIT_FAILURE;
    }
    if (!options_.screenshot) return print_table();
    browser_.screenshot(options_.tab, *options_.screenshot, [this](const Result<void>& written) {
      if (!written) {
        status_ = EXIT_FAILURE;
        std::cerr << "porthole: " << options_.screenshot->string() << ": "
                  << written.error().sentence() << '\n';
      }
      print_table();
    });
  }

  void print_table() {
    using Table = HeadlessOptions::Table;
    if (options_.table == Table::json) say(to_json(browser_.processes()));
    if (options_.table == Table::text) std::cout << to_text(browser_.processes()) << std::flush;
    hold();
  }

  void hold() {
    if (options_.hold.count() <= 0) return finish();
    hold_.expires_after(options_.hold);
    hold_.async_wait([this](const asio::error_code& error) {
      if (!error) finish();
    });
    input_ = std::make_unique<CommandInput>(loop_, bulkhead::FdView{STDIN_FILENO},
                                            [this](std::string line) { command_came(line); });
  }

  void finish() {
    if (std::exchange(ending_, true)) return;
    hold_.cancel();
    look_.cancel();
    then_ = nullptr;
    input_.reset();
    auto late = std::make_shared<asio::steady_timer>(loop_, end_limit);
    late->async_wait([this, late](const asio::error_code&) { loop_.stop(); });
    browser_.end([this] { loop_.stop(); });
  }

  // Commands: one after the other, each with one answer ------------------------------------------

  void command_came(std::string line) {
    lines_.push_back(std::move(line));
    next_command();
  }

  void next_command() {
    if (lines_.empty() || ending_ || std::exchange(obeying_, true)) return;
    auto command = parse_command(lines_.front());
    if (!command) return answer_error(command.error().sentence());
    obey(*command);
  }

  void answer(json about) {
    if (ending_) return;
    say(about);
    lines_.pop_front();
    obeying_ = false;
    asio::post(loop_, [this] { next_command(); });
  }

  void answer_error(const std::string& error) { answer({{"ok", false}, {"error", error}}); }

  void obey(const Command& command) {
    using Verb = Command::Verb;
    if (command.verb == Verb::processes) {
      return answer({{"ok", true}, {"processes", to_json(browser_.processes())}});
    }
    if (command.verb == Verb::quit) {
      answer({{"ok", true}});
      return finish();
    }
    Tab* tab = browser_.tab(command.tab.value_or(options_.tab));
    if (!tab) return answer_error("there is no such tab");
    if (command.verb == Verb::screenshot) return take_picture(*tab, command.argument);
    travel(*tab, command);
  }

  void take_picture(const Tab& tab, const std::string& file) {
    browser_.screenshot(tab.id(), file, [this, file, id = tab.id()](const Result<void>& written) {
      if (!written) return answer_error(written.error().sentence());
      answer({{"ok", true}, {"tab", number(id)}, {"file", file}});
    });
  }

  void travel(Tab& tab, const Command& command) {
    if (!obeyed(tab, command)) return answer_error("there is nothing to go to or to end");
    // What it does may come with the next event: a death is told by the kernel.
    const bool ends = command.verb == Command::Verb::end;
    when_settled(tab.id(), [this, id = tab.id(), ends] {
      const Tab& settled = *browser_.tab(id);
      const bool ok = ends ? settled.status() == Tab::Status::sad
                           : settled.status() == Tab::Status::painted && !settled.busy();
      answer({{"ok", ok},
              {"tab", number(id)},
              {"status", word_of(settled)},
              {"url", settled.url()},
              {"title", settled.title()},
              {"reason", settled.reason()}});
    });
  }

  bool obeyed(Tab& tab, const Command& command) {
    using Verb = Command::Verb;
    switch (command.verb) {
      case Verb::reload:
        return tab.reload();
      case Verb::back:
        return tab.back();
      case Verb::forward:
        return tab.forward();
      case Verb::go:
        browser_.go(tab, command.argument);
        return true;
      case Verb::scroll:
        tab.scroll_to({.y = command.y});
        return true;
      case Verb::end:
        return tab.end("you ended it");
      default:
        return false;
    }
  }

  static void say(const json& value) {
    std::cout << value.dump(-1, ' ', false, json::error_handler_t::replace) << std::endl;
  }

  HeadlessOptions options_;
  asio::io_context loop_;
  asio::thread_pool workers_{2};
  Browser browser_;
  asio::steady_timer hold_;
  asio::steady_timer look_;
  std::unique_ptr<CommandInput> input_;
  std::deque<std::string> lines_;
  std::optional<TabId> awaited_;
  Then then_;
  bool check_posted_ = false;
  bool obeying_ = false;  ///< the first of the lines
  bool ending_ = false;
  int status_ = EXIT_FAILURE;
};

}  // namespace

int run_headless(BrowserOptions browser, HeadlessOptions options) {
  Headless headless{std::move(browser), std::move(options)};
  return headless.run();
}

}  // namespace porthole
