// SPDX-License-Identifier: Apache-2.0
//
// The framing of streams: whatever the kernel takes or gives at a time, and against a peer that
// does not keep to it. The peer speaks raw bytes here, through a pipe pair.
#include "transport/stream_link.hpp"

#include <algorithm>
#include <cstring>
#include <gtest/gtest.h>
#include <random>
#include <thread>
#include <unistd.h>
#include <vector>

#include "os/pipe.hpp"

namespace bulkhead::transport {
namespace {

using namespace std::chrono_literals;
using stream_frame::Header;
using stream_frame::Hello;
using stream_frame::Type;
using stream_frame::Verdict;

std::vector<std::byte> content(std::size_t size, unsigned seed = 1) {
  std::mt19937 random{seed};
  std::vector<std::byte> bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

/// A link whose kernel takes and gives no more than it is told to.
class ShimLink final : public StreamLink {
 public:
  ShimLink(Fd in, Fd out, const ChannelOptions& options)
      : StreamLink(std::move(in), std::move(out), options) {}
  ~ShimLink() override { close(); }

  Mechanism mechanism() const noexcept override { return Mechanism::pipe; }
  Capabilities capabilities() const noexcept override { return {}; }
  Peer peer() const noexcept override { return {}; }
  Result<Handle> detach() override { return fail(ErrorKind::unsupported); }

  /// The first write takes so many bytes, those after it any number.
  std::size_t first_write = std::size_t(-1);
  std::size_t each_write = std::size_t(-1);
  std::size_t each_read = std::size_t(-1);
  bool refuses_after_first = false;  ///< and then the kernel has no room at all
  int writes = 0;
  int reads = 0;

 protected:
  ssize_t read_some(FdView in, std::span<const iovec> parts) noexcept override {
    const ssize_t got = limited(parts, each_read, [&](std::span<const iovec> some) {
      return ::readv(in.native(), some.data(), static_cast<int>(some.size()));
    });
    reads += got > 0 ? 1 : 0;
    return got;
  }
  ssize_t write_some(FdView out, std::span<const iovec> parts) noexcept override {
    if (writes > 0 && refuses_after_first) {
      errno = EAGAIN;
      return -1;
    }
    const std::size_t limit = writes++ == 0 ? first_write : each_write;
    return limited(parts, limit,
                   [&](std::span<const iovec> some) { return writer_.write(out, some); });
  }
  std::size_t prepare(const ChannelOptions&) noexcept override { return 60'000; }

 private:
  template <class Call>
  static ssize_t limited(std::span<const iovec> parts, std::size_t limit, Call call) {
    std::vector<iovec> some;
    for (const iovec& one : parts) {
      const std::size_t size = std::min(one.iov_len, limit);
      if (size > 0) some.push_back({one.iov_base, size});
      limit -= size;
    }
    return call(some);
  }

  os::PipeWriter writer_;
};

/// Two links over two pipes.
struct Pair {
  std::unique_ptr<ShimLink> here;
  std::unique_ptr<ShimLink> there;

  explicit Pair(const ChannelOptions& options = {}) {
    auto forth = or_throw(os::make_pipe());
    auto back = or_throw(os::make_pipe());
    here =
        std::make_unique<ShimLink>(std::move(back.read_end), std::move(forth.write_end), options);
    there =
        std::make_unique<ShimLink>(std::move(forth.read_end), std::move(back.write_end), options);
    EXPECT_TRUE(static_cast<Link&>(*here).bind(no_wait));
    EXPECT_TRUE(static_cast<Link&>(*there).bind(no_wait));
    here->writes = there->writes = 0;
  }
};

void expect_next(Link& link, Bytes bytes) {
  Message got;
  const auto received = link.receive(got, 20s);
  ASSERT_TRUE(received) << received.error().sentence();
  ASSERT_TRUE(std::ranges::equal(got.bytes(), bytes)) << got.size() << " bytes";
}

TEST(stream_framing, is_exact_when_every_read_and_write_is_of_one_byte) {
  Pair pair;
  pair.here->each_write = pair.here->first_write = pair.there->each_read = 1;
  for (const std::size_t size : {0u, 1u, 2u, 208u, 209u, 5000u}) {
    const auto bytes = content(size);
    ASSERT_TRUE(pair.here->send(bytes, {}, 20s));
    expect_next(*pair.there, bytes);
  }
}

TEST(stream_framing, of_4_KiB_is_exact_wherever_a_write_is_cut) {
  const auto bytes = content(4096);
  const std::size_t frame = sizeof(Header) + bytes.size() + 1;
  Pair pair;
  for (std::size_t cut = 1; cut < frame; ++cut) {
    pair.here->first_write = cut;
    pair.here->writes = 0;
    ASSERT_TRUE(pair.here->send(bytes, {}, 20s));
    expect_next(*pair.there, bytes);
  }
}

TEST(stream_framing, of_4_KiB_is_exact_wherever_a_read_is_cut) {
  const auto bytes = content(4096);
  const std::size_t frame = sizeof(Header) + bytes.size() + 1;
  Pair pair;
  for (std::size_t cut = 1; cut < frame; cut += cut < 20 || cut > 4080 ? 1 : 7) {
    pair.there->each_read = cut;
    ASSERT_TRUE(pair.here->send(bytes, {}, 20s));
    ASSERT_TRUE(pair.here->send(as_bytes("behind it"), {}, 20s));
    expect_next(*pair.there, bytes);
    expect_next(*pair.there, as_bytes("behind it"));
  }
}

TEST(stream_framing, takes_a_message_back_wherever_its_deadline_cuts_it) {
  const auto bytes = content(4096);
  const std::size_t frame = sizeof(Header) + bytes.size() + 1;
  Pair pair;
  for (std::size_t cut = 1; cut < frame; ++cut) {
    pair.here->first_write = cut;
    pair.here->writes = 0;
    pair.here->refuses_after_first = true;
    ASSERT_EQ(pair.here->send(bytes, {}, no_wait).error().kind(), ErrorKind::full);
    Message none;
    ASSERT_EQ(pair.there->receive(none, no_wait).error().kind(), ErrorKind::empty);
    pair.here->refuses_after_first = false;
    ASSERT_TRUE(pair.here->send(as_bytes("the next"), {}, 20s));
    expect_next(*pair.there, as_bytes("the next"));
  }
}

TEST(stream_framing, of_many_at_once_is_exact_wherever_the_write_is_cut) {
  std::vector<std::vector<std::byte>> contents;
  for (unsigned i = 0; i < 20; ++i) contents.push_back(content(i * 5, i));
  const std::vector<Bytes> all(contents.begin(), contents.end());
  std::size_t total = 0;
  for (const auto& one : contents) total += sizeof(Header) + one.size() + 1;
  Pair pair;
  for (std::size_t cut = 1; cut < total; cut += 3) {
    for (const bool refuses : {false, true}) {
      pair.here->first_write = cut;
      pair.here->writes = 0;
      pair.here->refuses_after_first = refuses;
      const auto sent = pair.here->send_many(all, no_wait);
      pair.here->refuses_after_first = false;
      const std::size_t count = sent ? *sent : 0;
      ASSERT_EQ(count == all.size(), !refuses) << cut;
      ASSERT_TRUE(pair.here->send(as_bytes("mark"), {}, 20s));
      for (std::size_t i = 0; i < count; ++i) expect_next(*pair.there, all[i]);
      expect_next(*pair.there, as_bytes("mark"));
    }
  }
}

TEST(stream_framing, needs_one_call_for_a_small_message_and_one_for_many) {
  Pair pair;
  ASSERT_TRUE(pair.here->send(as_bytes("small"), {}, 20s));
  EXPECT_EQ(pair.here->writes, 1);
  const std::vector<Bytes> many(500, as_bytes("small"));
  EXPECT_EQ(or_throw(pair.here->send_many(many, 20s)), many.size());
  EXPECT_EQ(pair.here->writes, 2);
  expect_next(*pair.there, as_bytes("small"));
  const int before = pair.there->reads;
  for (int i = 0; i < 500; ++i) expect_next(*pair.there, as_bytes("small"));
  EXPECT_EQ(pair.there->reads, before);
}

TEST(stream_framing, shows_what_is_buffered_as_readable) {
  Pair pair;
  const std::vector<Bytes> three(3, as_bytes("x"));
  ASSERT_TRUE(pair.here->send_many(three, 20s));
  const FdView fd = or_throw(pair.there->readable());
  for (int i = 0; i < 3; ++i) {
    EXPECT_NE(or_throw(os::poll_one(fd, POLLIN, no_wait)), 0) << i;
    expect_next(*pair.there, as_bytes("x"));
  }
  Message none;
  EXPECT_EQ(pair.there->receive(none, no_wait).error().kind(), ErrorKind::empty);
  EXPECT_EQ(or_throw(os::poll_one(fd, POLLIN, no_wait)), 0);
}

// Lies

/// A link, and the raw pipes of its peer.
struct Meeting {
  std::unique_ptr<ShimLink> link;
  Fd says;
  Fd hears;

  explicit Meeting(const ChannelOptions& options = {}) {
    auto forth = or_throw(os::make_pipe());
    auto back = or_throw(os::make_pipe());
    link =
        std::make_unique<ShimLink>(std::move(forth.read_end), std::move(back.write_end), options);
    says = std::move(forth.write_end);
    hears = std::move(back.read_end);
  }
  void say(const std::vector<std::byte>& bytes) {
    ASSERT_EQ(::write(says.native(), bytes.data(), bytes.size()),
              static_cast<ssize_t>(bytes.size()));
  }
  ErrorKind receive() {
    Message message;
    const auto got = link->receive(message, 20s);
    return got ? ErrorKind{} : got.error().kind();
  }
};

template <class T> std::vector<std::byte> raw(const T& value) {
  std::vector<std::byte> bytes(sizeof value);
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

std::vector<std::byte> operator+(std::vector<std::byte> a, const std::vector<std::byte>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

std::vector<std::byte> hello(std::uint32_t version = 1) {
  Hello mine;
  mine.version = stream_frame::little(version);
  return raw(Header{Type::hello, sizeof mine}) + raw(mine);
}

std::vector<std::byte> data(std::size_t size, Verdict verdict = Verdict::last) {
  return raw(Header{Type::data, size}) + content(size) + raw(verdict);
}

TEST(stream_protocol, broken_by_any_lie_is_corrupt_and_stays_so) {
  Header damaged{Type::data, 4};
  damaged.zero[1] = 1;
  const std::vector<std::vector<std::byte>> lies{
      data(4),                                                            // no hello
      raw(Header{Type::hello, 4}) + content(4),                           // too short a hello
      raw(Header{Type::hello, 16}) + content(16),                         // of something else
      hello() + hello(),                                                  // twice
      hello() + raw(Header{Type::data, stream_frame::most_payload + 1}),  // too long a frame
      hello() + raw(Header{Type::data, 0xffffffff}),                      //
      hello() + raw(Header{Type::ping, 300}),                             //
      hello() + raw(Header{Type{0}, 0}),                                  // no such type
      hello() + raw(Header{Type{77}, 0}),                                 //
      hello() + raw(damaged),                                             //
      hello() + data(4, Verdict{3}),                                      // no such verdict
      hello() + raw(Header{Type::refused, 0}),                            // too late
  };
  for (std::size_t i = 0; i < lies.size(); ++i) {
    Meeting meeting;
    meeting.say(lies[i]);
    EXPECT_EQ(meeting.receive(), ErrorKind::corrupt) << "lie " << i;
    EXPECT_EQ(meeting.receive(), ErrorKind::corrupt) << "lie " << i;
    EXPECT_EQ(meeting.link->send(as_bytes("x"), {}, 20s).error().kind(), ErrorKind::corrupt) << i;
  }
}

TEST(stream_protocol, bounds_a_message_by_what_this_end_allows) {
  Meeting meeting{{.max_message_bytes = 1000}};
  meeting.say(hello() + data(600, Verdict::more) + data(400) + data(600, Verdict::more) +
              raw(Header{Type::data, 401}));
  EXPECT_EQ(meeting.receive(), ErrorKind{});
  EXPECT_EQ(meeting.receive(), ErrorKind::corrupt);
}

TEST(stream_protocol, takes_pings_and_messages_that_were_given_up_in_silence) {
  Meeting meeting;
  meeting.say(hello() + raw(Header{Type::ping, 0}) + data(9, Verdict::more) +
              raw(Header{Type::ping, 0}) + data(9, Verdict::take_back) + data(5));
  expect_next(*meeting.link, content(5));
}

TEST(stream_protocol, tells_versions_refusals_closes_and_deaths_apart) {
  const auto ends_as = [](const std::vector<std::byte>& bytes) {
    Meeting meeting;
    meeting.say(bytes);
    meeting.says.close();
    const ErrorKind kind = meeting.receive();
    EXPECT_EQ(meeting.receive(), kind);
    return kind;
  };
  EXPECT_EQ(ends_as(hello(2)), ErrorKind::incompatible);
  EXPECT_EQ(ends_as(raw(Header{Type::refused, 0})), ErrorKind::denied);
  EXPECT_EQ(ends_as(hello() + raw(Header{Type::close, 0})), ErrorKind::closed);
  EXPECT_EQ(ends_as(raw(Header{Type::close, 0})), ErrorKind::closed);
  EXPECT_EQ(ends_as(hello()), ErrorKind::peer_died);
  EXPECT_EQ(ends_as(hello() + data(9, Verdict::more)), ErrorKind::peer_died);
  EXPECT_EQ(ends_as({}), ErrorKind::peer_died);
}

TEST(stream_protocol, stands_any_bytes) {
  std::mt19937 random{4711};
  for (int i = 0; i < 5'000; ++i) {
    Meeting meeting{{.max_message_bytes = 100'000}};
    auto bytes = random() % 4 != 0 ? hello() : std::vector<std::byte>{};
    for (auto frames = random() % 5; frames > 0; --frames) {
      auto frame = data(random() % 60, static_cast<Verdict>(random() % 3));
      if (random() % 3 == 0) frame[random() % frame.size()] = static_cast<std::byte>(random());
      if (random() % 5 == 0) frame.resize(random() % frame.size());
      bytes = bytes + frame;
    }
    if (!bytes.empty()) meeting.say(bytes);
    meeting.says.close();
    // Whatever it was: messages perhaps, and then an end.
    for (int calls = 0; meeting.receive() == ErrorKind{}; ++calls) ASSERT_LT(calls, 6);
  }
}

}  // namespace
}  // namespace bulkhead::transport
