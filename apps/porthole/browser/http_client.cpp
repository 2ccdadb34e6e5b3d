// SPDX-License-Identifier: Apache-2.0
//
// libcurl's multi interface in an Asio loop: libcurl says which sockets it wants to wait for and
// until when, the loop waits, and tells it what is ready. What libcurl's callbacks bring is only
// noted in them; the exchanges' events are made when libcurl has returned, as nothing of libcurl may
// be called from within it.
#include "browser/http_client.hpp"

#include <algorithm>
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <cstdlib>
#include <curl/curl.h>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "browser/http_errors.hpp"
#include "browser/url.hpp"

namespace porthole {
namespace {

using bulkhead::Bytes;
using bulkhead::ErrorKind;
using bulkhead::Result;
using Clock = std::chrono::steady_clock;

constexpr long most_to_one_host = 6;
constexpr long most_at_all = 48;

struct EasyDeleter {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct MultiDeleter {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
struct ShareDeleter {
  void operator()(CURLSH* share) const { curl_share_cleanup(share); }
};
struct ListDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Easy = std::unique_ptr<CURL, EasyDeleter>;
using List = std::unique_ptr<curl_slist, ListDeleter>;

void append(List& list, const std::string& line) {
  if (auto* longer = curl_slist_append(list.get(), line.c_str())) {
    static_cast<void>(list.release());
    list.reset(longer);
  }
}

const char* accepted(LoadKind kind) {
  switch (kind) {
    case LoadKind::page:
      return "Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.5";
    case LoadKind::style_sheet:
      return "Accept: text/css,*/*;q=0.1";
    case LoadKind::image:
      return "Accept: image/webp,image/svg+xml,image/*;q=0.8,*/*;q=0.5";
    case LoadKind::other:
      break;
  }
  return "Accept: */*";
}

std::string_view host_of_rule(std::string_view rule) { return rule.substr(0, rule.find(':')); }

/// The own machine and what is not looked up is asked directly.
std::string hosts_without_proxy(const std::vector<std::string>& resolve) {
  std::string hosts = "localhost,127.0.0.1,::1";
  for (const auto& rule : resolve) hosts.append(",").append(host_of_rule(rule));
  for (const char* name : {"no_proxy", "NO_PROXY"}) {
    if (const char* more = std::getenv(name)) hosts.append(",").append(more);
  }
  return hosts;
}

bool begins_with(std::string_view line, std::string_view name) {
  return line.size() > name.size() && line[name.size()] == ':' &&
         std::ranges::equal(line.substr(0, name.size()), name, {},
                            [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : +c; });
}

std::string value_of(std::string_view line) {
  line.remove_prefix(line.find(':') + 1);
  const auto first = line.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return std::string{line.substr(first, line.find_last_not_of(" \t\r\n") - first + 1)};
}

template <class T> T info(CURL* easy, CURLINFO which, T otherwise) {
  T value = otherwise;
  return curl_easy_getinfo(easy, which, &value) == CURLE_OK ? value : otherwise;
}

}  // namespace

class HttpTransfer;

/// A socket of libcurl's, seen by the loop for as long as libcurl wants.
struct SocketWatch {
  explicit SocketWatch(asio::io_context& loop) : descriptor(loop) {}

  asio::posix::stream_descriptor descriptor;
  int wanted = CURL_POLL_NONE;
  bool reading = false;
  bool writing = false;
  bool gone = false;
};

class HttpClient::State : public std::enable_shared_from_this<State> {
 public:
  State(asio::io_context& loop, const LoaderOptions& options);
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State();

  void configure(CURL* easy, const HttpRequest& request);
  bool add(CURL* easy) { return curl_multi_add_handle(multi_.get(), easy) == CURLM_OK; }
  void remove(CURL* easy) { curl_multi_remove_handle(multi_.get(), easy); }
  void has_news(std::weak_ptr<HttpTransfer> transfer) { news_.push_back(std::move(transfer)); }
  bool is_told_where(std::string_view host) const;
  void tell_news_soon();

