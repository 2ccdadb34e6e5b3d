// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/advise_report.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <vector>

#include "tools/bulkhead/address_form.hpp"

namespace bulkhead::tools {

namespace {

using namespace bench;
using Json = nlohmann::json;

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string topology_in_words(const Question& question) {
  switch (question.topology) {
    case Topology::one_to_one:
      return "one to one";
    case Topology::many_to_one:
      return fmt::format("{} to one", question.many);
    case Topology::one_to_many:
      return fmt::format("one to each of {}", question.many);
    case Topology::many_to_many:
      return fmt::format("{0} to {0}", question.many);
  }
  return "";
}

std::string question_in_words(const Question& question) {
  return fmt::format("{} {}, {} a second, {}{}", bytes_in_words(question.bytes),
                     question.needs.both_ways ? "and an answer" : "messages",
                     rate_in_words(question.rate), topology_in_words(question),
                     question.may_lose ? ", some may be lost" : "");
}

/// How the first place was won.
std::string reason_of_price(const Advice& advice) {
  const auto& ranked = advice.ranked;
  const Candidate& first = ranked.front();
  const auto carrying =
      std::ranges::count_if(ranked, [&](const Candidate& one) { return advice.as_good(one); });
  if (carrying == 1) return "it is the only one that meets the needs and carries the rate";
  if (advice.as_cheap.empty()) {
    return fmt::format("it takes the least processor time of the {} that meet the needs", carrying);
  }
  std::vector<std::string> others;
  bool soonest = first.delay_ns.has_value();
  for (const Candidate& other : ranked) {
    if (std::ranges::find(advice.as_cheap, other.mechanism) == advice.as_cheap.end()) continue;
    others.emplace_back(to_string(other.mechanism));
    soonest = soonest && other.delay_ns && *first.delay_ns * 1.25 < *other.delay_ns;
  }
  return fmt::format(
      "none of the {} that meet the needs is cheaper by more than measuring can tell ({} {} "
      "the same), and {}",
      carrying, joined(others), others.size() == 1 ? "costs" : "cost",
      soonest ? "its messages arrive the soonest" : "of those it can do the most");
}

void reasons_of_place(const Advice& advice, std::vector<std::string>& reasons) {
  const Question& question = advice.question;
  const Candidate& first = advice.ranked.front();
  const Capabilities can = capabilities(first.mechanism);
  if (question.topology != Topology::one_to_one) {
    reasons.push_back("computed from the figures of one connection at its share of the rate");
  }
  if (first.mechanism == Mechanism::shm && question.many > 1) {
    const std::size_t connections =
        question.topology == Topology::many_to_many ? question.many * question.many : question.many;
    reasons.push_back(fmt::format(
        "its {} connections hold {} of rings; where most are silent, a socket holds none",
        connections, bytes_in_words(connections * 2 * ChannelOptions{}.capacity_bytes)));
  }
  if (question.needs.other_machine) {
    reasons.push_back(can.survives ? "through a file server, whose time is not in the figures"
                                   : "measured over the loopback device: the network's own time "
                                     "comes on top");
  }
  if (question.needs.survives) {
    reasons.push_back(
        "what was sent survives both ends; what a power cut leaves is another matter");
  }
  if (!can.reliable) reasons.push_back("messages may be lost, and are counted: Channel::losses()");
  if (question.untrusted) {
    reasons.push_back(
        "that the peer is not trusted changes nothing here: each message is a private copy anyway. "
        "Say Trust::untrusted, and loans and views are copies, too");
  }
}

std::vector<std::string> reasons(const Advice& advice, const Measurements& measurements) {
  const Question& question = advice.question;
  const Candidate& first = advice.ranked.front();
  std::vector<std::string> all{reason_of_price(advice)};
  if (first.estimate.beyond) {
    all.push_back("larger than what was measured: computed from the bandwidth of the largest size");
  }
  if (question.rate > 0.8 * first.capacity) {
    all.push_back("the rate is near what it carries at most: leave room, or send larger messages");
  }
  if (first.share() > measurements.cpus) {
    all.push_back(
        fmt::format("that is more than the {} CPUs that were measured on", measurements.cpus));
  }
  if (question.bytes > ChannelOptions{}.max_message_bytes) {
    all.push_back("ChannelOptions::max_message_bytes has to be raised for messages of this size");
  }
  reasons_of_place(advice, all);
  return all;
}

std::string percent(double share) {
  return fmt::format("{:.{}f} %", share * 100, share >= 0.1 ? 0 : share >= 0.01 ? 1 : 2);
}

std::string other_in_words(const Candidate& other, const Candidate& first) {
  std::string text =
      fmt::format("{}: {}", to_string(other.mechanism), share_in_words(other.share()));
  const double times = other.share() / first.share();
  if (times >= 1.15) text += fmt::format(" ({:.1f} times as much)", times);
  if (other.delay_ns) text += fmt::format(", {} a message", time_in_words(*other.delay_ns));
  return text;
}

/// Each under the first thing that it lacks: "priority: pipe, fifo; reliable delivery: udp".
std::string refused_in_words(const Advice& advice) {
  std::vector<std::pair<std::string, std::string>> groups;
  const auto put = [&](const std::string& reason, Mechanism mechanism) {
    const auto group =
        std::ranges::find(groups, reason, &std::pair<std::string, std::string>::first);
    const std::string name{to_string(mechanism)};
    if (group == groups.end()) {
      groups.emplace_back(reason, name);
    } else {
      group->second += ", " + name;
    }
  };
  for (const Refused& one : advice.refused) {
    put(one.lacks.empty() ? "not measured (" + one.unmeasured + ")" : "no " + one.lacks.front(),
        one.mechanism);
  }
  for (const Candidate& one : advice.ranked) {
    if (!one.carries) {
      put("too slow", one.mechanism);
    } else if (!advice.as_good(one)) {
      put("leave files behind", one.mechanism);
    }
  }
  std::string text;
  for (const auto& [reason, names] : groups) {
    text += (text.empty() ? "" : "; ") + reason + ": " + names;
  }
  return text;
}

std::string rule_in_words(const Advice& advice) {
  const Rule& rule = advice.rule;
  if (!rule.memory_qualifies) return "shared memory does not meet the needs";
  if (!rule.queue) return "no queue or socket meets the needs";
  std::string from_rate = "at no rate", from_bytes = "of no size";
  if (rule.from_rate) {
    from_rate = *rule.from_rate <= 1
                    ? "at any rate"
                    : fmt::format("from {} a second on", rate_in_words(*rule.from_rate));
  }
  if (rule.from_bytes) {
    from_bytes = *rule.from_bytes <= 1
                     ? "of any size"
                     : fmt::format("from {} on", bytes_in_words(*rule.from_bytes));
  }
  return fmt::format(
      "memory, where it saves a twentieth of a core. Against {}: messages of {} {}; at {} a second "
      "messages {}. As asked it {} {}{}",
      to_string(*rule.queue), bytes_in_words(advice.question.bytes), from_rate,
      rate_in_words(advice.question.rate), from_bytes, rule.saves >= 0 ? "saves" : "costs",
      share_in_words(std::abs(rule.saves)), rule.saves >= 0 ? "" : " more");
}

/// Words at most `width` wide, the lines after the first behind `indent` blanks.
std::string wrapped(const std::string& text, std::size_t indent, std::size_t width = 96) {
  std::string out;
  std::size_t column = indent;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    if (column + 1 + (end - begin) > width && column > indent) {
      out += '\n' + std::string(indent, ' ');
      column = indent;
    } else if (begin > 0) {
      out += ' ';
      ++column;
    }
    out += text.substr(begin, end - begin);
    column += end - begin;
    begin = end + 1;
  }
  return out;
}

std::string paragraph(const char* title, const std::string& text) {
  return fmt::format("  {:10} {}\n", title, wrapped(text, 13));
}

Json as_json(const Candidate& candidate) {
  Json json{{"mechanism", to_string(candidate.mechanism)},
            {"address", address_form(candidate.mechanism)},
            {"core_share", candidate.share()},
            {"send_share", candidate.send_share},
            {"receive_share", candidate.receive_share},
            {"capacity", candidate.capacity},
            {"carries", candidate.carries},
            {"extrapolated", candidate.estimate.beyond}};
  json["delay_us"] = candidate.delay_ns ? Json(*candidate.delay_ns / 1e3) : Json(nullptr);
  return json;
}

Json as_json(const Rule& rule) {
  const auto or_null = [](const auto& value) { return value ? Json(*value) : Json(nullptr); };
  return {{"worth_share", Rule::worth_share},
          {"memory_qualifies", rule.memory_qualifies},
          {"queue", rule.queue ? Json(to_string(*rule.queue)) : Json(nullptr)},
          {"from_rate", or_null(rule.from_rate)},
          {"from_bytes", or_null(rule.from_bytes)},
          {"saves", rule.saves}};
}

}  // namespace

