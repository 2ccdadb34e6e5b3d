// SPDX-License-Identifier: Apache-2.0
//
// Url: an absolute URL in its normal form, parsed once. Schemes: http, https, file, data, about;
// all others are `unsupported`, what cannot be parsed is `invalid`. By libcurl's parser, so that
// what is decided about a URL here is about what is asked there.
//
// Normal: scheme and host in lower case, hosts of other scripts in punycode, no default port, no
// dot segments, everything that needs it percent-encoded. Names and passwords within a URL are
// refused: they serve those who want to look like somebody else.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include <bulkhead/result.hpp>

namespace porthole {

struct Url {
  /// All of it, with the fragment.
  std::string text{};
  std::string scheme{};
  /// Without brackets around IPv6 addresses; empty when the scheme has none.
  std::string host{};
  /// The one that is used, the scheme's own too; empty when the scheme has none.
  std::string port{};
  /// Percent-encoded. Of about: and data: all behind the colon, without query and fragment.
  std::string path{};
  /// Without their ? and #.
  std::string query{};
  std::string fragment{};

  bool is_network() const { return scheme == "http" || scheme == "https"; }
  bool is_file() const { return scheme == "file"; }
  bool is_about() const { return scheme == "about"; }
  bool is_data() const { return scheme == "data"; }
  /// What is asked for: without the fragment.
  std::string without_fragment() const;

  friend bool operator==(const Url&, const Url&) = default;
};

bulkhead::Result<Url> parse_url(std::string_view text);

/// What `reference`, absolute or relative, means in the page `base`.
bulkhead::Result<Url> resolve_url(const Url& base, std::string_view reference);

/// What somebody typed: a URL; the path of a file, relative to `folder`; or the name of a host.
/// What exists as a file is one. A host without a scheme is asked by https, the own machine by http.
bulkhead::Result<Url> url_from_input(std::string_view input, const std::filesystem::path& folder);

Url file_url(const std::filesystem::path& absolute);
/// The file that a file: URL names. REQUIRES: is_file().
std::filesystem::path path_of(const Url& url);

/// %41 is A; what is not two digits of hexadecimal stays.
std::string percent_decode(std::string_view text);

}  // namespace porthole
