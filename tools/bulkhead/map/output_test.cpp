// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/map/output.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace bulkhead::tools::map {
namespace {

/// Somewhere to write, and what was written since it was last asked.
class Sink {
 public:
  FdView fd() const { return file_; }
  std::string taken() {
    std::string text(static_cast<std::size_t>(::lseek(file_.native(), 0, SEEK_CUR)) - from_, '\0');
    EXPECT_EQ(::pread(file_.native(), text.data(), text.size(), static_cast<off_t>(from_)),
              static_cast<ssize_t>(text.size()));
    from_ += text.size();
    return text;
  }

 private:
  Fd file_ = Fd::adopt(::memfd_create("sink", MFD_CLOEXEC));
  std::size_t from_ = 0;
};

struct map_output : testing::Test {
  Output make(Output::Order order, Output::Passing passing) {
    return {out.fd(), error.fd(), order, passing};
  }
  Sink out;
  Sink error;
};

TEST_F(map_output, comes_in_the_order_of_the_inputs) {
  Output output = make(Output::Order::of_inputs, Output::Passing::at_once);
  for (const std::uint64_t number : {3, 5, 6}) output.begin(number);
  or_throw(output.write(5, Stream::output, "five"));
  or_throw(output.write(3, Stream::output, "three,"));
  EXPECT_EQ(out.taken(), "three,");  // whose turn it is does not wait
  or_throw(output.write(6, Stream::output, "six"));
  or_throw(output.end(6, {}));
  or_throw(output.write(3, Stream::error, "oops"));
  EXPECT_EQ(error.taken(), "oops");
  EXPECT_EQ(out.taken(), "");
  or_throw(output.end(3, {}));
  EXPECT_EQ(out.taken(), "five");
  or_throw(output.write(5, Stream::output, ",still five,"));
  EXPECT_EQ(out.taken(), ",still five,");
  or_throw(output.end(5, {}));
  EXPECT_EQ(out.taken(), "six");
}

TEST_F(map_output, comes_whole_in_the_order_of_the_ends) {
  Output output = make(Output::Order::of_ends, Output::Passing::at_once);
  output.begin(1);
  output.begin(2);
  or_throw(output.write(1, Stream::output, "one "));
  or_throw(output.write(2, Stream::output, "two "));
  or_throw(output.write(1, Stream::output, "and one"));
  EXPECT_EQ(out.taken(), "");
  or_throw(output.end(2, {}));
  or_throw(output.end(1, {}));
  EXPECT_EQ(out.taken(), "two one and one");
}

TEST_F(map_output, of_an_attempt_that_failed_is_taken_back) {
  Output output = make(Output::Order::of_inputs, Output::Passing::when_ended);
  output.begin(1);
  or_throw(output.write(1, Stream::output, "half a resu"));
  output.take_back(1);
  or_throw(output.write(1, Stream::output, "result"));
  EXPECT_EQ(out.taken(), "");
  or_throw(output.end(1, {}));
  EXPECT_EQ(out.taken(), "result");
}

TEST_F(map_output, says_when_all_of_it_is_out) {
  Output output = make(Output::Order::of_inputs, Output::Passing::at_once);
  std::string told;
  const auto tell = [&told](char what) {
    return [&told, what]() -> Result<void> {
      told += what;
      return {};
    };
  };
  for (const std::uint64_t number : {1, 2, 3}) output.begin(number);
  or_throw(output.write(2, Stream::output, "two"));
  or_throw(output.end(2, tell('2')));
  EXPECT_EQ(told, "");
  or_throw(output.end(3, tell('3')));
  EXPECT_EQ(told, "3") << "it wrote nothing that could wait";
  or_throw(output.end(1, tell('1')));
  EXPECT_EQ(told, "312");
}

TEST_F(map_output, of_more_than_memory_is_to_hold_waits_in_a_file) {
  Output output = make(Output::Order::of_inputs, Output::Passing::at_once);
  const std::string block(1 << 20, 'x');
  output.begin(1);
  for (std::uint64_t number = 2; number <= 41; ++number) {
    output.begin(number);
    or_throw(output.write(number, Stream::output, block + std::to_string(number)));
    or_throw(output.end(number, {}));
  }
  or_throw(output.end(1, {}));
  std::string expected;
  for (int number = 2; number <= 41; ++number) expected += block + std::to_string(number);
  EXPECT_TRUE(out.taken() == expected);
}

TEST_F(map_output, on_a_full_disk_is_an_error) {
  const Fd full = Fd::adopt(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(full);
  Output output{full, full, Output::Order::of_inputs, Output::Passing::at_once};
  output.begin(1);
  EXPECT_EQ(output.write(1, Stream::output, "x").error().kind(), ErrorKind::exhausted);
}

}  // namespace
}  // namespace bulkhead::tools::map
