// SPDX-License-Identifier: Apache-2.0
//
// Stream<T>: many values as the answer to one call, produced while they are consumed.
//
// The serving side makes one from a generator and returns it; the calling side takes the values
// out with next(). At most `window` values are under way: a consumer that stops reading stops the
// producer, and dropping the stream cancels it.
//
// One thread per stream. next() may block until its deadline. When the peer dies, next() returns
// the values that had arrived and then `peer_died` with how it died.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include <bulkhead/deadline.hpp>
#include <bulkhead/detail/service/session.hpp>
#include <bulkhead/result.hpp>
#include <bulkhead/wire.hpp>

namespace bulkhead {

template <class T> class Stream {
 public:
  using value_type = T;
  /// Called for each value; nothing ends the stream well, an error ends it with that error. Runs in
  /// the thread that serves, when the consumer has room for a value.
  using Generator = std::move_only_function<Result<std::optional<T>>()>;

  /// For the serving side.
  static Stream from(Generator generator) {
    Stream stream;
    stream.generator_ = std::move(generator);
    return stream;
  }

  /// The next value; nothing when the stream has ended well.
  Result<std::optional<T>> next(Deadline deadline) {
    if (generator_) return generator_();
    auto item = source_.next(deadline);
    if (!item) return fail(std::move(item).error());
    if (!*item) return std::optional<T>{};
    auto decoder = (*item)->decoder();
    auto value = decoder.template get<T>();
    if (!value) return fail(std::move(value).error());
    if (auto finished = decoder.finish(); !finished) return fail(std::move(finished).error());
    return std::optional<T>{*std::move(value)};
  }

 private:
  friend struct detail::StreamAccess;
  Stream() = default;

  Generator generator_;
  detail::StreamSource source_;
};

namespace detail {

struct StreamAccess {
  template <class T> static Stream<T> receive(StreamSource source) {
    Stream<T> stream;
    stream.source_ = std::move(source);
    return stream;
  }
  /// What the session calls to produce: encodes one value, false at the end.
  template <class T> static StreamProducer producer(Stream<T> stream) {
    return [stream = std::move(stream)](wire::Encoder& encoder) mutable -> Result<bool> {
      auto value = stream.next(never);
      if (!value) return fail(std::move(value).error());
      if (!*value) return false;
      if (auto put = encoder.put(**value); !put) return fail(std::move(put).error());
      return true;
    };
  }
};

template <class T> inline constexpr bool is_stream = false;
template <class T> inline constexpr bool is_stream<Stream<T>> = true;

}  // namespace detail
}  // namespace bulkhead
