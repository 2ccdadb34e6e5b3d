// SPDX-License-Identifier: Apache-2.0
//
// What a peer can write into a stream. Whatever it is: messages within the bound, perhaps, and then
// an end of one of the kinds that a peer can cause; a second reading of the same bytes in other
// portions gives the same.
//
// The first byte chooses how the bytes are cut, the rest is the stream, behind a hello if the first
// byte's upper bit is set. In the corpus are streams of each type of frame.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "os/pipe.hpp"
#include "transport/stream_link.hpp"

namespace {

using namespace bulkhead;
using namespace bulkhead::transport;

constexpr std::size_t most_bytes = 10'000;

void require(bool holds) {
  if (!holds) std::abort();
}

class FedLink final : public StreamLink {
 public:
  FedLink(std::span<const std::uint8_t> bytes, std::size_t portion)
      : StreamLink(Fd{}, Fd{}, {.max_message_bytes = most_bytes, .direction = Direction::receive}),
        bytes_(bytes),
        portion_(portion) {}
  ~FedLink() override { close(); }
  Mechanism mechanism() const noexcept override { return Mechanism::pipe; }
  Capabilities capabilities() const noexcept override { return {}; }
  Peer peer() const noexcept override { return {}; }
  Result<Handle> detach() override { return fail(ErrorKind::unsupported); }

 protected:
  ssize_t read_some(FdView, std::span<const iovec> parts) noexcept override {
    std::size_t room = portion_;
    std::size_t got = 0;
    for (const iovec& part : parts) {
      const std::size_t size = std::min({part.iov_len, bytes_.size(), room});
      if (size > 0) std::memcpy(part.iov_base, bytes_.data(), size);
      bytes_ = bytes_.subspan(size);
      room -= size;
      got += size;
    }
    return static_cast<ssize_t>(got);
  }
  ssize_t write_some(FdView, std::span<const iovec>) noexcept override { return -1; }
  std::size_t prepare(const ChannelOptions&) noexcept override { return 0; }

 private:
  std::span<const std::uint8_t> bytes_;
  const std::size_t portion_;
};

struct Outcome {
  std::string messages;
  ErrorKind end{};
};

Outcome read_all(std::span<const std::uint8_t> bytes, std::size_t portion) {
  FedLink link{bytes, portion};
  Outcome outcome;
  for (;;) {
    Message message;
    if (auto got = link.receive(message, never); !got) {
      outcome.end = got.error().kind();
      require(!got.error().sentence().empty());
      require(link.receive(message, never).error().kind() == outcome.end);
      return outcome;
    }
    require(message.size() <= most_bytes && message.handles().empty());
    outcome.messages += message.text();
    outcome.messages += '|';
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::vector<std::uint8_t> stream;
  if ((*data & 0x80) != 0) {
    const stream_frame::Hello hello;
    const stream_frame::Header header{stream_frame::Type::hello, sizeof hello};
    stream.resize(sizeof header + sizeof hello);
    std::memcpy(stream.data(), &header, sizeof header);
    std::memcpy(stream.data() + sizeof header, &hello, sizeof hello);
  }
  stream.insert(stream.end(), data + 1, data + size);
  const Outcome whole = read_all(stream, stream.size() + 1);
  const Outcome cut = read_all(stream, 1 + (*data & 0x7f));
  require(whole.messages == cut.messages && whole.end == cut.end);
  switch (whole.end) {
    case ErrorKind::closed:
    case ErrorKind::peer_died:
    case ErrorKind::corrupt:
    case ErrorKind::denied:
    case ErrorKind::incompatible:
      return 0;
    default:
      std::abort();
  }
}