std::string advice_in_words(const Advice& advice, const Measurements& measurements) {
  const Candidate* first = advice.recommended();
  if (!first) return {};
  std::string text = fmt::format("{}  for {}\n\n", to_string(first->mechanism),
                                 question_in_words(advice.question));
  text += paragraph("address", address_form(first->mechanism));
  text += paragraph("costs",
                    fmt::format("{} ({} to send, {} to receive)", share_in_words(first->share()),
                                percent(first->send_share), percent(first->receive_share)));
  if (first->delay_ns) {
    text += paragraph("takes",
                      time_in_words(*first->delay_ns) + (advice.question.needs.both_ways
                                                             ? " there and back"
                                                             : " from one process to the other"));
  }
  text += paragraph("carries", fmt::format("up to {} a second", rate_in_words(first->capacity)));
  text += '\n';
  for (const char* title = "why"; const std::string& reason : reasons(advice, measurements)) {
    text += paragraph(title, reason);
    title = "";
  }
  const Candidate* next = advice.next();
  text += paragraph("next best", next ? other_in_words(*next, *first) : "nobody else would do");
  if (const Candidate* quickest = advice.quickest(); quickest && quickest != next) {
    text += paragraph("quickest", other_in_words(*quickest, *first));
  }
  if (const std::string refused = refused_in_words(advice); !refused.empty()) {
    text += paragraph("left out", refused);
  }
  text += "\n  shared memory or a queue\n" + paragraph("", rule_in_words(advice));
  text += fmt::format("\nmeasured {} UTC on {}; --measure measures anew\n",
                      measurements.origin.date, measurements.origin.machine);
  if (measurements.busy) text += "the machine was busy meanwhile: measure again when it is not\n";
  return text;
}

