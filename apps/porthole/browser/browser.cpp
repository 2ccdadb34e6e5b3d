// SPDX-License-Identifier: Apache-2.0
#include "browser/browser.hpp"

#include <algorithm>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/thread_pool.hpp>
#include <cstdio>
#include <set>
#include <unistd.h>
#include <utility>

#include "browser/about_pages.hpp"
#include "browser/frozen_text.hpp"
#include "browser/plugin_process.hpp"
#include "browser/png_file.hpp"
#include "browser/self_test_run.hpp"
#include "browser/url.hpp"

namespace porthole {
namespace {

using bulkhead::ErrorKind;
using bulkhead::Result;

std::uint32_t number(TabId id) { return static_cast<std::uint32_t>(id); }

// One line, whatever a page put into it.
std::string one_line(std::string text) {
  constexpr std::size_t longest = 1000;
  if (text.size() > longest) text.resize(longest);
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = ' ';
  }
  return text;
}

ProcessRow row_of(std::string kind, const ChildProcess& child) {
  ProcessRow row{.kind = std::move(kind),
                 .pid = child.pid(),
                 .sandbox = layers_in_force(child.sandbox_report())};
  ask_kernel(row);
  return row;
}

ChromeTab::Mark mark_of(const Tab& tab) {
  if (tab.status() == Tab::Status::sad) return ChromeTab::Mark::sad;
  if (tab.busy()) return ChromeTab::Mark::busy;
  return tab.status() == Tab::Status::loading ? ChromeTab::Mark::loading : ChromeTab::Mark::none;
}

std::chrono::milliseconds whole_seconds(std::chrono::milliseconds time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time);
}

std::optional<Overlay> overlay_of(const Tab& tab) {
  if (tab.busy()) {
    return Overlay{Overlay::Kind::not_responding, "Its process has not answered for " +
                                                      seconds_of(whole_seconds(tab.silence())) +
                                                      "; other tabs go on."};
  }
  if (!tab.sad().empty()) return Overlay{Overlay::Kind::sad_tab, tab.sad()};
  return {};
}

}  // namespace

Browser::Browser(asio::io_context& loop, asio::thread_pool& workers, BrowserOptions options)
    : loop_(loop),
      options_(std::move(options)),
      loops_{.loop = loop, .workers = workers},
      roles_(options_.placement),
      loader_(loop, loader_options()),
      gpu_(loops_, roles_, options_.compositor,
           [this](const std::string& line) { report("gpu", line); }),
      plugins_(
          loops_, roles_,
          [this](const std::string& about, const std::string& reason) { report(about, reason); }),
      services_{.loops = loops_,
                .roles = roles_,
                .loader = loader_,
                .gpu = gpu_,
                .plugins = plugins_,
                .numbers = numbers_,
                .hang = {.end_after = options_.hang_timeout},
                .slow_page = [this](const std::string& url,
                                    auto done) { return own_page(url, std::move(done)); },
                .report = [this](const std::string& about,
                                 const std::string& reason) { report(about, reason); }},
      chrome_(loop),
      chrome_layer_(numbers_.layer()) {
  read_bookmarks();
  gpu_.add_layer(
      chrome_layer_, [this](bulkhead::Channel producer) { chrome_.attach(std::move(producer)); },
      [this](const std::string& reason) { report("bars", reason); });
}

Browser::~Browser() { end({}); }

void Browser::read_bookmarks() {
  const auto file = options_.profile.empty() ? ":memory:" : options_.profile / "bookmarks.sqlite";
  const auto bookmarks = Bookmarks::open(file);
  if (!bookmarks) return report(file.string(), bookmarks.error().sentence());
  if (!bookmarks->notice().empty()) report(file.string(), bookmarks->notice());
  const auto bar = bookmarks->list();
  if (!bar) return report(file.string(), bar.error().sentence());
  for (const Bookmark& bookmark : *bar) bookmarks_.push_back(bookmark.title);
}

LoaderOptions Browser::loader_options() {
  return {.resolve = options_.resolve,
          .about = [](const std::string& url) { return about_page(url); }};
}

void Browser::on_change(std::function<void(Tab&)> changed) { changed_ = std::move(changed); }

void Browser::report(const std::string& about, const std::string& reason) const {
  std::fprintf(stderr, "porthole: %s: %s\n", one_line(about).c_str(), one_line(reason).c_str());
}

// Tabs -------------------------------------------------------------------------------------------

Tab& Browser::open(const std::string& input) {
  const TabId id{static_cast<std::uint32_t>(tabs_.size() + 1)};
  const Rect place = content_place(options_.window);
  const Size viewport{.width = place.width, .height = std::max(place.height, 1)};
  tabs_.push_back(std::make_unique<Tab>(id, services_, viewport,
                                        [this](Tab& changed) { tab_changed(changed); }));
  go(*tabs_.back(), input);
  return *tabs_.back();
}

void Browser::go(Tab& tab, const std::string& input) {
  std::error_code unknown;
  const auto url = url_from_input(input, std::filesystem::current_path(unknown));
  if (url) return tab.go(*url);
  tab.go_nowhere(input, url.error().sentence());
}

Tab* Browser::tab(TabId id) {
  const std::size_t position = number(id);
  return position >= 1 && position <= tabs_.size() ? tabs_[position - 1].get() : nullptr;
}

void Browser::tab_changed(Tab& tab) {
  sweep_plugins();
  if (changed_) changed_(tab);
}

