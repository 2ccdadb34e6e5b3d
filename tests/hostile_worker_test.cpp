// SPDX-License-Identifier: Apache-2.0
//
// A pool whose workers lie: they greet wrongly, answer what was not asked, twice, too short or too
// long, decline what nobody took back, or die before they do anything. A worker that lies is killed
// and its tasks go on elsewhere; what it said is nobody's result. And what a pool does that cannot
// start workers at all.
//
// The liars are workers of their own making, in place of run_worker. One that finds its first task at
// a second attempt is honest, so that there is a worker that the first one's tasks can go on to.
#include <gtest/gtest.h>
#include <limits>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include <bulkhead/pool.hpp>

#include "pool/frame.hpp"
#include "pool/pages.hpp"
#include "pool/pool_state.hpp"
#include "support/census.hpp"
#include "support/process_roles.hpp"

namespace {

using namespace bulkhead;
using namespace bulkhead::test;
using namespace std::chrono_literals;
using detail::PoolState;
using pool::AnswerHeader;

std::string twice(const std::string& text) { return text + text; }
using Call = detail::PooledCall<twice>;

constexpr const char* forged = "forged";

enum class Lie {
  unknown_ticket,
  ticket_of_another,
  ticket_twice,
  no_header,
  unknown_kind,
  declined_unasked,
  too_long,
  begun_is_another,
};

/// A worker's side by hand.
class Worker {
 public:
  explicit Worker(Bootstrap& boot)
      : boot_(boot), page_(or_exit(Region::create(sizeof(pool::Status)))) {
    status = pool::write_page<pool::Status>(page_);
    or_exit(page_.publish());
  }

  void greet() {
    std::vector<std::byte> bytes(sizeof(AnswerHeader));
    static_cast<void>(wire::Encoder{bytes}.put(Result<void>{}));
    auto shown = or_exit(page_.duplicate());
    std::vector<Handle> handles;
    handles.push_back(or_exit(std::move(shown).into_handle()));
    or_exit(boot_.channel().send(Message{bytes, std::move(handles)}, never));
  }

  pool::TaskHeader next() {
    auto got = boot_.channel().receive(message_, never);
    if (!got) ::_exit(0);  // the pool ends
    const auto header = pool::read_header<pool::TaskHeader>(message_.bytes());
    if (!header) ::_exit(2);
    return *header;
  }

  std::string argument() {
    wire::Decoder decoder{message_.bytes().subspan(sizeof(pool::TaskHeader))};
    return or_exit(decoder.get<std::string>());
  }

  void answer(std::uint64_t ticket, const std::string& text, std::uint32_t kind = 0) {
    std::vector<std::byte> bytes(sizeof(AnswerHeader));
    pool::write_header(MutableBytes{bytes}, AnswerHeader{.ticket = ticket, .kind = kind});
    if (kind != AnswerHeader::declined) {
      static_cast<void>(wire::Encoder{bytes}.put(Result<std::string>{text}));
    }
    send(bytes);
  }

  void send(std::span<const std::byte> bytes) {
    static_cast<void>(boot_.channel().send(bytes, never));  // it may be dead by then
  }

  [[noreturn]] void be_honest(pool::TaskHeader header) {
    for (;; header = next()) {
      status->running = header.ticket;
      answer(header.ticket, twice(argument()));
    }
  }

  pool::Status* status;

