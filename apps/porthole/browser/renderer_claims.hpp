// SPDX-License-Identifier: Apache-2.0
//
// RendererClaims: what one renderer process was told to show, and whether what it says can be true.
// The browser knows itself which navigation it committed to whom; a claim about another one, or a
// number that cannot be, is a lie, and the process ends for it.
//
// STATE of a navigation: committed (by us) -> parsed (did_commit, once) -> painted (did_paint, any
// number of times, its frames growing) -> complete (the last one said so; more may come).
// What is said of an earlier navigation of this process crossed our message on its way: true, and of
// no interest. Plain data: no thread, no clock.
#pragma once

#include <cstdint>
#include <expected>
#include <set>
#include <string>
#include <unordered_set>

#include "interfaces/resources.hpp"
#include "interfaces/types.hpp"

namespace porthole {

class RendererClaims {
 public:
  /// About the page that was committed last, or about one before it.
  enum class About : std::uint8_t { present, past };
  /// Unexpected: what is wrong, after "the renderer ".
  using Verdict = std::expected<About, std::string>;

  void committed(NavigationId navigation);

  Verdict did_commit(NavigationId navigation, const std::string& title);
  Verdict did_paint(NavigationId navigation, std::uint64_t frame, Size content);
  Verdict report(NavigationId navigation, const std::string& text) const;
  Verdict began_navigation(const std::string& url) const;
  Verdict start(const ResourceRequest& request);
  /// `past`: it was answered already.
  Verdict cancel(RequestId id) const;

 private:
  Verdict about(const char* claim, NavigationId navigation) const;

  NavigationId last_{};
  std::set<NavigationId> all_;
  bool parsed_ = false;
  std::uint64_t frame_ = 0;
  std::unordered_set<std::uint64_t> requests_;
};

}  // namespace porthole
