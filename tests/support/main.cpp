// SPDX-License-Identifier: Apache-2.0
//
// The main of every test binary: becomes a role when the library started it as one, else runs the
// tests with the census and the watchdog around each.
#include <chrono>
#include <gtest/gtest.h>
#include <memory>
#include <string>

#ifndef BULKHEAD_TEST_WITHOUT_ROLES
#include <bulkhead/process.hpp>
#endif

#include "support/census.hpp"
#include "support/watchdog.hpp"

namespace bulkhead::test {
namespace {

class Guard : public testing::EmptyTestEventListener {
 public:
  void OnTestStart(const testing::TestInfo& info) override {
    before_ = Census::take();
    watch(std::string{info.test_suite_name()} + "." + info.name());
  }

  void OnTestEnd(const testing::TestInfo&) override {
    unwatch();
    remove_temporary_folders();
    for (const auto& what : before_.settle(std::chrono::seconds{2})) {
      ADD_FAILURE() << "left behind: " << what;
    }
  }

 private:
  Census before_;
};

}  // namespace
}  // namespace bulkhead::test

int main(int argc, char** argv) {
#ifndef BULKHEAD_TEST_WITHOUT_ROLES
  bulkhead::init(argc, argv);  // a child goes no further
#endif
  testing::InitGoogleTest(&argc, argv);
  if (testing::GTEST_FLAG(list_tests)) return RUN_ALL_TESTS();
  bulkhead::test::prepare_process();
  bulkhead::test::install_watchdog();
  testing::UnitTest::GetInstance()->listeners().Append(new bulkhead::test::Guard);
  int result = RUN_ALL_TESTS();
  bulkhead::test::clean_up_process();
  return result;
}
