// SPDX-License-Identifier: Apache-2.0
//
// Pages around documents that are not HTML: text, a picture, what a plugin made of something.
#pragma once

#include <string>
#include <string_view>

namespace porthole {

std::string escape_html(std::string_view text);
std::string page_of_text(std::string_view url, std::string_view text);
std::string page_of_picture(std::string_view url);
/// HTML without <html> gets a head and a plain style; a whole document stays as it is.
std::string page_of_fragment(std::string_view url, std::string html);
/// One sentence instead of a document.
std::string page_of_reason(std::string_view url, std::string_view reason);

}  // namespace porthole
