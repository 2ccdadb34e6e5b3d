// SPDX-License-Identifier: Apache-2.0
//
// Meeting places: listen, connect, accept and the end of a listener, for mechanisms whose names
// live in the file system; and recovery, which is to listen at a name whose owner is dead (F17).
//
// Whatever a process left of a name when it died, the next one that wants it gets it, serves a
// client there, and leaves nothing behind; and a client never hangs at what is left.
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include <bulkhead/channel.hpp>
#include <bulkhead/listener.hpp>
#include <bulkhead/names.hpp>

#include "crash/operation.hpp"
#include "crash/survivors.hpp"

namespace bulkhead::crash {
namespace {

const ChannelOptions small{.capacity_bytes = 4096};

struct Place {
  std::string mechanism;
  /// In both halves: the runtime directory and TMPDIR are the harness's.
  std::function<Address()> address;
  /// What a client sent before it was taken in goes with it (docs/transports/named_pipe.md).
  bool forgets_the_untaken = false;
};

/// A client of `listener` gets a message through.
void serve_one(Listener& listener, const Place& place, Verdict& verdict) {
  // A thread of its own: with some mechanisms it waits until it is taken in.
  std::optional<Result<Channel>> client;
  std::thread thread{[&] {
    client.emplace(connect(place.address(), patience, small));
    if (*client) static_cast<void>((*client)->send(content(1, 100), Deadline{patience}));
  }};
  auto server = listener.accept(patience);
  const auto heard = server ? server->receive(patience) : Result<Message>{fail(server.error())};
  thread.join();
  if (!*client) return verdict.violation("connect: " + client->error().sentence());
  if (!heard) return verdict.violation("a new client is not heard: " + heard.error().sentence());
  verdict.expect(has_content(heard->bytes(), 1, 100), "a new client's message is torn");
}

/// The name can be had, used, and given up.
void listen_anew(const Place& place, Verdict& verdict) {
  auto listener = listen(place.address(), {.channel = small});
  if (!listener) return verdict.violation("listen: " + listener.error().sentence());
  serve_one(*listener, place, verdict);
}

/// The survivor is a client of the victim.
class ServerDies : public Scene {
 public:
  explicit ServerDies(Place place) : place_(std::move(place)) {
    // The folders of names are made by whoever comes first, and stay.
    static const bool made = listen(Address{"shm:first"}).has_value();
    static_cast<void>(made);
  }
  ~ServerDies() override { client_.join(); }

  void cooperate(int) override {
    client_.start([this] {
      auto channel = connect(place_.address(), patience, small);
      auto sent = channel ? channel->send(content(0, 100), Deadline{patience})
                          : Result<void>{fail(channel.error())};
      auto heard = sent ? channel->receive(patience) : Result<Message>{fail(sent.error())};
      told_ = heard ? ErrorKind::invalid : heard.error().kind();
    });
  }

  /// The client acts by itself.
  bool awaken() override { return ++woken_ < most_woken; }

  void after_death(bool, Verdict& verdict) override {
    client_.join();
    const bool told = !told_ || *told_ == ErrorKind::peer_died || *told_ == ErrorKind::closed ||
                      *told_ == ErrorKind::not_found;
    if (!told) {
      verdict.violation("a client of the dead server was told: " + std::string{to_string(*told_)});
    }
    const auto late = connect(place_.address(), patience, small);
    if (late || late.error() != ErrorKind::not_found) {
      verdict.violation("a client that comes too late: " +
                        (late ? "finds somebody" : late.error().sentence()));
    }
    listen_anew(place_, verdict);
  }

 protected:
  Place place_;

 private:
  static constexpr int most_woken = 100;
  int woken_ = 0;
  std::optional<ErrorKind> told_;
  Waiter client_;
};

/// The same, and another server had died there before.
class HeirDies final : public ServerDies {
 public:
  explicit HeirDies(Place place) : ServerDies(std::move(place)) {
    const pid_t first = ::fork();
    if (first == 0) {
      const auto listener = listen(place_.address(), {.channel = small});
      ::raise(SIGKILL);
    }
    ::waitpid(first, nullptr, 0);
  }
};

/// Two names whose servers were killed, and one whose server lives: who cleans them up is killed too.
class CleanerDies final : public Scene {
 public:
  explicit CleanerDies(Place place) : place_(std::move(place)) {
    Address other = place_.address();
    other = Address{other.text() + "-alive"};
    alive_.emplace(or_throw(listen(other, {.channel = small})));
    const pid_t first = ::fork();
    if (first == 0) {
      const auto listener = listen(place_.address(), {.channel = small});
      const auto second = listen(Address{place_.address().text() + "-too"}, {.channel = small});
      ::raise(SIGKILL);
    }
    ::waitpid(first, nullptr, 0);
  }

