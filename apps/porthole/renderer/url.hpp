// SPDX-License-Identifier: Apache-2.0
//
// References in documents to URLs, as RFC 3986 section 5 resolves them.
#pragma once

#include <string>
#include <string_view>

namespace porthole {

/// `reference` as an absolute URL, seen from the document `base`. Spaces around it are left out,
/// others are escaped.
std::string resolve_url(std::string_view base, std::string_view reference);

/// What follows '#', unescaped; empty without one.
std::string fragment_of(std::string_view url);

}  // namespace porthole
