// SPDX-License-Identifier: Apache-2.0
//
// The browser's own pages: what is behind about:, and what stands in for a page that could not be
// loaded. Plain HTML, without scripts and without anything to load. What comes from elsewhere (URLs,
// reasons) is text in them and never markup.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <bulkhead/result.hpp>

#include "browser/process_table.hpp"

namespace porthole {

/// about:blank (empty), about:version, about:about; about:crash, about:hang and about:oom are
/// empty too, as the renderer does what they say. about:processes and about:sandbox need what only
/// the browser knows, and are made by others. `not_found` for all else.
bulkhead::Result<std::string> about_page(const std::string& url);

/// A page that does not behave: for tests.
bool is_misbehaving_page(std::string_view url);

/// In place of the page `url`: why it is not there, and what to try.
std::string error_page(std::string_view url, std::string_view reason);

/// about:processes: the task manager's table.
std::string processes_page(const std::vector<ProcessRow>& rows);

}  // namespace porthole
