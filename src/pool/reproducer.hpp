// SPDX-License-Identifier: Apache-2.0
// Saves the input of a poisoned task, so that the crash can be repeated when somebody has time.
#pragma once

#include <filesystem>

#include "pool/task.hpp"

namespace bulkhead::pool {

/// What the task is called: its input's name where that is a file, else the function and a number.
std::string task_name(detail::Task& task);

/// Into `folder`, made with mode 0700 when it is missing: the file that a path names under its name,
/// text and bytes as they are, everything else as wire encodes it (decode<T> reads it). What was
/// saved before with the same content is named again; another of that name is b-2.png. The path.
Result<std::filesystem::path> save(detail::Task& task, const std::filesystem::path& folder);

}  // namespace bulkhead::pool
