// SPDX-License-Identifier: Apache-2.0
//
// What a body is: from what the server says, else from the file's name, else from its first bytes.
// After the WHATWG's "MIME Sniffing", a small and safe part of it: pictures go by their signature,
// whatever was said (a picture is decoded by a process of its own, and harms nobody); nothing that
// was declared to be something else ever becomes HTML.
#pragma once

#include <string>
#include <string_view>

#include <bulkhead/bytes.hpp>

#include "browser/loader.hpp"

namespace porthole {

/// As many first bytes as are ever looked at.
inline constexpr std::size_t sniffed_bytes = 512;

struct ContentType {
  /// Lower case, without parameters; empty when not known.
  std::string mime_type = {};
  std::string charset = {};
  friend bool operator==(const ContentType&, const ContentType&) = default;
};

/// The value of a Content-Type header; empty when it is none.
ContentType parse_content_type(std::string_view header);

/// By a name's ending: "text/css"; empty when it has none that is known.
std::string mime_of_name(std::string_view name);

/// By signature: "image/png"; empty when it is no picture that Porthole knows.
std::string mime_of_picture(bulkhead::Bytes first);

struct TypeEvidence {
  /// The value of the Content-Type header; empty without one, and for files.
  std::string_view header = {};
  /// The file's name, for files; what stands in a URL of the network proves nothing.
  std::string_view name = {};
  /// The first bytes of the body, sniffed_bytes of them when there are as many.
  bulkhead::Bytes first = {};
  LoadKind kind = LoadKind::other;
};

/// Always an answer: at worst "application/octet-stream". A byte order mark decides the charset.
ContentType decide_type(const TypeEvidence& evidence);

/// decide_type would say the same of any first bytes.
bool is_decided_by_header(std::string_view header, LoadKind kind);

}  // namespace porthole
