// SPDX-License-Identifier: Apache-2.0
#include "crash/deaths.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <utility>

#include <bulkhead/names.hpp>

#include "crash/survivors.hpp"
#include "support/watchdog.hpp"

namespace bulkhead::crash {
namespace {

constexpr std::size_t most_examples = 5;
constexpr int tries = 4;
/// More than any operation has; one that goes round in circles has more than any number.
constexpr std::size_t most_instructions = 400'000;

std::runtime_error lost(const char* where) {
  return std::runtime_error{std::string{"the victim came to no place where it should be: "} +
                            where};
}

/// What a survivor may be left with: descriptors, and files where the library keeps its names.
struct Holdings {
  std::set<std::string> files;
  std::size_t descriptors = 0;

  static Holdings now() {
    namespace fs = std::filesystem;
    Holdings found;
    std::error_code error;
    const fs::path top = fs::temp_directory_path();
    for (fs::recursive_directory_iterator it{top, error}, end; !error && it != end;
         it.increment(error)) {
      if (!it->is_directory()) found.files.insert(it->path().string());
    }
    for (fs::directory_iterator it{"/proc/self/fd", error}, end; !error && it != end;
         it.increment(error)) {
      ++found.descriptors;
    }
    return found;
  }
};

/// What nobody wanted again is what `bulkhead clean` is for, and that must find all of it.
void compare(const Holdings& before, Verdict& verdict) {
  if (const auto cleaned = remove_stale_names(); !cleaned) {
    verdict.violation("clean: " + cleaned.error().sentence());
  }
  const auto after = Holdings::now();
  if (after.descriptors != before.descriptors) {
    verdict.violation("a survivor is left with " + std::to_string(after.descriptors) +
                      " descriptors instead of " + std::to_string(before.descriptors));
  }
  for (const auto& file : after.files) {
    if (!before.files.contains(file)) verdict.violation("left behind: " + file);
  }
}

/// What happens between two instructions of a victim that is stepped.
class Watch {
 public:
  explicit Watch(Victim& victim) : victim_(victim), memory_(victim.pid()) {}

  /// One instruction. True when others may see a difference.
  Victim::Event step(bool& changed) {
    calls_ = victim_.at_call();
    const auto event = victim_.step();
    if (event.stop != Victim::Stop::asleep) changed = note();
    return event;
  }
  /// After `asleep`.
  Victim::Event wait(bool& changed) {
    const auto event = victim_.wait();
    if (event.stop != Victim::Stop::asleep) changed = note();
    return event;
  }

 private:
  bool note() {
    if (!calls_) return memory_.changed();
    memory_.look_again();
    return true;
  }

