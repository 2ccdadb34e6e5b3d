// SPDX-License-Identifier: Apache-2.0
#include "renderer/misbehave.hpp"

#include <cstring>
#include <new>

namespace porthole {
namespace {

int* volatile nowhere = nullptr;

void crash() { std::memset(nowhere, 1, sizeof *nowhere); }

volatile bool is_to_go_on = true;

void hang() {
  while (is_to_go_on) {
  }
}

/// Ends by std::bad_alloc that nobody catches, as it would anywhere else in the renderer.
void use_up_memory() noexcept {
  constexpr std::size_t piece = 16 << 20;
  for (;;) {
    auto* bytes = static_cast<char*>(::operator new(piece));
    std::memset(bytes, 1, piece);
    *const_cast<char* volatile*>(&bytes) = bytes;  // used: not to be optimised away
  }
}

}  // namespace

void misbehave_if_asked(std::string_view url) {
  if (url == "about:crash") crash();
  if (url == "about:hang") hang();
  if (url == "about:oom") use_up_memory();
}

}  // namespace porthole
