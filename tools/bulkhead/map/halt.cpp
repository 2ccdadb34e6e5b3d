// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/map/halt.hpp"

#include <charconv>
#include <string_view>

namespace bulkhead::tools::map {
namespace {

std::unexpected<Error> refuse(const std::string& text) {
  return fail(
      ErrorKind::invalid,
      {.operation = "read",
       .object = "--halt " + text,
       .cause = "it is none of: never; soon or now, then \",\", then fail, success or done, "
                "then \"=\" and a number or a percentage",
       .remedy = "for instance --halt soon,fail=3 or --halt now,fail=10%"});
}

}  // namespace

Result<Halt> Halt::parse(const std::string& text) {
  Halt halt;
  if (text == "never") return halt;
  std::string_view rest{text};
  const auto take = [&rest](std::string_view word) {
    if (!rest.starts_with(word)) return false;
    rest.remove_prefix(word.size());
    return true;
  };
  if (take("soon,")) {
    halt.when_ = When::soon;
  } else if (take("now,")) {
    halt.when_ = When::now;
  } else {
    return refuse(text);
  }
  if (take("fail=")) {
    halt.what_ = What::fail;
  } else if (take("success=")) {
    halt.what_ = What::success;
  } else if (take("done=")) {
    halt.what_ = What::done;
  } else {
    return refuse(text);
  }
  std::uint64_t number = 0;
  const auto read = std::from_chars(rest.data(), rest.data() + rest.size(), number);
  if (read.ec != std::errc{} || number == 0) return refuse(text);
  rest.remove_prefix(static_cast<std::size_t>(read.ptr - rest.data()));
  if (rest.empty()) {
    halt.count_ = number;
  } else if (rest == "%" && number <= 100) {
    halt.percent_ = static_cast<unsigned>(number);
  } else {
    return refuse(text);
  }
  return halt;
}

Halt::When Halt::due(const Counts& counts) const noexcept {
  if (when_ == When::never) return When::never;
  const std::uint64_t met = what_ == What::fail      ? counts.failed
                            : what_ == What::success ? counts.succeeded
                                                     : counts.done();
  const bool reached = percent_ == 0
                           ? met >= count_
                           : met >= least_for_share && met * 100 >= counts.done() * percent_;
  return reached ? when_ : When::never;
}

}  // namespace bulkhead::tools::map
