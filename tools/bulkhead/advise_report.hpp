// SPDX-License-Identifier: Apache-2.0
//
// Advice as people read it and as programs do.
#pragma once

#include <string>

#include "bench/advice.hpp"

namespace bulkhead::tools {

/// The recommendation first, then why, what the next best costs, and the rule.
std::string advice_in_words(const bench::Advice& advice, const bench::Measurements& measurements);

/// One object; "recommended" is null when there is none, and "impossible" says why.
std::string advice_as_json(const bench::Advice& advice, const bench::Measurements& measurements);

}  // namespace bulkhead::tools
