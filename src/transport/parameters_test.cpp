// SPDX-License-Identifier: Apache-2.0
#include "transport/parameters.hpp"

#include <gtest/gtest.h>

namespace bulkhead::transport {
namespace {

using namespace std::chrono_literals;

Result<Parameters> of(std::string name) { return Parameters::cut_from(name); }

TEST(parameters, are_cut_off_from_the_name) {
  std::string name = "/var/log/events?sync=each&keep=4";
  auto parameters = Parameters::cut_from(name);
  ASSERT_TRUE(parameters);
  EXPECT_EQ(name, "/var/log/events");
  EXPECT_EQ(parameters->text("sync"), "each");
  EXPECT_EQ(parameters->number("keep", 1, 9), 4U);
  EXPECT_TRUE(parameters->expect_none_left());
}

TEST(parameters, that_nobody_takes_are_refused_by_name) {
  const auto left = of("x?colour=red")->expect_none_left();
  ASSERT_FALSE(left);
  EXPECT_EQ(left.error(), ErrorKind::invalid);
  EXPECT_NE(left.error().sentence().find("\"colour\""), std::string::npos);
}

TEST(parameters, that_are_no_pairs_or_come_twice_are_refused) {
  for (const char* bad : {"x?a", "x?=1", "x?a=1&b", "x?a=1&a=2"}) {
    const auto parameters = of(bad);
    ASSERT_FALSE(parameters) << bad;
    EXPECT_EQ(parameters.error(), ErrorKind::invalid);
  }
  EXPECT_TRUE(of("x?"));
  EXPECT_TRUE(of("x?a="));
}

TEST(parameters, numbers_have_limits) {
  for (const char* bad :
       {"x?n=", "x?n=-1", "x?n=3x", "x?n=0", "x?n=11", "x?n=99999999999999999999"}) {
    EXPECT_FALSE(of(bad)->number("n", 1, 10)) << bad;
  }
  EXPECT_EQ(of("x")->number("n", 1, 10), std::nullopt);
}

TEST(parameters, times_have_units) {
  EXPECT_EQ(of("x?t=250ms")->duration("t"), 250ms);
  EXPECT_EQ(of("x?t=5s")->duration("t"), 5s);
  EXPECT_EQ(of("x?t=2min")->duration("t"), 2min);
  for (const char* bad : {"x?t=5", "x?t=s", "x?t=5 s", "x?t=99999999999h"}) {
    EXPECT_FALSE(of(bad)->duration("t")) << bad;
  }
}

TEST(parameters, choices_are_named_when_none_fits) {
  EXPECT_EQ(of("x?sync=each")->one_of("sync", {"none", "interval", "each"}), 2U);
  const auto wrong = of("x?sync=maybe")->one_of("sync", {"none", "interval", "each"});
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().sentence().find("none, interval, each"), std::string::npos);
}

}  // namespace
}  // namespace bulkhead::transport
