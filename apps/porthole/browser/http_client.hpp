// SPDX-License-Identifier: Apache-2.0
//
// HttpClient: one request and its answer at a time, over libcurl, waited for in an Asio loop. No
// redirects: who asks decides whether to follow. Connections, names and cookies are shared by all
// requests of one client, and kept in memory alone.
//
// Threads: the loop's. Events come from the loop and never from within libcurl, so anything may be
// done in them, dropping the exchange too. An exchange that is dropped is cancelled. The client
// outlives its exchanges.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <bulkhead/bytes.hpp>
#include <bulkhead/result.hpp>

#include "browser/loader.hpp"

namespace porthole {

struct HttpHead {
  int status = 0;
  /// The values of these headers; empty without them.
  std::string content_type = {};
  std::string location = {};
  std::string disposition = {};
  /// Of the body as it is transferred; unset when the server does not say.
  std::optional<std::size_t> length = {};
};

struct HttpRequest {
  /// Normal, without fragment.
  std::string url;
  LoadKind kind = LoadKind::other;
  std::chrono::milliseconds total_limit{};
};

/// Order: at most one head, any number of data, exactly one end.
struct HttpEvents {
  std::function<void(HttpHead head)> head;
  std::function<void(bulkhead::Bytes bytes)> data;
  /// The errors' causes only: who asked knows the operation and the object.
  std::function<void(bulkhead::Result<void> result)> end;
};

class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
};

class HttpClient {
 public:
  HttpClient(asio::io_context& loop, const LoaderOptions& options);
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;
  ~HttpClient();

  std::unique_ptr<HttpExchange> start(HttpRequest request, HttpEvents events);

  class State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace porthole
