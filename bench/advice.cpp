// SPDX-License-Identifier: Apache-2.0
#include "bench/advice.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <limits>

#include "transport/udp_frame.hpp"

namespace bulkhead::bench {

namespace {

struct Need {
  bool Capabilities::* flag;
  const char* words;
};
constexpr std::array needs{
    Need{&Capabilities::priority, "priority"},
    Need{&Capabilities::other_machine, "way to another machine"},
    Need{&Capabilities::survives, "messages that outlive both ends"},
    Need{&Capabilities::handles, "handles"},
    Need{&Capabilities::both_ways, "both ways"},
    Need{&Capabilities::many_clients, "listener for many clients"},
    Need{&Capabilities::unrelated, "way between unrelated processes"},
    Need{&Capabilities::reliable, "reliable delivery"},
    Need{&Capabilities::tells_death, "word of a peer's death"},
    Need{&Capabilities::in_place, "messages in place"},
};

std::string joined(const std::vector<std::string>& words, const char* last = " and ") {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 == words.size() ? last : ", ";
    text += words[i];
  }
  return text;
}

Capabilities missing(const Capabilities& needed, const Capabilities& can) {
  Capabilities lacks;
  for (const Need& need : needs) {
    lacks.*need.flag = needed.*need.flag && !(can.*need.flag);
  }
  return lacks;
}

std::vector<std::string> lacks_of(const Question& question, Mechanism mechanism) {
  auto lacks = words_of(missing(needs_of(question), capabilities(mechanism)));
  // The only one that does not cut what is too large for it into pieces.
  if (mechanism == Mechanism::udp && question.bytes > transport::udp_frame::most_payload(false)) {
    lacks.push_back("messages of " + bytes_in_words(question.bytes));
  }
  return lacks;
}

/// How much it can do: of two that cost the same the one that can do more is taken.
int abilities(Mechanism mechanism) {
  const Capabilities can = capabilities(mechanism);
  return static_cast<int>(
      std::count_if(needs.begin(), needs.end(), [&](const Need& need) { return can.*need.flag; }));
}

/// What is asked for; the other one is between threads.
bool between_processes(Mechanism mechanism) { return mechanism != Mechanism::inproc; }

/// In the list of all.
std::ptrdiff_t place_of(Mechanism mechanism) {
  return std::ranges::find(all_mechanisms, mechanism) - all_mechanisms.begin();
}

/// What was sent stays, for any number of readers: one sending serves them all.
bool serves_all_at_once(Mechanism mechanism) {
  const Capabilities can = capabilities(mechanism);
  return can.survives && can.many_clients;
}

std::optional<Candidate> judge(const Question& question, const Measurements& measurements,
                               Mechanism mechanism) {
  const double many = static_cast<double>(question.many);
  double per_connection = question.rate;  // on each of them
  double sendings = 1, receipts = 1;      // for each message that is asked for
  double capacity_times = 1;              // of one connection's capacity
  switch (question.topology) {
    case Topology::one_to_one:
      break;
    case Topology::many_to_one:
      per_connection /= many;
      break;
    case Topology::one_to_many:
      receipts = many;
      if (serves_all_at_once(mechanism)) break;
      sendings = many;
      capacity_times = 1 / many;
      break;
    case Topology::many_to_many:
      per_connection /= many * many;
      capacity_times = many;
      break;
  }
  auto cost = estimate(measurements, mechanism, question.bytes, per_connection);
  if (!cost) return std::nullopt;
  const double ways = question.needs.both_ways ? 2 : 1;
  Candidate candidate{.mechanism = mechanism, .estimate = *cost};
  candidate.send_share = question.rate * sendings * ways * cost->send_ns / 1e9;
  candidate.receive_share = question.rate * receipts * ways * cost->receive_ns / 1e9;
  candidate.capacity = cost->capacity * capacity_times / ways;
  if (cost->delay_ns) candidate.delay_ns = *cost->delay_ns * ways;
  candidate.carries = question.rate <= candidate.capacity;
  candidate.leaves_files = capabilities(mechanism).survives && !question.needs.survives;
  return candidate;
}

bool costs_the_same(const Candidate& a, const Candidate& cheapest) {
  return a.leaves_files == cheapest.leaves_files &&
         a.share() <= std::max(cheapest.share() * 1.25, cheapest.share() + 0.005);
}

/// Of those that cost the same as the cheapest the one to take.
bool better(const Candidate& a, const Candidate& b) {
  constexpr double unknown = std::numeric_limits<double>::infinity();
  const double here = a.delay_ns.value_or(unknown), there = b.delay_ns.value_or(unknown);
  if (here * 1.25 < there) return true;
  if (there * 1.25 < here) return false;
  if (abilities(a.mechanism) != abilities(b.mechanism)) {
    return abilities(a.mechanism) > abilities(b.mechanism);
  }
  return place_of(a.mechanism) < place_of(b.mechanism);
}

/// Those that carry the rate first, the cheapest first; where they are the same, in the order in which
/// the mechanisms are listed.
bool before(const Candidate& a, const Candidate& b) {
  if (a.carries != b.carries) return a.carries;
  if (!a.carries) return a.capacity > b.capacity;
  return a.leaves_files == b.leaves_files ? a.share() < b.share() : b.leaves_files;
}

void rank(std::vector<Candidate>& candidates) {
  std::stable_sort(candidates.begin(), candidates.end(), before);
  const auto end = std::find_if(candidates.begin(), candidates.end(),
                                [](const Candidate& one) { return !one.carries; });
  // One place after the other: the best of those that cost the same as the cheapest that is left.
  for (auto place = candidates.begin(); place != end; ++place) {
    const Candidate cheapest = *std::min_element(place, end, before);
    auto best = end;
    for (auto other = place; other != end; ++other) {
      if (!costs_the_same(*other, cheapest)) continue;
      if (best == end || better(*other, *best)) best = other;
    }
    std::rotate(place, best, best + 1);
  }
}

/// Who else costs what the cheapest does.
std::vector<Mechanism> as_cheap_as_the_first(const std::vector<Candidate>& ranked) {
  std::vector<Mechanism> others;
  if (ranked.empty() || !ranked.front().carries) return others;
  const Candidate& cheapest = *std::min_element(ranked.begin(), ranked.end(), before);
  for (std::size_t i = 1; i < ranked.size() && ranked[i].carries; ++i) {
    if (costs_the_same(ranked[i], cheapest)) others.push_back(ranked[i].mechanism);
  }
  return others;
}

/// The candidates for a question; into `refused` those that are none, where it is asked for.
std::vector<Candidate> candidates_of(const Question& question, const Measurements& measurements,
                                     std::vector<Refused>* refused = nullptr) {
  std::vector<Candidate> candidates;
  for (const Mechanism mechanism : all_mechanisms) {
    if (!between_processes(mechanism)) continue;
    auto lacks = lacks_of(question, mechanism);
    auto candidate = lacks.empty() ? judge(question, measurements, mechanism) : std::nullopt;
    if (candidate) {
      candidates.push_back(*candidate);
    } else if (refused) {
      Refused& one = refused->emplace_back(Refused{.mechanism = mechanism, .lacks = lacks});
      if (!one.lacks.empty()) continue;
      one.unmeasured = "it was not measured";
      for (const Unmeasured& without : measurements.unmeasured) {
        if (without.mechanism == mechanism) one.unmeasured = without.why;
      }
    }
  }
  rank(candidates);
  return candidates;
}

/// What shared memory saves over the queue: worth it, or not, or one of them is not there.
std::optional<bool> worth_it(const Question& question, const Measurements& measurements,
                             Mechanism queue) {
  const auto memory = judge(question, measurements, Mechanism::shm);
  const auto other = judge(question, measurements, queue);
  if (!memory || !other || !memory->carries) return std::nullopt;
  return !other->carries || other->share() - memory->share() >= Rule::worth_share;
}

/// Where it begins to be worth it and stays so; the question is changed by `set` over the steps.
template <class Set>
std::optional<double> crossover(Question question, const Measurements& measurements,
                                Mechanism queue, double first, double last, Set set) {
  std::optional<double> begin;
  constexpr double step = 1.02;
  for (double at = first; at <= last; at *= step) {
    set(question, at);
    const auto worth = worth_it(question, measurements, queue);
    if (!worth) break;
    if (!*worth) begin.reset();
    if (*worth && !begin) begin = at;
  }
  return begin;
}

Rule rule_for(const Question& question, const Measurements& measurements,
              const std::vector<Candidate>& ranked) {
  Rule rule;
  const Candidate* memory = nullptr;
  for (const Candidate& candidate : ranked) {
    if (candidate.mechanism == Mechanism::shm) {
      memory = &candidate;
    } else if (!rule.queue && !candidate.leaves_files) {
      rule.queue = candidate.mechanism;
      rule.saves = candidate.share();
    }
  }
  rule.memory_qualifies = memory != nullptr;
  if (!memory || !rule.queue) return rule;
  rule.saves -= memory->share();
  rule.from_rate = crossover(question, measurements, *rule.queue, 1, 1e9,
                             [](Question& q, double rate) { q.rate = rate; });
  const auto bytes =
      crossover(question, measurements, *rule.queue, 1, 1e9,
                [](Question& q, double size) { q.bytes = static_cast<std::size_t>(size); });
  if (bytes) rule.from_bytes = static_cast<std::size_t>(*bytes);
  return rule;
}

bool somebody_has(const Capabilities& needed) {
  return std::any_of(all_mechanisms.begin(), all_mechanisms.end(), [&](Mechanism mechanism) {
    return between_processes(mechanism) &&
           words_of(missing(needed, capabilities(mechanism))).empty();
  });
}

/// Needs that nobody has together, as few as will do; those that were not said themselves go first.
std::vector<std::string> contradiction(const Question& question) {
  Capabilities core = needs_of(question);
  if (somebody_has(core))
    return {"messages of " + bytes_in_words(question.bytes) + " that may be lost"};
  for (const bool said : {false, true}) {
    for (const Need& need : needs) {
      if (!(core.*need.flag) || question.needs.*need.flag != said) continue;
      core.*need.flag = false;
      if (somebody_has(core)) core.*need.flag = true;
    }
  }
  return words_of(core);
}

/// Nobody meets the needs: the one that lacks the least, of those the one that can do the most.
void tell_lack(Advice& advice) {
  const auto nearest = std::min_element(advice.refused.begin(), advice.refused.end(),
                                        [](const Refused& a, const Refused& b) {
                                          if (a.lacks.size() != b.lacks.size())
                                            return a.lacks.size() < b.lacks.size();
                                          return abilities(a.mechanism) > abilities(b.mechanism);
                                        });
  if (nearest == advice.refused.end()) return;
  advice.nearest = nearest->mechanism;
  if (nearest->lacks.empty()) {
    advice.impossible = fmt::format(
        "only {} meets {}, and it could not be measured here: {}", to_string(nearest->mechanism),
        joined(words_of(needs_of(advice.question))), nearest->unmeasured);
    return;
  }
  const auto core = contradiction(advice.question);
  advice.impossible = fmt::format("no mechanism has {}{}; the nearest is {}, without {}",
                                  joined(core), core.size() > 1 ? " together" : "",
                                  to_string(nearest->mechanism), joined(nearest->lacks, " or "));
}

void tell_rate(Advice& advice) {
  const Candidate& nearest = advice.ranked.front();
  advice.nearest = nearest.mechanism;
  advice.impossible = fmt::format(
      "nothing measured here that meets the needs carries {} messages of {} a second; the nearest "
      "is {}, with {}",
      rate_in_words(advice.question.rate), bytes_in_words(advice.question.bytes),
      to_string(nearest.mechanism), rate_in_words(nearest.capacity));
}

/// Two digits, three above a hundred: more than that no two measurements have in common.
std::string figure(double value) {
  const int digits = value >= 10 ? 0 : value >= 1 ? 1 : 2;
  std::string text = fmt::format("{:.{}f}", value, digits);
  if (text.find('.') != std::string::npos) {
    while (text.back() == '0') text.pop_back();
    if (text.back() == '.') text.pop_back();
  }
  return text;
}

}  // namespace

