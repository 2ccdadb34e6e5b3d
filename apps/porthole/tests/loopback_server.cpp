// SPDX-License-Identifier: Apache-2.0
#include "tests/loopback_server.hpp"

#include <algorithm>
#include <asio/awaitable.hpp>
#include <asio/buffer.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>
#include <asio/read_until.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "support/watchdog.hpp"

namespace porthole::test {
namespace {

using asio::ip::tcp;

std::string lower_case(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  });
  return text;
}

Request parsed(const std::string& head) {
  Request request;
  request.head = head;
  const auto first = head.find(' ');
  const auto second = head.find(' ', first + 1);
  request.method = head.substr(0, first);
  request.path = head.substr(first + 1, second - first - 1);
  const auto host = lower_case(head).find("\r\nhost: ");
  if (host != std::string::npos) {
    request.host = head.substr(host + 8, head.find_first_of(":\r", host + 8) - host - 8);
  }
  return request;
}

std::string head_of(const Reply& reply) {
  std::string head = "HTTP/1.1 " + std::to_string(reply.status) + " said\r\n";
  if (!reply.type.empty()) head += "Content-Type: " + reply.type + "\r\n";
  const bool has_length = std::ranges::none_of(reply.headers, [](const std::string& line) {
    return lower_case(line).starts_with("transfer-encoding");
  });
  if (has_length) {
    head +=
        "Content-Length: " + std::to_string(reply.announced.value_or(reply.body.size())) + "\r\n";
  }
  for (const auto& line : reply.headers) head += line + "\r\n";
  return head + "\r\n";
}

}  // namespace

Reply redirect_to(std::string location, int status) {
  return {.status = status, .headers = {"Location: " + std::move(location)}};
}

class LoopbackServer::State {
 public:
  State() : acceptor_(loop_, {asio::ip::address_v4::loopback(), 0}), held_here_(loop_) {
    port_ = acceptor_.local_endpoint().port();
    held_here_.expires_at(asio::steady_timer::time_point::max());
    asio::co_spawn(loop_, accept(), asio::detached);
    thread_ = std::thread([this] { loop_.run(); });
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    loop_.stop();
    thread_.join();
  }

  void serve(std::string path, std::function<Reply(const Request&)> answer) {
    const std::lock_guard lock{mutex_};
    answers_[std::move(path)] = std::move(answer);
  }

  void release() {
    asio::post(loop_, [this] {
      released_ = true;
      held_here_.cancel();
    });
  }

  void wait_until_held(std::size_t count) {
    const bulkhead::test::Waiting waiting{"answers of the loopback server that are held"};
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [&] { return held_ >= count; });
  }

  std::vector<std::string> requests() const {
    const std::lock_guard lock{mutex_};
    return requests_;
  }
  std::size_t connections() const {
    const std::lock_guard lock{mutex_};
    return connections_;
  }
  std::uint16_t port() const { return port_; }

 private:
  asio::awaitable<void> accept() {
    for (;;) {
      auto socket = co_await acceptor_.async_accept(asio::use_awaitable);
      {
        const std::lock_guard lock{mutex_};
        ++connections_;
      }
      asio::co_spawn(loop_, talk(std::move(socket)), asio::detached);
    }
  }

  asio::awaitable<void> talk(tcp::socket socket) {
    try {
      std::string input;
      for (bool more = true; more;) {
        const auto size = co_await asio::async_read_until(socket, asio::dynamic_buffer(input),
                                                          "\r\n\r\n", asio::use_awaitable);
        const Reply reply = answer(parsed(input.substr(0, size)));
        input.erase(0, size);
        more = co_await send(socket, reply);
      }
    } catch (const std::system_error&) {  // the client has gone
    }
  }

  /// True when another request may follow.
  asio::awaitable<bool> send(tcp::socket& socket, const Reply& reply) {
    const std::string all = reply.raw.empty() ? head_of(reply) + reply.body : reply.raw;
    const std::size_t before = reply.raw.empty() ? all.size() - reply.body.size() : 0;
    const std::size_t first = reply.sent ? std::min(all.size(), before + *reply.sent) : all.size();
    co_await asio::async_write(socket, asio::buffer(all.data(), first), asio::use_awaitable);
    if (reply.then == Reply::Then::reset) {
      socket.set_option(asio::socket_base::linger(true, 0));
      socket.close();  // Asio's destructor would let it linger
      co_return false;
    }
    if (reply.then == Reply::Then::hold) {
      co_await hold();
      const auto rest = asio::buffer(all) + first;
      co_await asio::async_write(socket, rest, asio::use_awaitable);
    }
    co_return reply.then != Reply::Then::close;
  }

  asio::awaitable<void> hold() {
    {
      const std::lock_guard lock{mutex_};
      ++held_;
    }
    changed_.notify_all();
    try {
      if (!released_) co_await held_here_.async_wait(asio::use_awaitable);
    } catch (const std::system_error&) {  // released
    }
  }

  Reply answer(const Request& request) {
    std::function<Reply(const Request&)> answer;
    {
      const std::lock_guard lock{mutex_};
      requests_.push_back(request.host + " " + request.path);
      const auto found = answers_.find(request.path);
      if (found != answers_.end()) answer = found->second;
    }
    if (answer) return answer(request);
    return {.status = 404, .body = "<!DOCTYPE html><title>404</title><h1>Nothing here</h1>"};
  }

  asio::io_context loop_{1};
  tcp::acceptor acceptor_;
  std::uint16_t port_ = 0;
  asio::steady_timer held_here_;
  bool released_ = false;
  std::thread thread_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::function<Reply(const Request&)>> answers_;
  std::vector<std::string> requests_;
  std::size_t connections_ = 0;
  std::size_t held_ = 0;
};

LoopbackServer::LoopbackServer() : state_(std::make_unique<State>()) {}
LoopbackServer::~LoopbackServer() = default;

std::uint16_t LoopbackServer::port() const { return state_->port(); }

std::string LoopbackServer::url(std::string_view path, std::string_view host) const {
  return "http://" + std::string{host} + ":" + std::to_string(port()) + std::string{path};
}

std::vector<std::string> LoopbackServer::resolve() const {
  std::vector<std::string> rules;
  for (const std::string prefix : {"", "www."}) {
    for (char name = 'a'; name <= 'j'; ++name) {
      rules.push_back(prefix + name + ".test:" + std::to_string(port()) + ":127.0.0.1");
    }
  }
  return rules;
}

void LoopbackServer::serve(std::string path, Reply reply) {
  state_->serve(std::move(path), [reply = std::move(reply)](const Request&) { return reply; });
}

void LoopbackServer::serve(std::string path, std::function<Reply(const Request&)> answer) {
  state_->serve(std::move(path), std::move(answer));
}

void LoopbackServer::release() { state_->release(); }
void LoopbackServer::wait_until_held(std::size_t count) { state_->wait_until_held(count); }
std::vector<std::string> LoopbackServer::requests() const { return state_->requests(); }
std::size_t LoopbackServer::connections() const { return state_->connections(); }

}  // namespace porthole::test