  asio::io_context& loop() { return loop_; }
  const LoaderOptions& options() const { return options_; }

 private:
  static int on_socket(CURL*, curl_socket_t socket, int what, void* self, void*);
  static int on_timer(CURLM*, long timeout_ms, void* self);

  void watch(curl_socket_t socket, int what);
  void arm(const std::shared_ptr<SocketWatch>& watched);
  void act(curl_socket_t socket, int events);
  void collect_ends();
  void tell_news();

  asio::io_context& loop_;
  const LoaderOptions options_;
  const std::string no_proxy_;
  List resolve_;
  std::map<LoadKind, List> headers_;
  std::unique_ptr<CURLSH, ShareDeleter> share_;
  std::unique_ptr<CURLM, MultiDeleter> multi_;
  asio::steady_timer timer_;
  std::map<curl_socket_t, std::shared_ptr<SocketWatch>> watches_;
  std::vector<std::weak_ptr<HttpTransfer>> news_;
};

/// An exchange under way. `over` as soon as it was dropped: nothing is told after that.
class HttpTransfer : public std::enable_shared_from_this<HttpTransfer> {
 public:
  HttpTransfer(std::shared_ptr<HttpClient::State> client, HttpRequest request, HttpEvents events);
  HttpTransfer(const HttpTransfer&) = delete;
  HttpTransfer& operator=(const HttpTransfer&) = delete;
  ~HttpTransfer() { stop(); }

  void begin();
  /// libcurl is done with it.
  void ended(CURLcode code);
  void tell_news();
  void drop();

 private:
  static std::size_t on_header(char* data, std::size_t size, std::size_t count, void* self);
  static std::size_t on_body(char* data, std::size_t size, std::size_t count, void* self);

  void take_header(std::string_view line);
  bool take_body(std::string_view bytes);
  void note_news();
  void watch_silence();
  void finish(Result<void> result);
  void stop();
  Result<void> outcome(CURLcode code);

  std::shared_ptr<HttpClient::State> client_;
  HttpRequest request_;
  HttpEvents events_;
  std::string words_ = std::string(CURL_ERROR_SIZE, '\0');
  Easy easy_;
  asio::steady_timer silence_;
  Clock::time_point heard_ = Clock::now();
  HttpHead head_;
  std::string arrived_;
  std::size_t received_ = 0;
  bool added_ = false;
  bool head_complete_ = false;
  bool head_told_ = false;
  bool noted_ = false;
  bool too_large_ = false;
  bool over_ = false;
  std::optional<Result<void>> result_;
};

// The client.

HttpClient::State::State(asio::io_context& loop, const LoaderOptions& options)
    : loop_(loop),
      options_(options),
      no_proxy_(hosts_without_proxy(options.resolve)),
      timer_(loop) {
  static const CURLcode once = curl_global_init(CURL_GLOBAL_DEFAULT);
  static_cast<void>(once);
  for (const auto& rule : options_.resolve) append(resolve_, rule);
  for (const auto kind :
       {LoadKind::page, LoadKind::style_sheet, LoadKind::image, LoadKind::other}) {
    append(headers_[kind], accepted(kind));
    append(headers_[kind], "Accept-Language: en");
  }
  share_.reset(curl_share_init());
  curl_share_setopt(share_.get(), CURLSHOPT_SHARE, CURL_LOCK_DATA_COOKIE);
  multi_.reset(curl_multi_init());
  curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETFUNCTION, &on_socket);
  curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_.get(), CURLMOPT_TIMERFUNCTION, &on_timer);
  curl_multi_setopt(multi_.get(), CURLMOPT_TIMERDATA, this);
  curl_multi_setopt(multi_.get(), CURLMOPT_MAX_HOST_CONNECTIONS, most_to_one_host);
  curl_multi_setopt(multi_.get(), CURLMOPT_MAX_TOTAL_CONNECTIONS, most_at_all);
}

HttpClient::State::~State() {
  multi_.reset();  // closes the connections that were kept, and takes back its sockets
  for (auto& [socket, watched] : watches_) {
    watched->gone = true;
    static_cast<void>(watched->descriptor.release());
  }
}

bool HttpClient::State::is_told_where(std::string_view host) const {
  return std::ranges::any_of(options_.resolve,
                             [&](const auto& rule) { return host_of_rule(rule) == host; });
}

void HttpClient::State::configure(CURL* easy, const HttpRequest& request) {
  const auto set = [easy](CURLoption option, auto value) {
    static_cast<void>(curl_easy_setopt(easy, option, value));
  };
  set(CURLOPT_URL, request.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_2TLS});
  set(CURLOPT_HTTPHEADER, headers_[request.kind].get());
  set(CURLOPT_USERAGENT, "Mozilla/5.0 (X11; Linux) Porthole/0.1");
  set(CURLOPT_ACCEPT_ENCODING, "");  // all that this libcurl can undo
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set(CURLOPT_SHARE, share_.get());
  set(CURLOPT_COOKIEFILE, "");  // no file: cookies are kept in memory
  set(CURLOPT_RESOLVE, resolve_.get());
  set(CURLOPT_NOPROXY, no_proxy_.c_str());
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options_.connect_limit.count()));
  set(CURLOPT_TIMEOUT_MS, std::max(1L, static_cast<long>(request.total_limit.count())));
  set(CURLOPT_QUICK_EXIT, 1L);  // dropping it never waits for the thread that looks a name up
  if (!options_.authorities.empty()) {
    set(CURLOPT_CAINFO, options_.authorities.c_str());
    set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
  }
}

