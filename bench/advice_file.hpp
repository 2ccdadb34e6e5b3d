// SPDX-License-Identifier: Apache-2.0
//
// Where measured lines are kept between two questions: measurements.json in bulkhead's folder of the
// user's caches ($XDG_CACHE_HOME, else ~/.cache), mode 0600, replaced as a whole.
//
// LAYOUT (JSON)
//   format      1
//   machine     processor, number of usable CPUs and name of the machine
//   kernel      its release
//   version     of bulkhead
//   date        when it was measured, UTC: "2026-11-21 17:20"
//   cpus        how many could be used
//   busy        the machine did other work meanwhile
//   lines       [{mechanism, bytes, paces: [{rate, send_ns, receive_ns, delay_ns or none}]}]
//   unmeasured  [{mechanism, why}]
// TRUST: it is a file that anything of the user's may have written: every field is checked for type
// and range, and one that does not hold is thrown away, as is one of another machine, kernel or
// version.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <bulkhead/result.hpp>

#include "bench/advice_lines.hpp"

namespace bulkhead::bench {

/// This machine, now.
Origin origin_here(std::string version);

/// Nothing where the user has no such folder (neither variable is an absolute path).
std::optional<std::filesystem::path> measurements_path();

/// `not_found` without a file; `corrupt` for one that cannot be believed; `incompatible` for one of
/// another machine, kernel or version.
Result<Measurements> load(const std::filesystem::path& file, const Origin& here);

/// Makes the folder, too.
Result<void> save(const std::filesystem::path& file, const Measurements& measurements);

/// The file's text, for tests and fuzzers.
Result<Measurements> parse_measurements(std::string_view text);
std::string to_json(const Measurements& measurements);

}  // namespace bulkhead::bench
