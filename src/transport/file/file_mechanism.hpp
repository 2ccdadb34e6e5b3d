// SPDX-License-Identifier: Apache-2.0
//
// The address of a log, read; what it means is in file_link.hpp.
#pragma once

#include <string>

#include "transport/file/file_link.hpp"

namespace bulkhead::transport::file {

struct Place {
  std::string folder;
  LogOptions writing;
  ReadOptions reading;
  bool follow = false;
  enum class End : std::uint8_t { connects, listens };
  End end = End::connects;  // both ways: of who calls connect()
  std::optional<std::chrono::milliseconds> look;
};

/// `invalid` for a path that is not absolute or a parameter that is wrong.
Result<Place> read_place(const std::string& name, const ChannelOptions& options);

/// `invalid` unless it can be a path: absolute, no zero byte, no "..", with a last part.
Result<void> check_path(const std::string& path);

}  // namespace bulkhead::transport::file
