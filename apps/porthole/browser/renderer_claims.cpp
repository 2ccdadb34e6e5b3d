// SPDX-License-Identifier: Apache-2.0
#include "browser/renderer_claims.hpp"

namespace porthole {
namespace {

using Verdict = RendererClaims::Verdict;

// Far beyond what pages have; whoever sends more wants to fill our memory.
constexpr std::size_t longest_title = std::size_t{1} << 20;
constexpr std::size_t longest_report = std::size_t{1} << 16;
constexpr std::size_t longest_url = std::size_t{32} << 20;  // data: URLs hold pictures
constexpr std::size_t most_requests = 1'000'000;

Verdict lie(std::string what) { return std::unexpected{std::move(what)}; }

bool possible(Size content) {
  return content.width >= 0 && content.width <= max_page_side && content.height >= 0 &&
         content.height <= max_page_side;
}

std::string text_of(Size size) {
  return std::to_string(size.width) + " x " + std::to_string(size.height);
}

}  // namespace

void RendererClaims::committed(NavigationId navigation) {
  all_.insert(navigation);
  last_ = navigation;
  parsed_ = false;
}

Verdict RendererClaims::about(const char* claim, NavigationId navigation) const {
  if (!all_.contains(navigation)) {
    return lie(std::string(claim) + " names navigation " +
               std::to_string(static_cast<std::uint64_t>(navigation)) +
               ", which is not this process's");
  }
  return navigation == last_ ? About::present : About::past;
}

Verdict RendererClaims::did_commit(NavigationId navigation, const std::string& title) {
  const auto verdict = about("did_commit", navigation);
  if (!verdict) return verdict;
  if (title.size() > longest_title) return lie("did_commit has a title of absurd length");
  if (*verdict == About::past) return verdict;
  if (parsed_) return lie("did_commit came twice for one navigation");
  parsed_ = true;
  return verdict;
}

Verdict RendererClaims::did_paint(NavigationId navigation, std::uint64_t frame, Size content) {
  const auto verdict = about("did_paint", navigation);
  if (!verdict) return verdict;
  if (!possible(content)) return lie("did_paint has a page of " + text_of(content));
  if (frame == 0 || frame < frame_) return lie("did_paint goes back to an earlier frame");
  frame_ = frame;
  if (*verdict == About::past) return verdict;
  if (!parsed_) return lie("did_paint came before did_commit");
  return verdict;
}

Verdict RendererClaims::report(NavigationId navigation, const std::string& text) const {
  if (text.size() > longest_report) return lie("report has a text of absurd length");
  return about("report", navigation);
}

Verdict RendererClaims::began_navigation(const std::string& url) const {
  if (all_.empty()) return lie("began_navigation came before any page");
  if (url.empty() || url.size() > longest_url) return lie("began_navigation has an absurd URL");
  return About::present;
}

Verdict RendererClaims::start(const ResourceRequest& request) {
  const auto verdict = about("start", request.navigation);
  if (!verdict) return verdict;
  if (request.url.empty() || request.url.size() > longest_url)
    return lie("start has an absurd URL");
  if (request.kind > ResourceKind::other) return lie("start has a kind of resource that is none");
  if (requests_.size() >= most_requests) return lie("start came a million times");
  if (!requests_.insert(static_cast<std::uint64_t>(request.id)).second) {
    return lie("start uses the number of an earlier request");
  }
  return verdict;
}

Verdict RendererClaims::cancel(RequestId id) const {
  if (!requests_.contains(static_cast<std::uint64_t>(id))) {
    return lie("cancel names a request that it never made");
  }
  return About::past;
}

}  // namespace porthole
