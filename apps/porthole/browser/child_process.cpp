// SPDX-License-Identifier: Apache-2.0
#include "browser/child_process.hpp"

#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/thread_pool.hpp>
#include <cstdio>
#include <cstdlib>
#include <unistd.h>
#include <utility>

#include <bulkhead/asio.hpp>

namespace porthole {
namespace {

using bulkhead::Exit;
using bulkhead::Process;
using bulkhead::Result;

// How long a thread may take to leave after its channels were closed.
constexpr std::chrono::seconds thread_patience{2};

[[noreturn]] void end_everything(const std::string& name, const std::string& why) {
  std::fflush(stdout);
  std::fprintf(stderr,
               "porthole: the %s is a thread and cannot be ended alone, so all of porthole ends "
               "(%s)\n",
               name.c_str(), why.c_str());
  ::_exit(EXIT_FAILURE);
}

}  // namespace

ChildProcess::ChildProcess(Loops& loops, Events events, std::string name,
                           bulkhead::Placement placement)
    : loops_(loops), events_(std::move(events)), name_(std::move(name)), placement_(placement) {}

std::shared_ptr<ChildProcess> ChildProcess::start(Loops& loops, Role role,
                                                  bulkhead::SpawnOptions options, Events events) {
  const std::shared_ptr<ChildProcess> child{
      new ChildProcess(loops, std::move(events), options.name, options.placement)};
  ++loops.children;
  asio::post(loops.workers, [child, role, options = std::move(options)]() mutable {
    auto& loop = child->loops_.loop;
    auto process = role(std::move(options));
    asio::post(loop, [child = std::move(child), process = std::move(process)]() mutable {
      child->began(std::move(process));
    });
  });
  return child;
}

void ChildProcess::began(Result<Process> process) {
  if (!process) return finish(process.error().sentence());
  process_ = std::make_shared<Process>(std::move(*process));
  pid_ = process_->pid();
  report_ = process_->sandbox_report();
  process_->async_wait(
      asio::bind_executor(loops_.loop, [self = shared_from_this()](Result<Exit> exit) {
        self->finish(exit ? to_string(*exit) : exit.error().sentence());
      }));
  if (state_ == State::ending) return kill();
  state_ = State::running;
  const auto started = events_.started;  // what it does may abandon us
  if (started) started();
}

void ChildProcess::end(std::string why) {
  if (state_ == State::ending || state_ == State::gone) return;
  const bool runs = state_ == State::running;
  state_ = State::ending;
  why_ = std::move(why);
  if (runs) kill();
}

void ChildProcess::abandon() {
  events_ = {};
  end("it is no longer needed");
}

void ChildProcess::kill() {
  if (placement_ == bulkhead::Placement::thread) {
    process_->channel().close();
    auto timer = std::make_shared<asio::steady_timer>(loops_.loop, thread_patience);
    timer->async_wait([weak = weak_from_this(), timer](const asio::error_code& error) {
      const auto self = weak.lock();
      if (!error && self && self->state_ != State::gone) {
        end_everything(self->name_, self->why_.value_or(""));
      }
    });
    return;
  }
  // To kill is to wait until it has been reaped: not here.
  asio::post(loops_.workers,
             [process = process_] { static_cast<void>(process->kill("ended by the browser")); });
}

void ChildProcess::finish(std::string how) {
  if (state_ == State::gone) return;
  state_ = State::gone;
  const Events events = std::exchange(events_, {});
  --loops_.children;
  if (events.gone) events.gone(why_.value_or(std::move(how)));
  if (loops_.children == 0 && loops_.childless) loops_.childless();
}

}  // namespace porthole
