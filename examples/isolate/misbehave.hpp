// SPDX-License-Identifier: Apache-2.0
//
// The hole in this decoder, made on purpose: a PNG with the private chunk "buLk" gives orders.
// Each order stands for something that a real hole in a decoder has done somewhere.
#pragma once

#include <string_view>

namespace contact_sheet {

/// The chunk's name: ancillary, private, safe to copy. Other programs skip it.
inline constexpr std::string_view backdoor_chunk = "buLk";

/// crash: writes to address 0x10. spin: never returns. eat: takes memory until there is no more.
/// open: opens /etc/passwd. socket: makes a network socket. In a sandbox none of them returns;
/// where one does, it returns what it got away with. Other orders are ignored.
std::string_view obey(std::string_view order);

}  // namespace contact_sheet
