// SPDX-License-Identifier: Apache-2.0
//
// What is special about POSIX message queues: priorities, limits, names, and what others of the same
// user can put into a listener's queue. What all mechanisms do is in tests/conformance.
#include "transport/posix_mq.hpp"

#include <cstring>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mqueue.h>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>

#include <bulkhead/channel.hpp>
#include <bulkhead/listener.hpp>

#include "transport/posix_mq_queue.hpp"

namespace bulkhead::transport {
namespace {

using namespace std::chrono_literals;
using posix_mq::Names;
using posix_mq::Request;
using testing::HasSubstr;

std::string queue_name(const std::string& name) {
  return "/bulkhead-test-" + name + "-" + std::to_string(::getpid());
}

Message of(unsigned priority, const std::string& text) {
  Message message{as_bytes(text)};
  message.set_priority(priority);
  return message;
}

bool exists(const std::string& name) {
  return static_cast<bool>(Fd::adopt(::mq_open(name.c_str(), O_RDONLY | O_CLOEXEC)));
}

Fd make_raw(const std::string& name, long unit, long depth) {
  mq_attr attributes{};
  attributes.mq_msgsize = unit;
  attributes.mq_maxmsg = depth;
  return Fd::adopt(::mq_open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NONBLOCK | O_CLOEXEC,
                             0600, &attributes));
}

bool put_raw(FdView queue, const void* data, std::size_t size) {
  return ::mq_send(queue.native(), static_cast<const char*>(data), size, 0) == 0;
}

TEST(posix_mq, gives_the_highest_priority_first_and_keeps_the_order_of_each) {
  auto [here, there] = or_throw(pair(Mechanism::posix_mq, {.needs = {.priority = true}}));
  for (const auto& [priority, text] : {std::pair{0u, "a"}, {5u, "b"}, {31u, "c"}, {5u, "d"}}) {
    ASSERT_TRUE(here.send(of(priority, text), 5s));
  }
  for (const auto& [priority, text] : {std::pair{31u, "c"}, {5u, "b"}, {5u, "d"}, {0u, "a"}}) {
    auto got = there.receive(5s);
    ASSERT_TRUE(got);
    EXPECT_EQ(got->text(), text);
    EXPECT_EQ(got->priority(), priority);
  }
}

TEST(posix_mq, lets_an_urgent_message_of_many_units_overtake_one_that_timed_out) {
  auto [here, there] = or_throw(pair(Mechanism::posix_mq));
  const std::string large(3'000'000, 'x');
  auto cut_short = here.send(as_bytes(large), 10ms);
  ASSERT_FALSE(cut_short);
  EXPECT_EQ(cut_short.error().kind(), ErrorKind::timed_out);
  std::jthread sender{[&, &from = here] {
    EXPECT_TRUE(from.send(of(9, large), 20s));
    EXPECT_TRUE(from.send(of(0, "last"), 20s));
  }};
  auto urgent = there.receive(20s);
  ASSERT_TRUE(urgent);
  EXPECT_EQ(urgent->size(), large.size());
  EXPECT_EQ(urgent->priority(), 9u);
  auto last = there.receive(20s);
  ASSERT_TRUE(last);
  EXPECT_EQ(last->text(), "last");
}

TEST(posix_mq, tells_the_limit_that_is_in_the_way_and_its_remedy) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_MSGQUEUE, &before), 0);
  const rlimit nothing{500, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_MSGQUEUE, &nothing), 0);
  const auto refused = pair(Mechanism::posix_mq);
  ::setrlimit(RLIMIT_MSGQUEUE, &before);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::exhausted);
  EXPECT_THAT(refused.error().sentence(), HasSubstr("500 bytes, RLIMIT_MSGQUEUE"));
  EXPECT_THAT(refused.error().sentence(), HasSubstr("ulimit -q"));
}

TEST(posix_mq, takes_the_size_of_queues_from_the_clients_address) {
  const std::string at = "mq://" + queue_name("sizes");
  auto listener = or_throw(bulkhead::listen(at));
  auto client = or_throw(bulkhead::connect(at + "?unit=256&depth=3", 5s));
  int sent = 0;
  while (client.try_send(as_bytes("x"))) ++sent;
  EXPECT_EQ(sent, 3);
  for (const char* bad : {"?unit=1", "?depth=0", "?size=256", "?unit"}) {
    const auto refused = bulkhead::connect(at + bad, 5s);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().kind(), ErrorKind::invalid) << refused.error().sentence();
  }
}

TEST(posix_mq, delivers_what_a_client_sent_that_left_before_it_was_accepted) {
  const std::string at = "mq://" + queue_name("early");
  auto listener = or_throw(bulkhead::listen(at));
  ASSERT_TRUE(or_throw(bulkhead::connect(at, 5s)).send(as_bytes("I could not wait"), 5s));
  auto server = or_throw(listener.accept(5s));
  auto got = server.receive(5s);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->text(), "I could not wait");
  EXPECT_EQ(server.receive(5s).error().kind(), ErrorKind::closed);
}

