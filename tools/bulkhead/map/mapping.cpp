// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/map/mapping.hpp"

#include <algorithm>
#include <array>
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/post.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <fmt/format.h>
#include <memory>
#include <set>
#include <unistd.h>
#include <unordered_set>
#include <utility>

#include "tools/bulkhead/map/inputs.hpp"
#include "tools/bulkhead/map/progress.hpp"

namespace bulkhead::tools::map {
namespace {

using namespace std::chrono_literals;
using asio::posix::stream_descriptor;

constexpr int could_not_go_on = 255;

/// An input under way: one attempt after the other.
struct Job {
  Job(asio::io_context& loop, Inputs::Input of, unsigned at)
      : input(std::move(of)),
        slot(at),
        ended(loop),
        streams{stream_descriptor{loop}, stream_descriptor{loop}},
        timer(loop) {}

  Inputs::Input input;
  unsigned slot;
  unsigned attempt = 1;
  std::vector<std::string> words;
  std::optional<Program> program;
  stream_descriptor ended;
  stream_descriptor streams[2];  // by Stream
  asio::steady_timer timer;
  bool out_of_time = false;
  bool given_up = false;  // the run ends before it
  std::uint64_t output_bytes = 0;
  std::chrono::system_clock::time_point begun;
  std::chrono::steady_clock::time_point begun_at;
};
using JobPtr = std::shared_ptr<Job>;

class Mapping {
 public:
  explicit Mapping(const Options& options)
      : options_(options),
        output_(FdView{STDOUT_FILENO}, FdView{STDERR_FILENO}, options.order,
                options.retries > 0 ? Output::Passing::when_ended : Output::Passing::at_once),
        progress_(options.progress) {
    for (unsigned slot = 1; slot <= options.workers; ++slot) free_.insert(slot);
    output_.before_writing([this] { progress_.wipe(); });
  }

  int run() {
    if (auto ready = prepare(); !ready) return refuse(ready.error());
    listen_to_signals();
    draw();
    go_on_soon();
    loop_.run();
    progress_.wipe();
    if (signal_ != 0) end_by_signal();
    if (fatal_) return refuse(*fatal_);
    return status();
  }

 private:
  Result<void> prepare() {
    const std::string program = options_.command.program();
    if (!program.empty() && !options_.dry_run) path_ = BULKHEAD_TRY(find_program(program));
    nothing_ = Fd::adopt(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!nothing_) {
      return fail(Error::from_errno(errno, {.operation = "open", .object = "/dev/null"}));
    }
    if (!options_.job_log.empty() && !options_.dry_run) {
      log_ = BULKHEAD_TRY(JobLog::open(options_.job_log, options_.keep));
    }
    if (options_.inputs) {
      inputs_.emplace(*options_.inputs);
      return {};
    }
    const bool from_file = !options_.input_file.empty();
    Fd from = from_file ? Fd::adopt(::open(options_.input_file.c_str(), O_RDONLY | O_CLOEXEC))
                        : BULKHEAD_TRY(Fd::duplicate(FdView{STDIN_FILENO}));
    if (!from) {
      return fail(Error::from_errno(errno, {.operation = "open", .object = options_.input_file}));
    }
    inputs_.emplace(loop_, std::move(from), options_.separator, [this] { go_on(); });
    return {};
  }

  // Beginning

  void go_on_soon() {
    if (std::exchange(going_on_, true)) return;
    asio::post(loop_, [this] {
      going_on_ = false;
      go_on();
    });
  }

  void go_on() {
    if (postponed_ && !free_.empty() && !stopping_) begin(std::exchange(postponed_, {}));
    while (!stopping_ && !postponed_ && !free_.empty()) {
      auto input = inputs_->next();
      if (!input) break;
      const unsigned slot = *free_.begin();
      if (is_done_already(*input, slot)) continue;
      if (stopping_) break;
      if (options_.dry_run) {
        fmt::print("{}\n", quoted(options_.command.words({input->text, input->number, slot})));
        continue;
      }
      begin(std::make_shared<Job>(loop_, *std::move(input), slot));
    }
    if (inputs_->error() && !fatal_) stop(*inputs_->error(), Halt::When::soon);
    if (running_.empty() && !postponed_ && (stopping_ || inputs_->ended())) finish();
  }

  bool is_done_already(const Inputs::Input& input, unsigned slot) {
    if (!log_ || options_.keep == JobLog::Keep::nothing) return false;
    std::string command;
    if (!options_.command.has_slot()) {
      command = quoted(options_.command.words({input.text, input.number, slot}));
    }
    auto done = log_->has(input.number, command);
    if (!done) stop(done.error(), Halt::When::now);
    if (done && *done) ++passed_over_;
    return done && *done;
  }

