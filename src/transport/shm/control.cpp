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

template <class T> T read(Bytes buffer, std::size_t at = 0) noexcept {
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

/// How handles go: their descriptors beside the packet, two bytes each in it.
struct Luggage {
  std::array<int, os::max_packet_fds> fds;
  std::array<std::byte, os::max_packet_fds * tag_bytes> tags;
  std::size_t count = 0;

  Result<void> pack(std::span<const Handle> handles) {
    if (handles.size() > fds.size()) return fail(ErrorKind::too_large);
    for (const Handle& handle : handles) {
      if (!handle.fd()) {
        return fail(ErrorKind::unsupported,
                    {.operation = "send",
                     .object = "handle",
                     .cause = handle.is_local() ? "an inproc channel cannot leave its process"
                                                : "it is empty"});
      }
      fds[count] = handle.fd().native();
      tags[count * tag_bytes] = static_cast<std::byte>(handle.kind());
      tags[count * tag_bytes + 1] = static_cast<std::byte>(handle.mechanism());
      ++count;
    }
    return {};
  }
  iovec tag_part() { return {tags.data(), count * tag_bytes}; }
  std::span<const int> descriptors() const { return {fds.data(), count}; }
};

Result<std::vector<Handle>> unpack(std::vector<Fd> fds, const std::byte* tags) {
  std::vector<Handle> handles;
  handles.reserve(fds.size());
  for (std::size_t i = 0; i < fds.size(); ++i) {
    const auto kind = std::to_integer<std::uint8_t>(tags[i * tag_bytes]);
    const auto mechanism = std::to_integer<std::uint8_t>(tags[i * tag_bytes + 1]);
    if (kind > static_cast<std::uint8_t>(Handle::Kind::shared_region)) {
      return broken("a kind of handle that does not exist");
    }
    handles.emplace_back(std::move(fds[i]), static_cast<Handle::Kind>(kind), mechanism);
  }
  return handles;
}

iovec part(const void* data, std::size_t size) { return {const_cast<void*>(data), size}; }

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

Result<void> Control::send_hello_without_memory(Trust trust) const {
  const Hello hello{.head = head_of(PacketHead::hello),
                    .layout_hash = layout_hash(ring_offset()),
                    .capacity = 0,
                    .most_handles = most_handles(trust),
                    .zero = 0};
  return os::send_packet(socket_, bytes_of(hello));
}

void Control::send_bye() const noexcept {
  // A peer that cannot be told sees the hang-up.
  static_cast<void>(os::send_packet(socket_, bytes_of(head_of(PacketHead::bye))));
}

std::unexpected<Error> refused_by(Bytes packet) {
  if (packet.size() < sizeof(Refusal)) return broken("too short");
  const auto refusal = read<Refusal>(packet);
  return cannot_speak("the peer speaks protocol " + versions(refusal.oldest, refusal.newest) +
                      " of another build, " + ours());
}

Result<PeerHello> Control::receive_hello() const {
  Buffer buffer{};
  // As many descriptors as a later version may send: it is refused for its version.
  auto received = next(buffer, most_handles(Trust::untrusted));
  // No room for its descriptors: its bytes have come, and without its memory we can do.
  const bool lost = !received && received.error() == ErrorKind::exhausted &&
                    read<PacketHead>(buffer).magic == magic;
  if (!received && !lost) return fail(std::move(received).error());
  os::Packet packet =
      lost ? os::Packet{.size = sizeof(Hello), .closed = false, .fds = {}} : *std::move(received);
  if (packet.closed) return fail(ErrorKind::peer_died);
  if (packet.size < sizeof(PacketHead)) return broken("too short");
  const auto head = read<PacketHead>(buffer);
  if (head.magic != magic) return broken("not one of this protocol");
  if (head.kind == PacketHead::bye) return fail(ErrorKind::closed);
  if (head.kind == PacketHead::refuse) {
    return refused_by(Bytes{buffer}.first(packet.size));
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
  const auto hello = read<Hello>(buffer);
  if (lost) return PeerHello{.capacity = 0, .most_handles = hello.most_handles};
  if (packet.fds.size() != (hello.capacity == 0 ? 0 : hello_fds)) {
    return broken("a hello without its descriptors");
  }
  if (hello.capacity == 0) return PeerHello{.capacity = 0, .most_handles = hello.most_handles};
  return PeerHello{.capacity = hello.capacity,
                   .most_handles = hello.most_handles,
                   .segment = std::move(packet.fds[0]),
                   .data_bell = std::move(packet.fds[1]),
                   .space_bell = std::move(packet.fds[2])};
}

Result<os::Packet> Control::next(MutableBytes into, std::size_t most_fds) const {
  return inbox_ != nullptr ? inbox_->next(socket_, into, most_fds)
                           : next_in(socket_, into, most_fds);
}

Result<void> Control::send_record(RecordHeader header, Bytes total, Bytes payload,
                                  std::span<const Handle> handles) const {
  Luggage luggage;
  BULKHEAD_TRY(luggage.pack(handles));
  const RecordPacket packet{.head = head_of(PacketHead::record),
                            .record = header.packed(),
                            .handles = static_cast<std::uint32_t>(handles.size()),
                            .zero = 0};
  const std::array parts{part(&packet, sizeof packet), part(total.data(), total.size()),
                         part(payload.data(), payload.size()), luggage.tag_part()};
  return os::send_packet(socket_, parts, luggage.descriptors());
}

Result<void> Control::send_moved() const {
  return os::send_packet(socket_, bytes_of(head_of(PacketHead::moved)));
}

Result<Arrival> Control::receive_arrival(MutableBytes room, std::uint32_t most_handles) const {
  auto packet = BULKHEAD_TRY(next(room, most_handles));
  if (packet.closed) return fail(ErrorKind::peer_died);
  const Bytes bytes = Bytes{room}.first(packet.size);
  if (bytes.size() < sizeof(PacketHead)) return broken("too short");
  const auto head = read<PacketHead>(bytes);
  if (head.magic != magic) return broken("not one of this protocol");
  if (head.kind == PacketHead::refuse) return refused_by(bytes);
  if (head.version != protocol_version) return broken("another version");
  if (head.kind == PacketHead::bye) return fail(ErrorKind::closed);
  if (head.kind == PacketHead::moved) return Arrival{.moved = true, .payload = {}, .handles = {}};
  if (head.kind != PacketHead::record) return broken("a record was due");

  if (bytes.size() < sizeof(RecordPacket)) return broken("too short");
  const auto fields = read<RecordPacket>(bytes);
  const auto header = RecordHeader::unpacked(fields.record);
  if (fields.handles != packet.fds.size() || header.size > most_in_packet ||
      bytes.size() != sizeof(RecordPacket) + header.size + tag_bytes * fields.handles ||
      (fields.handles != 0) != ((header.flags & RecordHeader::handles) != 0)) {
    return broken("a record is not what it says");
  }
  const Bytes payload = bytes.subspan(sizeof(RecordPacket), header.size);
  auto handles = BULKHEAD_TRY(unpack(std::move(packet.fds), payload.data() + payload.size()));
  return Arrival{
      .moved = false, .header = header, .payload = payload, .handles = std::move(handles)};
}

Result<void> Control::send_handles(std::span<const Handle> handles) const {
  Luggage luggage;
  BULKHEAD_TRY(luggage.pack(handles));
  const PacketHead head = head_of(PacketHead::handles);
  const std::array<std::uint32_t, 2> count{static_cast<std::uint32_t>(handles.size()), 0};
  const std::array parts{part(&head, sizeof head), part(count.data(), sizeof count),
                         luggage.tag_part()};
  return os::send_packet(socket_, parts, luggage.descriptors());
}

Result<std::vector<Handle>> Control::receive_handles(std::uint32_t most) const {
  Buffer buffer;
  auto packet = next(buffer, most);
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
  return unpack(std::move(packet->fds), buffer.data() + tags_at);
}

}  // namespace bulkhead::transport::shm