  Victim& victim_;
  SharedMemory memory_;
  bool calls_ = false;
};

}  // namespace

void prepare(Victim& victim, Scene& scene) {
  auto event = victim.run();
  for (int n = 0;;) {
    if (event.stop == Victim::Stop::asleep) {
      if (!scene.awaken()) throw lost("it sleeps before it begins");
      event = victim.wait();
      continue;
    }
    if (event.mark == Mark::begin) break;
    if (event.mark != Mark::cooperate) throw lost("it ends before it begins");
    scene.cooperate(n++);
    event = victim.run();
  }
  scene.begin();
}

Trace::Trace(const Operation& operation) {
  test::watch(operation.name);
  const auto scene = operation.stage();
  Victim victim{{operation.victim_name()}, scene->inherited()};
  scene->started();
  prepare(victim, *scene);
  Watch watch{victim};
  std::map<std::uint64_t, std::uint32_t> visits;
  std::size_t state = 0;
  const auto enter = [&] {
    at_.push_back(victim.position());
    hits_.push_back(++visits[victim.position()]);
    states_.push_back(state);
  };
  enter();
  for (;;) {
    bool changed = false;
    auto event = watch.step(changed);
    bool ends = false;
    while (event.stop == Victim::Stop::asleep && !ends) {
      if (sleeps_.empty() || sleeps_.back() != instructions()) sleeps_.push_back(instructions());
      if (scene->awaken()) {
        event = watch.wait(changed);
      } else {
        ends = true;
      }
    }
    if (ends) break;
    if (event.stop == Victim::Stop::mark) {
      if (event.mark != Mark::end) throw lost("a mark inside the operation");
      returns_ = true;
      break;
    }
    if (changed) ++state;
    enter();
    if (instructions() > most_instructions) throw lost("it goes on and on");
  }
  victim.kill();
  Verdict verdict;  // told by the death at that place
  scene->after_death(true, verdict);
  ends_well_ = verdict.violations().empty();
}

std::vector<Trace::Place> Trace::places(const Thoroughness& how) const {
  std::vector<Place> places;
  std::vector<bool> chosen(at_.size(), false);
  for (std::size_t i = 0; i < at_.size(); ++i) {
    chosen[i] = how.every || at_.size() <= how.deaths || i == 0 || i + 1 == at_.size() ||
                states_[i] != states_[i - 1];
  }
  const std::size_t step =
      std::max<std::size_t>(1, at_.size() / std::max<std::size_t>(1, how.deaths));
  const auto so_many = static_cast<std::size_t>(std::ranges::count(chosen, true));
  for (std::size_t i = step / 2; so_many < how.deaths && i < at_.size(); i += step)
    chosen[i] = true;
  for (std::size_t i = 0; i < at_.size(); ++i) {
    if (chosen[i]) places.push_back({.index = i});
  }
  for (const std::size_t index : sleeps_) places.push_back({.index = index, .asleep = true});
  return places;
}

bool Trace::reach(Victim& victim, Scene& scene, const Place& place) const {
  // The nearest place that is quickly come to at full speed, and the rest by steps.
  std::size_t from = 0;
  std::size_t least = place.index;
  for (std::size_t i = 0; i <= place.index; ++i) {
    const std::size_t cost = 4 * hits_[i] + (place.index - i);
    if (cost < least) {
      least = cost;
      from = i;
    }
  }
  const auto arrive = [&](Victim::Event event) {
    while (event.stop == Victim::Stop::asleep && scene.awaken()) event = victim.wait();
    return event.stop;
  };
  if (from != 0) {
    // Visits are counted from where it stands, and it stands at the first place.
    if (arrive(victim.run_to(at_[from], hits_[from])) != Victim::Stop::breakpoint) return false;
  }
  for (std::size_t i = from; i < place.index; ++i) {
    if (arrive(victim.step()) != Victim::Stop::step) return false;
  }
  if (victim.position() != at_[place.index]) return false;
  return !place.asleep || victim.step().stop == Victim::Stop::asleep;
}

bool Trace::reach_state(Victim& victim, Scene& scene, const Place& place) const {
  Watch watch{victim};
  std::size_t state = 0;
  const auto wanted =
      static_cast<std::size_t>(std::ranges::lower_bound(sleeps_, place.index) - sleeps_.begin());
  std::size_t slept = 0;
  if (is_end(place)) return true;
  for (std::size_t steps = 0; place.asleep || state != states_[place.index]; ++steps) {
    if (steps > most_instructions) return false;
    bool changed = false;
    auto event = watch.step(changed);
    if (event.stop == Victim::Stop::asleep && place.asleep && slept++ == wanted) return true;
    while (event.stop == Victim::Stop::asleep) {
      if (!scene.awaken()) return false;
      event = watch.wait(changed);
    }
    if (event.stop == Victim::Stop::mark) return false;
    state += changed ? 1 : 0;
  }
  return true;
}

namespace {

/// One death. False: the place was not reached.
bool die(const Operation& operation, const Trace& trace, const Trace::Place& place, bool by_state,
         Verdict& verdict) {
  test::watch(operation.name);
  const auto before = Holdings::now();
  {
    const auto scene = operation.stage();
    Victim victim{{operation.victim_name()}, scene->inherited()};
    scene->started();
    prepare(victim, *scene);
    const bool there =
        by_state ? trace.reach_state(victim, *scene, place) : trace.reach(victim, *scene, place);
    victim.kill();
    Verdict mine;
    scene->after_death(there && !by_state && trace.is_end(place), there ? verdict : mine);
    if (!there) return false;
  }
  compare(before, verdict);
  test::unwatch();
  return true;
}

std::string describe(const Trace& trace, const Trace::Place& place) {
  return "instruction " + std::to_string(place.index) + " of " +
         std::to_string(trace.instructions()) + (place.asleep ? ", asleep" : "");
}

void note(Outcome& outcome, const std::string& what) {
  ++outcome.violations;
  if (outcome.examples.size() < most_examples) outcome.examples.push_back(what);
}

/// Survivors who hang end at their deadline, a whole patience later, and would do so after each death.
/// Once is a violation. Then they have less of it, and after a few more the operation is given up.
class Hangs {
 public:
  Hangs() = default;
  Hangs(const Hangs&) = delete;
  Hangs& operator=(const Hangs&) = delete;
  ~Hangs() { patience = whole_patience; }

