// SPDX-License-Identifier: Apache-2.0
#include "bench/advice_measuring.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <sys/prctl.h>
#include <time.h>

#include "bench/channel_pair.hpp"
#include "bench/duel.hpp"
#include "bench/payload.hpp"
#include "bench/shared_memory.hpp"
#include "transport/udp_frame.hpp"

namespace bulkhead::bench {

namespace {

using std::chrono::microseconds;
using std::chrono::nanoseconds;

std::uint64_t now_ns(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u +
         static_cast<std::uint64_t>(time.tv_nsec);
}

std::uint64_t cpu_ns() { return now_ns(CLOCK_THREAD_CPUTIME_ID); }

/// What looking at the clock costs by itself.
std::uint64_t cost_of_looking() {
  std::uint64_t least = ~std::uint64_t{0};
  for (int i = 0; i < 50; ++i) {
    const std::uint64_t before = cpu_ns();
    least = std::min(least, cpu_ns() - before);
  }
  return least;
}

/// What the two sides tell of a slice; each writes its own half.
struct Told {
  std::uint64_t messages = 0;
  std::uint64_t send_cpu_ns = 0;
  std::uint64_t receive_cpu_ns = 0;
  std::uint64_t delay_ns = 0;  // of all messages

  /// One of them.
  Pace each() const noexcept {
    const auto share = [this](std::uint64_t sum) {
      return static_cast<double>(sum) / static_cast<double>(messages);
    };
    return {.send_ns = share(send_cpu_ns),
            .receive_ns = share(receive_cpu_ns),
            .delay_ns = share(delay_ns)};
  }
};
constexpr std::size_t most_slices = 64;

/// Messages of one size one way, `gap` apart; without a gap as fast as they go.
class Flow : public Variant {
 public:
  Flow(Mechanism mechanism, std::size_t bytes, nanoseconds gap)
      : mechanism_{mechanism},
        gap_{gap},
        memory_{most_slices * sizeof(Told)},
        told_{new(memory_.as<void>()) Told[most_slices]},
        buffer_(bytes, std::byte{42}) {
    // What may be lost is, unless the sender hears every now and then that the receiver is there.
    if (!capabilities(mechanism).reliable) window_ = std::clamp<std::size_t>(131072 / bytes, 1, 64);
  }

  Mechanism mechanism() const noexcept { return mechanism_; }
  std::size_t bytes() const noexcept { return buffer_.size(); }
  /// The slice of that number, of the first most_slices.
  const Told& told(std::size_t slice) const noexcept { return told_[slice % most_slices]; }
  std::size_t slices() const noexcept {
    std::size_t count = 0;
    while (count < most_slices && told_[count].messages != 0) ++count;
    return count;
  }

  void create() override {
    // These two have no pairs: their ends meet by name.
    if (mechanism_ == Mechanism::fifo || mechanism_ == Mechanism::mmap) {
      return pair_.create_named(std::string{to_string(mechanism_)} + "://", {}, {});
    }
    pair_.create(mechanism_, {}, Job{});
  }
  void prepare(Side side) override { pair_.prepare(side); }
  void connect(Side side) override { pair_.connect(side); }
  void close(Side side) noexcept override { pair_.close(side); }

  void client(std::uint64_t count) override {
    Channel& channel = pair_.end(Side::client);
    Told& slice = told_[sent_slices_++ % most_slices];
    ::prctl(PR_SET_TIMERSLACK, 1);
    slice.send_cpu_ns = gap_.count() == 0 ? stream(channel, count) : at_a_pace(channel, count);
    slice.messages = count - first_that_counts(count);
  }

  void server(std::uint64_t count) override {
    Channel& channel = pair_.end(Side::server);
    Told& slice = told_[received_slices_++ % most_slices];
    const std::uint64_t first = first_that_counts(count);
    std::uint64_t before = cpu_ns();
    std::uint64_t delay = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
      if (i == first) {
        before = cpu_ns();
        delay = 0;
      }
      checked(channel.receive(message_, patience()));
      std::uint64_t stamp = 0;
      std::memcpy(&stamp, message_.bytes().data(), sizeof stamp);
      if (gap_.count() != 0) delay += now_ns(CLOCK_MONOTONIC) - stamp;
      touched(message_.bytes().data());
      answer(channel, i);
    }
    slice.receive_cpu_ns = cpu_ns() - before;
    slice.delay_ns = delay;
  }

 private:
  /// At a pace the first half is for the channel to learn how to wait for these: between two slices it
  /// has waited for all the others.
  std::uint64_t first_that_counts(std::uint64_t count) const noexcept {
    return gap_.count() == 0 ? 0 : count / 2;
  }
  static Deadline patience() { return Deadline{std::chrono::seconds{4}}; }

