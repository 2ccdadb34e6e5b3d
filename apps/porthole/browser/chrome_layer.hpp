// SPDX-License-Identifier: Apache-2.0
//
// ChromeLayer: the browser's own pixels, painted by the browser process as one more producer of
// tiles for the gpu process: tab strip, toolbar and bookmarks bar, and what is shown in place of a
// page that crashed or over one that does not respond.
//
// One for the whole browser (a tab costs nothing here): show it what is to be seen before a
// capture. The layer lies above the page's, at place().
// Threads: the event loop's. Blocking: never; when the gpu process has no slot to spare or is not
// there, what was shown last is painted as soon as that changes.
// Peer death: nothing; attach() gives it the next gpu process, and nothing is painted anew.
// Trust: titles and addresses come from pages. They are cut, cleaned of what cannot be seen, and
// drawn as text alone. What the gpu process says of slots is checked.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <bulkhead/channel.hpp>
#include <bulkhead/result.hpp>

#include "interfaces/types.hpp"

namespace asio {
class io_context;
}

namespace porthole {

struct ChromeTab {
  enum class Mark : std::uint8_t { none, loading, busy, sad };
  /// The address stands in for an empty one.
  std::string title;
  Mark mark = Mark::none;
  friend bool operator==(const ChromeTab&, const ChromeTab&) = default;
};

/// Everything that the bars show.
struct ChromeState {
  std::vector<ChromeTab> tabs;
  std::size_t active = 0;
  /// Of the active tab. Its host is emphasised.
  std::string url;
  bool can_back = false;
  bool can_forward = false;
  /// The active tab loads: "reload" is "stop".
  bool loading = false;
  /// Titles.
  std::vector<std::string> bookmarks;
  friend bool operator==(const ChromeState&, const ChromeState&) = default;
};

/// Shown where the page would be.
struct Overlay {
  enum class Kind : std::uint8_t {
    sad_tab,         ///< in place of the page, with "Reload"
    not_responding,  ///< over the page, which stays visible, with "Wait" and "End page"
  };
  Kind kind = Kind::sad_tab;
  /// One sentence: "The page's process (pid 4711) was killed by SIGSEGV."
  std::string cause;
  friend bool operator==(const Overlay&, const Overlay&) = default;
};

/// The height of the bars.
inline constexpr std::int32_t chrome_height = 104;

/// Where the page is in a window.
constexpr Rect content_place(Size window) {
  const std::int32_t height = window.height - chrome_height;
  return {.x = 0, .y = chrome_height, .width = window.width, .height = height > 0 ? height : 0};
}

class ChromeLayer {
 public:
  /// `loop` must outlive it.
  explicit ChromeLayer(asio::io_context& loop);
  ChromeLayer(ChromeLayer&&) noexcept;
  ChromeLayer& operator=(ChromeLayer&&) noexcept;
  ~ChromeLayer();

  /// The producer's end of a channel to a gpu process. Again for each new gpu process: what is
  /// shown is submitted once more.
  void attach(bulkhead::Channel gpu);

  /// Paints what differs from what is shown. The layer's frame that shows it, to be awaited in
  /// Compositor::capture; the same number again when nothing differs. `exhausted` without memory
  /// for the tiles, `invalid` for a window beyond max_viewport_side.
  bulkhead::Result<std::uint64_t> show(const ChromeState& state, Size window,
                                       const std::optional<Overlay>& overlay = {});

  /// Where the layer goes in a scene for what was shown last: the bars, with an overlay the window.
  Rect place() const noexcept;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace porthole
