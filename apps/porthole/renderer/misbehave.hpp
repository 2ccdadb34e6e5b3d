// SPDX-License-Identifier: Apache-2.0
//
// Pages for tests and demonstrations that end or stop the process that shows them, for real.
#pragma once

#include <string_view>

namespace porthole {

/// "about:crash" writes to address 0, "about:hang" loops for ever, "about:oom" allocates until
/// memory is out. Other URLs: nothing.
void misbehave_if_asked(std::string_view url);

}  // namespace porthole
