// SPDX-License-Identifier: Apache-2.0
//
// Loader: how the browser process gets the bytes behind a URL: http, https, file, data and about.
// The only place of Porthole that opens a socket to a server or a file for a page.
//
// Threads: everything here belongs to the thread that runs the io_context, and never blocks it:
// HTTP waits in the loop, files are read by a worker thread that lives as long as the Loader.
// Events come from the loop, never from within start(); a Load may be dropped in one of its own
// events. Ownership: dropping a Load cancels it, and nothing more of it comes; the Loader may go
// before its Loads. Every load ends: it is bounded in time, in bytes and in redirects.
// Trust: servers are not trusted, and bytes are never judged by more than their first few.
// Redirects lead to http and https alone, whatever they began from.
//
// Errors are sentences for people: "load http://x.invalid/: no such host", "load https://x/: the
// certificate is not valid: self-signed certificate", "... : the server closed after 10 of 100
// bytes". Kinds: not_found (host, file, page), denied (certificate, permission, policy), timed_out,
// too_large, invalid (URL), unsupported (scheme), closed (by the server), corrupt (not HTTP).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <bulkhead/region.hpp>
#include <bulkhead/result.hpp>

#include "interfaces/resources.hpp"

namespace asio {
class io_context;
}

namespace porthole {

enum class LoadKind : std::uint8_t { page, style_sheet, image, other };

struct LoaderOptions {
  /// From the beginning until the connection stands, encryption included.
  std::chrono::milliseconds connect_limit = std::chrono::seconds(20);
  /// A server that sends nothing for so long is given up.
  std::chrono::milliseconds silence_limit = std::chrono::seconds(30);
  /// For all of it, redirects included.
  std::chrono::milliseconds total_limit = std::chrono::minutes(5);
  std::size_t max_body_bytes = std::size_t{64} << 20;
  int max_redirects = 20;
  /// "HOST:PORT:ADDRESS": hosts that are not looked up, and not asked through a proxy.
  std::vector<std::string> resolve = {};
  /// Certificate authorities to believe instead of the system's: a PEM file.
  std::string authorities = {};
  /// The HTML of an about: page, asked on the loop's thread; an error when there is no such page.
  std::function<bulkhead::Result<std::string>(const std::string& url)> about = {};
};

enum class Decision : std::uint8_t {
  go_on,
  /// As dropping the Load: nothing more comes.
  stop,
};

struct Loaded {
  ResourceHead head;
  /// Frozen; nothing when it is empty.
  std::optional<bulkhead::Region> body;
};

/// Any may be empty. Order: redirects, at most one head, exactly one done (none after a stop).
struct LoadEvents {
  /// The URL that is asked next.
  std::function<void(const std::string& url)> on_redirect = {};
  /// The head is known, and the body is still to come. Not called when it fails before.
  std::function<Decision(const ResourceHead& head)> on_head = {};
  /// A status of 404 and the like is a success with that status.
  std::function<void(bulkhead::Result<Loaded> loaded)> done = {};
};

/// A load under way; dropping it cancels it.
class Load {
 public:
  virtual ~Load() = default;
};

class Loader {
 public:
  Loader(asio::io_context& loop, LoaderOptions options);
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;
  /// Cancels what is under way. May wait for one read of a file.
  ~Loader();

  /// `url` is absolute. Its fragment goes nowhere but into the head's URL.
  std::unique_ptr<Load> start(std::string url, LoadKind kind, LoadEvents events);

 private:
  class Core;
  std::shared_ptr<Core> core_;
};

}  // namespace porthole
