// SPDX-License-Identifier: Apache-2.0
#include "process/birth.hpp"

#include <algorithm>
#include <cstring>
#include <span>

#include <bulkhead/wire.hpp>

#include "os/poll.hpp"
#include "os/socket.hpp"

namespace bulkhead::process {
namespace {

// LAYOUT Header, the first packet; written by the parent, read by the child
//   0  magic         8 bytes
//   8  body_bytes    u64  of the packets that follow
//   16 handle_count  u64  beside them
struct Header {
  char magic[8] = {'B', 'H', 'B', 'I', 'R', 'T', 'H', '1'};
  std::uint64_t body_bytes = 0;
  std::uint64_t handle_count = 0;
};
static_assert(sizeof(Header) == 24);

constexpr std::size_t packet_bytes = 64 * 1024;
constexpr std::uint64_t most_body_bytes = std::uint64_t{1} << 30;
constexpr std::uint64_t most_handles = 4096;

struct Tag {
  std::uint8_t kind = 0;
  std::uint8_t mechanism = 0;
};

Bytes bytes_of(const Header& header) { return std::as_bytes(std::span{&header, 1}); }

Result<void> send_one(FdView socket, Bytes bytes, std::span<const int> fds, Deadline deadline) {
  for (;;) {
    auto sent = os::send_packet(socket, bytes, fds);
    if (sent || sent.error() != ErrorKind::full) return sent;
    if (BULKHEAD_TRY(os::poll_one(socket, POLLOUT, deadline)) == 0) {
      return fail(ErrorKind::timed_out);
    }
  }
}

Result<os::Packet> receive_one(FdView socket, MutableBytes into) {
  for (;;) {
    auto packet = os::receive_packet(socket, into, os::max_packet_fds);
    if (packet && packet->closed) return fail(ErrorKind::closed);
    if (packet || packet.error() != ErrorKind::empty) return packet;
    BULKHEAD_TRY(os::poll_one(socket, POLLIN, never));
  }
}

std::unexpected<Error> not_a_bootstrap() {
  return fail(ErrorKind::corrupt, {.cause = "this is no bootstrap socket of this program"});
}

Result<Received> decode_birth(Bytes body, std::vector<Fd> fds) {
  wire::Decoder decoder{body, {}, Trust::equal};
  Received received{.birth = BULKHEAD_TRY(decoder.get<Birth>()), .handles = {}};
  const auto tags = BULKHEAD_TRY(decoder.get<std::vector<Tag>>());
  if (tags.size() != fds.size()) return not_a_bootstrap();
  for (std::size_t i = 0; i < fds.size(); ++i) {
    received.handles.emplace_back(std::move(fds[i]), static_cast<Handle::Kind>(tags[i].kind),
                                  tags[i].mechanism);
  }
  return received;
}

}  // namespace

Result<void> send_birth(FdView socket, const Birth& birth, const std::vector<Handle>& handles,
                        Deadline deadline) {
  std::vector<Tag> tags;
  std::vector<int> fds;
  for (const Handle& handle : handles) {
    if (handle.is_local()) {
      return fail(ErrorKind::unsupported,
                  {.cause = "an inproc channel cannot be handed to another process",
                   .remedy = "use shm or unix"});
    }
    tags.push_back({static_cast<std::uint8_t>(handle.kind()), handle.mechanism()});
    fds.push_back(handle.fd().native());
  }
  std::vector<std::byte> body;
  wire::Encoder encoder{body};
  BULKHEAD_TRY(encoder.put(birth));
  BULKHEAD_TRY(encoder.put(tags));
  if (body.size() > most_body_bytes || fds.size() > most_handles) {
    return fail(ErrorKind::too_large, {.cause = "more than 1 GiB of arguments or 4096 handles",
                                       .remedy = "send them over the channel"});
  }
  const Header header{.body_bytes = body.size(), .handle_count = fds.size()};
  BULKHEAD_TRY(send_one(socket, bytes_of(header), {}, deadline));
  Bytes rest{body};
  std::span<const int> rest_fds{fds};
  while (!rest.empty() || !rest_fds.empty()) {
    // A packet of no bytes would be the end of the stream: keep one for each that has to follow.
    const std::size_t fd_count = std::min(rest_fds.size(), os::max_packet_fds);
    const std::size_t kept =
        (rest_fds.size() - fd_count + os::max_packet_fds - 1) / os::max_packet_fds;
    const std::size_t count = std::min(rest.size() - kept, packet_bytes);
    BULKHEAD_TRY(send_one(socket, rest.first(count), rest_fds.first(fd_count), deadline));
    rest = rest.subspan(count);
    rest_fds = rest_fds.subspan(fd_count);
  }
  return {};
}

Result<Received> receive_birth(FdView socket) {
  Header header;
  const auto into = std::as_writable_bytes(std::span{&header, 1});
  const auto first = BULKHEAD_TRY(receive_one(socket, into));
  const Header expected;
  if (first.size != sizeof header ||
      std::memcmp(header.magic, expected.magic, sizeof header.magic) != 0 ||
      header.body_bytes > most_body_bytes || header.handle_count > most_handles) {
    return not_a_bootstrap();
  }
  std::vector<std::byte> body(header.body_bytes);
  std::vector<Fd> fds;
  MutableBytes rest{body};
  while (!rest.empty()) {
    auto packet =
        BULKHEAD_TRY(receive_one(socket, rest.first(std::min(rest.size(), packet_bytes))));
    rest = rest.subspan(packet.size);
    std::ranges::move(packet.fds, std::back_inserter(fds));
  }
  if (fds.size() != header.handle_count) return not_a_bootstrap();
  return decode_birth(body, std::move(fds));
}

Result<void> send_answer(FdView socket, const Result<SandboxReport>& answer) {
  std::vector<std::byte> body;
  wire::Encoder encoder{body};
  BULKHEAD_TRY(encoder.put(answer));
  return send_one(socket, body, {}, never);
}

Result<void> receive_answer(FdView socket, Result<SandboxReport>& answer) {
  std::vector<std::byte> body(packet_bytes);
  auto packet = os::receive_packet(socket, body, 0);
  if (!packet) return fail(std::move(packet).error());
  if (packet->closed) return fail(ErrorKind::closed);
  wire::Decoder decoder{Bytes{body}.first(packet->size)};
  auto decoded = decoder.get<Result<SandboxReport>>();
  if (!decoded) return fail(std::move(decoded).error());
  answer = *std::move(decoded);
  return decoder.finish();
}

}  // namespace bulkhead::process
