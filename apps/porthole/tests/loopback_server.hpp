// SPDX-License-Identifier: Apache-2.0
//
// A server of HTTP/1.1 for tests, at a free port of 127.0.0.1, with real sockets and a thread of its
// own. It answers any host name: a.test, b.test and more lead to it through resolve(). It answers
// well, and badly in all the ways that are asked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace porthole::test {

struct Request {
  std::string method;
  /// With the query.
  std::string path;
  /// Without the port.
  std::string host;
  /// The whole head.
  std::string head;
};

struct Reply {
  int status = 200;
  /// Of the Content-Type header, which is left out when this is empty.
  std::string type = "text/html; charset=utf-8";
  /// Sent instead of head and body.
  std::string raw = {};
  std::string body = {};
  /// "Name: value"
  std::vector<std::string> headers = {};
  /// What Content-Length says; the body's size unless given.
  std::optional<std::size_t> announced = {};
  /// How much of the body is sent before `then`; all unless given.
  std::optional<std::size_t> sent = {};
  enum class Then : std::uint8_t {
    keep_alive,
    close,
    hold,  ///< sends the rest when released, or never
    reset,
  } then = Then::keep_alive;
};

Reply redirect_to(std::string location, int status = 302);

class LoopbackServer {
 public:
  LoopbackServer();
  LoopbackServer(const LoopbackServer&) = delete;
  LoopbackServer& operator=(const LoopbackServer&) = delete;
  ~LoopbackServer();

  std::uint16_t port() const;
  /// "http://HOST:PORT/PATH"
  std::string url(std::string_view path, std::string_view host = "a.test") const;
  /// "HOST:PORT:127.0.0.1" of a.test to j.test and their names www.
  std::vector<std::string> resolve() const;

  /// What `path` is answered with, at every host. What is not set is 404.
  void serve(std::string path, Reply reply);
  /// The same, decided at each request. Called by the server's thread.
  void serve(std::string path, std::function<Reply(const Request&)> answer);

  /// Lets all go on that are held, and those to come.
  void release();
  /// Waits until so many answers are held.
  void wait_until_held(std::size_t count);

  /// "a.test /path", in their order.
  std::vector<std::string> requests() const;
  /// Connections that were ever taken in.
  std::size_t connections() const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

/// Pages for ten tabs of five sites: /page/1 to /page/10, two at each of a.test to e.test, each with
/// a style sheet, a picture, and a background of its own.
void serve_ten_pages(LoopbackServer& server);
/// The URLs of the pages, in their order.
std::vector<std::string> ten_pages(const LoopbackServer& server);
/// 0xAARRGGBB
std::uint32_t background_of_page(int number);
std::uint32_t picture_of_page(int number);
/// Of the picture, which is at the lower end of the page.
inline constexpr int picture_side = 40;

/// A picture of one colour, as a PNG file.
std::string png_of_colour(std::uint32_t colour, int side);

}  // namespace porthole::test