// A plugin process is for one site; without a tab of it there is nobody to need it.
void Browser::sweep_plugins() {
  std::set<std::string> sites;
  for (const auto& tab : tabs_) {
    tab->each_process([&](const RendererProcess& page) { sites.insert(page.site().name); });
  }
  plugins_.keep_only(sites);
}

// Pictures ---------------------------------------------------------------------------------------

ChromeState Browser::chrome_state(const Tab& active) const {
  ChromeState state;
  state.active = number(active.id()) - 1;
  state.url = active.url();
  state.can_back = active.history().can_back();
  state.can_forward = active.history().can_forward();
  state.loading = active.status() == Tab::Status::loading;
  state.bookmarks = bookmarks_;
  for (const auto& tab : tabs_) {
    const std::string& title = tab->title();
    state.tabs.push_back({.title = title.empty() ? tab->url() : title, .mark = mark_of(*tab)});
  }
  return state;
}

Result<std::vector<Awaited>> Browser::set_scene(const Tab& tab) {
  const auto frame =
      BULKHEAD_TRY(chrome_.show(chrome_state(tab), options_.window, overlay_of(tab)));
  std::vector<Placed> layers;
  std::vector<Awaited> awaited{{.layer = chrome_layer_, .frame = frame}};
  if (const RendererProcess* page = tab.page()) {
    layers.push_back({.layer = page->layer(), .place = content_place(options_.window)});
    awaited.push_back({.layer = page->layer(), .frame = page->frame()});
  }
  layers.push_back({.layer = chrome_layer_, .place = chrome_.place()});
  gpu_.set_scene(number(tab.id()), options_.window, std::move(layers));
  return awaited;
}

// One after the other: the bars have one layer for all tabs.
void Browser::capture(TabId tab, GpuProcess::Captured captured) {
  shots_.push_back({.tab = tab, .captured = std::move(captured)});
  if (shots_.size() == 1) next_shot();
}

void Browser::next_shot() {
  const auto finish = [this](Result<Picture> picture) {
    const auto captured = std::move(shots_.front().captured);
    shots_.pop_front();
    captured(std::move(picture));
    if (!shots_.empty()) next_shot();
  };
  const Tab* wanted = tab(shots_.front().tab);
  if (!wanted) {
    return finish(bulkhead::fail(ErrorKind::not_found,
                                 {.operation = "take a picture", .cause = "there is no such tab"}));
  }
  auto awaited = set_scene(*wanted);
  if (!awaited) return finish(bulkhead::fail(std::move(awaited).error()));
  gpu_.capture(number(wanted->id()), std::move(*awaited), finish);
}

void Browser::screenshot(TabId tab, std::filesystem::path file,
                         std::function<void(Result<void>)> written) {
  capture(tab, [this, file = std::move(file), written](Result<Picture> picture) {
    if (!picture) return written(bulkhead::fail(std::move(picture).error()));
    asio::post(loops_.workers, [this, file, written, taken = std::move(*picture)] {
      auto outcome = write_png(taken, file);
      asio::post(loop_, [written, outcome = std::move(outcome)] { written(outcome); });
    });
  });
}

// What only the browser process knows. about:sandbox tries things in dozens of processes, and takes
// a worker a second or two.
std::unique_ptr<Load> Browser::own_page(const std::string& url,
                                        std::function<void(Result<Loaded>)> done) {
  if (url != "about:sandbox" && url != "about:processes") return nullptr;
  struct Making final : Load {
    std::shared_ptr<bool> wanted = std::make_shared<bool>(true);
    ~Making() override { *wanted = false; }
  };
  auto making = std::make_unique<Making>();
  const auto finish = [url, done = std::move(done), wanted = making->wanted](std::string html) {
    if (!*wanted) return;
    auto page = frozen_text(html);
    if (!page) return done(bulkhead::fail(std::move(page).error()));
    done(Loaded{.head = {.status = 200, .url = url, .mime_type = "text/html", .charset = "utf-8"},
                .body = std::move(*page)});
  };
  if (url == "about:processes") {
    asio::post(loop_, [this, finish] { finish(processes_page(processes())); });
  } else {
    asio::post(loops_.workers, [this, finish, gl = gpu_.gl()] {
      asio::post(loop_, [finish, html = to_html(try_all_roles(gl))] { finish(html); });
    });
  }
  return making;
}

// Processes --------------------------------------------------------------------------------------

std::vector<ProcessRow> Browser::processes() const {
  std::vector<ProcessRow> rows;
  rows.push_back({.kind = "browser", .pid = ::getpid()});
  ask_kernel(rows.back());
  for (const auto& tab : tabs_) {
    tab->each_process([&](const RendererProcess& page) {
      if (!page.process().running()) return;
      rows.push_back(row_of("renderer", page.process()));
      rows.back().site = page.site().name;
      rows.back().tab = tab->id();
    });
  }
  plugins_.each([&](const PluginProcess& plugin) {
    rows.push_back(row_of("plugin", plugin.process()));
    rows.back().site = plugin.site();
    rows.back().plugin = plugin.name();
  });
  if (const ChildProcess* gpu = gpu_.process(); gpu && gpu->running()) {
    rows.push_back(row_of("gpu", *gpu));
    rows.back().composer = gpu_.composer();
  }
  return rows;
}

void Browser::end(std::function<void()> ended) {
  changed_ = nullptr;
  loops_.childless = std::move(ended);
  tabs_.clear();
  plugins_.end();
  gpu_.end();
  if (loops_.children == 0 && loops_.childless) loops_.childless();
}

}  // namespace porthole
