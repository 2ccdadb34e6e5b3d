// SPDX-License-Identifier: Apache-2.0
//
// `bulkhead advise`: which mechanism for messages of a size, at a rate, in a topology, with needs;
// from measurements on this machine.
#include <CLI/CLI.hpp>
#include <array>
#include <charconv>
#include <cstdio>
#include <fmt/format.h>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bench/advice.hpp"
#include "bench/advice_file.hpp"
#include "bench/advice_measuring.hpp"
#include "tools/bulkhead/advise_report.hpp"
#include "tools/bulkhead/verb.hpp"

namespace bulkhead::tools {

namespace {

/// What N and M are when nobody says.
constexpr std::size_t some = 8;
constexpr std::size_t most = 1'000'000;

struct Need {
  const char* name;
  bool Capabilities::* flag;
};
constexpr std::array needs{
    Need{"priority", &Capabilities::priority},
    Need{"remote", &Capabilities::other_machine},
    Need{"durable", &Capabilities::survives},
    Need{"handles", &Capabilities::handles},
    Need{"both-ways", &Capabilities::both_ways},
    Need{"many-clients", &Capabilities::many_clients},
    Need{"unrelated", &Capabilities::unrelated},
    Need{"in-place", &Capabilities::in_place},
    Need{"tells-death", &Capabilities::tells_death},
};

std::vector<std::string> names_of_needs() {
  std::vector<std::string> names;
  for (const Need& need : needs) names.emplace_back(need.name);
  names.insert(names.end(), {"one-way", "untrusted"});
  return names;
}

struct Shape {
  bench::Topology topology = bench::Topology::one_to_one;
  std::size_t many = 1;
};

/// "1:1", "N:1", "1:12", "4:4"; nothing for anything else.
std::optional<Shape> shape_of(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == text.npos) return std::nullopt;
  const auto side = [](std::string_view word) -> std::optional<std::size_t> {
    if (word == "N" || word == "n" || word == "M" || word == "m") return some;
    std::size_t count = 0;
    const auto [end, error] = std::from_chars(word.begin(), word.end(), count);
    if (error != std::errc{} || end != word.end() || count < 1 || count > most) return std::nullopt;
    return count;
  };
  const auto from = side(text.substr(0, colon)), to = side(text.substr(colon + 1));
  if (!from || !to) return std::nullopt;
  if (*from == 1 && *to == 1) return Shape{};
  if (*to == 1) return Shape{bench::Topology::many_to_one, *from};
  if (*from == 1) return Shape{bench::Topology::one_to_many, *to};
  return Shape{bench::Topology::many_to_many, std::max(*from, *to)};
}

class Advise : public Verb {
 public:
  explicit Advise(CLI::App& app)
      : command_{app.add_subcommand("advise",
                                    "Which mechanism for a size, a rate and a topology, and why")} {
    command_->add_option("--size", question_.bytes, "Bytes of a message: 4096, 4k, 1mb")
        ->required()
        ->transform(CLI::AsSizeValue(false))
        ->check(CLI::Range(std::size_t{0}, std::size_t{1} << 40))
        ->option_text("SIZE");
    command_->add_option("--rate", question_.rate, "Messages a second, all together: 10000, 10k")
        ->required()
        ->transform(CLI::AsNumberWithUnit(std::map<std::string, double>{{"k", 1e3}, {"m", 1e6}}))
        ->check(CLI::Range(1e-3, 1e12))
        ->option_text("RATE");
    command_
        ->add_option("--topology", topology_,
                     "Senders:receivers; 1:1, N:1, 1:N (each message to all), N:M (to one of "
                     "them), or numbers; N is 8")
        ->check(CLI::Validator{[](const std::string& text) {
                                 return shape_of(text) ? std::string{}
                                                       : text +
                                                             " is no topology: write 1:1, N:1, "
                                                             "1:N, N:M, or numbers as in 12:1";
                               },
                               ""})
        ->capture_default_str()
        ->option_text("S:R");
    command_
        ->add_option("--needs", needs_, "What it must have: " + fmt::format("{}", list_of_needs()))
        ->delimiter(',')
        ->transform(CLI::IsMember(names_of_needs(), CLI::ignore_case, hyphenated))
        ->option_text("NEED,...");
    command_->add_flag("--may-lose", question_.may_lose, "Messages may be lost: udp, too");
    command_->add_flag("--measure", measure_, "Measure anew, even if it was done before");
    command_->add_flag("--json", json_, "Print JSON instead of words");
    command_->footer(
        "The first run measures, for some seconds, and keeps the figures in the user's cache "
        "folder\n"
        "(XDG_CACHE_HOME) until machine, kernel or version change. Costs are processor time, as a\n"
        "share of one core at the asked rate. The status is 1 when nothing meets the needs.");
  }

  bool chosen() const override { return command_->parsed(); }

  int run() override {
    const Shape shape = *shape_of(topology_);
    question_.topology = shape.topology;
    question_.many = shape.many;
    if (!take_needs()) return 1;
    const auto measurements = known_or_measured();
    if (!measurements) return 1;
    const bench::Advice advice = bench::advise(question_, *measurements);
    if (json_) {
      fmt::print("{}", advice_as_json(advice, *measurements));
    } else {
      fmt::print("{}", advice_in_words(advice, *measurements));
    }
    if (!json_ && !advice.recommended()) tell(advice.impossible);
    return advice.recommended() ? 0 : 1;
  }

 private:
  static void tell(const std::string& what) { fmt::print(stderr, "bulkhead advise: {}\n", what); }

  static std::string hyphenated(std::string name) {
    std::replace(name.begin(), name.end(), '_', '-');
    return name;
  }

  static std::string list_of_needs() {
    std::string all;
    for (const std::string& name : names_of_needs()) all += (all.empty() ? "" : ", ") + name;
    return all;
  }

  bool take_needs() {
    bool one_way = false;
    for (const std::string& name : needs_) {
      for (const Need& need : needs) {
        if (name == need.name) question_.needs.*need.flag = true;
      }
      one_way = one_way || name == "one-way";
      question_.untrusted = question_.untrusted || name == "untrusted";
    }
    if (one_way && question_.needs.both_ways) {
      tell("--needs one-way,both-ways: it is one of the two; leave one out");
      return false;
    }
    return true;
  }

  std::optional<bench::Measurements> known_or_measured() const {
    const auto file = bench::measurements_path();
    const bench::Origin here = bench::origin_here(BULKHEAD_VERSION);
    if (file && !measure_) {
      auto known = bench::load(*file, here);
      if (known) return *std::move(known);
      if (known.error() != ErrorKind::not_found) tell(known.error().sentence());
    }
    tell("measuring, for some seconds");
    bench::Measurements measured = bench::measure_lines();
    measured.origin = here;
    if (measured.lines.empty()) {
      tell("nothing could be measured" +
           (measured.unmeasured.empty() ? "" : ": " + measured.unmeasured.front().why));
      return std::nullopt;
    }
    if (!file) {
      tell("not kept: neither XDG_CACHE_HOME nor HOME is an absolute path");
    } else if (auto saved = bench::save(*file, measured); !saved) {
      tell(saved.error().sentence());
    }
    return measured;
  }

  CLI::App* command_;
  bench::Question question_;
  std::string topology_ = "1:1";
  std::vector<std::string> needs_;
  bool measure_ = false;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Verb> advise_verb(CLI::App& app) { return std::make_unique<Advise>(app); }

}  // namespace bulkhead::tools
