// SPDX-License-Identifier: Apache-2.0
#include "browser/site.hpp"

#include <libpsl.h>
#include <memory>

namespace porthole {
namespace {

/// Read once: the newer of the system's list and the one that is built into libpsl.
const psl_ctx_t* suffixes() {
  static const std::unique_ptr<psl_ctx_t, decltype(&psl_free)> list{psl_latest(nullptr), &psl_free};
  return list ? list.get() : psl_builtin();
}

bool is_address(std::string_view host) {
  return host.contains(':') || host.find_first_not_of("0123456789.") == std::string_view::npos;
}

}  // namespace

std::string registrable_domain(std::string_view host) {
  std::string name{host};
  while (name.ends_with('.')) name.pop_back();
  if (is_address(name)) return name;
  const char* domain = psl_registrable_domain(suffixes(), name.c_str());
  return domain ? domain : name;
}

bool has_known_suffix(std::string_view host) {
  if (is_address(host)) return false;
  const auto dot = host.rfind('.');
  if (dot == std::string_view::npos || dot == 0) return false;
  const std::string last{host.substr(dot + 1)};
  return psl_is_public_suffix2(suffixes(), last.c_str(), PSL_TYPE_ANY | PSL_TYPE_NO_STAR_RULE) != 0;
}

Site site_of(const Url& url) {
  if (url.is_network()) {
    const std::string domain = registrable_domain(url.host);
    const bool brackets = domain.contains(':');
    return {url.scheme + "://" + (brackets ? "[" + domain + "]" : domain)};
  }
  if (url.is_about()) return {};
  return {url.scheme + ":"};
}

bool may_share_process(const Site& locked, const Site& next) {
  if (locked.name.empty()) return true;
  return locked == next && locked.name != "data:";
}

}  // namespace porthole
