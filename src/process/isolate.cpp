// SPDX-License-Identifier: Apache-2.0
#include <cstdio>

#include <bulkhead/isolate.hpp>

namespace bulkhead::detail {
namespace {

/// "2 s", "250 ms"
std::string in_words(std::chrono::nanoseconds time) {
  using namespace std::chrono_literals;
  if (time % 1s == 0s) return std::to_string(time / 1s) + " s";
  char text[32];
  std::snprintf(text, sizeof text, "%.4g ms", static_cast<double>(time.count()) / 1e6);
  return text;
}

/// The deadline came: the process is ended, and how it ended counts if it did so by itself.
Error ended_at_deadline(Process& process, const std::string& name, std::chrono::nanoseconds limit) {
  const auto exit = process.kill("no result within " + in_words(limit));
  if (!exit) return exit.error();
  if (exit->cause != Exit::Cause::hang) return Error::died(name, process.who(), *exit);
  return {ErrorKind::timed_out,
          {.operation = name,
           .cause = process.who() + " was killed: " + to_string(*exit),
           .remedy = "raise the deadline if it deserves more time"}};
}

Result<Message> ask(Process& process, Message request, Deadline deadline) {
  BULKHEAD_TRY(process.channel().send(request, deadline));
  return process.channel().receive(deadline);
}

}  // namespace

Result<Message> isolate(RoleEntry entry, Message request, IsolateOptions options) {
  const std::string name = options.name;
  const Deadline deadline{options.deadline};
  const auto start_limit = std::chrono::ceil<std::chrono::milliseconds>(
      std::min<std::chrono::nanoseconds>(options.deadline, std::chrono::hours(24)));
  auto process = BULKHEAD_TRY(detail::spawn(entry, name,
                                            {.name = name,
                                             .sandbox = std::move(options.sandbox),
                                             .output = std::move(options.output),
                                             .start_limit = start_limit}));
  auto reply = ask(process, std::move(request), deadline);
  if (reply) return reply;
  if (reply.error() == ErrorKind::timed_out) {
    return fail(ended_at_deadline(process, name, options.deadline));
  }
  return fail(reply.error().during(name));
}

}  // namespace bulkhead::detail
