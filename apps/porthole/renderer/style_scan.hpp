// SPDX-License-Identifier: Apache-2.0
//
// What style sheets a document will ask for, found by a quick look before it is parsed: litehtml
// asks for them in the middle of its work and cannot wait. Finding too many costs a request,
// finding too few a second parse.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace porthole {

struct StyleScan {
  /// Of <base href>; empty without one.
  std::string base;
  /// As they are written.
  std::vector<std::string> style_sheets;
};

StyleScan scan_html(std::string_view html);

/// What <link rel=...> says: a style sheet that is to be used at once.
bool is_style_sheet(std::string_view rel);

/// What @import rules name, as it is written.
std::vector<std::string> scan_imports(std::string_view css);

}  // namespace porthole
