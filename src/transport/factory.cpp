// SPDX-License-Identifier: Apache-2.0
//
// What is the same for all mechanisms: finding the one that is meant, and telling by name what it
// lacks before anything is made.
#include <string>

#include "transport/link.hpp"
#include "transport/mechanism.hpp"
#include "transport/one_way.hpp"

namespace bulkhead {
namespace {

const transport::MechanismEntry* entry_of(Mechanism mechanism) noexcept {
  for (const auto* entry : transport::mechanisms) {
    if (entry->mechanism == mechanism) return entry;
  }
  return nullptr;
}

std::unexpected<Error> unsupported(std::string cause, std::string remedy = {}) {
  return fail(ErrorKind::unsupported, {.cause = std::move(cause), .remedy = std::move(remedy)});
}

struct Need {
  bool Capabilities::* flag;
  const char* words;
};
constexpr Need needs[] = {
    {&Capabilities::handles, "carry handles"},
    {&Capabilities::priority, "carry priorities"},
    {&Capabilities::many_clients, "serve many clients"},
    {&Capabilities::other_machine, "reach another machine"},
    {&Capabilities::in_place, "lend its memory"},
    {&Capabilities::both_ways, "both send and receive at one end"},
    {&Capabilities::unrelated, "join processes that share no parent"},
    {&Capabilities::reliable, "promise that nothing is lost"},
    {&Capabilities::tells_death, "tell of the peer's death"},
    {&Capabilities::survives, "keep messages when both ends are gone"},
};

/// The mechanism, if it is here and has what the options need.
Result<const transport::MechanismEntry*> find(Mechanism mechanism, const ChannelOptions& options) {
  const auto* entry = entry_of(mechanism);
  if (entry == nullptr) return unsupported("this mechanism is not known here");
  for (const Need& need : needs) {
    if (!(options.needs.*need.flag) || entry->capabilities.*need.flag) continue;
    return unsupported(std::string{to_string(mechanism)} + " cannot " + need.words,
                       "take one of those that `bulkhead mechanisms` shows with it");
  }
  return entry;
}

}  // namespace

Capabilities capabilities(Mechanism mechanism) noexcept {
  const auto* entry = entry_of(mechanism);
  return entry == nullptr ? Capabilities{} : entry->capabilities;
}

namespace transport {

Result<std::size_t> Link::send_many(std::span<const Bytes> messages, Deadline deadline) {
  std::size_t sent = 0;
  for (const Bytes message : messages) {
    if (auto result = send(message, {}, deadline); !result) {
      const bool later =
          result.error() == ErrorKind::timed_out || result.error() == ErrorKind::full;
      if (sent == 0 || !later) return fail(std::move(result).error());
      break;
    }
    ++sent;
  }
  return sent;
}

Result<void> Link::send_urgent(Bytes, unsigned, Deadline) {
  return unsupported(std::string{to_string(mechanism())} + " cannot carry priorities");
}

Result<LinkPair> make_pair(Mechanism mechanism, const ChannelOptions& options) {
  const auto* entry = BULKHEAD_TRY(find(mechanism, options));
  auto ends = BULKHEAD_TRY(entry->make_pair(options));
  return LinkPair{one_way(std::move(ends.first), options.direction),
                  one_way(std::move(ends.second), opposite(options.direction))};
}

Result<std::unique_ptr<Link>> connect(const Address& address, Deadline deadline,
                                      const ChannelOptions& options) {
  const Mechanism mechanism = BULKHEAD_TRY(address.mechanism());
  const auto* entry = BULKHEAD_TRY(find(mechanism, options));
  if (entry->connect == nullptr)
    return unsupported("it joins related processes only", "use pair()");
  auto link = BULKHEAD_TRY(entry->connect(std::string{address.name()}, deadline, options));
  return one_way(std::move(link), options.direction);
}

Result<std::unique_ptr<Link>> adopt(Handle handle, const ChannelOptions& options) {
  const auto* entry = BULKHEAD_TRY(find(static_cast<Mechanism>(handle.mechanism()), options));
  if (entry->adopt == nullptr) return unsupported("its ends cannot be handed over");
  auto link = BULKHEAD_TRY(entry->adopt(std::move(handle), options));
  return one_way(std::move(link), options.direction);
}

Result<void> check_fits_sandbox(Mechanism mechanism) {
  const auto* entry = entry_of(mechanism);
  if (entry == nullptr || entry->unfit_for_sandbox == nullptr) return {};
  return unsupported("an end of " + std::string{to_string(mechanism)} +
                         " cannot be used in a sandbox: " + entry->unfit_for_sandbox,
                     "hand over a shm, unix or pipe channel");
}

Result<std::unique_ptr<Acceptor>> listen(const Address& address, const ChannelOptions& options,
                                         bool other_users) {
  const Mechanism mechanism = BULKHEAD_TRY(address.mechanism());
  const auto* entry = BULKHEAD_TRY(find(mechanism, options));
  if (entry->listen == nullptr) return unsupported("it joins related processes only", "use pair()");
  auto acceptor = BULKHEAD_TRY(entry->listen(std::string{address.name()}, options, other_users));
  return one_way(std::move(acceptor), options.direction);
}

}  // namespace transport
}  // namespace bulkhead
