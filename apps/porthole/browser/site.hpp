// SPDX-License-Identifier: Apache-2.0
//
// Site: what one renderer process is locked to. Scheme and registrable domain (example.co.uk of
// a.b.example.co.uk) by the list of public suffixes of the system; a host that is an address or has
// no such domain is a site of its own. All files are one site; every data: page is one of its own
// that shares a process with nobody; about: pages have none.
#pragma once

#include <string>
#include <string_view>

#include "browser/url.hpp"

namespace porthole {

struct Site {
  /// "https://example.org", "file:", "data:"; empty for about: pages.
  std::string name;
  friend bool operator==(const Site&, const Site&) = default;
};

Site site_of(const Url& url);

/// May a page of `next` be shown by a process that has shown a page of `locked`? A process that has
/// shown about: pages alone takes any.
bool may_share_process(const Site& locked, const Site& next);

/// The registrable domain of a host; the host itself when it has none.
std::string registrable_domain(std::string_view host);

/// Does the host end in a suffix that the list names, as .org and .co.uk, and not .html?
bool has_known_suffix(std::string_view host);

}  // namespace porthole
