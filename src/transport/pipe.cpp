// SPDX-License-Identifier: Apache-2.0
#include "transport/pipe.hpp"

#include <array>
#include <sys/stat.h>

#include "os/socket.hpp"
#include "transport/mechanism.hpp"

namespace bulkhead::transport {
namespace {

/// A message that fits a page with its frame goes whole or not at all. A larger one may need a page
/// more than its bytes, and the hello has one.
constexpr std::size_t set_aside = 2 * 4096;
constexpr std::size_t always_fits = 2048;

class PipeLink final : public PipeStreamLink {
 public:
  using PipeStreamLink::PipeStreamLink;
  PipeLink(Fd in, Fd out, const ChannelOptions& options)
      : PipeStreamLink(std::move(in), std::move(out), options), peer_(owner()) {}
  ~PipeLink() override { close(); }

  Mechanism mechanism() const noexcept override { return Mechanism::pipe; }
  Capabilities capabilities() const noexcept override {
    Capabilities can = pipe_mechanism.capabilities;
    can.both_ways = is_both_ways();
    return can;
  }
  Peer peer() const noexcept override { return peer_; }
  /// One that goes one way has its only descriptor twice in the parcel: a bare pipe is no end.
  Result<Handle> detach() override {
    const auto ends = BULKHEAD_TRY(take_ends());
    const int in = (ends.in ? ends.in : ends.out).native();
    const int out = (ends.out ? ends.out : ends.in).native();
    return Handle{BULKHEAD_TRY(os::wrap_descriptors(std::array{in, out})), Handle::Kind::channel,
                  static_cast<std::uint8_t>(Mechanism::pipe)};
  }

 private:
  /// Whose pipe it is, which is the user of both ends; the kernel does not say who has the other.
  Peer owner() const noexcept {
    struct stat found{};
    const FdView fd = in() ? in() : out();
    if (::fstat(fd.native(), &found) != 0) return {};
    return {0, found.st_uid, found.st_gid};
  }

  const Peer peer_;  // asked once: close() in another thread takes the descriptors away
};

std::unique_ptr<Link> make_link(Fd in, Fd out, ChannelOptions options, Direction direction) {
  options.direction = direction;
  return std::make_unique<PipeLink>(std::move(in), std::move(out), options);
}

Result<os::Pipe> make_pipe(const ChannelOptions& options) {
  auto pipe = BULKHEAD_TRY(os::make_pipe());
  os::set_pipe_room(pipe.write_end, options.capacity_bytes);
  return pipe;
}

Result<LinkPair> make_pipe_pair(const ChannelOptions& options) {
  auto there = BULKHEAD_TRY(make_pipe(options));
  os::Pipe back;
  if (options.direction == Direction::both) back = BULKHEAD_TRY(make_pipe(options));
  const Direction second = opposite(options.direction);
  if (options.direction == Direction::receive) std::swap(there, back);
  return LinkPair{
      make_link(std::move(back.read_end), std::move(there.write_end), options, options.direction),
      make_link(std::move(there.read_end), std::move(back.write_end), options, second)};
}

std::unexpected<Error> no_end() {
  return fail(ErrorKind::invalid, {.operation = "adopt",
                                   .object = "descriptor",
                                   .cause = "it is not the end of a channel of pipes"});
}

Result<std::unique_ptr<Link>> adopt_pipe(Handle handle, const ChannelOptions& options) {
  auto parcel = os::unwrap_descriptors(std::move(handle).take_fd(), 2);
  if (!parcel) return no_end();
  Fd in = std::move((*parcel)[0]);
  Fd out = std::move((*parcel)[1]);
  const bool reads = os::is_read_end(in);
  const bool writes = os::is_write_end(out);
  if (reads && writes) return make_link(std::move(in), std::move(out), options, Direction::both);
  if (reads && os::is_read_end(out)) {
    return make_link(std::move(in), {}, options, Direction::receive);
  }
  if (writes && os::is_write_end(in))
    return make_link({}, std::move(out), options, Direction::send);
  return no_end();
}

}  // namespace

ssize_t PipeStreamLink::read_some(FdView in, std::span<const iovec> parts) noexcept {
  if (parts.size() == 1) return ::read(in.native(), parts[0].iov_base, parts[0].iov_len);
  return ::readv(in.native(), parts.data(), static_cast<int>(parts.size()));
}

ssize_t PipeStreamLink::write_some(FdView out, std::span<const iovec> parts) noexcept {
  return writer_.write(out, parts);
}

std::size_t PipeStreamLink::prepare(const ChannelOptions&) noexcept {
  const std::size_t room = os::pipe_room(out());
  return room > set_aside + always_fits ? room - set_aside : always_fits;
}

Error PipeStreamLink::why_broken(int number) const {
  const bool is_end = number == 0 && in() && os::is_marked_closed(in(), os::PipeEnd::writing);
  const bool is_unread =
      number == EPIPE && out() && os::is_marked_closed(out(), os::PipeEnd::reading);
  return is_end || is_unread ? Error{ErrorKind::closed} : StreamLink::why_broken(number);
}

bool PipeStreamLink::close_aside() noexcept {
  if (out()) {
    os::mark_closed(out(), os::PipeEnd::writing);
  } else if (in()) {
    os::mark_closed(in(), os::PipeEnd::reading);
  }
  return false;
}

const MechanismEntry pipe_mechanism{
    .mechanism = Mechanism::pipe,
    .capabilities = {.both_ways = true, .reliable = true, .tells_death = true},
    .make_pair = make_pipe_pair,
    .adopt = adopt_pipe,
    .connect = nullptr,
    .listen = nullptr,
};

}  // namespace bulkhead::transport
