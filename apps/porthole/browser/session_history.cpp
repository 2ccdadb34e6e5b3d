// SPDX-License-Identifier: Apache-2.0
#include "browser/session_history.hpp"

#include <utility>

namespace porthole {

void SessionHistory::push(std::string url) {
  if (!empty()) {
    if (current().url == url) return;
    entries_.resize(position_ + 1, Entry{});
  }
  entries_.push_back({.url = std::move(url)});
  if (entries_.size() > max_entries) entries_.erase(entries_.begin());
  position_ = entries_.size() - 1;
}

void SessionHistory::go_to(std::size_t position, std::string url) {
  if (position >= entries_.size()) return push(std::move(url));
  position_ = position;
  Entry& entry = entries_[position];
  if (entry.url == url) return;
  entry = {.url = std::move(url)};
}

void SessionHistory::set_title(std::string title) {
  if (!empty()) entries_[position_].title = std::move(title);
}

void SessionHistory::set_scroll(Point scroll) {
  if (!empty()) entries_[position_].scroll = scroll;
}

}  // namespace porthole