int HttpClient::State::on_socket(CURL*, curl_socket_t socket, int what, void* self, void*) {
  static_cast<State*>(self)->watch(socket, what);
  return 0;
}

int HttpClient::State::on_timer(CURLM*, long timeout_ms, void* self) {
  auto& state = *static_cast<State*>(self);
  if (timeout_ms < 0) {
    state.timer_.cancel();
    return 0;
  }
  state.timer_.expires_after(std::chrono::milliseconds{timeout_ms});
  state.timer_.async_wait([weak = state.weak_from_this()](asio::error_code error) {
    const auto alive = weak.lock();
    if (alive && !error) alive->act(CURL_SOCKET_TIMEOUT, 0);
  });
  return 0;
}

void HttpClient::State::watch(curl_socket_t socket, int what) {
  const auto known = watches_.find(socket);
  if (what == CURL_POLL_REMOVE) {
    if (known == watches_.end()) return;
    known->second->gone = true;
    static_cast<void>(known->second->descriptor.release());  // libcurl closes it
    watches_.erase(known);
    return;
  }
  auto& watched = watches_[socket];
  if (!watched) {
    watched = std::make_shared<SocketWatch>(loop_);
    asio::error_code failed;
    watched->descriptor.assign(socket, failed);
    if (failed) watched->gone = true;  // its time limit ends the exchange
  }
  watched->wanted = what;
  arm(watched);
}

void HttpClient::State::arm(const std::shared_ptr<SocketWatch>& watched) {
  using Descriptor = asio::posix::stream_descriptor;
  const auto wait = [&](bool& waiting, Descriptor::wait_type type, int event) {
    if (waiting || watched->gone) return;
    waiting = true;
    watched->descriptor.async_wait(
        type, [weak = weak_from_this(), watched, &waiting, event](asio::error_code error) {
          waiting = false;  // lies in *watched
          const auto alive = weak.lock();
          if (!alive || error || watched->gone) return;
          alive->act(watched->descriptor.native_handle(), event);
          if (!watched->gone) alive->arm(watched);
        });
  };
  if ((watched->wanted & CURL_POLL_IN) != 0) {
    wait(watched->reading, Descriptor::wait_read, CURL_CSELECT_IN);
  }
  if ((watched->wanted & CURL_POLL_OUT) != 0) {
    wait(watched->writing, Descriptor::wait_write, CURL_CSELECT_OUT);
  }
}

void HttpClient::State::act(curl_socket_t socket, int events) {
  int running = 0;
  curl_multi_socket_action(multi_.get(), socket, events, &running);
  collect_ends();
  tell_news();
}

