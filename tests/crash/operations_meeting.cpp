// SPDX-License-Identifier: Apache-2.0
//
// Meeting places: listen, connect, accept and the end of a listener, for mechanisms whose names
// live in the file system; and recovery, which is to listen at a name whose owner is dead (F17).
//
// Whatever a process left of a name when it died, the next one that wants it gets it, serves a
// client there, and leaves nothing behind; and a client never hangs at what is left.
#include <csignal>
#include <optional>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

#include <bulkhead/channel.hpp>
#include <bulkhead/listener.hpp>

#include "crash/operation.hpp"
#include "crash/survivors.hpp"

namespace bulkhead::crash {
namespace {

const ChannelOptions small{.capacity_bytes = 4096};

struct Place {
  std::string mechanism;
  /// In both halves: the runtime directory and TMPDIR are the harness's.
  std::function<Address()> address;
};

/// A client of `listener`, in this process, gets a message through and an answer.
void serve_one(Listener& listener, const Place& place, Verdict& verdict) {
  auto client = connect(place.address(), patience, small);
  if (!client) return verdict.violation("connect: " + client.error().sentence());
  auto server = listener.accept(patience);
  if (!server) return verdict.violation("accept: " + server.error().sentence());
  const auto body = content(1, 100);
  verdict.expect(client->send(body, patience).has_value(), "a new client cannot send");
  const auto heard = server->receive(patience);
  verdict.expect(heard && has_content(heard->bytes(), 1, 100), "a new client is not heard");
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
  explicit ServerDies(Place place) : place_(std::move(place)) {}

  void cooperate(int) override {
    client_.emplace(or_throw(connect(place_.address(), patience, small)));
    or_throw(client_->send(content(0, 100), Deadline{patience}));
  }

  void after_death(bool, Verdict& verdict) override {
    if (client_) {
      const auto heard = client_->receive(patience);
      verdict.expect(
          !heard && (heard.error() == ErrorKind::peer_died || heard.error() == ErrorKind::closed),
          "a client was not told that the server is dead");
      client_.reset();
    }
    const auto late = connect(place_.address(), patience, small);
    verdict.expect(!late && late.error() == ErrorKind::not_found,
                   "a client finds somebody at a dead server's name");
    listen_anew(place_, verdict);
  }

 protected:
  Place place_;
  std::optional<Channel> client_;
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

/// The survivor is the server.
class ClientDies final : public Scene {
 public:
  explicit ClientDies(Place place)
      : place_(std::move(place)),
        listener_(or_throw(listen(place_.address(), {.channel = small}))) {}

  void after_death(bool finished, Verdict& verdict) override {
    auto server = listener_.try_accept();
    verdict.expect(server || server.error() == ErrorKind::empty, "accept fails after a death");
    verdict.expect(server || !finished, "a connection that was made is lost");
    if (server) {
      Stream stream{.size_of = [](std::uint64_t) { return std::size_t{100}; }};
      receive_to_the_end(*server, stream, finished ? 1 : 0, 1, Farewell::never, verdict);
    }
    serve_one(listener_, place_, verdict);
  }

 private:
  Place place_;
  Listener listener_;
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
      {"shm", [] { return Address{"shm:crash"}; }},
      {"unix", [] {
         return Address{"unix://" + std::string{::getenv("XDG_RUNTIME_DIR")} + "/crash.sock"};
       }}};
  for (const Place& place : places) {
    const auto& name = place.mechanism;
    all.push_back({name + ": listen", stage<ServerDies>(place), [place] { listener_of(place); }});
    all.push_back({name + ": listen at a dead one's name (recovery)", stage<HeirDies>(place),
                   [place] { listener_of(place); }});
    all.push_back(
        {name + ": accept and receive", stage<ServerDies>(place), [place] { acceptor_of(place); }});
    all.push_back(
        {name + ": end of a listener", stage<ServerDies>(place), [place] { leaver_of(place); }});
    all.push_back(
        {name + ": connect and send", stage<ClientDies>(place), [place] { client_of(place); }});
  }
  return all;
}

}  // namespace bulkhead::crash
