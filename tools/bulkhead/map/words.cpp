// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/map/words.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <utility>

namespace bulkhead::tools::map {
namespace {

/// "a/b.tar.gz" -> "a/b.tar"; a name that only begins with a dot has no extension.
std::string_view without_extension(std::string_view path) {
  const auto dot = path.rfind('.');
  const auto slash = path.rfind('/');
  const std::size_t name = slash == std::string_view::npos ? 0 : slash + 1;
  return dot == std::string_view::npos || dot <= name ? path : path.substr(0, dot);
}

std::string_view base(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string_view folder(std::string_view path) {
  const auto slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view{"_-./:=+,@%^"}.find(c) != std::string_view::npos ||
         static_cast<unsigned char>(c) >= 0x80;
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

/// In bash's $'...', where control characters have names.
std::string escaped(std::string_view word) {
  std::string text = "$'";
  for (const char c : word) {
    if (c == '\n') {
      text += "\\n";
    } else if (c == '\t') {
      text += "\\t";
    } else if (is_control(c)) {
      text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      if (c == '\'' || c == '\\') text += '\\';
      text += c;
    }
  }
  return text + '\'';
}

}  // namespace

CommandTemplate::Word CommandTemplate::parse(std::string_view word) {
  static constexpr std::array<std::pair<std::string_view, Part>, 7> placeholders{{
      {"{}", Part::input},
      {"{.}", Part::stem},
      {"{/}", Part::base},
      {"{//}", Part::folder},
      {"{/.}", Part::base_stem},
      {"{#}", Part::number},
      {"{%}", Part::slot},
  }};
  Word pieces;
  std::string literal;
  while (!word.empty()) {
    const auto found = std::ranges::find_if(
        placeholders, [&](const auto& one) { return word.starts_with(one.first); });
    if (found == placeholders.end()) {
      literal += word.front();
      word.remove_prefix(1);
      continue;
    }
    if (!literal.empty()) pieces.emplace_back(std::exchange(literal, {}));
    pieces.emplace_back(found->second);
    word.remove_prefix(found->first.size());
  }
  if (!literal.empty() || pieces.empty()) pieces.emplace_back(std::move(literal));
  return pieces;
}

Result<CommandTemplate> CommandTemplate::create(const std::vector<std::string>& words) {
  if (words.empty()) {
    return fail(ErrorKind::invalid, {.cause = "there is no command to run",
                                     .remedy = "write it before the inputs: -- gzip {} ::: *.txt"});
  }
  CommandTemplate command;
  bool takes_input = false;
  for (const std::string& word : words) {
    command.words_.push_back(parse(word));
    takes_input = takes_input || std::ranges::any_of(command.words_.back(), [](const Piece& piece) {
                    const auto* part = std::get_if<Part>(&piece);
                    return part != nullptr && *part != Part::number && *part != Part::slot;
                  });
  }
  if (!takes_input) command.words_.push_back({Part::input});
  return command;
}

std::string CommandTemplate::text(Part part, const Place& place) {
  switch (part) {
    case Part::input:
      return std::string{place.input};
    case Part::stem:
      return std::string{without_extension(place.input)};
    case Part::base:
      return std::string{base(place.input)};
    case Part::folder:
      return std::string{folder(place.input)};
    case Part::base_stem:
      return std::string{without_extension(base(place.input))};
    case Part::number:
      return std::to_string(place.number);
    case Part::slot:
      return std::to_string(place.slot);
  }
  return {};
}

std::vector<std::string> CommandTemplate::words(const Place& place) const {
  std::vector<std::string> words;
  words.reserve(words_.size());
  for (const Word& pieces : words_) {
    std::string& word = words.emplace_back();
    for (const Piece& piece : pieces) {
      const auto* part = std::get_if<Part>(&piece);
      word += part == nullptr ? std::get<std::string>(piece) : text(*part, place);
    }
  }
  return words;
}

std::string CommandTemplate::program() const {
  const Word& first = words_.front();
  const auto* literal = first.size() == 1 ? std::get_if<std::string>(&first.front()) : nullptr;
  return literal == nullptr ? std::string{} : *literal;
}

bool CommandTemplate::has_slot() const noexcept {
  return std::ranges::any_of(words_, [](const Word& word) {
    return std::ranges::any_of(word, [](const Piece& piece) {
      const auto* part = std::get_if<Part>(&piece);
      return part != nullptr && *part == Part::slot;
    });
  });
}

std::string quoted(std::string_view word) {
  if (!word.empty() && std::ranges::all_of(word, is_plain)) return std::string{word};
  if (std::ranges::any_of(word, is_control)) return escaped(word);
  std::string text = "'";
  for (const char c : word) {
    if (c == '\'') {
      text += "'\\''";
    } else {
      text += c;
    }
  }
  return text + '\'';
}

std::string quoted(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) {
    if (!text.empty()) text += ' ';
    text += quoted(word);
  }
  return text;
}

}  // namespace bulkhead::tools::map
