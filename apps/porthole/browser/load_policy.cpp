// SPDX-License-Identifier: Apache-2.0
#include "browser/load_policy.hpp"

namespace porthole {
namespace {

using bulkhead::ErrorKind;
using bulkhead::Result;

bool allows_load(const Url& page, const Url& wanted, ResourceKind kind) {
  if (wanted.is_data()) return true;
  if (page.is_file()) return wanted.is_file() || wanted.is_network();
  if (!page.is_network() || !wanted.is_network()) return false;
  // Who can change what comes unencrypted must not be able to change the page.
  return page.scheme == "http" || wanted.scheme == "https" || kind == ResourceKind::image;
}

bool allows_navigation(const Url& page, const Url& to) {
  if (to.is_network() || to.text == "about:blank") return true;
  if (to.is_file()) return page.is_file() || page.is_about();
  return to.is_about() && page.is_about();
}

std::string kind_of(const Url& page) {
  if (page.scheme == "https") return "an https: page";
  if (page.is_network()) return "a page from the network";
  return "a page of " + page.scheme + ":";
}

std::unexpected<bulkhead::Error> refused(const Url& page, std::string verb, const Url& what) {
  return bulkhead::fail(
      ErrorKind::denied,
      {.operation = verb, .object = what.text.substr(0, 300), .cause = kind_of(page) + " may not"});
}

}  // namespace

Result<void> may_load(const Url& page, const ResourceRequest& request) {
  const auto wanted = parse_url(request.url);
  if (!wanted) return bulkhead::fail(wanted.error());
  if (!allows_load(page, *wanted, request.kind)) return refused(page, "load", *wanted);
  return {};
}

Result<void> may_navigate(const Url& page, const Url& to) {
  if (!allows_navigation(page, to)) return refused(page, "go to", to);
  return {};
}

}  // namespace porthole