TEST(posix_mq, passes_over_whatever_lies_in_a_listeners_queue) {
  const std::string name = queue_name("garbage");
  auto listener = or_throw(bulkhead::listen("mq://" + name));
  const Fd raw = Fd::adopt(::mq_open(name.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  const std::string junk(posix_mq::request_unit, 'j');
  Request leads_nowhere;
  leads_nowhere.queues = posix_mq::client_sends;
  Request asks_too_much;
  asks_too_much.queues = 4;
  ASSERT_TRUE(put_raw(raw, junk.data(), junk.size()));
  ASSERT_TRUE(put_raw(raw, junk.data(), 0));
  ASSERT_TRUE(put_raw(raw, junk.data(), sizeof(Request)));
  ASSERT_TRUE(put_raw(raw, &leads_nowhere, sizeof leads_nowhere));
  ASSERT_TRUE(put_raw(raw, &asks_too_much, sizeof asks_too_much));
  auto client = or_throw(bulkhead::connect("mq://" + name, 5s));
  auto server = or_throw(listener.accept(5s));
  ASSERT_TRUE(client.send(as_bytes("through all that"), 5s));
  EXPECT_EQ(or_throw(server.receive(5s)).text(), "through all that");
}

TEST(posix_mq, listener_that_is_flooded_keeps_its_deadline) {
  const std::string name = queue_name("flood");
  auto listener = or_throw(bulkhead::listen("mq://" + name));
  const Fd raw = Fd::adopt(::mq_open(name.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  Request leads_nowhere;
  leads_nowhere.queues = posix_mq::client_sends;
  std::jthread flood{[&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      const bool whole = put_raw(raw, &leads_nowhere, sizeof leads_nowhere);
      if (!whole || !put_raw(raw, "junk", 4)) std::this_thread::yield();
    }
  }};
  EXPECT_EQ(listener.accept(100ms).error().kind(), ErrorKind::timed_out);
}

TEST(posix_mq, calls_a_peer_that_breaks_the_protocol_corrupt) {
  const std::string name = queue_name("liar");
  auto listener = or_throw(bulkhead::listen("mq://" + name));
  const Fd raw = Fd::adopt(::mq_open(name.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  Request request;
  request.queues = posix_mq::client_sends;
  request.random[0] = 77;
  const Names names{request};
  const Fd out = make_raw(names.to_listener, 256, 5);
  posix_mq::hold_side(out, posix_mq::Side::sender);
  posix_mq::set_mark(out, posix_mq::Mark::made);
  ASSERT_TRUE(put_raw(raw, &request, sizeof request));
  auto server = or_throw(listener.accept(5s));
  ASSERT_TRUE(put_raw(out, "\x01\x01\x00\x00\x09\x00\x00\x00 too short", 18));
  for (int i = 0; i < 2; ++i) {
    const auto got = server.receive(5s);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().kind(), ErrorKind::corrupt);
  }
  EXPECT_FALSE(exists(names.to_listener));
}

TEST(posix_mq, takes_nobody_in_whose_queues_are_not_finished_and_leaves_them_until_they_are) {
  const std::string name = queue_name("slow");
  auto listener = or_throw(bulkhead::listen("mq://" + name));
  const Fd raw = Fd::adopt(::mq_open(name.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  Request request;
  request.queues = posix_mq::client_sends;
  request.random[0] = 55;
  const Names names{request};
  std::uint64_t number = 0;
  std::memcpy(&number, request.random.data(), sizeof number);
  posix_mq::hold_number(raw, number);
  ASSERT_TRUE(put_raw(raw, &request, sizeof request));
  const Fd out = make_raw(names.to_listener, 256, 5);
  EXPECT_EQ(listener.try_accept().error().kind(), ErrorKind::empty);
  EXPECT_TRUE(exists(names.to_listener));
  posix_mq::hold_side(out, posix_mq::Side::sender);
  posix_mq::set_mark(out, posix_mq::Mark::made);
  posix_mq::set_mark(raw, posix_mq::Mark{});
  EXPECT_TRUE(listener.accept(20s));
  EXPECT_FALSE(exists(names.to_listener));
}

TEST(posix_mq, replaces_what_a_dead_listener_left_with_the_names_in_it) {
  const std::string name = queue_name("stale");
  Request request;
  request.queues = posix_mq::client_sends;
  request.random[0] = 99;
  const Names names{request};
  {
    const Fd left = make_raw(name, posix_mq::request_unit, 5);
    ASSERT_TRUE(left);
    ASSERT_TRUE(make_raw(names.to_listener, 256, 5));
    ASSERT_TRUE(put_raw(left, &request, sizeof request));
  }
  const auto nobody = bulkhead::connect("mq://" + name, 5s);
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().kind(), ErrorKind::not_found);
  auto listener = bulkhead::listen("mq://" + name);
  ASSERT_TRUE(listener) << listener.error().sentence();
  EXPECT_FALSE(exists(names.to_listener));
  listener->close();
  EXPECT_FALSE(exists(name));
}

TEST(posix_mq, leaves_a_queue_alone_that_no_listener_made) {
  const std::string name = queue_name("foreign");
  const Fd foreign = make_raw(name, 1000, 5);
  ASSERT_TRUE(foreign);
  const auto refused = bulkhead::listen("mq://" + name);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::exists);
  EXPECT_TRUE(exists(name));
  ::mq_unlink(name.c_str());
}

TEST(posix_mq, is_not_for_other_users) {
  const auto refused =
      bulkhead::listen("mq://" + queue_name("all"), {.allow = ListenOptions::Allow::anyone});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::unsupported);
  EXPECT_THAT(refused.error().sentence(), HasSubstr("unix"));
}

}  // namespace
}  // namespace bulkhead::transport
