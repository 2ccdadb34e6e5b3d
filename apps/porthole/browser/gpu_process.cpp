// SPDX-License-Identifier: Apache-2.0
#include "browser/gpu_process.hpp"

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <utility>

#include <bulkhead/asio.hpp>

#include "gpu/render_node.hpp"
#include "gpu/sandbox.hpp"

namespace porthole {
namespace {

using bulkhead::ErrorKind;
using bulkhead::Result;

constexpr int most_deaths = 3;
constexpr std::chrono::minutes deaths_within{2};
constexpr std::chrono::seconds hang_limit{5};
constexpr std::chrono::seconds picture_limit{10};

bulkhead::Error no_picture(std::string cause) {
  return bulkhead::Error{ErrorKind::peer_died,
                         {.operation = "take a picture", .cause = std::move(cause)}};
}

bool fits(const Picture& picture, Size asked) {
  const auto pixels =
      static_cast<std::size_t>(asked.width) * static_cast<std::size_t>(asked.height);
  return picture.size == asked && picture.pixels.size() >= 4 * pixels;
}

}  // namespace

GlUse gl_use(CompositorChoice choice) {
  if (choice == CompositorChoice::gl) return GlUse::any;
  if (choice == CompositorChoice::cpu) return GlUse::none;
  return has_render_node() ? GlUse::hardware : GlUse::none;
}

/// One gpu process: what it is told, and what it says. Outlives it by its last message.
class GpuProcess::Host {
 public:
  auto ignored() {
    return asio::bind_executor(loop_, [](const Result<void>&) {});
  }

  Host(GpuProcess& owner, asio::io_context& loop, bulkhead::Channel& channel)
      : owner_(&owner),
        loop_(loop),
        gpu(channel),
        watch(loop, {.end_after = hang_limit},
              {.ping = [this](std::uint64_t token) { gpu.async_ping(token, ignored()); },
               .hung = [this] { misbehaved("did not answer for 5 s"); }}) {}

  // CompositorHost
  void captured(RequestId id, Picture picture) {
    if (!owner_) return;
    const auto known = owner_->captures_.find(id);
    // One that took too long has been answered already.
    if (known == owner_->captures_.end()) return check_number(id);
    if (!fits(picture, known->second.size)) return misbehaved("sent a picture of another size");
    owner_->answer(id, std::move(picture));
  }
  void not_captured(RequestId id, std::string reason) {
    if (!owner_) return;
    if (!owner_->captures_.contains(id)) return check_number(id);
    owner_->answer(id, bulkhead::fail(no_picture(reason.substr(0, 500))));
  }
  void producer_failed(LayerId layer, std::string reason) {
    if (!owner_) return;
    const auto known = owner_->layers_.find(layer);
    if (known == owner_->layers_.end()) return;  // it was removed meanwhile
    const Failed failed = known->second.failed;
    if (failed) failed(reason.substr(0, 500));
  }
  void pong(std::uint64_t token) {
    if (!watch.pong(token)) return misbehaved("answered a ping that nobody sent");
    if (owner_) owner_->answered_ = true;
  }
  void composer(std::string name, std::string why_no_gl) {
    if (owner_) owner_->told(name.substr(0, 200), why_no_gl.substr(0, 500));
  }

  void misbehaved(const std::string& what) {
    if (owner_) owner_->misbehaved(what);
  }
  void disown() {
    owner_ = nullptr;
    watch.stop();
  }

 private:
  void check_number(RequestId id) {
    if (static_cast<std::uint64_t>(id) >= owner_->next_request_) {
      misbehaved("answered a request that nobody made");
    }
  }

  GpuProcess* owner_;
  asio::io_context& loop_;

