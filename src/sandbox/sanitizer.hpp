// SPDX-License-Identifier: Apache-2.0
//
// The one place that knows about builds with AddressSanitizer or ThreadSanitizer: their run-time
// needs more memory and a few more system calls than the code that it watches. In other builds all
// of this is empty, and the sandbox is the one that the documentation describes.
#pragma once

#include <array>
#include <cstdint>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BULKHEAD_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define BULKHEAD_SANITIZED 1
#endif
#endif

namespace bulkhead::sandbox {

#ifdef BULKHEAD_SANITIZED
inline constexpr bool sanitized = true;
/// Red zones, quarantine, shadow of what is allocated.
inline constexpr std::uint64_t sanitizer_memory_factor = 4;
/// Allowed beside the profile, without looking at their arguments.
inline constexpr std::array sanitizer_calls{"sched_getaffinity", "sysinfo", "sigaltstack"};
/// What its reports open to name functions: answered, so that the report comes to its end. Prefixes.
inline constexpr std::array sanitizer_probes{"/proc/", "/lib/", "/lib64/", "/usr/lib/"};
#else
inline constexpr bool sanitized = false;
inline constexpr std::uint64_t sanitizer_memory_factor = 1;
inline constexpr std::array<const char*, 0> sanitizer_calls{};
inline constexpr std::array<const char*, 0> sanitizer_probes{};
#endif

/// Has the run-time read now what it would read later (/proc/self/maps), and turns the search for
/// leaks at exit off: it would trace this process.
void prepare_sanitizer();

}  // namespace bulkhead::sandbox