  void begin(const JobPtr& job) {
    free_.erase(job->slot);
    running_.insert(job);
    output_.begin(job->input.number);
    launch(job);
  }

  void launch(const JobPtr& job) {
    job->words = options_.command.words({job->input.text, job->input.number, job->slot});
    auto path = path_.empty() ? find_program(job->words.front()) : Result<std::string>{path_};
    auto program =
        path ? Program::start(*path, job->words, nothing_, options_.output) : fail(path.error());
    if (!program && program.error() == ErrorKind::exhausted && running_.size() > 1) {
      // One of those that run has what it lacks.
      leave(job);
      postponed_ = job;
      return;
    }
    job->begun = std::chrono::system_clock::now();
    job->begun_at = std::chrono::steady_clock::now();
    if (!program) {
      asio::post(loop_, [this, job, why = program.error().sentence()] {
        conclude(job, Exit::of(Exit::Cause::never_started, why));
      });
      return;
    }
    job->program.emplace(*std::move(program));
    watch(job);
  }

  void watch(const JobPtr& job) {
    job->ended.assign(job->program->ended().release());
    job->ended.async_wait(stream_descriptor::wait_read, [this, job](asio::error_code cancelled) {
      if (!cancelled) on_end(job);
    });
    if (options_.output == OutputTo::pipes) {
      job->streams[0].assign(job->program->output().release());
      job->streams[1].assign(job->program->error().release());
      read_on(job, Stream::output);
      read_on(job, Stream::error);
    }
    if (options_.time_limit) {
      job->timer.expires_after(*options_.time_limit);
      job->timer.async_wait([this, job](asio::error_code cancelled) {
        if (cancelled || !job->program) return;
        job->out_of_time = true;
        end_early(job);
      });
    }
  }

  // Output

  void read_on(const JobPtr& job, Stream stream) {
    job->streams[static_cast<int>(stream)].async_wait(
        stream_descriptor::wait_read, [this, job, stream](asio::error_code cancelled) {
          if (!cancelled && read(job, stream) == Reading::goes_on) read_on(job, stream);
        });
  }

  enum class Reading { goes_on, ended };

  /// What is there, up to what a pipe holds: whoever writes without end is not alone.
  Reading read(const JobPtr& job, Stream stream) {
    stream_descriptor& from = job->streams[static_cast<int>(stream)];
    if (!from.is_open()) return Reading::ended;
    for (std::size_t taken = 0; taken < buffer_.size() * 16;) {
      const auto size = ::read(from.native_handle(), buffer_.data(), buffer_.size());
      if (size < 0 && errno == EINTR) continue;
      if (size < 0 && errno == EAGAIN) return Reading::goes_on;
      if (size <= 0) {
        asio::error_code ignored;
        from.close(ignored);
        return Reading::ended;
      }
      taken += static_cast<std::size_t>(size);
      if (stream == Stream::output) job->output_bytes += static_cast<std::size_t>(size);
      const std::string_view bytes{buffer_.data(), static_cast<std::size_t>(size)};
      if (auto kept = output_.write(job->input.number, stream, bytes); !kept) {
        stop(kept.error(), Halt::When::now);
      }
    }
    return Reading::goes_on;
  }

  // Ending

  void on_end(const JobPtr& job) {
    const Exit exit = job->program->reap();
    job->program.reset();
    // What its children still have open is theirs: what is written from now on is nobody's.
    read(job, Stream::output);
    read(job, Stream::error);
    asio::error_code ignored;
    for (stream_descriptor& stream : job->streams) stream.close(ignored);
    job->ended.close(ignored);
    job->timer.cancel();
    conclude(job, job->out_of_time && !exit.success()
                      ? Exit::of(Exit::Cause::resource_limit,
                                 fmt::format("{} ms of time", options_.time_limit->count()))
                      : exit);
  }

  void conclude(const JobPtr& job, const Exit& exit) {
    const std::uint64_t number = job->input.number;
    if (job->given_up) {
      check(output_.give_up(number));
    } else if (!exit.success() && job->attempt <= options_.retries && !stopping_) {
      tell(fmt::format("{}: {}; it is tried again", named(*job), to_string(exit)));
      try_again(job);
      return;
    } else {
      count(*job, exit);
    }
    leave(job);
    if (const auto due = options_.halt.due(counts_); due != Halt::When::never && !stopping_) {
      halted_ = true;
      stop({}, due);
    }
    go_on_soon();
  }

  void try_again(const JobPtr& job) {
    output_.take_back(job->input.number);
    auto next = std::make_shared<Job>(loop_, std::move(job->input), job->slot);
    next->attempt = job->attempt + 1;
    running_.erase(job);
    running_.insert(next);
    launch(next);
  }

