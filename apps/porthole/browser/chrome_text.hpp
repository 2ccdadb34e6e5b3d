// SPDX-License-Identifier: Apache-2.0
//
// What pages say about themselves (titles, addresses), made fit to stand in the browser's own bars.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace porthole {

/// One line of valid UTF-8 of at most `longest` characters: what is not valid becomes U+FFFD; line
/// ends, tabs and runs of spaces one space; what cannot be seen, or turns the direction of what
/// follows, is left out. What is cut ends in an ellipsis.
std::string one_line_of(std::string_view text, std::size_t longest = 512);

/// An address in the parts that the address bar shows differently; they join to the whole.
struct AddressParts {
  std::string_view before;  ///< "https://user@"
  std::string_view host;    ///< empty for addresses without one
  std::string_view after;   ///< ":8080/path?query"
};
AddressParts split_address(std::string_view url);

}  // namespace porthole
