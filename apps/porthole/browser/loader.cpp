// SPDX-License-Identifier: Apache-2.0
#include "browser/loader.hpp"

#include <algorithm>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/thread_pool.hpp>
#include <atomic>
#include <unordered_set>
#include <utility>

#include "browser/data_url.hpp"
#include "browser/file_fetch.hpp"
#include "browser/http_client.hpp"
#include "browser/mime.hpp"
#include "browser/url.hpp"

namespace porthole {

using bulkhead::Bytes;
using bulkhead::ErrorKind;
using bulkhead::Region;
using bulkhead::Result;
using Clock = std::chrono::steady_clock;

namespace {

/// Above this a body is put into its Region by a worker.
constexpr std::size_t large_body = 1 << 20;

std::unexpected<bulkhead::Error> bad(ErrorKind kind, std::string cause, std::string remedy = {}) {
  return bulkhead::fail(kind, {.cause = std::move(cause), .remedy = std::move(remedy)});
}

bool is_redirect(const HttpHead& head) {
  return !head.location.empty() && (head.status == 301 || head.status == 302 ||
                                    head.status == 303 || head.status == 307 || head.status == 308);
}

}  // namespace

/// What all loads share.
class Loader::Core {
 public:
  /// A load under way.
  class Job;

  Core(asio::io_context& io, LoaderOptions given)
      : loop(io), options(std::move(given)), http(io, options) {}

  /// Runs `work` on a worker thread; the loop stays in its run() until `then` has run there.
  template <class Work, class Then> void on_worker(Work work, Then then) {
    if (!workers) workers.emplace(2);
    asio::post(*workers, [work = std::move(work), then = std::move(then), this,
                          guard = asio::make_work_guard(loop)]() mutable {
      asio::post(loop,
                 [then = std::move(then), result = work()]() mutable { then(std::move(result)); });
    });
  }

  asio::io_context& loop;
  const LoaderOptions options;
  HttpClient http;
  std::unordered_set<Job*> jobs;
  std::optional<asio::thread_pool> workers;
};

class Loader::Core::Job : public std::enable_shared_from_this<Job> {
 public:
  Job(Core& core, std::string text, LoadKind kind, LoadEvents events)
      : core_(&core), text_(std::move(text)), kind_(kind), events_(std::move(events)) {
    core.jobs.insert(this);
  }
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  ~Job() { leave(); }

  /// From the loop.
  void begin();
  void leave();

 private:
  void begin_http();
  void begin_file();
  void begin_data();
  void begin_about();

  void take_head(HttpHead head);
  void take_bytes(Bytes bytes);
  void take_end(Result<void> result);
  void follow();
  bool decide_head(bool whole);

  bool tell_head();
  void deliver(ContentType type, Result<std::optional<Region>> body);
  void deliver_bytes(std::string bytes);
  void finish(Result<Loaded> loaded);

  Core* core_;
  const std::string text_;
  const LoadKind kind_;
  LoadEvents events_;
  const Clock::time_point begun_ = Clock::now();
  Url url_;
  ResourceHead head_;
  std::shared_ptr<std::atomic<bool>> stop_ = std::make_shared<std::atomic<bool>>(false);

