// SPDX-License-Identifier: Apache-2.0
// The worker's side: takes tasks, runs them, answers.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <pthread.h>
#include <unistd.h>

#include <bulkhead/detail/pool/call.hpp>
#include <bulkhead/pool.hpp>

#include "pool/frame.hpp"
#include "pool/pages.hpp"
#include "process/executable.hpp"

namespace bulkhead {
namespace pool {
namespace {

/// What this_task looks at. One thread runs tasks; theirs may ask.
struct Current {
  const Orders* orders = nullptr;
  std::atomic<std::uint64_t> ticket{0};
  std::atomic<std::uint32_t> attempt{0};
};
Current current;

/// Set in a copy that a task forked: it must not go on as if it were the worker.
std::atomic<bool> forked{false};

struct Work {
  Message message{};
  std::vector<std::byte> reply{};
  std::vector<Handle> handles{};
};

template <class Entry> Entry entry_of(std::uint64_t offset) {
  return from_role<Entry>(process::entry_at(offset));
}

Result<void> run_initializer(Bootstrap& boot, const Orders& orders) {
  if (orders.initializer == 0) return {};
  const auto entry = entry_of<detail::InitializerEntry>(orders.initializer);
  if (entry == nullptr) return fail(ErrorKind::incompatible);
  auto done = entry(boot);
  if (!done) return fail(done.error().during("initialize", boot.name()));
  return {};
}

/// False when the master has to hear that this worker is of no use.
Result<bool> say_hello(Bootstrap& boot, Region& page, const Result<void>& initialized) {
  Message hello;
  std::vector<std::byte> bytes(sizeof(AnswerHeader));
  BULKHEAD_TRY(wire::Encoder{bytes}.put(initialized));
  hello.assign(bytes);
  auto shown = BULKHEAD_TRY(page.duplicate());
  hello.handles().push_back(BULKHEAD_TRY(std::move(shown).into_handle()));
  BULKHEAD_TRY(boot.channel().send(hello, never));
  return initialized.has_value();
}

/// The arguments where they lie: in the message, or in a Region beside it.
struct Arguments {
  Bytes bytes;
  std::span<Handle> handles;
  std::optional<Region> region{};
};

Result<Arguments> find_arguments(const TaskHeader& header, Message& message) {
  Arguments found{.bytes = message.bytes().subspan(sizeof header), .handles = message.handles()};
  if (header.in_region == 0) return found;
  if (message.handles().empty()) return fail(ErrorKind::corrupt);
  found.region =
      BULKHEAD_TRY(Region::from_handle(std::move(message.handles().back()), Trust::equal));
  found.handles = found.handles.first(found.handles.size() - 1);
  found.bytes = found.region->bytes().subspan(sizeof header);
  return found;
}

AnswerHeader perform(const TaskHeader& header, Work& work) {
  AnswerHeader answer{.ticket = header.ticket, .kind = AnswerHeader::error};
  auto arguments = find_arguments(header, work.message);
  const auto entry = entry_of<detail::TaskEntry>(header.entry);
  if (!arguments || entry == nullptr) {
    Result<int> failed = fail(ErrorKind::incompatible, {.cause = "it does not know the function"});
    static_cast<void>(wire::Encoder{work.reply}.put(failed));
    return answer;
  }
  detail::TaskCall call{.arguments = arguments->bytes,
                        .handles = arguments->handles,
                        .out = work.reply,
                        .out_handles = work.handles};
  const auto begin = std::chrono::steady_clock::now();
  entry(call);
  answer.took_ns = static_cast<std::uint64_t>((std::chrono::steady_clock::now() - begin).count());
  answer.kind = call.failed ? AnswerHeader::error : AnswerHeader::value;
  return answer;
}

Result<void> answer_one(Bootstrap& boot, Status& status, const Orders& orders, Work& work) {
  const auto header = read_header<TaskHeader>(work.message.bytes());
  if (!header) return fail(ErrorKind::corrupt);
  work.reply.assign(sizeof(AnswerHeader), {});
  work.handles.clear();
  AnswerHeader answer{.ticket = header->ticket, .kind = AnswerHeader::declined};
  status.running = header->ticket;  // before the look at revoked_from: see pages.hpp
  if (orders.revoked_from > header->ticket) {
    current.attempt = header->attempt;
    current.ticket = header->ticket;
    answer = perform(*header, work);
    current.ticket = 0;
    current.attempt = 0;
    if (forked) ::_exit(0);
  }
  write_header(MutableBytes{work.reply}, answer);
  if (work.handles.empty()) return boot.channel().send(work.reply, never);
  return boot.channel().send(Message{work.reply, std::move(work.handles)}, never);
}

}  // namespace
}  // namespace pool

void detail::run_worker(Bootstrap& boot) {
  using namespace pool;
  static_cast<void>(::pthread_atfork(nullptr, nullptr, [] { forked = true; }));
  auto given = boot.region("orders");
  auto page = Region::create(sizeof(Status), {.name = "pool-status"});
  if (!given || !page || !page->publish()) return;
  const Orders& orders = *read_page<Orders>(*given);
  Status& status = *write_page<Status>(*page);
  current.orders = &orders;
  const auto useful = say_hello(boot, *page, run_initializer(boot, orders));
  if (!useful || !*useful) return;
  Work work;
  while (boot.channel().receive(work.message, never)) {
    if (!answer_one(boot, status, orders, work)) return;
  }
}

bool this_task::cancelled() noexcept {
  const std::uint64_t ticket = pool::current.ticket;
  return ticket != 0 && pool::current.orders->cancelled == ticket;
}

unsigned this_task::attempt() noexcept { return pool::current.attempt; }

unsigned this_task::threads() noexcept {
  const auto* orders = pool::current.orders;
  return orders != nullptr ? static_cast<unsigned>(orders->threads) : 1;
}

}  // namespace bulkhead
