// SPDX-License-Identifier: Apache-2.0
#include "browser/chrome_layer.hpp"

#include <algorithm>
#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>
#include <cstring>
#include <utility>

#include <bulkhead/asio.hpp>
#include <bulkhead/service.hpp>

#include "browser/chrome_paint.hpp"
#include "common/tile_slots.hpp"
#include "interfaces/layers.hpp"

namespace porthole {

using namespace bulkhead;

namespace {

std::int32_t tiles_along(std::int32_t length) { return (length + tile_side - 1) / tile_side; }

/// One tile's part of an image, row by row; beyond the image it is transparent.
class TilePixels {
 public:
  TilePixels(const ChromeImage& image, std::int32_t column, std::int32_t row)
      : image_(image),
        left_(column * tile_side),
        top_(row * tile_side),
        width_(std::min(tile_side, image.size.width - left_)),
        height_(std::min(tile_side, image.size.height - top_)) {}

  bool equals(MutableBytes tile) const {
    for (std::int32_t y = 0; y < height_; ++y) {
      if (std::memcmp(row_of(tile, y), source(y), bytes()) != 0) return false;
    }
    return true;
  }
  void copy_to(MutableBytes tile) const {
    std::memset(tile.data(), 0, tile.size());
    for (std::int32_t y = 0; y < height_; ++y) std::memcpy(row_of(tile, y), source(y), bytes());
  }

 private:
  static std::byte* row_of(MutableBytes tile, std::int32_t y) {
    return tile.data() + static_cast<std::size_t>(y) * tile_side * sizeof(std::uint32_t);
  }
  const std::uint32_t* source(std::int32_t y) const {
    return image_.pixels.data() +
           static_cast<std::size_t>(top_ + y) * static_cast<std::size_t>(image_.size.width) + left_;
  }
  std::size_t bytes() const { return static_cast<std::size_t>(width_) * sizeof(std::uint32_t); }

  const ChromeImage& image_;
  std::int32_t left_, top_, width_, height_;
};

}  // namespace

/// What is shown, what shall be shown, and the channel to who shows it.
/// STATE of an image: pending (show) -> shown (flush, when there are slots for what differs).
struct ChromeLayer::State : std::enable_shared_from_this<State> {
  explicit State(asio::io_context& context) : loop(context) {}

  struct Connection {
    Connection(std::weak_ptr<State> of, Channel gpu)
        : owner(std::move(of)), channel(std::move(gpu)), sink(channel) {}
    void released(const std::vector<std::uint32_t>& slots) {
      const auto state = owner.lock();
      if (state && state->connection.get() == this) state->released(slots);
    }

    std::weak_ptr<State> owner;
    Channel channel;
    Remote<LayerSink> sink;
  };

  void attach(Channel gpu);
  void disconnect();
  void lost(const Connection* which);
  void released(const std::vector<std::uint32_t>& slots);
  Result<void> make_room(Size size);
  void flush();
  void send_segment();
  void send();
  auto quietly() {
    return asio::bind_executor(loop, [](const Result<void>&) {});
  }

  asio::io_context& loop;
  std::shared_ptr<Connection> connection;  // kept by the loop too, until its serving has ended
  std::optional<TileSlots> slots;
  ChromeImage image;
  bool pending = false;
  std::uint64_t frame = 0;
  Submission shown;