 private:
  Bootstrap& boot_;
  Region page_;
  Message message_;
};

void lie(Worker& worker, Lie lie, std::uint64_t ticket) {
  std::vector<std::byte> bytes(sizeof(AnswerHeader));
  switch (lie) {
    case Lie::unknown_ticket:
      return worker.answer(ticket + 1000, forged);
    case Lie::ticket_of_another:
      return worker.answer(worker.next().ticket, forged);
    case Lie::ticket_twice:
      worker.answer(ticket, twice(worker.argument()));
      worker.status->running = worker.next().ticket;
      return worker.answer(ticket, forged);
    case Lie::no_header:
      return worker.send(std::span{bytes}.first(sizeof(AnswerHeader) - 1));
    case Lie::unknown_kind:
      return worker.answer(ticket, forged, 3);
    case Lie::declined_unasked:
      return worker.answer(ticket, {}, AnswerHeader::declined);
    case Lie::too_long:
      // A text of more bytes than there are anywhere.
      pool::write_header(MutableBytes{bytes}, AnswerHeader{.ticket = ticket});
      static_cast<void>(wire::Encoder{bytes}.put(Result<std::string>{forged}));
      for (std::size_t i = sizeof(AnswerHeader) + 1; i < bytes.size(); ++i)
        bytes[i] = std::byte{0xff};
      worker.send(bytes);
      return worker.be_honest(worker.next());
    case Lie::begun_is_another:
      worker.status->running = std::numeric_limits<std::uint64_t>::max();
      ::raise(SIGKILL);
  }
}

template <Lie which> void liar(Bootstrap& boot) {
  Worker worker{boot};
  worker.greet();
  const auto header = worker.next();
  worker.status->running = header.ticket;
  if (header.attempt > 1) worker.be_honest(header);
  lie(worker, which, header.ticket);
  for (;;) ::pause();
}

/// Three tasks for a pool of one such worker at a time.
class Three {
 public:
  explicit Three(detail::RoleEntry worker, PoolOptions options)
      : state_(detail::make_pool(worker, std::move(options))) {
    for (const char* text : {"a", "b", "c"}) {
      const TaskOptions asked;
      auto request = detail::request_for<twice>(asked);
      or_exit(Call::put(request, std::string(text)));
      tasks_.push_back(detail::submit(state_, std::move(request)));
    }
  }

  std::vector<Result<std::string>> results() {
    std::vector<Result<std::string>> all;
    for (auto& task : tasks_) {
      const Waiting waiting{"a task of a lying worker"};
      EXPECT_TRUE(detail::await_end(*state_, *task, 30s));
      all.push_back(Call::result_of(*task));
    }
    return all;
  }

  PoolState& state() { return *state_; }

 private:
  std::shared_ptr<PoolState> state_;
  std::vector<detail::TaskHold> tasks_;
};

PoolOptions one_stranger() {
  return {.workers = 1, .sandbox = sandbox::compute_only, .crashes = {}};
}

template <Lie which> void expect_that_nothing_comes_of_it() {
  Three three{&liar<which>, one_stranger()};
  const std::vector<std::string> expected{"aa", "bb", "cc"};
  const auto results = three.results();
  for (std::size_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(results[i]) << results[i].error();
    EXPECT_EQ(*results[i], expected[i]);
  }
  const auto& seen = three.state().statistics;
  EXPECT_EQ(seen.answers_refused, 1u);
  EXPECT_EQ(seen.workers_killed, 1u);
  EXPECT_EQ(seen.workers_started, 2u);
  EXPECT_EQ(seen.delivered, 3u);
}

TEST(hostile_worker, that_answers_with_a_ticket_it_has_not_got_is_killed) {
  expect_that_nothing_comes_of_it<Lie::unknown_ticket>();
}
TEST(hostile_worker, that_answers_for_another_of_its_tasks_is_killed) {
  expect_that_nothing_comes_of_it<Lie::ticket_of_another>();
}
TEST(hostile_worker, that_answers_twice_is_killed) {
  expect_that_nothing_comes_of_it<Lie::ticket_twice>();
}
TEST(hostile_worker, whose_answer_is_too_short_is_killed) {
  expect_that_nothing_comes_of_it<Lie::no_header>();
}
TEST(hostile_worker, whose_answer_is_of_no_kind_is_killed) {
  expect_that_nothing_comes_of_it<Lie::unknown_kind>();
}
TEST(hostile_worker, that_declines_what_nobody_took_back_is_killed) {
  expect_that_nothing_comes_of_it<Lie::declined_unasked>();
}

TEST(hostile_worker, whose_result_lies_of_its_length_gives_that_tasks_error_and_nothing_else) {
  Three three{&liar<Lie::too_long>, one_stranger()};
  const auto results = three.results();
  // The ticket is right, so this is what came of the task; that it is no text is its error.
  ASSERT_FALSE(results[0]);
  EXPECT_EQ(results[0].error(), ErrorKind::corrupt) << results[0].error();
  EXPECT_EQ(results[1].value(), "bb");
  EXPECT_EQ(results[2].value(), "cc");
  EXPECT_EQ(three.state().statistics.workers_started, 1u);
}

TEST(hostile_worker, that_hides_which_task_ended_it_is_charged_with_the_oldest) {
  Three three{&liar<Lie::begun_is_another>, one_stranger()};
  for (const auto& result : three.results()) EXPECT_TRUE(result) << result.error();
  EXPECT_EQ(three.state().statistics.workers_died, 1u);
  EXPECT_EQ(three.state().statistics.attempts, 4u);
}

void leaves_at_once(Bootstrap&) {}
void greets_and_leaves(Bootstrap& boot) { Worker{boot}.greet(); }
void greets_and_talks(Bootstrap& boot) {
  Worker worker{boot};
  worker.greet();
  worker.answer(worker.next().ticket + 1, forged);
  for (;;) ::pause();
}
void greets_wrongly(Bootstrap& boot) {
  or_exit(boot.channel().send(as_bytes("good morning, whoever you are"), never));
  static_cast<void>(boot.channel().receive(never));
}

TEST(hostile_worker, that_never_does_anything_leaves_no_task_waiting) {
  for (auto* role : {&leaves_at_once, &greets_and_leaves, &greets_and_talks, &greets_wrongly}) {
    auto options = one_stranger();
    options.sandbox =
        sandbox::none;  // what a stranger had begun is doubtful, so its tasks would count
    Three three{role, std::move(options)};
    for (const auto& result : three.results()) {
      ASSERT_FALSE(result);
      EXPECT_EQ(result.error(), ErrorKind::exhausted) << result.error();
    }
  }
}

TEST(hostile_worker, what_a_slowly_dying_one_hands_on_later_does_not_wait_for_ever) {
  int failed = 0;
  auto options = one_stranger();
  options.log = [&](std::string_view text) { failed += text.contains("could not start") ? 1 : 0; };
  Three three{&leaves_at_once, std::move(options)};
  auto& state = three.state();
  // A process that the kernel takes its time to kill (it waits for a disk) cannot be had in a test;
  // what the books say of one can: it is dying, and has a task.
  auto& slow = state.workers.emplace_back();
  slow.stage = pool::Worker::Stage::dying;
  auto task = state.schedule.next(1);
  task->state = detail::Task::State::given;
  ++state.given_tasks;
  slow.open.push_back(task);
  EXPECT_TRUE(state.drive([&] { return failed >= 7; }, 30s));
  EXPECT_FALSE(state.broken);
  EXPECT_EQ(state.open_tasks, 3u);
  // It is gone at last, and hands on.
  --state.given_tasks;
  task->state = detail::Task::State::waiting;
  state.schedule.add_first(std::move(task));
  state.workers.remove_if([&](const auto& each) { return &each == &slow; });
  for (const auto& result : three.results()) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error(), ErrorKind::exhausted);
  }
}

