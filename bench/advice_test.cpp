// SPDX-License-Identifier: Apache-2.0
//
// Advice from made-up measurements, and the file in which real ones are kept.
#include "bench/advice.hpp"

#include <algorithm>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "bench/advice_file.hpp"
#include "bench/advice_measuring.hpp"
#include "support/census.hpp"

namespace bulkhead::bench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

/// A mechanism whose message costs `ns` on each side, and `ns_slow` at a thousand a second and less;
/// at 100 bytes and, ten times as much, at 10,000.
void add(Measurements& all, Mechanism mechanism, double ns, double ns_slow, double capacity = 1e6,
         double delay_ns = 10'000) {
  for (const double times : {1.0, 10.0}) {
    all.lines.push_back(
        {.mechanism = mechanism,
         .bytes = static_cast<std::size_t>(100 * times * times),
         .paces = {{1000, ns_slow * times, ns_slow * times, delay_ns},
                   {.rate = capacity / times, .send_ns = ns * times, .receive_ns = ns * times}}});
  }
}

/// Each of those that join processes, all at the same price.
Measurements all_the_same() {
  Measurements all;
  for (const Mechanism mechanism : all_mechanisms) {
    if (mechanism != Mechanism::inproc) add(all, mechanism, 1000, 10'000);
  }
  return all;
}

Measurements without(Measurements all, Mechanism mechanism) {
  std::erase_if(all.lines, [&](const Line& line) { return line.mechanism == mechanism; });
  return all;
}

/// With this one at another price.
Measurements with(Measurements all, Mechanism mechanism, double ns, double ns_slow,
                  double capacity = 1e6, double delay_ns = 10'000) {
  all = without(std::move(all), mechanism);
  add(all, mechanism, ns, ns_slow, capacity, delay_ns);
  return all;
}

Question messages(std::size_t bytes, double rate, Capabilities needs = {}) {
  return {.bytes = bytes, .rate = rate, .needs = needs};
}

std::optional<Mechanism> best(const Question& question, const Measurements& measurements) {
  const Advice advice = advise(question, measurements);
  if (!advice.recommended()) return std::nullopt;
  return advice.recommended()->mechanism;
}

TEST(advice_lines, between_two_sizes_and_two_paces_lie_on_log_log_paper) {
  Measurements all;
  add(all, Mechanism::tcp, 1000, 10'000);
  // 1,000 bytes is half-way between 100 and 10,000 on such paper; so is the square root of ten of one.
  const auto size = estimate(all, Mechanism::tcp, 1000, 1000);
  ASSERT_TRUE(size);
  EXPECT_NEAR(size->send_ns, 10'000 * std::sqrt(10), 1);
  EXPECT_NEAR(size->capacity, 1e6 / std::sqrt(10), 1);
  // From 1,000 to 1,000,000 a second the cost falls by ten; half-way is 31,623.
  const auto pace = estimate(all, Mechanism::tcp, 100, std::sqrt(1e9));
  EXPECT_NEAR(pace->receive_ns, 10'000 / std::sqrt(10), 1);
  EXPECT_FALSE(pace->beyond);
}

TEST(advice_lines, at_a_measured_point_are_what_was_measured) {
  Measurements all;
  add(all, Mechanism::tcp, 1000, 10'000);
  for (const std::size_t bytes : {100, 10'000}) {
    const double times = bytes == 100 ? 1 : 10;
    EXPECT_NEAR(estimate(all, Mechanism::tcp, bytes, 1000)->send_ns, 10'000 * times, 0.01);
    EXPECT_NEAR(estimate(all, Mechanism::tcp, bytes, 1e6)->send_ns, 1000 * times, 0.01);
  }
}

TEST(advice_lines, outside_of_what_was_measured_are_the_nearest_pace_and_the_smallest_size) {
  Measurements all;
  add(all, Mechanism::tcp, 1000, 10'000);
  EXPECT_EQ(estimate(all, Mechanism::tcp, 0, 1)->send_ns, 10'000);
  EXPECT_EQ(estimate(all, Mechanism::tcp, 1, 1e9)->send_ns, 1000);
  EXPECT_EQ(estimate(all, Mechanism::tcp, 1, 1e9)->delay_ns, 10'000) << "that of the fastest pace";
  EXPECT_FALSE(estimate(all, Mechanism::udp, 100, 1));
}

TEST(advice_lines, beyond_the_largest_size_follow_its_bandwidth_and_say_so) {
  Measurements all;
  add(all, Mechanism::tcp, 1000, 10'000);
  const auto large = estimate(all, Mechanism::tcp, 1'000'000, 10);
  ASSERT_TRUE(large);
  EXPECT_TRUE(large->beyond);
  EXPECT_NEAR(large->capacity, 1e5 / 100, 0.01);
  // 100 messages of the largest size, ten times a second: as slow as a thousand a second.
  EXPECT_NEAR(large->send_ns, 100 * 100'000, 1);
  // The first part arrives as one does, the others at the pace of the stream.
  EXPECT_NEAR(*large->delay_ns, 10'000 + 99 * 1e9 / 1e5, 1);
  EXPECT_FALSE(estimate(all, Mechanism::tcp, 10'000, 10)->beyond);
}

TEST(advice_lines, costs_too_small_to_be_measured_do_not_break_the_paper) {
  Measurements all;
  all.lines = {{Mechanism::shm, 100, {{1000, 0, 0, 0}, {.rate = 1e6}}},
               {Mechanism::shm, 1000, {{.rate = 1e6}}}};
  const auto free = estimate(all, Mechanism::shm, 300, 30'000);
  EXPECT_TRUE(std::isfinite(free->send_ns));
  EXPECT_TRUE(std::isfinite(*free->delay_ns));
}

TEST(advice, takes_the_cheapest) {
  EXPECT_EQ(best(messages(100, 1e4), with(all_the_same(), Mechanism::sysv_mq, 500, 5000)),
            Mechanism::sysv_mq);
  EXPECT_EQ(best(messages(100, 1e4), with(all_the_same(), Mechanism::pipe, 500, 5000)),
            Mechanism::pipe);
}

TEST(advice, the_cheapest_depends_on_the_rate) {
  // Dear when it is slow, for it polls; cheap when it is fast.
  const auto all = with(all_the_same(), Mechanism::shm, 20, 50'000);
  EXPECT_NE(best(messages(100, 1e3), all), Mechanism::shm);
  EXPECT_EQ(best(messages(100, 9e5), all), Mechanism::shm);
}

TEST(advice, of_the_same_price_the_quicker_and_then_the_more_able) {
  EXPECT_EQ(best(messages(100, 1e4), all_the_same()), Mechanism::shm) << "it can do the most";
  EXPECT_EQ(best(messages(100, 1e4), without(all_the_same(), Mechanism::shm)),
            Mechanism::unix_socket)
      << "as able as the queues, and before them in the list";
  EXPECT_EQ(
      best(messages(100, 1e4), with(all_the_same(), Mechanism::pipe, 1000, 10'000, 1e6, 5000)),
      Mechanism::pipe)
      << "twice as quick";
  EXPECT_EQ(
      best(messages(100, 1e4), with(all_the_same(), Mechanism::pipe, 1000, 10'000, 1e6, 9000)),
      Mechanism::shm)
      << "a tenth quicker is no quicker";
  EXPECT_EQ(best(messages(100, 1e4), with(all_the_same(), Mechanism::pipe, 900, 9000)),
            Mechanism::shm)
      << "a tenth cheaper is no cheaper";
}

TEST(advice, names_those_that_cost_the_same) {
  const Advice advice = advise(messages(100, 1e4), all_the_same());
  EXPECT_THAT(advice.as_cheap,
              ElementsAre(Mechanism::unix_socket, Mechanism::tcp, Mechanism::posix_mq,
                          Mechanism::sysv_mq, Mechanism::fifo, Mechanism::pipe));
  EXPECT_THAT(advise(messages(100, 1e4), with(all_the_same(), Mechanism::fifo, 100, 1000)).as_cheap,
              testing::IsEmpty());
}

TEST(advice, at_a_trickle_everything_costs_the_same) {
  // Half a percent of a core is nothing to choose by.
  EXPECT_EQ(best(messages(100, 1), with(all_the_same(), Mechanism::tcp, 1, 10)), Mechanism::shm);
}

TEST(advice, keeps_to_each_need) {
  using Flag = bool Capabilities::*;
  for (const Flag flag :
       {&Capabilities::priority, &Capabilities::other_machine, &Capabilities::survives,
        &Capabilities::handles, &Capabilities::both_ways, &Capabilities::many_clients,
        &Capabilities::unrelated, &Capabilities::tells_death, &Capabilities::in_place}) {
    Capabilities needs;
    needs.*flag = true;
    const Advice advice = advise(messages(100, 1e4, needs), all_the_same());
    ASSERT_TRUE(advice.recommended()) << words_of(needs).front();
    for (const Candidate& one : advice.ranked) {
      EXPECT_TRUE(capabilities(one.mechanism).*flag) << to_string(one.mechanism);
    }
    for (const Refused& one : advice.refused) {
      const bool can = capabilities(one.mechanism).*flag && capabilities(one.mechanism).reliable;
      EXPECT_FALSE(can) << to_string(one.mechanism);
      EXPECT_FALSE(one.lacks.empty());
    }
    EXPECT_EQ(advice.ranked.size() + advice.refused.size(), all_mechanisms.size() - 1);
  }
}

TEST(advice, never_leaves_threads_for_processes) {
  auto all = all_the_same();
  add(all, Mechanism::inproc, 1, 1);
  for (const Candidate& one : advise(messages(100, 10), all).ranked) {
    EXPECT_NE(one.mechanism, Mechanism::inproc);
  }
}

TEST(advice, what_may_be_lost_is_for_udp_only_when_that_is_said) {
  const auto all = with(all_the_same(), Mechanism::udp, 1, 1);
  Question question = messages(100, 1e5);
  EXPECT_NE(best(question, all), Mechanism::udp);
  question.may_lose = true;
  EXPECT_EQ(best(question, all), Mechanism::udp);
  question.bytes = 100'000;  // more than a datagram
  question.rate = 10;
  EXPECT_NE(best(question, all), Mechanism::udp);
}

TEST(advice, files_are_left_behind_only_where_that_is_asked) {
  auto all = with(all_the_same(), Mechanism::mmap, 10, 10);
  all = with(all, Mechanism::file, 10, 10);
  EXPECT_EQ(best(messages(100, 1e4), all), Mechanism::shm);
  EXPECT_EQ(best(messages(100, 1e4, {.other_machine = true}), all), Mechanism::tcp)
      << "a file server was not measured";
  const Advice durable = advise(messages(100, 1e4, {.survives = true}), all);
  EXPECT_TRUE(capabilities(durable.recommended()->mechanism).survives);
  // Where nobody else carries the rate it is better than nothing.
  const auto slow =
      with(with(Measurements{}, Mechanism::tcp, 10, 10, 100), Mechanism::file, 10, 10);
  EXPECT_EQ(best(messages(100, 1e4), slow), Mechanism::file);
}

TEST(advice, many_to_one_costs_what_slow_connections_cost) {
  const auto all = all_the_same();
  Question question = messages(100, 8000);
  const double one = advise(question, all).recommended()->share();
  question.topology = Topology::many_to_one;
  question.many = 8;
  const Advice advice = advise(question, all);
  // A thousand a second on each: each message wakes a sleeper.
  EXPECT_NEAR(advice.recommended()->share(), 8000 * 2 * 10'000 / 1e9, 1e-6);
  EXPECT_GT(advice.recommended()->share(), one);
  EXPECT_NEAR(advice.recommended()->capacity, 1e6, 1) << "one receiver has to take it all";
  for (const Candidate& candidate : advice.ranked) {
    EXPECT_TRUE(capabilities(candidate.mechanism).many_clients) << to_string(candidate.mechanism);
  }
}

TEST(advice, one_to_many_sends_to_each_but_writes_a_log_once) {
  Question question = messages(100, 1000, {.survives = true});
  question.topology = Topology::one_to_many;
  question.many = 10;
  const Advice log = advise(question, all_the_same());
  ASSERT_EQ(log.recommended()->mechanism, Mechanism::file);
  EXPECT_NEAR(log.recommended()->send_share, 1000 * 10'000 / 1e9, 1e-6);
  EXPECT_NEAR(log.recommended()->receive_share, 10 * 1000 * 10'000 / 1e9, 1e-6);
  EXPECT_NEAR(log.recommended()->capacity, 1e6, 1);

  question.needs = {};
  const Advice each = advise(question, all_the_same());
  EXPECT_NEAR(each.recommended()->send_share, 10 * 1000 * 10'000 / 1e9, 1e-6);
  EXPECT_NEAR(each.recommended()->capacity, 1e5, 1);
}

TEST(advice, many_to_many_shares_the_rate_among_the_receivers) {
  Question question = messages(100, 1e6);
  question.topology = Topology::many_to_many;
  question.many = 4;
  const Advice advice = advise(question, all_the_same());
  EXPECT_NEAR(advice.recommended()->capacity, 4e6, 1);
}

TEST(advice, an_answer_doubles_the_work_and_the_way) {
  const Candidate there = *advise(messages(100, 1000), all_the_same()).recommended();
  const Candidate back =
      *advise(messages(100, 1000, {.both_ways = true}), all_the_same()).recommended();
  EXPECT_NEAR(back.share(), 2 * there.share(), 1e-9);
  EXPECT_NEAR(*back.delay_ns, 2 * *there.delay_ns, 1e-6);
  EXPECT_NEAR(back.capacity, there.capacity / 2, 1e-6);
}

TEST(advice, what_nobody_has_is_told_with_the_nearest) {
  const Advice advice =
      advise(messages(100, 10, {.handles = true, .priority = true}), all_the_same());
  EXPECT_FALSE(advice.recommended());
  EXPECT_EQ(advice.impossible,
            "no mechanism has priority and handles together; the nearest is shm, without priority");
  EXPECT_EQ(advice.nearest, Mechanism::shm);
  EXPECT_FALSE(advice.next());
}

TEST(advice, of_many_needs_those_are_named_that_cannot_be_met_together) {
  const Advice advice = advise(
      messages(100, 10,
               {.handles = true, .other_machine = true, .both_ways = true, .unrelated = true}),
      all_the_same());
  EXPECT_THAT(advice.impossible, HasSubstr("way to another machine and handles together"));
  EXPECT_THAT(advice.impossible, Not(HasSubstr("both ways")));
}

TEST(advice, a_rate_beyond_everything_is_told_with_the_fastest) {
  const Advice advice =
      advise(messages(100, 2e7), with(all_the_same(), Mechanism::fifo, 1, 1, 1.5e7));
  EXPECT_FALSE(advice.recommended());
  EXPECT_EQ(advice.nearest, Mechanism::fifo);
  EXPECT_THAT(advice.impossible, HasSubstr("20,000,000 messages of 100 B a second"));
  EXPECT_THAT(advice.impossible, HasSubstr("nearest is fifo, with 15,000,000"));
}

TEST(advice, the_cheapest_that_is_too_slow_is_not_taken) {
  const auto all = with(all_the_same(), Mechanism::fifo, 1, 1, 5e4);
  EXPECT_EQ(best(messages(100, 4e4), all), Mechanism::fifo);
  EXPECT_NE(best(messages(100, 6e4), all), Mechanism::fifo);
}

TEST(advice, what_could_not_be_measured_is_not_recommended) {
  auto all = without(without(all_the_same(), Mechanism::posix_mq), Mechanism::sysv_mq);
  all.unmeasured = {{Mechanism::posix_mq, "too many queues"}, {Mechanism::sysv_mq, "no IPC here"}};
  const Advice advice = advise(messages(100, 10, {.priority = true}), all);
  EXPECT_FALSE(advice.recommended());
  EXPECT_EQ(advice.nearest, Mechanism::posix_mq);
  EXPECT_THAT(advice.impossible, HasSubstr("too many queues"));
  EXPECT_TRUE(advise(messages(100, 10), all).recommended());
}

TEST(advice, without_any_measurement_says_so) {
  const Advice advice = advise(messages(100, 10), {});
  EXPECT_FALSE(advice.recommended());
  EXPECT_THAT(advice.impossible, HasSubstr("could not be measured"));
}

TEST(advice, the_quickest_is_named_where_it_is_twice_as_quick) {
  const auto all = with(all_the_same(), Mechanism::tcp, 5000, 50'000, 1e6, 100);
  const Advice advice = advise(messages(100, 1e4), all);
  ASSERT_TRUE(advice.quickest());
  EXPECT_EQ(advice.quickest()->mechanism, Mechanism::tcp);
  EXPECT_FALSE(advise(messages(100, 1e4), all_the_same()).quickest());
}

TEST(advice_rule, memory_is_worth_it_from_the_rate_at_which_it_saves_a_twentieth_of_a_core) {
  // It saves 2 x 5 µs a message up to 1,000 a second, and less for each from there on.
  const auto all = with(all_the_same(), Mechanism::shm, 500, 5000);
  const Rule rule = advise(messages(100, 1000), all).rule;
  ASSERT_TRUE(rule.from_rate);
  const auto saved_at = [&](double rate) {
    const auto queue = estimate(all, *rule.queue, 100, rate);
    const auto memory = estimate(all, Mechanism::shm, 100, rate);
    return rate * 2 * (queue->send_ns - memory->send_ns) / 1e9;
  };
  EXPECT_GE(saved_at(*rule.from_rate), Rule::worth_share);
  EXPECT_LT(saved_at(*rule.from_rate / 1.03), Rule::worth_share);
  EXPECT_NEAR(rule.saves, 0.01, 1e-6);
}

TEST(advice_rule, memory_is_worth_it_from_the_size_at_which_it_saves_a_twentieth_of_a_core) {
  const auto all = with(all_the_same(), Mechanism::shm, 500, 5000);
  const Rule rule = advise(messages(100, 1000), all).rule;
  ASSERT_TRUE(rule.from_bytes);
  // At 1,000 a second it saves 10 µs of 100 bytes, and 50 are worth it: 25 times the bytes, as the
  // cost grows with the root of the size.
  EXPECT_NEAR(static_cast<double>(*rule.from_bytes), 2500, 60);
}

TEST(advice_rule, memory_that_saves_nothing_is_worth_it_nowhere) {
  const Rule rule =
      advise(messages(100, 1000), with(all_the_same(), Mechanism::shm, 2000, 20'000)).rule;
  EXPECT_TRUE(rule.memory_qualifies);
  EXPECT_FALSE(rule.from_rate && *rule.from_rate < 9e5) << "but where nobody else keeps up";
  EXPECT_LT(rule.saves, 0);
}

TEST(advice_rule, memory_is_worth_it_where_the_queue_cannot_keep_up) {
  // The same price, but ten times the room.
  const auto all = with(all_the_same(), Mechanism::shm, 1000, 10'000, 1e7);
  const Rule rule = advise(messages(100, 1000), all).rule;
  ASSERT_TRUE(rule.from_rate);
  EXPECT_NEAR(*rule.from_rate, 1e6, 3e5);
}

TEST(advice_rule, memory_is_worth_it_from_where_it_stays_so) {
  // Cheap while it sleeps, dear while it polls, cheap again when the next message is always there.
  Measurements all;
  all.lines = {{Mechanism::unix_socket, 100, {{1000, 40'000, 40'000, 1}, {1e6, 40'000, 40'000}}},
               {Mechanism::shm,
                100,
                {{1000, 1000, 1000, 1}, {30'000, 90'000, 90'000, 1}, {1e6, 1000, 1000}}}};
  EXPECT_GT(advise(messages(100, 1000), all).rule.saves, Rule::worth_share);
  const Rule rule = advise(messages(100, 30'000), all).rule;
  EXPECT_LT(rule.saves, 0);
  ASSERT_TRUE(rule.from_rate);
  EXPECT_GT(*rule.from_rate, 30'000);
  EXPECT_LT(*rule.from_rate, 100'000);
}

TEST(advice_rule, memory_that_does_not_meet_the_needs_has_none) {
  const Rule rule = advise(messages(100, 1000, {.priority = true}), all_the_same()).rule;
  EXPECT_FALSE(rule.memory_qualifies);
  EXPECT_FALSE(rule.from_rate);
  EXPECT_FALSE(rule.from_bytes);
}

TEST(advice_words, are_short) {
  EXPECT_EQ(bytes_in_words(64), "64 B");
  EXPECT_EQ(bytes_in_words(4096), "4 KiB");
  EXPECT_EQ(bytes_in_words(150'000), "146 KiB");
  EXPECT_EQ(rate_in_words(10'000), "10,000");
  EXPECT_EQ(rate_in_words(1'234'567.8), "1,230,000");
  EXPECT_EQ(rate_in_words(123), "123");
  EXPECT_EQ(rate_in_words(0.5), "0.5");
  EXPECT_EQ(share_in_words(0.031), "3.1 % of a core");
  EXPECT_EQ(share_in_words(0.31), "31 % of a core");
  EXPECT_EQ(share_in_words(2.5), "2.5 cores");
  EXPECT_EQ(time_in_words(850), "850 ns");
  EXPECT_EQ(time_in_words(8240), "8.2 µs");
}

class advice_file : public testing::Test {
 protected:
  std::filesystem::path file() const { return folder_ / "deep" / "bulkhead" / "measurements.json"; }
  void write(const std::string& text) const {
    std::filesystem::create_directories(file().parent_path());
    std::ofstream{file()} << text;
  }
  static Measurements some() {
    Measurements all = all_the_same();
    all.origin = here();
    all.cpus = 2;
    all.unmeasured = {{Mechanism::udp, "no loopback"}};
    return all;
  }
  static Origin here() {
    return {
        .machine = "a machine", .kernel = "6.1", .version = "1.2.3", .date = "2026-11-21 17:20"};
  }

 private:
  std::filesystem::path folder_ = test::temporary_folder();
};

TEST_F(advice_file, gives_back_what_was_put_in) {
  const Measurements put = some();
  ASSERT_TRUE(save(file(), put));
  const auto got = load(file(), here());
  ASSERT_TRUE(got) << got.error().sentence();
  EXPECT_EQ(to_json(*got), to_json(put));
  EXPECT_EQ(got->lines.size(), put.lines.size());
  EXPECT_EQ(got->lines[3].paces[0].delay_ns, put.lines[3].paces[0].delay_ns);
  EXPECT_EQ(got->unmeasured[0].why, "no loopback");
}

TEST_F(advice_file, is_the_users_alone_and_replaced_as_a_whole) {
  ASSERT_TRUE(save(file(), some()));
  ASSERT_TRUE(save(file(), some()));
  struct stat status{};
  ASSERT_EQ(::stat(file().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  const std::filesystem::directory_iterator folder{file().parent_path()};
  EXPECT_EQ(std::distance(begin(folder), end(folder)), 1) << "nothing else is left there";
}

TEST_F(advice_file, of_another_machine_kernel_or_version_is_not_taken) {
  ASSERT_TRUE(save(file(), some()));
  for (const auto member : {&Origin::machine, &Origin::kernel, &Origin::version}) {
    Origin other = here();
    other.*member = "another";
    const auto got = load(file(), other);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error(), ErrorKind::incompatible);
  }
  Origin later = here();
  later.date = "2027-01-01 00:00";
  EXPECT_TRUE(load(file(), later));
}

TEST_F(advice_file, that_is_not_there_is_not_found) {
  EXPECT_EQ(load(file(), here()).error(), ErrorKind::not_found);
}

TEST_F(advice_file, that_cannot_be_written_is_an_error_and_leaves_nothing) {
  std::filesystem::create_directories(file());  // a folder of that name
  EXPECT_FALSE(save(file(), some()));
  const std::filesystem::directory_iterator folder{file().parent_path()};
  EXPECT_EQ(std::distance(begin(folder), end(folder)), 1);
}

TEST_F(advice_file, that_is_too_long_or_cut_short_is_corrupt) {
  const std::string whole = to_json(some());
  write(std::string(3 << 20, ' ') + whole);
  EXPECT_EQ(load(file(), here()).error(), ErrorKind::corrupt);
  for (const std::size_t length : {0UL, 1UL, 100UL, whole.size() / 2, whole.size() - 3}) {
    write(whole.substr(0, length));
    EXPECT_EQ(load(file(), here()).error(), ErrorKind::corrupt) << length;
  }
}

/// The text with a part of it replaced; what follows `what` at its first place.
std::string replaced(std::string text, const std::string& what, const std::string& by) {
  const auto at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), by);
}

TEST_F(advice_file, with_a_field_that_does_not_hold_is_corrupt) {
  const std::string whole = to_json(some());
  ASSERT_TRUE(parse_measurements(whole));
  const std::pair<const char*, const char*> lies[] = {
      {R"("format": 1)", R"("format": 2)"},
      {R"("cpus": 2)", R"("cpus": 0)"},
      {R"("cpus": 2)", R"("cpus": "2")"},
      {R"("busy": false)", R"("busy": 1)"},
      {R"("kernel": "6.1")", R"("kernel": 6.1)"},
      {R"("kernel": "6.1")", R"("kernel": "\u001b[31m")"},
      {R"("machine": "a machine")", R"("engine": "a machine")"},
      {R"("bytes": 100)", R"("bytes": -100)"},
      {R"("bytes": 100)", R"("bytes": 1e300)"},
      {R"("bytes": 100)", R"("bytes": 10000)"},  // a second line of that size
      {R"("mechanism": "pipe")", R"("mechanism": "telepathy")"},
      {R"("rate": 1000.0)", R"("rate": 0)"},
      {R"("rate": 1000.0)", R"("rate": 1e9)"},  // the slower pace would be the faster one
      {R"("send_ns": 10000.0)", R"("send_ns": null)"},
      {R"("send_ns": 10000.0)", R"("send_ns": -1)"},
      {R"("unmeasured": [)", R"("unmeasured": [7, )"},
  };
  for (const auto& [what, by] : lies) {
    const auto got = parse_measurements(replaced(whole, what, by));
    ASSERT_FALSE(got) << what << " as " << by;
    EXPECT_EQ(got.error(), ErrorKind::corrupt);
  }
  for (const char* text :
       {"null", "[]", "{}", "7", "\"\"", "[[[[[[[[[[[[[[[[", "{\"lines\": {}}"}) {
    EXPECT_FALSE(parse_measurements(text)) << text;
  }
}

TEST(advice_place, is_the_users_cache_folder) {
  ::setenv("XDG_CACHE_HOME", "/somewhere", 1);
  EXPECT_EQ(*measurements_path(), "/somewhere/bulkhead/measurements.json");
  ::setenv("XDG_CACHE_HOME", "relative", 1);
  ::setenv("HOME", "/home/somebody", 1);
  EXPECT_EQ(*measurements_path(), "/home/somebody/.cache/bulkhead/measurements.json");
  ::unsetenv("XDG_CACHE_HOME");
  ::unsetenv("HOME");
  EXPECT_FALSE(measurements_path());
}

TEST(advice_measuring, gives_lines_of_what_was_asked_for) {
  const Measurements all = measure_lines(
      {.sizes = {64, 100'000}, .only = {Mechanism::pipe, Mechanism::udp, Mechanism::mmap}});
  std::string failures;
  for (const Unmeasured& one : all.unmeasured) failures += one.why + "; ";
  EXPECT_EQ(failures, "");
  for (const Mechanism mechanism : {Mechanism::pipe, Mechanism::udp, Mechanism::mmap}) {
    const auto count = std::ranges::count(all.lines, mechanism, &Line::mechanism);
    EXPECT_EQ(count, 2) << to_string(mechanism) << ", of udp as large as a datagram can be";
  }
  EXPECT_EQ(largest_measured(all, Mechanism::pipe), 100'000u);
  EXPECT_LT(largest_measured(all, Mechanism::udp), 100'000u);
  for (const Line& line : all.lines) {
    ASSERT_FALSE(line.paces.empty());
    EXPECT_FALSE(line.paces.back().delay_ns) << "the last one is the stream";
    for (std::size_t i = 0; i < line.paces.size(); ++i) {
      EXPECT_GT(line.paces[i].rate, i == 0 ? 0 : line.paces[i - 1].rate);
      EXPECT_GT(line.paces[i].send_ns, 0);
      EXPECT_GT(line.paces[i].receive_ns, 0);
    }
  }
  // What was measured passes the judgement of the file.
  Measurements named = all;
  named.origin = origin_here("test");
  EXPECT_TRUE(parse_measurements(to_json(named)));
}

}  // namespace
}  // namespace bulkhead::bench