  std::optional<ChromeState> state;
  std::optional<Overlay> overlay;
  Size window{};
};

void ChromeLayer::State::attach(Channel gpu) {
  disconnect();
  // Whoever made the channel, at its other end is the gpu process, which is not believed.
  auto handle = std::move(gpu).into_handle();
  if (!handle) return;
  auto mine = Channel::from_handle(std::move(*handle), Trust::untrusted);
  if (!mine) return;
  connection = std::make_shared<Connection>(weak_from_this(), std::move(*mine));
  async_serve<LayerClient>(connection->channel, *connection,
                           asio::bind_executor(loop, [kept = connection](const Result<void>&) {
                             if (const auto owner = kept->owner.lock()) owner->lost(kept.get());
                           }));
  if (!slots) return;
  slots->restart();
  send_segment();
  if (shown.frame != 0) send();
  flush();
}

void ChromeLayer::State::disconnect() {
  if (const auto old = std::exchange(connection, nullptr)) old->channel.close();
}

void ChromeLayer::State::lost(const Connection* which) {
  if (connection.get() != which) return;
  connection.reset();
  if (slots) slots->restart();
  flush();
}

void ChromeLayer::State::released(const std::vector<std::uint32_t>& which) {
  if (slots) slots->released(which);
  flush();
}

/// Twice the tiles that the size has: all of them can change while the old ones are shown.
Result<void> ChromeLayer::State::make_room(Size size) {
  const auto needed =
      static_cast<std::uint32_t>(2 * tiles_along(size.width) * tiles_along(size.height));
  if (slots && slots->count() == needed) return {};
  slots.emplace(BULKHEAD_TRY(TileSlots::create(needed)));
  shown.tiles.clear();
  send_segment();
  return {};
}

void ChromeLayer::State::flush() {
  if (!pending) return;
  std::vector<Tile> tiles;
  std::vector<Tile> changed;
  for (std::int32_t row = 0; row < tiles_along(image.size.height); ++row) {
    for (std::int32_t column = 0; column < tiles_along(image.size.width); ++column) {
      const auto old = std::ranges::find_if(
          shown.tiles, [&](const Tile& tile) { return tile.column == column && tile.row == row; });
      const bool same = old != shown.tiles.end() &&
                        TilePixels(image, column, row).equals(slots->pixels(old->slot));
      (same ? tiles : changed).push_back({column, row, same ? old->slot : 0});
    }
  }
  if (changed.size() > slots->free()) return;  // again when some are released
  for (Tile& tile : changed) {
    tile.slot = *slots->take();
    TilePixels(image, tile.column, tile.row).copy_to(slots->pixels(tile.slot));
    tiles.push_back(tile);
  }
  pending = false;
  slots->submitted(tiles);
  shown = {.frame = frame, .content = image.size, .background = 0, .tiles = std::move(tiles)};
  if (connection) {
    send();
  } else {
    slots->restart();  // nobody reads the old ones
  }
}

void ChromeLayer::State::send_segment() {
  if (!connection) return;
  // Without a descriptor for it the next submission is refused, and the browser attaches again.
  if (auto pixels = slots->share()) {
    connection->sink.async_segment(std::move(*pixels), slots->count(), quietly());
  }
}

void ChromeLayer::State::send() { connection->sink.async_submit(shown, quietly()); }

ChromeLayer::ChromeLayer(asio::io_context& loop) : state_(std::make_shared<State>(loop)) {}
ChromeLayer::ChromeLayer(ChromeLayer&&) noexcept = default;
ChromeLayer& ChromeLayer::operator=(ChromeLayer&&) noexcept = default;
ChromeLayer::~ChromeLayer() {
  if (state_) state_->disconnect();
}

void ChromeLayer::attach(Channel gpu) { state_->attach(std::move(gpu)); }

Result<std::uint64_t> ChromeLayer::show(const ChromeState& state, Size window,
                                        const std::optional<Overlay>& overlay) {
  const auto possible = [](std::int32_t side) { return side > 0 && side <= max_viewport_side; };
  if (!possible(window.width) || !possible(window.height)) {
    return fail(ErrorKind::invalid, {.operation = "show",
                                     .object = "window",
                                     .cause = "its size is 0 or beyond what can be shown"});
  }
  State& mine = *state_;
  if (mine.state == state && mine.window == window && mine.overlay == overlay) return mine.frame;
  ChromeImage image = paint_chrome(state, window, overlay);
  BULKHEAD_TRY(mine.make_room(image.size));
  mine.image = std::move(image);
  mine.state = state;
  mine.window = window;
  mine.overlay = overlay;
  mine.pending = true;
  ++mine.frame;
  mine.flush();
  return mine.frame;
}

Rect ChromeLayer::place() const noexcept {
  return {.x = 0, .y = 0, .width = state_->image.size.width, .height = state_->image.size.height};
}

}  // namespace porthole