Capabilities needs_of(const Question& question) {
  Capabilities all = question.needs;
  all.reliable = all.reliable || !question.may_lose;
  all.many_clients = all.many_clients || question.topology != Topology::one_to_one;
  return all;
}

std::vector<std::string> words_of(const Capabilities& needed) {
  std::vector<std::string> words;
  for (const Need& need : needs) {
    if (needed.*need.flag) words.emplace_back(need.words);
  }
  return words;
}

const Candidate* Advice::quickest() const {
  const Candidate* first = recommended();
  if (!first || !first->delay_ns) return nullptr;
  const Candidate* best = first;
  for (const Candidate& one : ranked) {
    if (as_good(one) && one.delay_ns && *one.delay_ns < *best->delay_ns) best = &one;
  }
  return *best->delay_ns * 2 < *first->delay_ns ? best : nullptr;
}

Advice advise(const Question& question, const Measurements& measurements) {
  Advice advice{.question = question};
  advice.ranked = candidates_of(question, measurements, &advice.refused);
  if (advice.ranked.empty()) {
    tell_lack(advice);
  } else {
    advice.as_cheap = as_cheap_as_the_first(advice.ranked);
    advice.rule = rule_for(question, measurements, advice.ranked);
    if (!advice.ranked.front().carries) tell_rate(advice);
  }
  return advice;
}

