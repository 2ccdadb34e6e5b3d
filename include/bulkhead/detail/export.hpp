// SPDX-License-Identifier: Apache-2.0
// Marks what the shared library shows; everything else has hidden visibility.
#pragma once

#define BULKHEAD_API [[gnu::visibility("default")]]
