// SPDX-License-Identifier: Apache-2.0
//
// Listeners: many clients, silent and dying ones, names that cannot be used, no descriptors left.
#include <fcntl.h>
#include <fstream>
#include <sys/resource.h>
#include <sys/stat.h>

#include <bulkhead/wait_set.hpp>

#include "conformance/conformance.hpp"

namespace bulkhead::conformance {
namespace {

class listening : public Conformance {
 protected:
  /// Of one of these may come what a client sent; the first message of any is returned.
  static void answer(Channel& channel, const Message& message, const Row& row) {
    if (!row.both_ways()) return;
    EXPECT_TRUE(ok(channel.send(message.bytes(), 20s)));
  }
};
INSTANTIATE_TEST_SUITE_P(mechanisms, listening, testing::ValuesIn(rows_where(with_listener)),
                         row_name);

class listening_to_many : public listening {};
INSTANTIATE_TEST_SUITE_P(mechanisms, listening_to_many,
                         testing::ValuesIn(rows_where(with_listener, many_clients,
                                                      with_a_channel_each)),
                         row_name);

TEST_P(listening_to_many, serves_32_clients_at_once) {
  constexpr std::uint64_t clients = 32;
  constexpr std::uint64_t each = 20;
  const Row& row = GetParam();
  const std::string at = address();
  auto listener = or_throw(listen_at(at));
  std::vector<std::jthread> threads;
  for (std::uint64_t client = 0; client < clients; ++client) {
    threads.emplace_back([&, client] {
      auto channel = connect_to(at);
      ASSERT_TRUE(ok(channel));
      for (std::uint64_t i = 0; i < each; ++i) {
        ASSERT_TRUE(ok(channel->send(content(client * 100 + i, 64 + client), 20s)));
        if (!row.both_ways()) continue;
        auto got = channel->receive(20s);
        ASSERT_TRUE(ok(got));
        ASSERT_TRUE(has_content(got->bytes(), client * 100 + i, 64 + client));
      }
    });
  }
  auto set = or_throw(WaitSet::create());
  ASSERT_TRUE(ok(set.add(listener, 0)));
  std::vector<Channel> channels;
  channels.reserve(clients);
  std::vector<std::uint64_t> next(clients, 0);  // of each client
  std::uint64_t received = 0;
  while (received < clients * each) {
    auto ready = set.wait(20s);
    ASSERT_TRUE(ok(ready));
    for (const auto key : *ready) {
      if (key == 0) {
        while (auto channel = listener.try_accept()) {
          channels.push_back(*std::move(channel));
          ASSERT_TRUE(ok(set.add(channels.back(), channels.size())));
        }
        continue;
      }
      Channel& channel = channels[key - 1];
      Result<Message> message = channel.try_receive();
      for (; message; message = channel.try_receive()) {
        const std::uint64_t client = message->size() - 64;
        ASSERT_LT(client, clients);
        ASSERT_TRUE(has_content(message->bytes(), client * 100 + next[client]++, 64 + client));
        ++received;
        answer(channel, *message, row);
      }
      if (message.error() == ErrorKind::empty) continue;
      EXPECT_TRUE(fails(message, ErrorKind::closed));
      ASSERT_TRUE(ok(set.remove(key)));
    }
  }
  EXPECT_LE(channels.size(), clients);
}

TEST_P(listening_to_many, is_not_harmed_by_clients_that_leave_or_stay_silent) {
  const std::string at = address();
  auto listener = or_throw(listen_at(at));
  auto silent = or_throw(connect_to(at));
  auto silent_at_our_end = or_throw(listener.accept(20s));
  for (std::size_t i = 0; i + 1 < GetParam().waiting_clients; ++i) {
    const auto gone = or_throw(connect_to(at));
  }
  auto client = or_throw(connect_to(at));
  ASSERT_TRUE(ok(client.send(as_bytes("hello"), 20s)));
  // Of those that left, a mechanism may still report some; they are closed.
  for (;;) {
    auto server = listener.accept(20s);
    ASSERT_TRUE(ok(server));
    auto got = server->receive(20s);
    if (!got) {
      EXPECT_TRUE(fails(got, ErrorKind::closed));
      continue;
    }
    EXPECT_EQ(got->text(), "hello");
    expect_works(client, *server);
    break;
  }
  EXPECT_TRUE(fails(silent_at_our_end.receive(5ms), ErrorKind::timed_out));
  expect_works(silent, silent_at_our_end);
}

TEST_P(listening, ends_its_wait_by_the_deadline) {
  auto listener = or_throw(listen_at(address()));
  EXPECT_TRUE(fails(listener.try_accept(), ErrorKind::empty));
  auto none = listener.accept(5ms);
  EXPECT_TRUE(fails(none, ErrorKind::timed_out));
  EXPECT_THAT(none.error().sentence(), testing::HasSubstr(listener.address().text()));
}

TEST_P(listening, on_a_name_of_this_process_is_refused_with_words) {
  const std::string at = address();
  auto first = or_throw(listen_at(at));
  auto second = listen_at(at);
  EXPECT_TRUE(fails(second, ErrorKind::exists));
  EXPECT_THAT(second.error().sentence(),
              testing::AllOf(testing::StartsWith("listen " + at),
                             testing::HasSubstr(std::to_string(::getpid()))));
  auto client = connect_to(at);
  ASSERT_TRUE(ok(client));
  auto server = first.accept(20s);
  ASSERT_TRUE(ok(server)) << "the first listener is none the worse for it";
  expect_works(*client, *server);
}

TEST_P(listening, gives_its_name_back_when_it_closes) {
  const std::string at = address();
  for (int i = 0; i < 20; ++i) {
    auto listener = listen_at(at);
    ASSERT_TRUE(ok(listener));
    if (i % 2 == 0) listener->close();
    if (i % 2 == 0) {
      EXPECT_TRUE(fails(listener->accept(20s), ErrorKind::closed));
    }
  }
  auto nobody = connect_to(at);
  if (!GetParam().tells_nobody_there) {
    EXPECT_TRUE(ok(nobody));
    return;
  }
  EXPECT_TRUE(fails(nobody, ErrorKind::not_found));
  EXPECT_THAT(nobody.error().sentence(), testing::StartsWith("connect " + at));
}

TEST_P(listening_to_many, leaves_its_channels_open_when_it_closes) {
  const std::string at = address();
  auto listener = or_throw(listen_at(at));
  auto client = or_throw(connect_to(at));
  auto server = or_throw(listener.accept(20s));
  auto late = or_throw(connect_to(at));
  listener.close();
  expect_works(client, server);
  const auto ended = late.receive(20s);
  ASSERT_FALSE(ended);
  EXPECT_NE(ended.error().kind(), ErrorKind::timed_out) << "nobody took it in: it ends at once";
}

TEST_P(listening, refuses_names_that_lead_elsewhere) {
  const std::string scheme{to_string(GetParam().mechanism)};
  std::vector<std::string> bad{":", ""};
  switch (GetParam().naming) {
    case Naming::by_path:
    case Naming::abstract:
      bad.insert(bad.end(), {":relative", ":" + std::string(300, 'x')});
      if (GetParam().mechanism == Mechanism::unix_socket) {
        bad.insert(bad.end(), {":@", ":///" + std::string(200, 'x')});
      }
      break;
    case Naming::by_scheme:
      bad.insert(bad.end(), {":../x", ":a/b", ":..", ":.hidden", ":a..b", std::string{":a\0b", 4},
                             ":" + std::string(300, 'x')});
      break;
    case Naming::loopback:
      bad.insert(bad.end(), {"://127.0.0.1", "://127.0.0.1:", "://127.0.0.1:x", "://:", "://[::1",
                             "://127.0.0.1:70000", "://127.0.0.1:-1"});
      break;
    case Naming::queue:
      bad.insert(bad.end(), {":///", ":///a/b", ":///..", ":///" + std::string(300, 'x')});
      break;
    case Naming::key:
      bad.insert(bad.end(), {"://", "://x y", "://-1", "://99999999999999999999"});
      break;
    case Naming::none:
      break;
  }
  for (const auto& rest : bad) {
    EXPECT_TRUE(fails(listen_at(scheme + rest), ErrorKind::invalid)) << rest;
    EXPECT_TRUE(fails(connect_to(scheme + rest, 1s), ErrorKind::invalid)) << rest;
  }
  EXPECT_TRUE(fails(listen("carrier-pigeon:x"), ErrorKind::unsupported));
}

TEST_P(listening_to_many, without_descriptors_says_so_and_goes_on_when_there_are_some) {
  const std::string at = address();
  auto listener = or_throw(listen_at(at));
  auto served = or_throw(connect_to(at));
  auto server_of_it = or_throw(listener.accept(20s));
  auto waiting = or_throw(connect_to(at));
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  int lowest = ::fcntl(0, F_DUPFD_CLOEXEC, 0);
  ::close(lowest);
  const rlimit none{static_cast<rlim_t>(lowest), limit.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &none);
  for (int i = 0; i < 3; ++i) {
    auto refused = listener.accept(20s);
    if (refused) break;  // a mechanism may need none
    EXPECT_TRUE(fails(refused, ErrorKind::exhausted));
    EXPECT_TRUE(fails(connect_to(at), ErrorKind::exhausted));
  }
  ::setrlimit(RLIMIT_NOFILE, &limit);
  auto next = or_throw(connect_to(at));
  auto server = listener.accept(20s);
  ASSERT_TRUE(ok(server));
}

class socket_files : public Conformance {};

TEST(socket_files, are_open_to_their_user_alone_whatever_the_umask) {
  const std::string path = test::temporary_folder().string() + "/s";
  for (const mode_t mask : {0000, 0077, 0777}) {
    const mode_t before = ::umask(mask);
    {
      auto own = listen("unix://" + path);
      struct stat found{};
      EXPECT_TRUE(ok(own));
      EXPECT_EQ(::stat(path.c_str(), &found), 0);
      EXPECT_EQ(found.st_mode & 0777, 0600u);
      EXPECT_EQ(::umask(mask), mask) << "the host's umask is left alone";
    }
    {
      auto all = listen("unix://" + path, {.allow = ListenOptions::Allow::anyone});
      struct stat found{};
      EXPECT_TRUE(ok(all));
      EXPECT_EQ(::stat(path.c_str(), &found), 0);
      EXPECT_EQ(found.st_mode & 0777, 0666u);
    }
    ::umask(before);
  }
  EXPECT_NE(::access(path.c_str(), F_OK), 0);
  EXPECT_NE(::access((path + ".lock").c_str(), F_OK), 0);
}

TEST(socket_files, are_never_made_over_what_is_not_a_stale_socket) {
  const std::string path = test::temporary_folder().string() + "/precious";
  std::ofstream{path} << "data";
  EXPECT_TRUE(fails(listen("unix://" + path), ErrorKind::exists));
  std::string kept;
  std::ifstream{path} >> kept;
  EXPECT_EQ(kept, "data");
}

}  // namespace
}  // namespace bulkhead::conformance