  void count(const Job& job, const Exit& exit) {
    ++(exit.success() ? counts_.succeeded : counts_.failed);
    if (!exit.success()) tell(fmt::format("{}: {}", named(job), to_string(exit)));
    JobLog::Entry entry{.number = job.input.number,
                        .begun = job.begun,
                        .took = std::chrono::steady_clock::now() - job.begun_at,
                        .output_bytes = job.output_bytes,
                        .exit = exit,
                        .command = log_ ? quoted(job.words) : std::string{}};
    // Logged when its output is out: what is in the log is not run again.
    check(output_.end(job.input.number, [this, entry = std::move(entry)]() -> Result<void> {
      return log_ ? log_->add(entry) : Result<void>{};
    }));
  }

  void leave(const JobPtr& job) {
    running_.erase(job);
    free_.insert(job->slot);
  }

  /// Asks its group to end; kills it when it has not after a while.
  void end_early(const JobPtr& job) {
    if (!job->program) return;
    job->program->signal(SIGTERM);
    job->timer.expires_after(options_.patience);
    job->timer.async_wait([job](asio::error_code cancelled) {
      if (!cancelled && job->program) job->program->signal(SIGKILL);
    });
  }

  void stop(std::optional<Error> why, Halt::When when) {
    if (why && !fatal_) fatal_ = std::move(why);
    stopping_ = true;
    inputs_->stop();
    if (when == Halt::When::now) {
      for (const JobPtr& job : running_) {
        job->given_up = true;
        end_early(job);
      }
    }
    go_on_soon();
  }

  void check(const Result<void>& result) {
    if (!result) stop(result.error(), Halt::When::now);
  }

  void finish() {
    signals_.cancel();
    tick_.cancel();
    inputs_->stop();
  }

  void listen_to_signals() {
    ::signal(SIGPIPE, SIG_IGN);  // a reader that has gone is an error of write(2)
    for (const int number : {SIGINT, SIGTERM}) {
      struct sigaction now{};
      // What we were started to ignore we go on ignoring.
      if (::sigaction(number, nullptr, &now) == 0 && now.sa_handler == SIG_IGN) continue;
      signals_.add(number);
    }
    await_signal();
  }

  void await_signal() {
    signals_.async_wait([this](asio::error_code cancelled, int number) {
      if (cancelled) return;
      if (signal_ != 0) {  // the second one: no more patience
        for (const JobPtr& job : running_) {
          if (job->program) job->program->signal(SIGKILL);
        }
      }
      signal_ = number;
      stop({}, Halt::When::now);
      await_signal();
    });
  }

  [[noreturn]] void end_by_signal() {
    ::signal(signal_, SIG_DFL);
    ::raise(signal_);
    std::_Exit(128 + signal_);
  }

  // Telling

  std::string named(const Job& job) const {
    return job.words.empty() ? quoted(job.input.text)
                             : quoted(job.input.text) + ": " + quoted(job.words.front());
  }

  void tell(const std::string& what) {
    progress_.wipe();
    fmt::print(stderr, "bulkhead map: {}\n", what);
  }

  void draw() {
    if (!progress_.shown()) return;
    auto total = inputs_->total();
    if (total) *total -= passed_over_;
    progress_.draw(counts_, total);
    tick_.expires_after(200ms);
    tick_.async_wait([this](asio::error_code cancelled) {
      if (!cancelled) draw();
    });
  }

  int refuse(const Error& error) {
    if (error.code() == std::errc::broken_pipe) {
      signal_ = SIGPIPE;  // as any program whose reader has gone
      end_by_signal();
    }
    tell(error.sentence());
    return error.operation() == "run" ? 127 : could_not_go_on;
  }

  int status() const {
    if (halted_ && options_.halt.what() == Halt::What::success) return 0;
    return static_cast<int>(std::min<std::uint64_t>(counts_.failed, 101));
  }

  const Options& options_;
  asio::io_context loop_{1};
  asio::signal_set signals_{loop_};
  asio::steady_timer tick_{loop_};
  Fd nothing_;
  std::string path_;  // of the program, when every input has the same
  std::optional<JobLog> log_;
  std::optional<Inputs> inputs_;
  Output output_;
  Progress progress_;
  std::array<char, 65536> buffer_{};

  std::set<unsigned> free_;
  std::unordered_set<JobPtr> running_;
  JobPtr postponed_;  // waits until another has ended
  Counts counts_;
  std::uint64_t passed_over_ = 0;
  bool going_on_ = false;
  bool stopping_ = false;
  bool halted_ = false;
  int signal_ = 0;
  std::optional<Error> fatal_;
};

}  // namespace

int run(const Options& options) { return Mapping{options}.run(); }

}  // namespace bulkhead::tools::map