void HttpClient::State::collect_ends() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    auto* transfer = info<HttpTransfer*>(message->easy_handle, CURLINFO_PRIVATE, nullptr);
    const CURLcode code = message->data.result;  // `message` goes with the next call
    if (transfer) transfer->ended(code);
  }
}

void HttpClient::State::tell_news() {
  auto news = std::exchange(news_, {});
  for (const auto& weak : news) {
    if (const auto transfer = weak.lock()) transfer->tell_news();
  }
}

void HttpClient::State::tell_news_soon() {
  asio::post(loop_, [weak = weak_from_this()] {
    if (const auto alive = weak.lock()) alive->tell_news();
  });
}

// One exchange.

HttpTransfer::HttpTransfer(std::shared_ptr<HttpClient::State> client, HttpRequest request,
                           HttpEvents events)
    : client_(std::move(client)),
      request_(std::move(request)),
      events_(std::move(events)),
      silence_(client_->loop()) {}

void HttpTransfer::begin() {
  const auto url = parse_url(request_.url);
  // RFC 6761: nobody has to be asked for these.
  if (url && url->host.ends_with(".invalid") && !client_->is_told_where(url->host)) {
    finish(bulkhead::fail(error_of({.code = CURLE_COULDNT_RESOLVE_HOST})));
    return client_->tell_news_soon();
  }
  easy_.reset(curl_easy_init());
  if (easy_) {
    client_->configure(easy_.get(), request_);
    curl_easy_setopt(easy_.get(), CURLOPT_PRIVATE, this);
    curl_easy_setopt(easy_.get(), CURLOPT_ERRORBUFFER, words_.data());
    curl_easy_setopt(easy_.get(), CURLOPT_HEADERFUNCTION, &on_header);
    curl_easy_setopt(easy_.get(), CURLOPT_HEADERDATA, this);
    curl_easy_setopt(easy_.get(), CURLOPT_WRITEFUNCTION, &on_body);
    curl_easy_setopt(easy_.get(), CURLOPT_WRITEDATA, this);
    added_ = client_->add(easy_.get());
  }
  if (!added_) {
    finish(bulkhead::fail(ErrorKind::exhausted));
    return client_->tell_news_soon();
  }
  watch_silence();
}

std::size_t HttpTransfer::on_header(char* data, std::size_t size, std::size_t count, void* self) {
  static_cast<HttpTransfer*>(self)->take_header({data, size * count});
  return size * count;
}

std::size_t HttpTransfer::on_body(char* data, std::size_t size, std::size_t count, void* self) {
  return static_cast<HttpTransfer*>(self)->take_body({data, size * count}) ? size * count : 0;
}

void HttpTransfer::take_header(std::string_view line) {
  heard_ = Clock::now();
  if (head_complete_) return;  // trailers of a body in chunks
  if (line.starts_with("HTTP/")) {
    head_ = {};
    const auto space = line.find(' ');
    if (space != std::string_view::npos) head_.status = std::atoi(line.data() + space);
  } else if (begins_with(line, "content-type")) {
    head_.content_type = value_of(line);
  } else if (begins_with(line, "location")) {
    head_.location = value_of(line);
  } else if (begins_with(line, "content-disposition")) {
    head_.disposition = value_of(line);
  } else if (line == "\r\n" || line == "\n") {
    if (head_.status < 200) return;  // "100 Continue": the real one follows
    head_complete_ = true;
    note_news();
  }
}

bool HttpTransfer::take_body(std::string_view bytes) {
  heard_ = Clock::now();
  received_ += bytes.size();
  too_large_ = received_ > client_->options().max_body_bytes;
  if (too_large_) return false;
  arrived_.append(bytes);
  note_news();
  return true;
}

void HttpTransfer::note_news() {
  if (!std::exchange(noted_, true)) client_->has_news(weak_from_this());
}