std::string advice_as_json(const Advice& advice, const Measurements& measurements) {
  const Question& question = advice.question;
  Json candidates = Json::array(), refused = Json::array(), as_cheap = Json::array();
  for (const Mechanism mechanism : advice.as_cheap) as_cheap.push_back(to_string(mechanism));
  for (const Candidate& candidate : advice.ranked) candidates.push_back(as_json(candidate));
  for (const Refused& one : advice.refused) {
    refused.push_back({{"mechanism", to_string(one.mechanism)},
                       {"lacks", one.lacks},
                       {"unmeasured", one.unmeasured}});
  }
  const Candidate* first = advice.recommended();
  Json json{{"size", question.bytes},
            {"rate", question.rate},
            {"topology", topology_in_words(question)},
            {"many", question.many},
            {"needs", words_of(needs_of(question))},
            {"recommended", first ? as_json(*first) : Json(nullptr)},
            {"why", first ? Json(reasons(advice, measurements)) : Json::array()},
            {"next", advice.next() ? as_json(*advice.next()) : Json(nullptr)},
            {"as_cheap", std::move(as_cheap)},
            {"impossible", advice.impossible.empty() ? Json(nullptr) : Json(advice.impossible)},
            {"nearest", advice.nearest ? Json(to_string(*advice.nearest)) : Json(nullptr)},
            {"candidates", std::move(candidates)},
            {"refused", std::move(refused)},
            {"rule", as_json(advice.rule)},
            {"measured",
             {{"machine", measurements.origin.machine},
              {"kernel", measurements.origin.kernel},
              {"version", measurements.origin.version},
              {"date", measurements.origin.date},
              {"busy", measurements.busy}}}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace bulkhead::tools