std::string bytes_in_words(std::size_t bytes) {
  const auto size = static_cast<double>(bytes);
  if (bytes < 1024) return fmt::format("{} B", bytes);
  if (bytes < 1024 * 1024) return figure(size / 1024) + " KiB";
  if (bytes < 1024 * 1024 * 1024) return figure(size / (1024 * 1024)) + " MiB";
  return figure(size / (1024.0 * 1024 * 1024)) + " GiB";
}

std::string rate_in_words(double rate) {
  if (rate < 100) return figure(rate);
  // What is asked is told as it is; of what was measured three digits are more than enough.
  const double unit = rate == std::round(rate) ? 1 : std::pow(10, std::floor(std::log10(rate)) - 2);
  std::string digits = fmt::format("{:.0f}", std::round(rate / unit) * unit);
  for (auto place = std::ssize(digits) - 3; place > 0; place -= 3) {
    digits.insert(static_cast<std::size_t>(place), ",");
  }
  return digits;
}

std::string share_in_words(double share) {
  if (share >= 0.995) return fmt::format("{:.1f} cores", share);
  if (share < 0.0001) return "under 0.01 % of a core";
  return figure(share * 100) + " % of a core";
}

std::string time_in_words(double ns) {
  if (ns < 1000) return figure(ns) + " ns";
  if (ns < 1e6) return figure(ns / 1e3) + " µs";
  if (ns < 1e9) return figure(ns / 1e6) + " ms";
  return figure(ns / 1e9) + " s";
}

}  // namespace bulkhead::bench