void HttpTransfer::watch_silence() {
  silence_.expires_at(heard_ + client_->options().silence_limit);
  silence_.async_wait([weak = weak_from_this()](asio::error_code error) {
    const auto self = weak.lock();
    if (!self || error || self->over_ || self->result_) return;
    const auto limit = self->client_->options().silence_limit;
    const bool connected = info<curl_off_t>(self->easy_.get(), CURLINFO_PRETRANSFER_TIME_T, 0) > 0;
    if (!connected) self->heard_ = Clock::now();  // the limit of the connection counts until then
    if (Clock::now() - self->heard_ < limit) return self->watch_silence();
    self->finish(bulkhead::fail(
        ErrorKind::timed_out,
        {.cause = "the server sent nothing for " + std::to_string(limit.count()) + " ms"}));
    self->tell_news();
  });
}

void HttpTransfer::ended(CURLcode code) {
  finish(outcome(code));
  note_news();
}

Result<void> HttpTransfer::outcome(CURLcode code) {
  if (too_large_) {
    return bulkhead::fail(
        ErrorKind::too_large,
        {.cause = "the body is larger than the " +
                  std::to_string(client_->options().max_body_bytes) + " bytes that are loaded"});
  }
  if (code == CURLE_OK) return {};
  CURL* const easy = easy_.get();
  const auto url = parse_url(request_.url);
  HttpFailure failure{.code = code, .words = words_.c_str()};
  if (url) failure.host = url->host;
  if (url) failure.port = url->port;
  failure.certificate = info<long>(easy, CURLINFO_SSL_VERIFYRESULT, 0);
  failure.system = info<long>(easy, CURLINFO_OS_ERRNO, 0);
  failure.connected = info<curl_off_t>(easy, CURLINFO_PRETRANSFER_TIME_T, 0) > 0;
  failure.received = info<curl_off_t>(easy, CURLINFO_SIZE_DOWNLOAD_T, 0);
  failure.announced = info<curl_off_t>(easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, -1);
  return bulkhead::fail(error_of(failure));
}

void HttpTransfer::finish(Result<void> result) {
  if (result_) return;
  if (easy_) {
    const auto length = info<curl_off_t>(easy_.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, -1);
    if (length >= 0) head_.length = static_cast<std::size_t>(length);
  }
  result_ = std::move(result);
  stop();
  note_news();
}

void HttpTransfer::stop() {
  silence_.cancel();
  if (added_) client_->remove(easy_.get());
  added_ = false;
}

void HttpTransfer::tell_news() {
  const auto self = shared_from_this();  // an event may drop it
  noted_ = false;
  if (head_complete_ && !head_told_ && !over_) {
    head_told_ = true;
    const auto length =
        easy_ ? info<curl_off_t>(easy_.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, -1) : -1;
    if (length >= 0) head_.length = static_cast<std::size_t>(length);
    if (events_.head) events_.head(head_);
  }
  if (!arrived_.empty() && !over_) {
    const std::string arrived = std::exchange(arrived_, {});
    if (events_.data) events_.data(bulkhead::as_bytes(arrived));
  }
  if (result_ && !over_) {
    over_ = true;
    const auto end = std::move(events_.end);
    if (end) end(std::move(*result_));
  }
}

void HttpTransfer::drop() {
  over_ = true;
  stop();
}

namespace {

/// What the caller holds: the transfer goes when it is dropped, or after the event that it is in.
class Held final : public HttpExchange {
 public:
  explicit Held(std::shared_ptr<HttpTransfer> transfer) : transfer_(std::move(transfer)) {}
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  ~Held() override { transfer_->drop(); }

 private:
  std::shared_ptr<HttpTransfer> transfer_;
};

}  // namespace

HttpClient::HttpClient(asio::io_context& loop, const LoaderOptions& options)
    : state_(std::make_shared<State>(loop, options)) {}

HttpClient::~HttpClient() = default;

std::unique_ptr<HttpExchange> HttpClient::start(HttpRequest request, HttpEvents events) {
  auto transfer = std::make_shared<HttpTransfer>(state_, std::move(request), std::move(events));
  transfer->begin();
  return std::make_unique<Held>(std::move(transfer));
}

}  // namespace porthole
