// SPDX-License-Identifier: Apache-2.0
//
// GpuProcess: the browser's side of the process that composes pictures. It keeps what that process
// was told, so that another one can take over: layers are attached again, scenes set again, and
// pictures that are still owed asked for again. Nothing repaints.
//
// STATE
//   starting -> running      it was told everything
//   running  -> starting     it died or did not answer for five seconds
//   starting -> given_up     three in a row died without answering anything
// A picture over which three of them died is not asked for again.
// With GL: three that died within two minutes, or one that says that GL has failed, and from then on
// they draw with the CPU, as if nothing had died before.
//
// Threads: the loop's. Blocking: never; whatever is told while none runs is kept.
// Trust: what it answers is checked: numbers that nobody asked for, and pictures whose size is not
// the scene's, end it like a crash.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <bulkhead/channel.hpp>
#include <bulkhead/result.hpp>
#include <bulkhead/service.hpp>

#include "browser/child_process.hpp"
#include "browser/hang_watch.hpp"
#include "browser/loops.hpp"
#include "browser/roles.hpp"
#include "gpu/main.hpp"
#include "interfaces/compositor.hpp"

namespace porthole {

/// What draws. `automatic`: GL on a GPU, and the CPU where there is none.
enum class CompositorChoice : std::uint8_t { automatic, cpu, gl };

/// What that comes to on this machine; looks for a GPU's device file.
GlUse gl_use(CompositorChoice choice);

class GpuProcess {
 public:
  /// Called with the producer's end of a channel, again for each new gpu process.
  using Attach = std::function<void(bulkhead::Channel producer)>;
  /// What it says that a producer did.
  using Failed = std::function<void(std::string reason)>;
  using Captured = std::function<void(bulkhead::Result<Picture>)>;
  using Report = std::function<void(const std::string& line)>;

  GpuProcess(Loops& loops, const Roles& roles, CompositorChoice choice, Report report);
  GpuProcess(const GpuProcess&) = delete;
  GpuProcess& operator=(const GpuProcess&) = delete;
  ~GpuProcess();

  void add_layer(LayerId layer, Attach attach, Failed failed);
  void remove_layer(LayerId layer);
  void set_scene(std::uint32_t output, Size size, std::vector<Placed> layers);
  void remove_scene(std::uint32_t output);
  /// A picture of an output whose scene is set, with at least those frames; answered within ten
  /// seconds of a gpu process that runs.
  void capture(std::uint32_t output, std::vector<Awaited> awaited, Captured captured);

  /// For the table of processes: null while none was started.
  const ChildProcess* process() const noexcept { return child_.get(); }
  /// "cpu", "gl on ..." with what GL calls itself; empty while it starts with GL.
  const std::string& composer() const noexcept { return composer_; }
  /// With what the next one may draw.
  GlUse gl() const noexcept { return gl_; }
  /// Ends it, and starts no other.
  void end();

 private:
  struct Layer {
    Attach attach;
    Failed failed;
  };
  struct Scene {
    Size size;
    std::vector<Placed> layers;
  };
  struct Capture {
    std::uint32_t output = 0;
    Size size{};
    std::vector<Awaited> awaited;
    Captured captured;
    int deaths = 0;
    std::shared_ptr<void> limit = {};  ///< a timer
  };
  class Host;

  void start();
  void started();
  void died(const std::string& how);
  void attach(LayerId layer, const Layer& kept);
  void ask(RequestId id, Capture& capture);
  void answer(RequestId id, bulkhead::Result<Picture> picture);
  void give_up(const std::string& how);
  void told(std::string composer, const std::string& why_no_gl);
  bool fails_with_gl();
  void go_without_gl();
  void misbehaved(const std::string& what);

  Loops& loops_;
  const Roles& roles_;
  GlUse gl_;
  Report report_;
  std::string composer_;
  std::deque<std::chrono::steady_clock::time_point> deaths_with_gl_;
  std::shared_ptr<ChildProcess> child_;
  std::shared_ptr<Host> host_;
  bool stopped_ = false;
  bool answered_ = false;  ///< this one has answered something
  bool replaced_ = false;  ///< this one is ended for one that draws with the CPU
  int deaths_in_a_row_ = 0;
  std::map<LayerId, Layer> layers_;
  std::map<std::uint32_t, Scene> scenes_;
  std::map<RequestId, Capture> captures_;
  std::uint64_t next_request_ = 1;
};

}  // namespace porthole