  void begin() { since_ = Clock::now(); }
  void end(bool well) {
    if (well || Clock::now() - since_ < patience) return;
    ++count_;
    patience = little_patience;
  }
  bool enough() const { return count_ > most; }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds little_patience{1};
  static constexpr int most = 5;

  Clock::time_point since_;
  int count_ = 0;
};

}  // namespace

Outcome explore(const Operation& operation, const Thoroughness& how) {
  Outcome outcome;
  outcome.name = operation.name;
  Hangs hangs;
  try {
    hangs.begin();
    const Trace trace{operation};
    hangs.end(trace.ends_well());
    outcome.instructions = trace.instructions();
    outcome.states = trace.states();
    std::size_t number = 0;
    Thoroughness thorough = how;
    thorough.every = how.every || operation.each_instruction;
    thorough.deaths = std::max(how.deaths, operation.least_deaths);
    for (const auto& place : trace.places(thorough)) {
      if (number++ % how.stride != 0) continue;
      if (hangs.enough()) {
        outcome.given_up = true;
        note(outcome, "it hangs too often: no death was tried from here on");
        break;
      }
      Verdict verdict;
      bool reached = false;
      hangs.begin();
      for (int i = 0; i < tries && !reached; ++i) {
        reached = die(operation, trace, place, i >= tries / 2, verdict);
      }
      ++outcome.deaths;
      if (!reached) verdict.violation("the place was not come to again");
      if (!verdict.violations().empty()) {
        note(outcome, describe(trace, place) + ": " + verdict.violations().front());
      }
      hangs.end(verdict.violations().empty());
    }
  } catch (const std::exception& error) {
    note(outcome, std::string{"the harness failed: "} + error.what());
  }
  test::unwatch();
  return outcome;
}

namespace {

/// The scene of an operation, after a death in it.
class AfterDeath final : public Scene {
 public:
  AfterDeath(const Operation& first, const Trace& trace, const Trace::Place& place)
      : scene_(first.stage()), ended_(trace.is_end(place)) {
    Victim victim{{first.victim_name()}, scene_->inherited()};
    scene_->started();
    prepare(victim, *scene_);
    if (!trace.reach(victim, *scene_, place)) throw lost("before the recovery");
  }
  std::vector<FdView> inherited() override { return scene_->inherited_again(); }
  bool awaken() override { return scene_->awaken(); }
  void after_death(bool, Verdict& verdict) override { scene_->after_death(ended_, verdict); }

 private:
  std::unique_ptr<Scene> scene_;
  bool ended_;
};

/// A victim that stands at a place of its call, as the scene of its peer's death.
class Standing final : public Scene {
 public:
  Standing(const Pairing& pairing, const Trace& trace, const Trace::Place& place)
      : pairing_(pairing),
        trace_(trace),
        place_(place),
        stage_(pairing.stage()),
        first_(std::make_unique<Victim>(std::vector{mine().victim_name()},
                                        stage_->inherited_by(pairing.stands))) {}

  std::vector<FdView> inherited() override { return stage_->inherited_by(1 - pairing_.stands); }
  void started() override { stage_->started(); }

