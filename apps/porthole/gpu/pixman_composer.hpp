// SPDX-License-Identifier: Apache-2.0
//
// The composer on the CPU. It reads the tiles where their producers painted them and writes each
// pixel of the picture where the browser will read it; nothing is copied in between.
#pragma once

#include "gpu/composer.hpp"

namespace porthole {

class PixmanComposer final : public Composer {
 public:
  /// `exhausted` without memory for the picture.
  bulkhead::Result<Picture> compose(Size size, std::span<const Surface> surfaces) override;
};

}  // namespace porthole
