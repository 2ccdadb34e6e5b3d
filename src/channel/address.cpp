// SPDX-License-Identifier: Apache-2.0
#include <bulkhead/address.hpp>

namespace bulkhead {
namespace {

constexpr std::string_view remedy = "write it like shm:name, unix:///path or tcp://host:port";

std::string_view scheme_of(std::string_view text) {
  const auto colon = text.find(':');
  return colon == std::string_view::npos ? std::string_view{} : text.substr(0, colon);
}

std::unexpected<Error> refuse(ErrorKind kind, const std::string& text, std::string cause) {
  return fail(kind, {.operation = "read address",
                     .object = text,
                     .cause = std::move(cause),
                     .remedy = std::string{remedy}});
}

}  // namespace

std::string_view to_string(Mechanism mechanism) noexcept {
  switch (mechanism) {
    case Mechanism::inproc:
      return "inproc";
    case Mechanism::unix_socket:
      return "unix";
    case Mechanism::shm:
      return "shm";
    case Mechanism::pipe:
      return "pipe";
    case Mechanism::fifo:
      return "fifo";
    case Mechanism::file:
      return "file";
    case Mechanism::mmap:
      return "mmap";
    case Mechanism::tcp:
      return "tcp";
    case Mechanism::udp:
      return "udp";
    case Mechanism::posix_mq:
      return "mq";
    case Mechanism::sysv_mq:
      return "sysv";
  }
  return "unknown";
}

Result<Mechanism> Address::mechanism() const {
  const auto scheme = scheme_of(text_);
  if (scheme.empty()) return refuse(ErrorKind::invalid, text_, "it has no scheme");
  if (name().empty()) return refuse(ErrorKind::invalid, text_, "it has no name");
  for (const Mechanism known : all_mechanisms) {
    if (scheme == to_string(known)) return known;
  }
  return refuse(ErrorKind::unsupported, text_,
                "no mechanism is called \"" + std::string{scheme} + "\"");
}

std::string_view Address::name() const noexcept {
  const std::string_view text = text_;
  const auto scheme = scheme_of(text);
  if (scheme.empty()) return {};
  auto rest = text.substr(scheme.size() + 1);
  if (rest.starts_with("//")) rest.remove_prefix(2);
  return rest;
}

}  // namespace bulkhead
