// SPDX-License-Identifier: Apache-2.0
#include "transport/shm/control.hpp"

#include <array>
#include <cstring>
#include <string>

#include <bulkhead/address.hpp>

#include "os/socket.hpp"
#include "transport/shm/segment.hpp"

namespace bulkhead::transport::shm {
namespace {

constexpr std::size_t hello_fds = 3;
constexpr std::size_t tag_bytes = 2;
/// Longer than any packet of ours, so that a later version's hello is refused for its version.
constexpr std::size_t longest_packet = 1024;
static_assert(sizeof(PacketHead) + 8 + most_handles(Trust::equal) * tag_bytes <= longest_packet);

using Buffer = std::array<std::byte, longest_packet>;

template <class T> Bytes bytes_of(const T& value) noexcept {
  return std::as_bytes(std::span{&value, 1});
}

template <class T> T read(const Buffer& buffer, std::size_t at = 0) noexcept {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  std::memcpy(&value, buffer.data() + at, sizeof value);
  return value;
}

PacketHead head_of(std::uint16_t kind) noexcept {
  return {.magic = magic, .kind = kind, .version = protocol_version};
}

std::unexpected<Error> broken(const char* cause) {
  return fail(ErrorKind::corrupt,
              {.operation = "receive", .object = "control packet", .cause = cause});
}

std::unexpected<Error> cannot_speak(std::string cause) {
  return fail(ErrorKind::incompatible, {.operation = "bind",
                                        .object = "shm channel",
                                        .cause = std::move(cause),
                                        .remedy = "build both programs with one version"});
}

std::string versions(std::uint16_t oldest, std::uint16_t newest) {
  if (oldest == newest) return "version " + std::to_string(oldest);
  return "versions " + std::to_string(oldest) + " to " + std::to_string(newest);
}

std::string ours() { return "this process speaks " + versions(protocol_version, protocol_version); }

/// An end that closes with packets unread resets its peer: one receive then fails, though what was
/// sent before is still there for the next (unix_release_sock, Linux).
Result<os::Packet> receive(FdView socket, Buffer& buffer, std::uint32_t most_fds) {
  auto packet = os::receive_packet(socket, buffer, most_fds);
  if (packet && packet->closed) packet = os::receive_packet(socket, buffer, most_fds);
  return packet;
}

}  // namespace

Result<void> Control::send_hello(std::uint64_t capacity, Trust trust, FdView segment,
                                 FdView data_bell, FdView space_bell) const {
  const Hello hello{.head = head_of(PacketHead::hello),
                    .layout_hash = layout_hash(ring_offset()),
                    .capacity = capacity,
                    .most_handles = most_handles(trust),
                    .zero = 0};
  const std::array fds{segment.native(), data_bell.native(), space_bell.native()};
  return os::send_packet(socket_, bytes_of(hello), fds);
}

void Control::send_bye() const noexcept {
  // A peer that cannot be told sees the hang-up.
  static_cast<void>(os::send_packet(socket_, bytes_of(head_of(PacketHead::bye))));
}

Result<PeerHello> Control::receive_hello() const {
  Buffer buffer;
  // As many descriptors as a later version may send: it is refused for its version.
  auto packet = BULKHEAD_TRY(receive(socket_, buffer, most_handles(Trust::untrusted)));
  if (packet.closed) return fail(ErrorKind::peer_died);
  if (packet.size < sizeof(PacketHead)) return broken("too short");
  const auto head = read<PacketHead>(buffer);
  if (head.magic != magic) return broken("not one of this protocol");
  if (head.kind == PacketHead::bye) return fail(ErrorKind::closed);
  if (head.kind == PacketHead::refuse) {
    if (packet.size < sizeof(Refusal)) return broken("too short");
    const auto refusal = read<Refusal>(buffer);
    return cannot_speak("the peer speaks protocol " + versions(refusal.oldest, refusal.newest) +
                        " of another build, " + ours());
  }
  if (head.kind != PacketHead::hello) return broken("a hello was due");

  const bool known = head.version == protocol_version && packet.size == sizeof(Hello) &&
                     read<Hello>(buffer).layout_hash == layout_hash(ring_offset());
  if (!known) {
    const Refusal refusal{.head = head_of(PacketHead::refuse),
                          .oldest = protocol_version,
                          .newest = protocol_version,
                          .zero = 0};
    static_cast<void>(os::send_packet(socket_, bytes_of(refusal)));
    return head.version == protocol_version
               ? cannot_speak("the peer's memory is laid out differently")
               : cannot_speak("the peer speaks protocol " + versions(head.version, head.version) +
                              ", " + ours());
  }
  if (packet.fds.size() != hello_fds) return broken("a hello without its descriptors");
  const auto hello = read<Hello>(buffer);
  return PeerHello{.capacity = hello.capacity,
                   .most_handles = hello.most_handles,
                   .segment = std::move(packet.fds[0]),
                   .data_bell = std::move(packet.fds[1]),
                   .space_bell = std::move(packet.fds[2])};
}

Result<void> Control::send_handles(std::span<const Handle> handles) const {
  std::array<int, os::max_packet_fds> fds;
  std::array<std::byte, os::max_packet_fds * tag_bytes> tags;
  if (handles.size() > fds.size()) return fail(ErrorKind::too_large);
  for (std::size_t i = 0; i < handles.size(); ++i) {
    if (!handles[i].fd()) {
      return fail(ErrorKind::unsupported,
                  {.operation = "send",
                   .object = "handle",
                   .cause = handles[i].is_local() ? "an inproc channel cannot leave its process"
                                                  : "it is empty"});
    }
    fds[i] = handles[i].fd().native();
    tags[i * tag_bytes] = static_cast<std::byte>(handles[i].kind());
    tags[i * tag_bytes + 1] = static_cast<std::byte>(handles[i].mechanism());
  }
  const PacketHead head = head_of(PacketHead::handles);
  const std::array<std::uint32_t, 2> count{static_cast<std::uint32_t>(handles.size()), 0};
  const std::array parts{iovec{const_cast<PacketHead*>(&head), sizeof head},
                         iovec{const_cast<std::uint32_t*>(count.data()), sizeof count},
                         iovec{tags.data(), handles.size() * tag_bytes}};
  return os::send_packet(socket_, parts, {fds.data(), handles.size()});
}

Result<std::vector<Handle>> Control::receive_handles(std::uint32_t most) const {
  Buffer buffer;
  auto packet = receive(socket_, buffer, most);
  if (!packet) {
    if (packet.error() == ErrorKind::empty) return broken("a message without its handles");
    return fail(std::move(packet).error());
  }
  constexpr std::size_t tags_at = sizeof(PacketHead) + 8;
  if (packet->closed || packet->size < tags_at) return broken("a message without its handles");
  const auto head = read<PacketHead>(buffer);
  const auto count = read<std::uint32_t>(buffer, sizeof(PacketHead));
  if (head.magic != magic || head.kind != PacketHead::handles || head.version != protocol_version ||
      count != packet->fds.size() || packet->size != tags_at + count * tag_bytes) {
    return broken("its handles are not what it says");
  }
  std::vector<Handle> handles;
  handles.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto kind = std::to_integer<std::uint8_t>(buffer[tags_at + i * tag_bytes]);
    const auto mechanism = std::to_integer<std::uint8_t>(buffer[tags_at + i * tag_bytes + 1]);
    if (kind > static_cast<std::uint8_t>(Handle::Kind::channel)) {
      return broken("a kind of handle that does not exist");
    }
    handles.emplace_back(std::move(packet->fds[i]), static_cast<Handle::Kind>(kind), mechanism);
  }
  return handles;
}

}  // namespace bulkhead::transport::shm