 public:
  bulkhead::Remote<Compositor> gpu;
  HangWatch watch;
};

GpuProcess::GpuProcess(Loops& loops, const Roles& roles, CompositorChoice choice, Report report)
    : loops_(loops), roles_(roles), gl_(gl_use(choice)), report_(std::move(report)) {
  start();
}

GpuProcess::~GpuProcess() { end(); }

void GpuProcess::start() {
  auto options = roles_.options("gpu", gpu_sandbox(gl_));
  options.arguments = bulkhead::arguments(std::string(), gl_);
  composer_ = gl_ == GlUse::none ? "cpu" : "";
  answered_ = false;
  ChildProcess::Events events{.started = [this] { started(); },
                              .gone = [this](const std::string& how) { died(how); }};
  child_ = ChildProcess::start(loops_, &bulkhead::spawn<gpu_main>, std::move(options),
                               std::move(events));
}

void GpuProcess::started() {
  const auto host = std::make_shared<Host>(*this, loops_.loop, child_->channel());
  host_ = host;
  bulkhead::async_serve<CompositorHost>(
      child_->channel(), *host, asio::bind_executor(loops_.loop, [host](const Result<void>& ended) {
        // Its death is told by the kernel; what is left is a message that cannot be read.
        if (!ended && ended.error() == ErrorKind::corrupt) {
          host->misbehaved("sent a message that cannot be read");
        }
      }));
  for (const auto& [layer, kept] : layers_) attach(layer, kept);
  for (const auto& [output, scene] : scenes_) {
    host->gpu.async_set_scene(output, scene.size, scene.layers, host->ignored());
  }
  for (auto& [id, capture] : captures_) ask(id, capture);
  host->watch.start();
}

void GpuProcess::died(const std::string& how) {
  const pid_t pid = child_->pid();
  if (host_) std::exchange(host_, nullptr)->disown();
  if (stopped_) return;
  if (std::exchange(replaced_, false)) return start();
  report_("the gpu process (pid " + std::to_string(pid) + ") ended: " + how);
  deaths_in_a_row_ = answered_ ? 0 : deaths_in_a_row_ + 1;
  if (gl_ != GlUse::none && fails_with_gl()) {
    report_("three gpu processes have ended within two minutes: the CPU draws from now on");
    go_without_gl();
    return start();
  }
  if (deaths_in_a_row_ >= most_deaths) return give_up(how);
  std::vector<RequestId> lost;
  for (auto& [id, capture] : captures_) {
    if (++capture.deaths >= most_deaths) lost.push_back(id);
  }
  for (const RequestId id : lost) {
    answer(id, bulkhead::fail(no_picture("three gpu processes ended over it (" + how + ")")));
  }
  start();
}

void GpuProcess::give_up(const std::string& how) {
  stopped_ = true;
  report_(
      "three gpu processes in a row have ended, and no more are started: there are no pictures");
  while (!captures_.empty()) {
    answer(captures_.begin()->first,
           bulkhead::fail(no_picture("the gpu process does not start (" + how + ")")));
  }
}

void GpuProcess::told(std::string composer, const std::string& why_no_gl) {
  if (gl_ == GlUse::none) return misbehaved("spoke of GL, with which it does not draw");
  composer_ = std::move(composer);
  if (why_no_gl.empty()) return;
  report_("the CPU draws: " + why_no_gl);
  if (roles_.are_threads()) return;  // the same one goes on; it has no sandbox to be changed
  go_without_gl();
  // What it was allowed for GL, another one need not be.
  replaced_ = true;
  misbehaved("has no GL");
}

/// One has died. Three in a row count however long they took.
bool GpuProcess::fails_with_gl() {
  const auto now = std::chrono::steady_clock::now();
  deaths_with_gl_.push_back(now);
  while (now - deaths_with_gl_.front() > deaths_within) deaths_with_gl_.pop_front();
  return deaths_with_gl_.size() >= most_deaths || deaths_in_a_row_ >= most_deaths;
}

void GpuProcess::go_without_gl() {
  gl_ = GlUse::none;
  deaths_in_a_row_ = 0;
  for (auto& [id, capture] : captures_) capture.deaths = 0;
}

void GpuProcess::misbehaved(const std::string& what) {
  if (host_) std::exchange(host_, nullptr)->disown();
  if (child_) child_->end("it " + what);
}

void GpuProcess::end() {
  stopped_ = true;
  if (host_) std::exchange(host_, nullptr)->disown();
  if (child_) child_->abandon();
}

void GpuProcess::add_layer(LayerId layer, Attach attach_to, Failed failed) {
  const auto& kept =
      layers_.insert_or_assign(layer, Layer{std::move(attach_to), std::move(failed)}).first->second;
  if (host_) attach(layer, kept);
}

void GpuProcess::attach(LayerId layer, const Layer& kept) {
  auto ends = roles_.channel();
  if (!ends) return report_("a layer has no channel: " + ends.error().sentence());
  host_->gpu.async_add_layer(layer, std::move(ends->first), host_->ignored());
  kept.attach(std::move(ends->second));
}

void GpuProcess::remove_layer(LayerId layer) {
  if (layers_.erase(layer) > 0 && host_) host_->gpu.async_remove_layer(layer, host_->ignored());
}

void GpuProcess::set_scene(std::uint32_t output, Size size, std::vector<Placed> layers) {
  const Scene& scene =
      scenes_.insert_or_assign(output, Scene{size, std::move(layers)}).first->second;
  if (host_) host_->gpu.async_set_scene(output, scene.size, scene.layers, host_->ignored());
}

void GpuProcess::remove_scene(std::uint32_t output) {
  if (scenes_.erase(output) > 0 && host_) host_->gpu.async_remove_scene(output, host_->ignored());
}

void GpuProcess::capture(std::uint32_t output, std::vector<Awaited> awaited, Captured captured) {
  const auto scene = scenes_.find(output);
  const RequestId id{next_request_++};
  Capture& capture = captures_[id] = {.output = output,
                                      .size = scene == scenes_.end() ? Size{} : scene->second.size,
                                      .awaited = std::move(awaited),
                                      .captured = std::move(captured)};
  if (stopped_) return answer(id, bulkhead::fail(no_picture("there is no gpu process")));
  if (host_) ask(id, capture);
}

void GpuProcess::ask(RequestId id, Capture& capture) {
  host_->gpu.async_capture(id, capture.output, capture.awaited, host_->ignored());
  const auto timer = std::make_shared<asio::steady_timer>(loops_.loop, picture_limit);
  capture.limit = timer;  // an earlier one is cancelled by that
  timer->async_wait([this, id](const asio::error_code& error) {
    if (error) return;
    answer(id, bulkhead::fail(ErrorKind::timed_out,
                              {.operation = "take a picture",
                               .cause = "the gpu process did not finish it within 10 s"}));
  });
}

void GpuProcess::answer(RequestId id, Result<Picture> picture) {
  auto taken = captures_.extract(id);
  if (taken.empty()) return;
  answered_ = answered_ || picture.has_value();
  taken.mapped().captured(std::move(picture));
}

}  // namespace porthole
