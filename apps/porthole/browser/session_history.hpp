// SPDX-License-Identifier: Apache-2.0
//
// SessionHistory: where one tab has been, and where on each page. It lives in the browser process,
// so the death of a renderer takes nothing of it. A copyable value.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "interfaces/types.hpp"

namespace porthole {

class SessionHistory {
 public:
  struct Entry {
    std::string url;
    std::string title = {};
    Point scroll = {};
    friend bool operator==(const Entry&, const Entry&) = default;
  };

  /// The oldest go when there are more.
  static constexpr std::size_t max_entries = 100;

  bool empty() const noexcept { return entries_.empty(); }
  std::size_t size() const noexcept { return entries_.size(); }
  /// Of the current entry, from 0. REQUIRES: not empty, as for all with an entry.
  std::size_t position() const noexcept { return position_; }
  const Entry& current() const { return entries_[position_]; }
  const Entry& at(std::size_t position) const { return entries_[position]; }
  bool can_back() const noexcept { return position_ > 0; }
  bool can_forward() const noexcept { return position_ + 1 < entries_.size(); }

  /// A new page: what lay ahead is forgotten. The same URL again adds no entry.
  void push(std::string url);
  /// An entry is shown again, by going there or by a reload; where it led may have changed. An entry
  /// that has gone meanwhile is pushed.
  void go_to(std::size_t position, std::string url);

  /// Of the current entry; nothing when there is none.
  void set_title(std::string title);
  void set_scroll(Point scroll);

 private:
  std::vector<Entry> entries_;
  std::size_t position_ = 0;
};

}  // namespace porthole
