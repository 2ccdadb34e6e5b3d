// SPDX-License-Identifier: Apache-2.0
//
// What a record (name_record.hpp) says, read by others than its owner.
// TRUST: it may be cut short anywhere, or be no record at all: whatever is not complete is not there,
// and the things it names are judged by NamedThing.
#pragma once

#include <string>
#include <vector>

#include "os/named_thing.hpp"

namespace bulkhead::os {

struct RecordedNames {
  std::string mechanism;
  pid_t owner = 0;
  std::string lock;  ///< of the first thing
  std::vector<NamedThing> things;
};

RecordedNames read_names(FdView file);
/// Of the file of that name in record_directory(); nothing in it when there is none.
RecordedNames read_names(const std::string& file_name);

/// Some process, alive or dead, has written down that it had this very thing; in another record than
/// `except`.
bool is_recorded(const NamedThing& thing, const std::string& except = {});

}  // namespace bulkhead::os