  void after_death(bool finished, Verdict& verdict) override {
    verdict.expect(!finished || stale() == 0, "it had cleaned, and something is left");
    const auto cleaned = remove_stale_names();
    if (!cleaned) return verdict.violation("clean: " + cleaned.error().sentence());
    verdict.expect(stale() == 0, "cleaning once more leaves something");
    // What lives was not touched, and what was cleaned can be had.
    Place alive = place_;
    alive.address = [address = Address{place_.address().text() + "-alive"}] { return address; };
    serve_one(*alive_, alive, verdict);
    listen_anew(place_, verdict);
  }

 private:
  /// Names whose owner is gone; -1: they cannot be listed.
  static std::ptrdiff_t stale() {
    const auto names = list_names();
    if (!names) return -1;
    return std::ranges::count_if(
        *names, [](const OwnedName& one) { return one.state == OwnedName::State::stale; });
  }

  Place place_;
  std::optional<Listener> alive_;
};

/// The survivor is the server.
class ClientDies final : public Scene {
 public:
  explicit ClientDies(Place place)
      : place_(std::move(place)),
        listener_(or_throw(listen(place_.address(), {.channel = small}))) {}

  bool awaken() override {
    take_in();
    return ++woken_ < most_woken;
  }

  void after_death(bool finished, Verdict& verdict) override {
    take_in();
    verdict.expect(server_ || !finished || place_.forgets_the_untaken,
                   "a connection that was made is lost");
    if (server_) {
      Stream stream{.size_of = [](std::uint64_t) { return std::size_t{100}; }};
      receive_to_the_end(*server_, stream, finished ? 1 : 0, 1, Farewell::never, verdict);
    }
    if (trouble_) verdict.violation("accept after a death: " + trouble_->sentence());
    serve_one(*listener_, place_, verdict);
    // What the client left beside the name goes at the latest with the next server.
    listener_.reset();
    listen_anew(place_, verdict);
  }

 private:
  static constexpr int most_woken = 100;

  void take_in() {
    if (server_) return;
    auto server = listener_->try_accept();
    if (server) {
      server_.emplace(*std::move(server));
    } else if (server.error() != ErrorKind::empty) {
      trouble_ = server.error();
    }
  }

  Place place_;
  std::optional<Listener> listener_;
  std::optional<Channel> server_;
  std::optional<Error> trouble_;
  int woken_ = 0;
};

void listener_of(const Place& place) {
  const Address address = place.address();
  mark(Mark::begin);
  auto listener = listen(address, {.channel = small});
  mark(Mark::end);
  or_throw(std::move(listener));
}

void acceptor_of(const Place& place) {
  auto listener = or_throw(listen(place.address(), {.channel = small}));
  mark(Mark::cooperate);
  mark(Mark::begin);
  auto channel = listener.accept(never);
  auto message = channel ? channel->receive(never) : fail(channel.error());
  mark(Mark::end);
  or_throw(std::move(message));
}

void cleaner() {
  mark(Mark::begin);
  auto cleaned = remove_stale_names();
  mark(Mark::end);
  or_throw(std::move(cleaned));
}

void leaver_of(const Place& place) {
  std::optional listener{or_throw(listen(place.address(), {.channel = small}))};
  mark(Mark::cooperate);
  mark(Mark::begin);
  listener.reset();
  mark(Mark::end);
}

void client_of(const Place& place) {
  const Address address = place.address();
  const auto body = content(0, 100);
  mark(Mark::begin);
  auto channel = connect(address, never, small);
  auto sent = channel ? channel->send(body, never) : fail(channel.error());
  mark(Mark::end);
  or_throw(std::move(sent));
}

template <class Kind> std::function<std::unique_ptr<Scene>()> stage(const Place& place) {
  return [place] { return std::make_unique<Kind>(place); };
}

}  // namespace

std::vector<Operation> meeting_operations() {
  std::vector<Operation> all;
  const std::vector<Place> places{
      {"shm", [] { return Address{"shm:crash"}; }, false},
      {"unix",
       [] { return Address{"unix://" + std::string{::getenv("XDG_RUNTIME_DIR")} + "/crash.sock"}; },
       false},
      {"fifo",
       [] { return Address{"fifo://" + std::string{::getenv("XDG_RUNTIME_DIR")} + "/crash.fifo"}; },
       true}};
  for (const Place& place : places) {
    const auto& name = place.mechanism;
    all.push_back({name + ": listen", stage<ServerDies>(place), [place] { listener_of(place); }});
    all.push_back({name + ": listen at a dead one's name (recovery)", stage<HeirDies>(place),
                   [place] { listener_of(place); }});
    all.push_back(
        {name + ": accept and receive", stage<ServerDies>(place), [place] { acceptor_of(place); }});
    all.push_back(
        {name + ": end of a listener", stage<ServerDies>(place), [place] { leaver_of(place); }});
    all.push_back({name + ": clean (recovery)", stage<CleanerDies>(place), cleaner});
    all.push_back(
        {name + ": connect and send", stage<ClientDies>(place), [place] { client_of(place); }});
  }
  return all;
}

}  // namespace bulkhead::crash
