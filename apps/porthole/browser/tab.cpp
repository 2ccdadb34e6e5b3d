// SPDX-License-Identifier: Apache-2.0
#include "browser/tab.hpp"

#include <algorithm>
#include <utility>

#include "browser/about_pages.hpp"
#include "browser/frozen_text.hpp"
#include "browser/load_policy.hpp"
#include "browser/plugin_processes.hpp"

namespace porthole {
namespace {

using bulkhead::Result;

constexpr int first_failure = 400;  // of HTTP's status codes
constexpr std::size_t longest_title = 1000;
// Of one page: who looks for the reason has it by then.
constexpr int most_reports = 100;

bool is_text(const std::string& mime_type) {
  return mime_type.starts_with("text/") || mime_type == "application/xhtml+xml" ||
         mime_type == "application/xml" || mime_type == "application/json" ||
         mime_type == "application/javascript";
}

// Without "load" and the URL: whoever is told knows that.
std::string reason_of(const bulkhead::Error& error) {
  if (error.cause().empty()) return error.sentence();
  return error.cause() + (error.remedy().empty() ? "" : "; " + error.remedy());
}

Commit document(std::string mime_type, std::string charset = {},
                std::optional<bulkhead::Region> body = {}) {
  return {.navigation = {},
          .url = {},
          .mime_type = std::move(mime_type),
          .charset = std::move(charset),
          .body = std::move(body)};
}

}  // namespace

Tab::Tab(TabId id, Services& services, Size viewport, std::function<void(Tab&)> changed)
    : id_(id), services_(services), viewport_(viewport), changed_(std::move(changed)) {}

Tab::~Tab() {
  drop_pending();
  if (shown_) retire(shown_->renderer);
}

// What is asked for ------------------------------------------------------------------------------

void Tab::go(const Url& url) { begin(Kind::fresh, url.text, 0, {}); }

void Tab::go_nowhere(const std::string& address, const std::string& reason) {
  start_navigation(Kind::fresh, address, 0, {});
  show_error(reason);
}

bool Tab::reload() {
  if (pending_) return begin(pending_->kind, pending_->address, pending_->entry, pending_->scroll);
  if (history_.empty()) return false;
  const auto& entry = history_.current();
  return begin(Kind::reload, entry.url, history_.position(), entry.scroll);
}

bool Tab::back() { return travel(-1); }
bool Tab::forward() { return travel(1); }

bool Tab::travel(int steps) {
  if (steps < 0 ? !history_.can_back() : !history_.can_forward()) return false;
  const std::size_t position = history_.position() + static_cast<std::size_t>(steps);
  const auto& entry = history_.at(position);
  return begin(Kind::history, entry.url, position, entry.scroll);
}

void Tab::stop() {
  if (pending_ && !pending_->renderer) {
    drop_pending();
  } else if (const Navigation* current = pending_ ? &*pending_ : shown_ ? &*shown_ : nullptr) {
    if (current->renderer) current->renderer->stop(current->id);
  }
  changed_(*this);
}

void Tab::scroll_to(Point offset) {
  if (!history_.empty()) history_.set_scroll(offset);
  if (!shown_ || !shown_->renderer || shown_->renderer->gone()) return;
  shown_->complete = false;  // until it has painted that
  shown_->renderer->scroll_to(offset);
}

bool Tab::end(const std::string& why) {
  bool ended = false;
  for (auto* navigation : {&pending_, &shown_}) {
    if (!*navigation || !(*navigation)->renderer || (*navigation)->renderer->gone()) continue;
    (*navigation)->renderer->end(why);
    ended = true;
  }
  return ended;
}

// From an address to a renderer ------------------------------------------------------------------

void Tab::start_navigation(Kind kind, const std::string& address, std::size_t entry, Point scroll) {
  drop_pending();
  pending_.emplace();
  pending_->id = services_.numbers.navigation();
  pending_->kind = kind;
  pending_->address = address;
  pending_->url = address;
  pending_->entry = entry;
  pending_->scroll = scroll;
  if (shown_ && shown_->renderer && shown_->renderer->alive()) {
    pending_->proof = shown_->renderer->ask_now();
  }
}

bool Tab::begin(Kind kind, std::string address, std::size_t entry, Point scroll) {
  start_navigation(kind, address, entry, scroll);
  const auto url = parse_url(address);
  if (!url) {
    show_error(url.error().sentence());
  } else if (is_misbehaving_page(url->text)) {
    // What it does is done by the renderer; there is nothing to load.
    commit(*url, document("text/html"));
  } else {
    ask(*url);
  }
  return true;
}

void Tab::ask(const Url& url) {
  LoadEvents events{.on_redirect = {},
                    .on_head = [this](const ResourceHead& head) { return head_came(head); },
                    .done = [this](Result<Loaded> loaded) { response_came(std::move(loaded)); }};
  pending_->load = services_.slow_page(url.text, events.done);
  if (!pending_->load) {
    pending_->load = services_.loader.start(url.text, LoadKind::page, std::move(events));
  }
  changed_(*this);
}

Decision Tab::head_came(const ResourceHead& head) {
  if (is_text(head.mime_type) || services_.plugins.handles(head.mime_type)) return Decision::go_on;
  pending_->url = head.url;
  show_error("its type " + head.mime_type + " is not supported");
  return Decision::stop;
}

void Tab::response_came(Result<Loaded> loaded) {
  const auto kept = std::move(pending_->load);  // to the end of its own event
  if (!loaded) return show_error(reason_of(loaded.error()));
  const ResourceHead& head = loaded->head;
  pending_->url = head.url;
  const auto url = parse_url(head.url);
  if (!url) return show_error(url.error().sentence());
  if (head.status >= first_failure) {
    const std::string answer = "the server answered " + std::to_string(head.status);
    if (!loaded->body) return show_error(answer);
    pending_->failure = answer;  // with a page of its own
    services_.report(pending_->url, answer);
  }
  auto shown = document(head.mime_type, head.charset, std::move(loaded->body));
  shown.scroll = pending_->scroll;
  commit(*url, std::move(shown));
}

// The page that says so is made here, and shown by a process that no site is locked to.
void Tab::show_error(const std::string& reason) {
  pending_->failure = reason;
  services_.report(pending_->url, reason);
  auto body = frozen_text(error_page(pending_->url, reason));
  const auto url = parse_url("about:error");
  if (!body || !url) return fail_without_page(reason);
  commit(*url, document("text/html", "utf-8", std::move(*body)));
}

void Tab::fail_without_page(const std::string& reason) {
  drop_pending();
  sad_ = reason;
  changed_(*this);
}

void Tab::commit(const Url& url, Commit commit) {
  commit.navigation = pending_->id;
  commit.url = url.text;
  pending_->committed = url;
  pending_->held = std::move(commit);
  commit_held();
  changed_(*this);
}

void Tab::commit_held() {
  if (!pending_ || !pending_->held) return;
  const Url& url = *pending_->committed;
  if (may_take_over(url)) {
    if (!shown_->renderer->answered(pending_->proof)) return;  // in a moment
    pending_->renderer = shown_->renderer;
  } else {
    pending_->renderer = RendererProcess::start(services_, *this, site_of(url), viewport_);
  }
  remember(*pending_);
  pending_->renderer->commit(url, *std::exchange(pending_->held, std::nullopt));
}

bool Tab::may_take_over(const Url& url) const {
  if (!shown_ || !shown_->renderer) return false;
  const RendererProcess& current = *shown_->renderer;
  return current.alive() && !current.busy() && may_share_process(current.site(), site_of(url));
}

void Tab::remember(const Navigation& navigation) {
  switch (navigation.kind) {
    case Kind::fresh:
      history_.push(navigation.url);
      break;
    case Kind::reload:
    case Kind::history:
      history_.go_to(navigation.entry, navigation.url);
      break;
  }
}

void Tab::drop_pending() {
  if (!pending_) return;
  auto dropped = std::exchange(pending_, std::nullopt);
  if (dropped->renderer && !(shown_ && shown_->renderer == dropped->renderer)) {
    retire(dropped->renderer);
  }
}

void Tab::retire(std::shared_ptr<RendererProcess>& renderer) {
  if (renderer) std::exchange(renderer, nullptr)->abandon();
}

// What a renderer says ---------------------------------------------------------------------------

void Tab::page_parsed(RendererProcess&, NavigationId navigation, std::string title) {
  if (!pending_ || pending_->id != navigation) return;
  if (title.size() > longest_title) title.resize(longest_title);
  title_ = title;
  history_.set_title(std::move(title));
}

void Tab::page_painted(RendererProcess& from, NavigationId navigation, std::uint64_t, Size,
                       bool complete) {
  if (pending_ && pending_->id == navigation) {
    auto before = std::exchange(shown_, std::move(pending_));
    pending_.reset();
    if (before && before->renderer.get() != &from) retire(before->renderer);
    sad_.clear();
  }
  if (!shown_ || shown_->id != navigation) return;
  shown_->complete = shown_->complete || complete;
  changed_(*this);
}

void Tab::link_followed(RendererProcess& from, std::string address) {
  if (!shown_ || shown_->renderer.get() != &from) return;
  const auto url = parse_url(address);
  if (!url) return services_.report(address.substr(0, 200), url.error().sentence());
  if (const auto may = may_navigate(*shown_->committed, *url); !may) {
    return services_.report(url->text, may.error().sentence());
  }
  go(*url);
}

void Tab::page_reported(NavigationId navigation, std::string text) {
  auto& about = pending_ && pending_->id == navigation ? pending_ : shown_;
  if (!about || ++about->reports > most_reports) return;
  services_.report(about->url, about->reports < most_reports ? text : "and so on");
}

void Tab::renderer_answered(RendererProcess&) {
  if (!pending_ || !pending_->held) return;
  commit_held();
  changed_(*this);
}

void Tab::renderer_busy(RendererProcess&, bool busy) {
  services_.report(url(), busy ? "it does not respond" : "it responds again");
  commit_held();
  changed_(*this);
}

void Tab::renderer_gone(RendererProcess& from, const std::string& how) {
  const pid_t pid = from.process().pid();
  const std::string cause =
      "The page's process" + (pid ? " (pid " + std::to_string(pid) + ")" : "") + " ended: " + how;
  const bool was_pending = pending_ && pending_->renderer.get() == &from;
  services_.report(was_pending ? pending_->url : url(), cause);
  if (shown_ && (was_pending || shown_->renderer.get() == &from)) {
    if (shown_->renderer.get() != &from) retire(shown_->renderer);
    shown_->renderer.reset();
  }
  if (was_pending) {
    pending_.reset();
    title_.clear();
  }
  sad_ = cause;
  commit_held();
  changed_(*this);
}

// What can be seen -------------------------------------------------------------------------------

Tab::Status Tab::status() const noexcept {
  if (pending_) return Status::loading;
  if (!sad_.empty()) return Status::sad;
  if (!shown_) return Status::empty;
  const bool ending = shown_->renderer && shown_->renderer->gone();  // how is told in a moment
  if (!shown_->complete || ending) return Status::loading;
  return shown_->failure.empty() ? Status::painted : Status::failed;
}

std::chrono::milliseconds Tab::silence() const {
  std::chrono::milliseconds longest{0};
  each_process([&](const RendererProcess& page) { longest = std::max(longest, page.silence()); });
  return longest;
}

bool Tab::busy() const {
  bool hangs = false;
  each_process([&](const RendererProcess& page) { hangs = hangs || page.busy(); });
  return hangs;
}

std::string Tab::reason() const {
  if (pending_) return {};
  return sad_.empty() && shown_ ? shown_->failure : sad_;
}

std::string Tab::url() const {
  if (pending_) return pending_->url;
  if (!history_.empty()) return history_.current().url;
  return {};
}

const RendererProcess* Tab::page() const noexcept {
  if (!sad_.empty() || !shown_ || !shown_->renderer || shown_->renderer->gone()) return nullptr;
  return shown_->renderer.get();
}

void Tab::each_process(const std::function<void(const RendererProcess&)>& see) const {
  const RendererProcess* seen = nullptr;
  for (const auto* navigation : {&shown_, &pending_}) {
    if (!*navigation || !(*navigation)->renderer) continue;
    const RendererProcess* renderer = (*navigation)->renderer.get();
    if (renderer != std::exchange(seen, renderer) && !renderer->gone()) see(*renderer);
  }
}

}  // namespace porthole