/// The first worker is one, those that come after it leave at once.
void only_the_first_works(Bootstrap& boot) {
  auto [path] = or_exit(boot.arguments<std::string>());
  if (::mkdir(path.c_str(), 0700) == 0) detail::run_worker(boot);
}

TEST(hostile_worker, an_attempt_that_no_worker_may_take_ends_while_others_do_their_work) {
  const auto folder = temporary_folder();
  auto options = one_stranger();
  options.sandbox = sandbox::none;
  options.workers = 2;
  options.initializer.arguments = arguments((folder / "first").string());
  auto state = detail::make_pool(&only_the_first_works, std::move(options));
  // One worker is there and works; another cannot be had.
  const TaskOptions asked;
  const auto submit = [&]<auto function>() {
    auto request = detail::request_for<function>(asked);
    or_exit(detail::PooledCall<function>::put(request, std::string("a")));
    return detail::submit(state, std::move(request));
  };
  auto first = submit.operator()<twice>();
  ASSERT_TRUE(detail::await_end(*state, *first, 30s));
  EXPECT_EQ(Call::result_of(*first).value(), "aa");
  auto special = [&] {
    const TaskOptions large{.memory_limit = std::uint64_t{1} << 32};
    auto request = detail::request_for<twice>(large);
    or_exit(Call::put(request, std::string("a")));
    return detail::submit(state, std::move(request));
  }();
  ASSERT_TRUE(detail::await_end(*state, *special, 30s));
  EXPECT_EQ(Call::result_of(*special).error(), ErrorKind::exhausted);
  auto last = submit.operator()<twice>();
  ASSERT_TRUE(detail::await_end(*state, *last, 30s));
  EXPECT_EQ(Call::result_of(*last).value(), "aa");
}

}  // namespace
