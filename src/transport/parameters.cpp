// SPDX-License-Identifier: Apache-2.0
#include "transport/parameters.hpp"

#include <charconv>

namespace bulkhead::transport {
namespace {

std::unexpected<Error> refuse(std::string cause, std::string remedy = {}) {
  return fail(
      ErrorKind::invalid,
      {.operation = "read address", .cause = std::move(cause), .remedy = std::move(remedy)});
}

std::string quoted(std::string_view text) { return "\"" + std::string{text} + "\""; }

/// The digits at the start of `text`, which loses them; nothing when there are none or too many.
std::optional<std::uint64_t> cut_number(std::string_view& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

struct Unit {
  std::string_view name;
  std::uint64_t milliseconds;
};
constexpr Unit units[] = {{"ms", 1}, {"s", 1'000}, {"min", 60'000}, {"h", 3'600'000}};
constexpr std::uint64_t longest_ms = 365ULL * 24 * 3'600'000;

}  // namespace

Result<Parameters> Parameters::cut_from(std::string& name) {
  Parameters parameters;
  const auto mark = name.find('?');
  if (mark == std::string::npos) return parameters;
  std::string_view rest = std::string_view{name}.substr(mark + 1);
  while (!rest.empty()) {
    const auto end = std::min(rest.find('&'), rest.size());
    const auto one = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const auto equals = one.find('=');
    if (equals == 0 || equals == std::string_view::npos) {
      return refuse(quoted(one) + " is not key=value");
    }
    const auto [at, is_new] =
        parameters.values_.emplace(one.substr(0, equals), one.substr(equals + 1));
    if (!is_new) return refuse(quoted(at->first) + " is there twice");
  }
  name.resize(mark);
  return parameters;
}

std::optional<std::string> Parameters::text(std::string_view key) {
  const auto found = values_.find(key);
  if (found == values_.end()) return std::nullopt;
  auto value = std::move(found->second);
  values_.erase(found);
  return value;
}

Result<std::optional<std::uint64_t>> Parameters::number(std::string_view key, std::uint64_t least,
                                                        std::uint64_t most) {
  const auto value = text(key);
  if (!value) return std::nullopt;
  std::string_view rest = *value;
  const auto number = cut_number(rest);
  if (!number || !rest.empty() || *number < least || *number > most) {
    return refuse(
        std::string{key} + " is " + quoted(*value),
        "give a whole number from " + std::to_string(least) + " to " + std::to_string(most));
  }
  return number;
}

Result<std::optional<std::chrono::milliseconds>> Parameters::duration(std::string_view key) {
  const auto value = text(key);
  if (!value) return std::nullopt;
  std::string_view rest = *value;
  if (const auto number = cut_number(rest)) {
    for (const Unit& unit : units) {
      if (rest != unit.name || *number > longest_ms / unit.milliseconds) continue;
      return std::chrono::milliseconds{*number * unit.milliseconds};
    }
  }
  return refuse(std::string{key} + " is " + quoted(*value),
                "give a time with its unit: 250ms, 5s, 2min or 1h");
}

Result<std::optional<std::size_t>> Parameters::one_of(
    std::string_view key, std::initializer_list<std::string_view> choices) {
  const auto value = text(key);
  if (!value) return std::nullopt;
  std::string all;
  std::size_t place = 0;
  for (const auto choice : choices) {
    if (choice == *value) return place;
    all += (place++ == 0 ? "" : ", ") + std::string{choice};
  }
  return refuse(std::string{key} + " is " + quoted(*value), "give one of " + all);
}

Result<void> Parameters::expect_none_left() const {
  if (values_.empty()) return {};
  return refuse("nothing here is called " + quoted(values_.begin()->first));
}

}  // namespace bulkhead::transport