  void answer(Channel& channel, std::uint64_t number) {
    if (window_ == 0 || (number + 1) % window_ != 0) return;
    const std::byte here[1]{};
    checked(channel.send(Bytes{here}, patience()));
  }
  void hear_answer(Channel& channel, std::uint64_t number) {
    if (window_ != 0 && (number + 1) % window_ == 0) checked(channel.receive(answer_, patience()));
  }

  std::uint64_t stream(Channel& channel, std::uint64_t count) {
    const std::uint64_t before = cpu_ns();
    for (std::uint64_t i = 0; i < count; ++i) {
      checked(channel.send(Bytes{buffer_}, patience()));
      hear_answer(channel, i);
    }
    return cpu_ns() - before;
  }

  std::uint64_t at_a_pace(Channel& channel, std::uint64_t count) {
    const std::uint64_t looking = cost_of_looking();
    const auto gap = static_cast<std::uint64_t>(gap_.count());
    std::uint64_t used = 0;
    std::uint64_t next = now_ns(CLOCK_MONOTONIC);
    for (std::uint64_t i = 0; i < count; ++i) {
      // Late is late: what was missed does not come in a bunch afterwards.
      next = std::max(next + gap, now_ns(CLOCK_MONOTONIC));
      wait_until(next);
      const std::uint64_t stamp = now_ns(CLOCK_MONOTONIC);
      std::memcpy(buffer_.data(), &stamp, sizeof stamp);
      const std::uint64_t before = cpu_ns();
      checked(channel.send(Bytes{buffer_}, patience()));
      const std::uint64_t took = cpu_ns() - before;
      if (i >= first_that_counts(count) && took > looking) used += took - looking;
      hear_answer(channel, i);
    }
    return used;
  }

  /// Short gaps are shorter than it takes to wake up.
  void wait_until(std::uint64_t time) const {
    if (gap_ < microseconds{50}) {
      while (now_ns(CLOCK_MONOTONIC) < time) {
      }
      return;
    }
    const timespec at{static_cast<time_t>(time / 1'000'000'000u),
                      static_cast<long>(time % 1'000'000'000u)};
    while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr) == EINTR) {
    }
  }

  const Mechanism mechanism_;
  const nanoseconds gap_;
  std::size_t window_ = 0;
  SharedMemory memory_;
  Told* const told_;
  std::size_t sent_slices_ = 0;
  std::size_t received_slices_ = 0;
  ChannelPair pair_;
  std::vector<std::byte> buffer_;
  Message message_;
  Message answer_;
};

struct Gap {
  nanoseconds pause;
  nanoseconds slice;
  int rounds;
};
constexpr std::array gaps{
    Gap{microseconds{1000}, microseconds{6000}, 4}, Gap{microseconds{100}, microseconds{10000}, 3},
    Gap{microseconds{10}, microseconds{1000}, 6}, Gap{nanoseconds{0}, microseconds{1500}, 8}};

class Measuring {
 public:
  explicit Measuring(const MeasuringOptions& options)
      : options_{options}, fights_left_{static_cast<int>(options.sizes.size() * gaps.size())} {}

  Measurements run() {
    for (const std::size_t bytes : options_.sizes) measure_size(bytes);
    for (Line& line : all_.lines) tidy(line);
    std::erase_if(all_.lines, [](const Line& line) { return line.paces.empty(); });
    all_.cpus = usable_cpus();
    all_.busy = late_ones_ * 4 > slow_ones_;
    return std::move(all_);
  }

 private:
  bool wanted(Mechanism mechanism) const {
    if (mechanism == Mechanism::inproc) return false;  // it joins no two processes
    return options_.only.empty() ||
           std::find(options_.only.begin(), options_.only.end(), mechanism) != options_.only.end();
  }

  static std::size_t size_for(Mechanism mechanism, std::size_t bytes) {
    if (mechanism != Mechanism::udp) return bytes;
    const std::size_t most = transport::udp_frame::most_payload(false);
    return bytes > 2 * most ? 0 : std::min(bytes, most);
  }

  void measure_size(std::size_t bytes) {
    for (const Gap& gap : gaps) {
      // A sender that does not sleep needs a core for itself.
      if (gap.pause > nanoseconds{0} && gap.pause < microseconds{50} && usable_cpus() < 2) continue;
      std::vector<std::unique_ptr<Flow>> flows;
      for (const Mechanism mechanism : all_mechanisms) {
        const std::size_t size = size_for(mechanism, bytes);
        if (!wanted(mechanism) || size == 0) continue;
        flows.push_back(std::make_unique<Flow>(mechanism, size, gap.pause));
      }
      fight_out(flows, gap);
    }
  }