  void cooperate(int) override {
    auto event = first_->run();
    while (event.stop == Victim::Stop::mark && event.mark == Mark::cooperate) {
      event = first_->run();
    }
    if (event.stop != Victim::Stop::mark || event.mark != Mark::begin) throw lost("at its peer's");
    there_ = trace_.reach(*first_, *this, place_) || trace_.is_end(place_);
  }

  void after_death(bool finished, Verdict& verdict) override {
    if (!there_) return verdict.violation("the peer's place was not come to again");
    int mark = static_cast<int>(trace_.is_end(place_) ? Mark::end : Mark::begin);
    for (int sleeps = 0; mark < static_cast<int>(Mark::wronged);) {
      auto event = place_.asleep && sleeps == 0 ? first_->wait() : first_->run();
      while (event.stop == Victim::Stop::asleep && ++sleeps < most_sleeps) event = first_->wait();
      if (event.stop == Victim::Stop::asleep) {
        return verdict.violation("the peer sleeps, and is not told of the death");
      }
      sleeps = std::max(sleeps, 1);
      if (event.stop == Victim::Stop::mark) mark = static_cast<int>(event.mark);
    }
    first_->kill();
    if (mark == static_cast<int>(Mark::wronged)) {
      verdict.violation("the peer was not told of the death, or what it received was not whole");
    } else {
      stage_->judge(pairing_.stands, finished,
                    static_cast<std::uint64_t>(mark - static_cast<int>(Mark::count)), verdict);
    }
  }

 private:
  static constexpr int most_sleeps = 5'000;  // of two milliseconds or more

  const Operation& mine() const {
    return pairing_.halves[static_cast<std::size_t>(pairing_.stands)];
  }

  const Pairing& pairing_;
  const Trace& trace_;
  Trace::Place place_;
  std::unique_ptr<PairStage> stage_;
  std::unique_ptr<Victim> first_;
  bool there_ = false;
};

/// Adds what was found in one state of the other.
void add(Outcome& all, const Outcome& one, const std::string& where) {
  all.instructions = std::max(all.instructions, one.instructions);
  all.states += one.states;
  all.deaths += one.deaths;
  all.violations += one.violations;
  all.given_up = all.given_up || one.given_up;
  for (const auto& example : one.examples) {
    if (all.examples.size() < most_examples) all.examples.push_back(where + ", then " + example);
  }
}

}  // namespace

Outcome explore_pair(const Pairing& pairing, const Thoroughness& how) {
  Outcome all;
  all.name = pairing.name;
  try {
    const auto stands = static_cast<std::size_t>(pairing.stands);
    const Trace trace{pairing.halves[stands]};
    const auto places = trace.places({.deaths = how.stride > 1 ? std::size_t{0} : how.deaths});
    for (const auto& place : places) {
      if (all.given_up) break;
      const Operation nested{
          .name = all.name,
          .stage = [&] { return std::make_unique<Standing>(pairing, trace, place); },
          .victim = {},
          .part = pairing.halves[1 - stands].victim_name()};
      add(all, explore(nested, how), describe(trace, place));
    }
  } catch (const std::exception& error) {
    note(all, std::string{"the harness failed: "} + error.what());
  }
  return all;
}

Outcome explore_recovery(const Operation& first, const Operation& recovery,
                         const Thoroughness& how) {
  Outcome all;
  all.name = first.name + ", then recovery dies";
  try {
    const Trace trace{first};
    const std::size_t every_so_many = how.stride > 1 ? 3 : 1;
    std::size_t number = 0;
    for (const auto& place : trace.places({.deaths = 0})) {
      if (number++ % every_so_many != 0) continue;
      if (all.given_up) break;
      const Operation nested{
          .name = all.name,
          .stage = [&] { return std::make_unique<AfterDeath>(first, trace, place); },
          .victim = {},
          .part = recovery.victim_name()};
      add(all, explore(nested, how), describe(trace, place));
    }
  } catch (const std::exception& error) {
    note(all, std::string{"the harness failed: "} + error.what());
  }
  return all;
}

}  // namespace bulkhead::crash
