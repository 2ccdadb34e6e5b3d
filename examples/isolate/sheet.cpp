// SPDX-License-Identifier: Apache-2.0
#include "sheet.hpp"

#include <algorithm>
#include <cmath>

#include "canvas.hpp"
#include "font.hpp"

namespace contact_sheet {
namespace {

using bulkhead::ErrorKind;
using bulkhead::Exit;

constexpr int margin = 40;
constexpr int gap = 20;
constexpr int card_width = 264;
constexpr int stage_height = 200;  // where the picture or the cause stands
constexpr int label_height = 84;
constexpr int card_height = stage_height + label_height;
constexpr int header_height = 92;
constexpr int padding = 14;
constexpr int line_height = 21;  // of text at scale 2

constexpr Rgb paper{0xf3, 0xf0, 0xe9};
constexpr Rgb shadow{0xdc, 0xd7, 0xcb};
constexpr Rgb white{0xff, 0xff, 0xff};
constexpr Rgb stage{0xe9, 0xec, 0xef};
constexpr Rgb check{0xd5, 0xda, 0xdf};
constexpr Rgb ink{0x1d, 0x24, 0x30};
constexpr Rgb faded{0x6f, 0x77, 0x83};
constexpr Rgb grey{0xb9, 0xbd, 0xc3};
constexpr Rgb dark_grey{0xa6, 0xab, 0xb2};
constexpr Rgb red{0xa8, 0x32, 0x28};
constexpr Rgb steel{0x4a, 0x55, 0x66};

constexpr int text_columns(int scale) {
  return (card_width - 2 * padding) / (glyph_advance * scale);
}

/// Deaths stand out; refusals by the decoder itself are calmer.
Rgb accent(const bulkhead::Error& error) {
  return error.exit() || error.kind() == ErrorKind::timed_out ? red : steel;
}

void draw_picture(Canvas& canvas, int x, int y, const Picture& picture) {
  canvas.fill_round({x, y, card_width, card_height}, 8, white);
  canvas.fill_round({x, y, card_width, stage_height}, 8, stage);
  canvas.fill({x, y + stage_height - 8, card_width, 8}, stage);
  const int width = static_cast<int>(std::min<std::uint32_t>(picture.thumbnail.width, card_width));
  const int height =
      static_cast<int>(std::min<std::uint32_t>(picture.thumbnail.height, stage_height));
  const int left = x + (card_width - width) / 2, top = y + (stage_height - height) / 2;
  for (int row = 0; row < height; row += 8) {  // a chequered ground shows through open pixels
    for (int column = 0; column < width; column += 8) {
      canvas.fill(
          {left + column, top + row, std::min(8, width - column), std::min(8, height - row)},
          (row + column) / 8 % 2 ? white : check);
    }
  }
  canvas.draw(left, top, picture.thumbnail, picture.rgba);
}

/// The library's sign going down by the bow: where a cause leaves room for it.
void draw_wreck(Canvas& canvas, int x, int y) {
  constexpr double lean = 0.42;
  constexpr int width = 92, water = 44;
  for (int row = 0; row < water; ++row) {
    for (int column = 0; column < width; ++column) {
      const double dx = column - width / 2.0, dy = row - water + 6.0;
      const double along = dx * std::cos(lean) - dy * std::sin(lean) + 34;
      const double down = dx * std::sin(lean) + dy * std::cos(lean) + 16;
      const bool hull = down > 0 && down < 24 && along > down / 3 && along < 78 - down / 3;
      const bool room =
          down > 5 && down < 18 && std::fmod(along + 5, 16) > 3 && along > 10 && along < 68;
      if (hull && !room) canvas.fill({x + column, y + row, 1, 1}, dark_grey);
    }
  }
  for (int wave = 0; wave < 3; ++wave) {
    canvas.fill({x + wave * 12, y + water + wave * 6, width - wave * 24, 2}, dark_grey);
  }
}

void draw_cause(Canvas& canvas, int x, int y, const bulkhead::Error& error) {
  canvas.fill_round({x, y, card_width, card_height}, 8, grey);
  const std::string head = headline(error);
  const int pill = text_width(head, 2) + 18;
  canvas.fill_round({x + padding, y + padding, pill, 28}, 6, accent(error));
  canvas.text(x + padding + 9, y + padding + 7, head, 2, white);

  const std::string cause = shorten(printable(error.sentence()), 400);
  const auto room = static_cast<std::size_t>((stage_height - 56) / line_height);
  int scale = 2, step = line_height;
  std::vector<std::string> lines = wrap(cause, text_columns(2));
  if (lines.size() > room) {
    scale = 1;
    step = 13;
    lines = wrap(cause, text_columns(1));
    lines.resize(std::min<std::size_t>(lines.size(), (stage_height - 56) / 13));
  }
  int line_y = y + 54;
  for (const std::string& line : lines) {
    canvas.text(x + padding, line_y, line, scale, ink);
    line_y += step;
  }
  if (line_y < y + stage_height - 60)
    draw_wreck(canvas, x + card_width - 120, y + stage_height - 66);
  canvas.fill({x + padding, y + stage_height, card_width - 2 * padding, 1}, dark_grey);
}

void draw_card(Canvas& canvas, int x, int y, const Judged& file) {
  canvas.fill_round({x + 2, y + 4, card_width, card_height}, 9, shadow);
  std::string detail;
  if (file.picture) {
    draw_picture(canvas, x, y, *file.picture);
    detail = std::to_string(file.picture->size.width) + "x" +
             std::to_string(file.picture->size.height) + " " + printable(file.picture->format);
  } else {
    draw_cause(canvas, x, y, file.picture.error());
    detail = "after " + std::to_string(file.took.count()) + " ms";
  }
  const auto columns = static_cast<std::size_t>(text_columns(2));
  const int label = y + stage_height + 10;
  canvas.bold(x + padding, label, shorten(printable(file.name), columns), 2, ink);
  canvas.text(x + padding, label + line_height + 2, shorten(detail, columns), 2,
              file.picture ? faded : steel);
  if (!file.picture) return;
  std::vector<std::string> remark = wrap(printable(file.picture->remark), text_columns(1));
  remark.resize(std::min<std::size_t>(remark.size(), 2));
  for (int line = label + 2 * line_height + 4; const std::string& words : remark) {
    canvas.text(x + padding, line, words, 1, faded);
    line += 12;
  }
}

std::string counts(const std::vector<Judged>& files) {
  const auto good =
      std::ranges::count_if(files, [](const Judged& file) { return file.picture.has_value(); });
  const auto all = static_cast<std::ptrdiff_t>(files.size());
  std::string text = std::to_string(good) + " decoded, " + std::to_string(all - good) + " failed";
  if (files.size() > cards_at_most) {
    text += ", " + std::to_string(files.size() - cards_at_most) + " not shown";
  }
  return text;
}

/// A hull with three bulkheads, the library's sign.
void draw_sign(Canvas& canvas, int x, int y) {
  for (int row = 0; row < 26; ++row) canvas.fill({x + row / 3, y + row, 84 - row / 3 * 2, 1}, ink);
  for (int room = 0; room < 4; ++room) {
    const bool flooded = room == 1;
    canvas.fill({x + 11 + room * 16, y + 5, 13, 14}, flooded ? Rgb{0x4f, 0x9f, 0xd0} : paper);
  }
}

}  // namespace

std::string headline(const bulkhead::Error& error) {
  if (const Exit* exit = error.exit()) {
    switch (exit->cause) {
      case Exit::Cause::signal:
        return "crashed";
      case Exit::Cause::out_of_memory:
        return "out of memory";
      case Exit::Cause::sandbox_violation:
        return "sandbox violation";
      case Exit::Cause::hang:
        return "hung";
      case Exit::Cause::resource_limit:
        return "over its limit";
      case Exit::Cause::never_started:
        return "never started";
      default:
        return "died";
    }
  }
  switch (error.kind()) {
    case ErrorKind::timed_out:
      return "timed out";
    case ErrorKind::too_large:
      return "too large";
    case ErrorKind::unsupported:
      return "not an image";
    case ErrorKind::invalid:
      return "damaged";
    case ErrorKind::exhausted:
      return "out of memory";
    case ErrorKind::denied:
    case ErrorKind::not_found:
    case ErrorKind::system:
      return "unreadable";
    default:
      return "failed";
  }
}

bulkhead::Result<void> write_sheet(const std::vector<Judged>& files,
                                   const std::filesystem::path& path) {
  const auto shown = static_cast<int>(std::min(files.size(), cards_at_most));
  const int columns = std::clamp(static_cast<int>(std::ceil(std::sqrt(shown * 1.3))), 3, 12);
  const int rows = std::max(1, (shown + columns - 1) / columns);
  Canvas canvas(2 * margin + columns * card_width + (columns - 1) * gap,
                header_height + rows * (card_height + gap) - gap + margin, paper);

  draw_sign(canvas, margin, 32);
  canvas.bold(margin + 104, 28, "Contact sheet", 4, ink);
  const std::string text = files.empty() ? "no files in this folder" : counts(files);
  canvas.text(canvas.width() - margin - text_width(text, 2), 42, text, 2, faded);
  for (int i = 0; i < shown; ++i) {
    draw_card(canvas, margin + i % columns * (card_width + gap),
              header_height + i / columns * (card_height + gap),
              files[static_cast<std::size_t>(i)]);
  }
  return canvas.save_png(path);
}

}  // namespace contact_sheet