  /// What is left of the time, shared by what is left to do; setting up takes a third or more. A busy
  /// machine gets fewer rounds, three at least, and not a longer run.
  nanoseconds share_of_time() {
    const nanoseconds left = end_ - Clock::now();
    return std::max<nanoseconds>(left / std::max(1, fights_left_--) / 2, microseconds{1});
  }

  void fight_out(const std::vector<std::unique_ptr<Flow>>& flows, const Gap& gap) {
    std::vector<Contender> contenders;
    for (const auto& flow : flows) contenders.push_back({flow.get(), Shape::one_way});
    DuelOptions options;
    options.pair.placement = usable_cpus() < 2 ? Placement::one_core : Placement::two_cores;
    options.pair.rounds = gap.rounds;
    options.pair.slice_ns = static_cast<std::uint64_t>(nanoseconds{gap.slice}.count());
    options.pair.budget = share_of_time();
    const Duel duel = fight(contenders, options);
    for (std::size_t i = 0; i < flows.size(); ++i) note(*flows[i], duel.figures[i], gap);
  }

  void note(const Flow& flow, const Figures& figures, const Gap& gap) {
    if (!figures.ran()) return fail(flow, figures.failure);
    const bool stream = gap.pause.count() == 0;
    const std::size_t round = stream ? fastest(figures) : typical(flow, figures);
    Pace pace = flow.told(first_told(flow, figures) + round).each();
    pace.rate = 1e9 / figures.ns[round];
    if (stream) pace.delay_ns.reset();
    line_of(flow).paces.push_back(pace);
    if (gap.pause == gaps.front().pause) {
      ++slow_ones_;
      late_ones_ += pace.rate * std::chrono::duration<double>(gap.pause).count() < 0.8;
    }
  }

  /// The sides have told of the slices that were to find out how many messages fill one, too.
  static std::size_t first_told(const Flow& flow, const Figures& figures) {
    return flow.slices() - std::min(flow.slices(), figures.ns.size());
  }

  static std::size_t fastest(const Figures& figures) {
    return static_cast<std::size_t>(std::min_element(figures.ns.begin(), figures.ns.end()) -
                                    figures.ns.begin());
  }

  /// Of the rounds in which nobody else was given a side's core, one of the first quarter by delay:
  /// other work makes messages late, and what gathers meanwhile is cheaper than it would be.
  static std::size_t typical(const Flow& flow, const Figures& figures) {
    const std::size_t first = first_told(flow, figures);
    std::vector<std::size_t> rounds;
    for (std::size_t i = 0; i < figures.ns.size(); ++i) {
      if (figures.counts[i]) rounds.push_back(i);
    }
    std::sort(rounds.begin(), rounds.end(), [&](std::size_t a, std::size_t b) {
      return *flow.told(first + a).each().delay_ns < *flow.told(first + b).each().delay_ns;
    });
    return rounds[(rounds.size() - 1) / 4];
  }

  void fail(const Flow& flow, const std::string& why) {
    const auto same = [&](const Unmeasured& one) { return one.mechanism == flow.mechanism(); };
    if (std::none_of(all_.unmeasured.begin(), all_.unmeasured.end(), same)) {
      all_.unmeasured.push_back({flow.mechanism(), why});
    }
  }

  Line& line_of(const Flow& flow) {
    for (Line& line : all_.lines) {
      if (line.mechanism == flow.mechanism() && line.bytes == flow.bytes()) return line;
    }
    return all_.lines.emplace_back(Line{.mechanism = flow.mechanism(), .bytes = flow.bytes()});
  }

  /// The stream is the last pace, and the fastest. A pause that was over before the message was sent
  /// is none.
  static void tidy(Line& line) {
    if (line.paces.empty()) return;
    if (line.paces.back().delay_ns) {  // the stream failed: how fast it goes is not known
      line.paces.clear();
      return;
    }
    const double fastest = line.paces.back().rate;
    double slower = 0;
    std::erase_if(line.paces, [&](const Pace& pace) {
      const bool stays = !pace.delay_ns || (pace.rate > slower * 1.5 && pace.rate < fastest * 0.7);
      if (stays) slower = pace.rate;
      return !stays;
    });
  }

  using Clock = std::chrono::steady_clock;

  const MeasuringOptions& options_;
  const Clock::time_point end_ = Clock::now() + std::chrono::seconds{6};
  int fights_left_;
  int slow_ones_ = 0;
  int late_ones_ = 0;
  Measurements all_;
};

}  // namespace

Measurements measure_lines(const MeasuringOptions& options) { return Measuring{options}.run(); }

}  // namespace bulkhead::bench
