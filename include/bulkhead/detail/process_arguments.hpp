// SPDX-License-Identifier: Apache-2.0
// Arguments of a role: values to bytes and handles, and back.
#pragma once

#include <bulkhead/process.hpp>
#include <bulkhead/wire.hpp>

namespace bulkhead {
namespace detail {

/// What a value is encoded as: text of any kind as std::string.
template <class T>
using Argument = std::conditional_t<std::is_convertible_v<T, std::string_view>, std::string,
                                    std::remove_cvref_t<T>>;

template <class... T> std::uint64_t arguments_shape() {
  std::string text;
  ((text += wire::shape<T>() + ","), ...);
  return wire::fingerprint(text);
}

template <class T> Result<void> put_argument(wire::Encoder& encoder, T& value) {
  if constexpr (std::is_convertible_v<T&, std::string_view>) {
    return encoder.put(std::string(std::string_view(value)));
  } else {
    return encoder.put(value);
  }
}

template <class T>
bool get_argument(wire::Decoder& decoder, std::optional<T>& into, Result<void>& outcome) {
  auto value = decoder.get<T>();
  if (value) {
    into.emplace(*std::move(value));
  } else {
    outcome = fail(std::move(value).error());
  }
  return outcome.has_value();
}

}  // namespace detail

template <class... T> Arguments arguments(T&&... values) {
  Arguments made{.shape = detail::arguments_shape<detail::Argument<T>...>()};
  wire::Encoder encoder{made.bytes, &made.handles};
  Result<void> outcome;
  static_cast<void>(((outcome = detail::put_argument(encoder, values)).has_value() && ...));
  if (!outcome) made.failure = std::make_shared<const Error>(std::move(outcome).error());
  return made;
}

template <class... T> Result<std::tuple<T...>> Bootstrap::arguments() {
  auto taken = take_arguments(detail::arguments_shape<T...>());
  if (!taken) return fail(std::move(taken).error());
  wire::Decoder decoder{taken->bytes, taken->handles, Trust::equal};
  std::tuple<std::optional<T>...> values;
  Result<void> outcome;
  std::apply(
      [&](auto&... each) {
        static_cast<void>((detail::get_argument(decoder, each, outcome) && ...));
      },
      values);
  if (outcome) outcome = decoder.finish();
  if (!outcome) return fail(outcome.error().during("read", "arguments of role " + name()));
  return std::apply([](auto&... each) { return std::tuple<T...>{std::move(*each)...}; }, values);
}

}  // namespace bulkhead