  // http and https alone.
  std::unique_ptr<HttpExchange> exchange_;
  HttpHead http_head_;
  std::string bytes_;
  int redirects_ = 0;
  bool head_told_ = false;
};

void Loader::Core::Job::leave() {
  if (!core_) return;
  core_->jobs.erase(this);
  core_ = nullptr;
  stop_->store(true);
  exchange_.reset();
}

void Loader::Core::Job::begin() {
  if (!core_) return;
  auto url = parse_url(text_);
  if (!url) return finish(bulkhead::fail(std::move(url).error()));
  url_ = std::move(*url);
  head_ = {.status = 200, .url = url_.text, .mime_type = {}, .charset = {}};
  if (url_.is_network()) return begin_http();
  if (url_.is_file()) return begin_file();
  if (url_.is_data()) return begin_data();
  begin_about();
}

// Files, data, and about.

void Loader::Core::Job::begin_file() {
  if (path_of(url_).native().contains('\0')) {
    return finish(bad(ErrorKind::invalid, "the name of a file has no zero byte"));
  }
  core_->on_worker([path = path_of(url_), kind = kind_, limit = core_->options.max_body_bytes,
                    stop = stop_] { return fetch_file(path, kind, limit, *stop); },
                   [weak = weak_from_this()](Result<FetchedFile> file) {
                     const auto self = weak.lock();
                     if (!self || !self->core_) return;
                     if (!file) return self->finish(bulkhead::fail(std::move(file).error()));
                     if (file->is_folder && !self->url_.path.ends_with('/')) {
                       self->url_ = file_url(path_of(self->url_) / "");
                       self->head_.url = self->url_.text;
                     }
                     self->deliver(std::move(file->type), std::move(file->body));
                   });
}

void Loader::Core::Job::begin_data() {
  auto data = decode_data_url(url_);
  if (!data) return finish(bulkhead::fail(std::move(data).error()));
  const auto first = bulkhead::as_bytes(data->body);
  auto type = decide_type({.header = data->content_type,
                           .first = first.first(std::min(first.size(), sniffed_bytes)),
                           .kind = kind_});
  deliver(std::move(type), frozen(first));
}

void Loader::Core::Job::begin_about() {
  if (!core_->options.about) {
    return finish(bad(ErrorKind::not_found, "there is no such page"));
  }
  const auto page = core_->options.about(url_.without_fragment());
  if (!page) return finish(bulkhead::fail(page.error()));
  deliver({.mime_type = "text/html", .charset = "utf-8"}, frozen(bulkhead::as_bytes(*page)));
}

// HTTP.

void Loader::Core::Job::begin_http() {
  const auto spent = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begun_);
  HttpRequest request{.url = url_.without_fragment(),
                      .kind = kind_,
                      .total_limit = core_->options.total_limit - spent};
  // The exchange is this job's, and goes with it or before it.
  HttpEvents events{.head = [this](HttpHead head) { take_head(std::move(head)); },
                    .data = [this](Bytes bytes) { take_bytes(bytes); },
                    .end = [this](Result<void> result) { take_end(std::move(result)); }};
  exchange_ = core_->http.start(std::move(request), std::move(events));
}

void Loader::Core::Job::take_head(HttpHead head) {
  const auto self = shared_from_this();
  http_head_ = std::move(head);
  if (is_redirect(http_head_)) {
    // Waiting for an empty body keeps the connection for the next request.
    if (http_head_.length != 0U) follow();
    return;
  }
  if (kind_ == LoadKind::page && http_head_.disposition.starts_with("attachment")) {
    return finish(bad(ErrorKind::unsupported,
                      "the server offers it for saving, and Porthole saves nothing yet"));
  }
  if (http_head_.length > core_->options.max_body_bytes) {
    return finish(bad(ErrorKind::too_large,
                      "its " + std::to_string(*http_head_.length) + " bytes are more than the " +
                          std::to_string(core_->options.max_body_bytes) + " that are loaded"));
  }
  head_.status = http_head_.status;
  decide_head(false);
}

void Loader::Core::Job::take_bytes(Bytes bytes) {
  if (is_redirect(http_head_)) return;
  const auto self = shared_from_this();
  bytes_.append(bulkhead::as_text(bytes));
  decide_head(false);
}

void Loader::Core::Job::take_end(Result<void> result) {
  const auto self = shared_from_this();
  if (!result) return finish(bulkhead::fail(std::move(result).error()));
  if (is_redirect(http_head_)) return follow();
  if (!decide_head(true)) return;
  exchange_.reset();
  deliver_bytes(std::move(bytes_));
}

void Loader::Core::Job::follow() {
  auto next = resolve_url(url_, http_head_.location);
  if (!next) return finish(bulkhead::fail(std::move(next).error()));
  if (!next->is_network()) {
    return finish(bad(ErrorKind::denied,
                      "the server redirects to " + next->scheme + ":, where no server may lead"));
  }
  if (++redirects_ > core_->options.max_redirects) {
    return finish(bad(
        ErrorKind::exhausted,
        "it was redirected " + std::to_string(core_->options.max_redirects) + " times and went on",
        "the server leads in a circle; deleting its cookies may help"));
  }
  if (next->fragment.empty() && !url_.fragment.empty()) {
    next->text += "#" + url_.fragment;
    next->fragment = url_.fragment;
  }
  url_ = std::move(*next);
  head_.url = url_.text;
  http_head_ = {};
  exchange_.reset();
  bytes_.clear();
  if (events_.on_redirect) events_.on_redirect(url_.text);
  if (core_) begin_http();
}

