// SPDX-License-Identifier: Apache-2.0
//
// `bulkhead relay ADDRESS ADDRESS`: joins two addresses, so that a program that speaks over one
// mechanism reaches one that speaks over another, on another machine too.
//
// One thread and one coroutine a direction; a message is taken from one side only when the other
// has taken the one before, so a slow side slows the other and memory holds one message each way.
// Connecting may wait, for name servers and slow hosts, and has two threads of its own.
#include <CLI/CLI.hpp>
#include <asio/redirect_error.hpp>
#include <asio/signal_set.hpp>
#include <asio/thread_pool.hpp>
#include <csignal>
#include <cstdio>
#include <fmt/format.h>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>

#include <bulkhead/asio.hpp>
#include <bulkhead/bulkhead.hpp>

#include "tools/bulkhead/verb.hpp"

namespace bulkhead::tools {
namespace {

using namespace std::chrono_literals;
using asio::awaitable;
using asio::use_awaitable;

struct RelayOptions {
  std::string first;
  std::string second;
  bool join = false;     // connect to both
  bool one_way = false;  // from the first to the second
  std::size_t max_message_bytes = ChannelOptions{}.max_message_bytes;
};

void tell(const std::string& what) { fmt::print(stderr, "bulkhead relay: {}\n", what); }

bool is_end(const Error& error) {
  return error == ErrorKind::closed || error == ErrorKind::peer_died;
}

/// A connection of each side.
class Joint : public std::enable_shared_from_this<Joint> {
 public:
  Joint(asio::io_context& loop, Channel first, Channel second, bool one_way)
      : loop_(loop),
        linger_(loop),
        first_(std::move(first)),
        second_(std::move(second)),
        one_way_(one_way) {}

  void start() {
    asio::co_spawn(loop_, carry(shared_from_this(), first_, second_), asio::detached);
    if (!one_way_) {
      asio::co_spawn(loop_, carry(shared_from_this(), second_, first_), asio::detached);
    }
  }

  void close() noexcept {
    linger_.cancel();
    first_.close();
    second_.close();
  }
  bool in_order() const noexcept { return in_order_; }

 private:
  /// How long a side that does not read has, when the other has ended, before it is closed too.
  static constexpr auto patience = 5s;

  /// The end of `from` becomes that of `to`, after all that came before it. When `to` ends first,
  /// nobody will have what `from` still sends: it is taken and dropped, so that `from`, which may
  /// be waiting to send, gets to reading what the other way has for it, and then its own end.
  static awaitable<void> carry(std::shared_ptr<Joint> self, Channel& from, Channel& to) {
    bool into_the_void = false;
    for (;;) {
      auto message = co_await from.async_receive(never, use_awaitable);
      if (!message) {
        self->note(message.error());
        to.close();
        if (self->one_way_) from.close();
        co_return;
      }
      if (into_the_void) continue;
      if (!to.capabilities().priority) message->set_priority(0);
      auto sent = co_await to.async_send(std::move(*message), never, use_awaitable);
      if (sent) continue;
      self->note(sent.error());
      if (self->one_way_ || !is_end(sent.error())) {
        self->close();
        co_return;
      }
      into_the_void = true;
      self->close_later();
    }
  }

  void note(const Error& error) {
    if (error == ErrorKind::closed) return;
    in_order_ = false;
    tell(error.sentence());
  }

  void close_later() {
    linger_.expires_after(patience);
    linger_.async_wait([weak = weak_from_this()](asio::error_code cancelled) {
      const auto self = weak.lock();
      if (self && !cancelled) self->close();
    });
  }

  asio::io_context& loop_;
  asio::steady_timer linger_;
  Channel first_;
  Channel second_;
  const bool one_way_;
  bool in_order_ = true;
};

class Relaying {
 public:
  explicit Relaying(RelayOptions options) : options_(std::move(options)), signals_(loop_) {
    signals_.add(SIGINT);
    signals_.add(SIGTERM);
  }

  int run() {
    const ListenOptions ours{.channel = options_of(Direction::receive)};
    if (!options_.join) {
      auto listener = listen(options_.first, ours);
      if (!listener) return refuse(listener.error());
      listener_.emplace(*std::move(listener));
      fmt::print("listening at {}\n", options_.first);
      std::fflush(stdout);
      asio::co_spawn(loop_, accept_all(), asio::detached);
    } else {
      auto first = connect(options_.first, 10s, ours.channel);
      if (!first) return refuse(first.error());
      auto second = connect(options_.second, 10s, options_of(Direction::send));
      if (!second) return refuse(second.error());
      begin(*std::move(first), *std::move(second));
      fmt::print("joined\n");
      std::fflush(stdout);
    }
    signals_.async_wait([this](asio::error_code cancelled, int) {
      if (!cancelled) end();
    });
    loop_.run();
    connecting_.join();
    return status_;
  }

