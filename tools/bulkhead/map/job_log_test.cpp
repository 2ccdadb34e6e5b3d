// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/map/job_log.hpp"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sstream>

#include "support/census.hpp"

namespace bulkhead::tools::map {
namespace {

using namespace std::chrono_literals;
using Keep = JobLog::Keep;

class map_job_log : public testing::Test {
 protected:
  std::string at(const char* name) { return test::temporary_folder().string() + "/" + name; }

  static std::string text(const std::string& path) {
    std::ostringstream all;
    all << std::ifstream{path}.rdbuf();
    return all.str();
  }
  static void put(const std::string& path, const std::string& text) { std::ofstream{path} << text; }
  static JobLog::Entry entry(std::uint64_t number, Exit exit, std::string command = "true x") {
    return {.number = number,
            .begun = std::chrono::system_clock::time_point{1500ms},
            .took = 250ms,
            .output_bytes = 12,
            .exit = std::move(exit),
            .command = std::move(command)};
  }
};

TEST_F(map_job_log, has_a_line_in_the_usual_format_for_each) {
  const std::string path = at("format");
  {
    JobLog log = or_throw(JobLog::open(path, Keep::nothing));
    or_throw(log.add(entry(1, Exit::exited(3))));
    or_throw(log.add(entry(2, Exit::killed(SIGSEGV))));
    or_throw(log.add(entry(3, Exit::of(Exit::Cause::resource_limit, "1 ms of time"))));
  }
  EXPECT_EQ(text(path),
            "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n"
            "1\t:\t1.500\t     0.250\t0\t12\t3\t0\ttrue x\n"
            "2\t:\t1.500\t     0.250\t0\t12\t0\t11\ttrue x\n"
            "3\t:\t1.500\t     0.250\t0\t12\t-1\t0\ttrue x\n");
}

TEST_F(map_job_log, tells_what_was_done_before) {
  const std::string path = at("resume");
  {
    JobLog log = or_throw(JobLog::open(path, Keep::nothing));
    or_throw(log.add(entry(1, Exit::exited(0))));
    or_throw(log.add(entry(2, Exit::exited(1))));
    or_throw(log.add(entry(4, Exit::exited(0))));
  }
  {
    const JobLog log = or_throw(JobLog::open(path, Keep::done));
    EXPECT_TRUE(or_throw(log.has(1, "true x")));
    EXPECT_TRUE(or_throw(log.has(2, "true x")));
    EXPECT_FALSE(or_throw(log.has(3, "true x")));
    EXPECT_EQ(log.has(4, "false x").error().kind(), ErrorKind::invalid);
    EXPECT_TRUE(or_throw(log.has(4, "")));
  }
  {
    JobLog log = or_throw(JobLog::open(path, Keep::succeeded));
    EXPECT_TRUE(or_throw(log.has(1, "true x")));
    EXPECT_FALSE(or_throw(log.has(2, "true x")));
    or_throw(log.add(entry(2, Exit::exited(0))));
  }
  // The last word on an input counts.
  const JobLog log = or_throw(JobLog::open(path, Keep::succeeded));
  EXPECT_TRUE(or_throw(log.has(2, "true x")));
}

TEST_F(map_job_log, cut_anywhere_by_a_crash_is_whole_again) {
  const std::string path = at("torn");
  {
    JobLog log = or_throw(JobLog::open(path, Keep::nothing));
    or_throw(log.add(entry(1, Exit::exited(0))));
    or_throw(log.add(entry(2, Exit::exited(0))));
  }
  const std::string whole = text(path);
  const std::size_t header = whole.find('\n') + 1;
  const std::size_t first = whole.find('\n', header) + 1;
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    put(path, whole.substr(0, size));
    JobLog log = or_throw(JobLog::open(path, Keep::done));
    EXPECT_EQ(or_throw(log.has(1, "true x")), size >= first) << size;
    EXPECT_EQ(or_throw(log.has(2, "true x")), size == whole.size()) << size;
    or_throw(log.add(entry(9, Exit::exited(0))));
    const std::string kept =
        size < header ? whole.substr(0, header) : whole.substr(0, whole.rfind('\n', size - 1) + 1);
    EXPECT_EQ(text(path), kept + "9\t:\t1.500\t     0.250\t0\t12\t0\t0\ttrue x\n") << size;
  }
}

TEST_F(map_job_log, that_is_something_else_is_left_alone) {
  const std::string path = at("else");
  for (const char* other :
       {"a letter\nto somebody\n", "a letter\nto somebody", "1\t2\t3\n", "no line", "1\t:\tx\n"}) {
    put(path, other);
    EXPECT_EQ(JobLog::open(path, Keep::done).error().kind(), ErrorKind::corrupt) << other;
    EXPECT_EQ(text(path), other);
  }
}

}  // namespace
}  // namespace bulkhead::tools::map
