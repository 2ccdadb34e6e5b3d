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
      std::count_if(ranked.begin(), ranked.end(), [](const Candidate& c) { return c.carries; });
  if (carrying == 1) return "it is the only one that meets the needs and carries the rate";
  const auto cheapest = std::min_element(
      ranked.begin(), ranked.begin() + carrying,
      [](const Candidate& a, const Candidate& b) { return a.share() < b.share(); });
  const double ratio = ranked[1].share() / first.share();
  if (cheapest->mechanism == first.mechanism && ratio > 1.1 &&
      ranked[1].share() - first.share() > 0.002) {
    return fmt::format("it takes the least processor time of the {} that meet the needs", carrying);
  }
  const std::string same = fmt::format("it costs what {} does, next to nothing more or less",
                                       to_string(ranked[1].mechanism));
  const bool sooner =
      first.delay_ns && ranked[1].delay_ns && *first.delay_ns * 1.25 < *ranked[1].delay_ns;
  return same + (sooner ? ", and a message is there sooner" : ", and can do as much or more");
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
  if (question.needs.other_machine && can.survives) {
    reasons.push_back("on another machine through a file server, whose time is not in the figures");
  } else if (question.needs.other_machine) {
    reasons.push_back("measured over the loopback device: the network's own time comes on top");
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

std::vector<std::string> reasons(const Advice& advice) {
  const Question& question = advice.question;
  const Candidate& first = advice.ranked.front();
  std::vector<std::string> all{reason_of_price(advice)};
  if (first.estimate.beyond) {
    all.push_back("larger than what was measured: computed from the bandwidth of the largest size");
  }
  if (question.rate > 0.8 * first.capacity) {
    all.push_back("the rate is near what it carries at most: leave room, or send larger messages");
  }
  if (question.bytes > ChannelOptions{}.max_message_bytes) {
    all.push_back("ChannelOptions::max_message_bytes has to be raised for messages of this size");
  }
  reasons_of_place(advice, all);
  return all;
}

std::string cost_in_words(const Candidate& candidate) {
  return fmt::format("{} to send, {} to receive", share_in_words(candidate.send_share),
                     share_in_words(candidate.receive_share));
}

std::string next_in_words(const Advice& advice) {
  const Candidate* next = advice.next();
  if (!next) return "nobody else would do";
  const Candidate& first = advice.ranked.front();
  std::string text =
      fmt::format("{}, {}", to_string(next->mechanism), share_in_words(next->share()));
  const double times = next->share() / first.share();
  if (times >= 1.1) text += fmt::format(" ({:.1f} times as much)", times);
  if (next->delay_ns) text += fmt::format(", a message takes {}", time_in_words(*next->delay_ns));
  return text;
}

std::string refused_in_words(const Advice& advice) {
  std::vector<std::string> all;
  for (const Refused& one : advice.refused) {
    all.push_back(fmt::format(
        "{} ({})", to_string(one.mechanism),
        one.lacks.empty() ? "not measured: " + one.unmeasured : "no " + joined(one.lacks)));
  }
  for (const Candidate& slow : advice.ranked) {
    if (slow.carries) continue;
    all.push_back(fmt::format("{} (at most {} a second)", to_string(slow.mechanism),
                              rate_in_words(slow.capacity)));
  }
  return joined(all);
}

std::string rule_in_words(const Advice& advice) {
  const Rule& rule = advice.rule;
  if (!rule.memory_qualifies) return "shared memory does not meet the needs";
  if (!rule.queue) return "no queue or socket meets the needs";
  const auto queue = to_string(*rule.queue);
  std::string text = fmt::format(
      "take memory where it saves a twentieth of a core. Against {}, of {} that is the case ",
      queue, bytes_in_words(advice.question.bytes));
  text += rule.from_rate ? fmt::format("from {} a second on", rate_in_words(*rule.from_rate))
                         : std::string{"at no rate"};
  text += fmt::format("; at {} a second, ", rate_in_words(advice.question.rate));
  text += rule.from_bytes ? fmt::format("from {} on", bytes_in_words(*rule.from_bytes))
                          : std::string{"at no size"};
  return text +
         fmt::format(". What you ask for: it {} {}", rule.saves >= 0 ? "saves" : "costs",
                     share_in_words(std::abs(rule.saves))) +
         (rule.saves >= 0 ? "" : " more");
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
  text += paragraph("costs", share_in_words(first->share()) + ": " + cost_in_words(*first));
  if (first->delay_ns) {
    text += paragraph("takes",
                      time_in_words(*first->delay_ns) + (advice.question.needs.both_ways
                                                             ? " there and back"
                                                             : " from one process to the other"));
  }
  text += paragraph("carries", fmt::format("up to {} a second", rate_in_words(first->capacity)));
  text += '\n';
  for (const char* title = "why"; const std::string& reason : reasons(advice)) {
    text += paragraph(title, reason);
    title = "";
  }
  text += paragraph("next best", next_in_words(advice));
  if (const std::string refused = refused_in_words(advice); !refused.empty()) {
    text += paragraph("left out", refused);
  }
  text += "\n  shared memory or a queue: " + wrapped(rule_in_words(advice), 2, 70) + '\n';
  return text + fmt::format("\nmeasured {} UTC on {}; --measure measures anew\n",
                            measurements.origin.date, measurements.origin.machine);
}

std::string advice_as_json(const Advice& advice, const Measurements& measurements) {
  const Question& question = advice.question;
  Json candidates = Json::array(), refused = Json::array();
  for (const Candidate& candidate : advice.ranked) candidates.push_back(as_json(candidate));
  for (const Refused& one : advice.refused) {
    refused.push_back({{"mechanism", to_string(one.mechanism)},
                       {"lacks", one.lacks},
                       {"unmeasured", one.unmeasured}});
  }
  const Candidate* first = advice.recommended();
  Json json{{"size", question.bytes},
            {"rate", question.rate},
            {"many", question.many},
            {"needs", words_of(needs_of(question))},
            {"recommended", first ? as_json(*first) : Json(nullptr)},
            {"why", first ? Json(reasons(advice)) : Json::array()},
            {"next", advice.next() ? as_json(*advice.next()) : Json(nullptr)},
            {"impossible", advice.impossible.empty() ? Json(nullptr) : Json(advice.impossible)},
            {"nearest", advice.nearest ? Json(to_string(*advice.nearest)) : Json(nullptr)},
            {"candidates", std::move(candidates)},
            {"refused", std::move(refused)},
            {"rule", as_json(advice.rule)},
            {"measured",
             {{"machine", measurements.origin.machine},
              {"kernel", measurements.origin.kernel},
              {"version", measurements.origin.version},
              {"date", measurements.origin.date}}}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace bulkhead::tools