/// Tells the head as soon as the type is certain. False when the load has been given up.
bool Loader::Core::Job::decide_head(bool whole) {
  if (head_told_ && !whole) return true;
  const bool enough = whole || bytes_.size() >= sniffed_bytes ||
                      is_decided_by_header(http_head_.content_type, kind_);
  if (!enough) return true;
  const auto first = bulkhead::as_bytes(bytes_);
  auto type = decide_type({.header = http_head_.content_type,
                           .first = first.first(std::min(first.size(), sniffed_bytes)),
                           .kind = kind_});
  head_.mime_type = std::move(type.mime_type);
  head_.charset = std::move(type.charset);
  return tell_head();
}

// The end.

bool Loader::Core::Job::tell_head() {
  if (!std::exchange(head_told_, true) && events_.on_head &&
      events_.on_head(head_) == Decision::stop) {
    leave();
  }
  return core_ != nullptr;
}

void Loader::Core::Job::deliver_bytes(std::string bytes) {
  if (bytes.size() <= large_body) {
    return deliver({head_.mime_type, head_.charset}, frozen(bulkhead::as_bytes(bytes)));
  }
  core_->on_worker([bytes = std::move(bytes)] { return frozen(bulkhead::as_bytes(bytes)); },
                   [weak = weak_from_this()](Result<std::optional<Region>> body) {
                     const auto self = weak.lock();
                     if (!self || !self->core_) return;
                     self->deliver({self->head_.mime_type, self->head_.charset}, std::move(body));
                   });
}

void Loader::Core::Job::deliver(ContentType type, Result<std::optional<Region>> body) {
  const auto self = shared_from_this();
  if (!body) return finish(bulkhead::fail(std::move(body).error()));
  head_.mime_type = std::move(type.mime_type);
  head_.charset = std::move(type.charset);
  if (!tell_head()) return;
  finish(Loaded{.head = head_, .body = std::move(*body)});
}

void Loader::Core::Job::finish(Result<Loaded> loaded) {
  const auto self = shared_from_this();
  leave();
  if (!loaded) {
    constexpr std::size_t shown = 300;
    const std::string& url = url_.text.empty() ? text_ : url_.text;
    const auto& cause = loaded.error();
    loaded = bulkhead::fail(
        cause.kind(),
        {.operation = "load",
         .object = url.size() > shown ? url.substr(0, shown) + "..." : url,
         .cause =
             cause.cause().empty() ? std::string{bulkhead::to_string(cause.kind())} : cause.cause(),
         .remedy = cause.remedy(),
         .code = cause.code()});
  }
  const auto done = std::move(events_.done);
  if (done) done(std::move(loaded));
}

namespace {

template <class Job> class Held final : public Load {
 public:
  explicit Held(std::shared_ptr<Job> job) : job_(std::move(job)) {}
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  ~Held() override { job_->leave(); }

 private:
  std::shared_ptr<Job> job_;
};

}  // namespace

Loader::Loader(asio::io_context& loop, LoaderOptions options)
    : core_(std::make_shared<Core>(loop, std::move(options))) {}

Loader::~Loader() {
  while (!core_->jobs.empty()) (*core_->jobs.begin())->leave();
  if (core_->workers) {
    core_->workers->stop();
    core_->workers->join();
  }
}

std::unique_ptr<Load> Loader::start(std::string url, LoadKind kind, LoadEvents events) {
  auto job = std::make_shared<Core::Job>(*core_, std::move(url), kind, std::move(events));
  asio::post(core_->loop, [job] { job->begin(); });
  return std::make_unique<Held<Core::Job>>(std::move(job));
}

}  // namespace porthole