 private:
  ChannelOptions options_of(Direction direction) const {
    ChannelOptions options{.max_message_bytes = options_.max_message_bytes};
    if (options_.one_way) options.direction = direction;
    return options;
  }

  int refuse(const Error& error) {
    tell(error.sentence());
    return 1;
  }

  awaitable<void> accept_all() {
    bool told = false;
    for (;;) {
      auto client = co_await listener_->async_accept(never, use_awaitable);
      if (client) {
        told = false;
        asio::co_spawn(loop_, serve(*std::move(client)), asio::detached);
        continue;
      }
      if (client.error() == ErrorKind::closed) co_return;
      if (!told) tell(client.error().sentence());
      told = true;
      if (client.error() != ErrorKind::exhausted) {
        status_ = 1;
        end();
        co_return;
      }
      // Those that we have are served on; the next waits in the queue until there is room.
      pause_.expires_after(50ms);
      asio::error_code ended;
      co_await pause_.async_wait(asio::redirect_error(use_awaitable, ended));
      if (ended) co_return;
    }
  }

  /// What comes out of co_spawn must have a default, and a Result has none.
  using Reached = std::unique_ptr<Result<Channel>>;

  awaitable<Reached> reach() {
    const ChannelOptions options = options_of(Direction::send);
    co_return std::make_unique<Result<Channel>>(connect(options_.second, 10s, options));
  }

  awaitable<void> serve(Channel client) {
    Reached far = co_await asio::co_spawn(connecting_, reach(), use_awaitable);
    if (ending_) co_return;
    if (!*far) {
      tell(far->error().sentence());
      co_return;
    }
    begin(std::move(client), std::move(**far));
  }

  /// The joint lives as long as a direction of it does.
  void begin(Channel first, Channel second) {
    std::shared_ptr<Joint> joint{
        new Joint{loop_, std::move(first), std::move(second), options_.one_way},
        [this](Joint* gone) {
          joints_.erase(gone);
          if (options_.join) {
            if (!ending_ && !gone->in_order()) status_ = 1;
            signals_.cancel();
          }
          delete gone;
        }};
    joints_.insert(joint.get());
    joint->start();
  }

  /// What was sent reaches both sides; then they hear of the end.
  void end() {
    ending_ = true;
    pause_.cancel();
    signals_.clear();  // a second one ends us at once
    signals_.cancel();
    if (listener_) listener_->close();
    for (Joint* joint : joints_) joint->close();
  }

  const RelayOptions options_;
  std::unordered_set<Joint*> joints_;  // before the loop, which may hold the last of them
  bool ending_ = false;
  int status_ = 0;
  std::optional<Listener> listener_;
  asio::io_context loop_;
  asio::signal_set signals_;
  asio::steady_timer pause_{loop_};
  asio::thread_pool connecting_{2};
};

class Relay : public Verb {
 public:
  explicit Relay(CLI::App& app)
      : command_{app.add_subcommand("relay",
                                    "Join two addresses: what comes from one goes to the "
                                    "other, messages kept whole")} {
    command_->add_option("first", options_.first, "Listened at: clients come here")
        ->required()
        ->option_text("ADDRESS");
    command_->add_option("second", options_.second, "Connected to, once for each client")
        ->required()
        ->option_text("ADDRESS");
    command_->add_flag("--join", options_.join,
                       "Connect to both instead, once, and end when either ends");
    command_->add_flag("--one-way", options_.one_way,
                       "Only from the first to the second, where a mechanism has one direction");
    command_
        ->add_option("--max-message", options_.max_message_bytes,
                     "A larger message ends its connection")
        ->option_text("BYTES");
    command_->footer(
        "A named pipe here and a service on another machine:\n"
        "  bulkhead relay fifo:///run/printer tcp://printer.example:4711\n"
        "and there, a TCP port in front of a socket:\n"
        "  bulkhead relay tcp://0.0.0.0:4711 unix:///run/printer.sock\n\n"
        "Order, boundaries and, where both sides have them, priorities and handles are kept. A\n"
        "message that the other side cannot carry (too large, or with handles) ends that\n"
        "connection on both sides, in words on standard error. When one side ends, what it had\n"
        "sent is delivered and the other is closed. SIGTERM and SIGINT end in good order, with\n"
        "status 0.");
  }

  bool chosen() const override { return command_->parsed(); }
  int run() override { return Relaying{options_}.run(); }

 private:
  CLI::App* command_;
  RelayOptions options_;
};

}  // namespace

std::unique_ptr<Verb> relay_verb(CLI::App& app) { return std::make_unique<Relay>(app); }

}  // namespace bulkhead::tools
