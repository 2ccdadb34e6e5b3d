// SPDX-License-Identifier: Apache-2.0
//
// The style sheet under all others: how HTML's elements look when a page says nothing. Few
// selectors, as litehtml tries each of them on every element.
#pragma once

namespace porthole {

extern const char* const master_css;

}  // namespace porthole
