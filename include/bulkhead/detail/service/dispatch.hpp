// SPDX-License-Identifier: Apache-2.0
//
// From a member function's type to the bytes of a call and back: the caller's half (call_method)
// and the server's half (ServedMethods). TRUST: arguments and results are decoded from a private
// copy of the message; what does not decode is `corrupt` and fails this call alone.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include <bulkhead/detail/service/session.hpp>
#include <bulkhead/stream.hpp>

namespace bulkhead::detail {

template <class Member> struct SignatureOfMember;
template <class C, class R, class... A> struct SignatureOfMember<R (C::*)(A...)> {
  using type = R(A...);
};
template <class C, class R, class... A> struct SignatureOfMember<R (C::*)(A...) const> {
  using type = R(A...);
};
template <class C, class R, class... A> struct SignatureOfMember<R (C::*)(A...) noexcept> {
  using type = R(A...);
};
template <class C, class R, class... A> struct SignatureOfMember<R (C::*)(A...) const noexcept> {
  using type = R(A...);
};
template <class Member> using SignatureOf = typename SignatureOfMember<Member>::type;

/// R without the Result around it, if there is one.
template <class R> struct Unwrapped {
  using type = R;
  static constexpr bool can_fail = false;
};
template <class T> struct Unwrapped<Result<T>> {
  using type = T;
  static constexpr bool can_fail = true;
};
template <class R> using Value = typename Unwrapped<R>::type;

/// What the caller gets: every remote call can fail.
template <class R> using RemoteResult = Result<Value<R>>;

template <class T> struct StreamValue;
template <class T> struct StreamValue<Stream<T>> {
  using type = T;
};

/// Joins two fingerprints; the order counts.
constexpr std::uint64_t joined(std::uint64_t first, std::uint64_t second) {
  return (first ^ (second + 0x9e3779b97f4a7c15U + (first << 6) + (first >> 2))) * 0x100000001b3U;
}

template <class R> constexpr std::uint64_t result_fingerprint() {
  if constexpr (std::is_void_v<R>) {
    return wire::fingerprint("one way");
  } else if constexpr (std::is_void_v<Value<R>>) {
    return wire::fingerprint("void");
  } else if constexpr (is_stream<Value<R>>) {
    return joined(wire::fingerprint("stream"),
                  wire::fingerprint(wire::shape_text<typename StreamValue<Value<R>>::type>()));
  } else {
    return wire::fingerprint(wire::shape_text<Value<R>>());
  }
}

template <class Tag, class Signature> struct Signed;

/// A method's arguments and result, and its identity on the wire.
template <class Tag, class R, class... A> struct Signed<Tag, R(A...)> {
  using Return = R;
  using Arguments = std::tuple<std::remove_cvref_t<A>...>;
  static constexpr bool one_way = std::is_void_v<R>;
  static_assert(one_way || std::is_void_v<Value<R>> || !std::is_reference_v<Value<R>>,
                "a remote function returns a value, not a reference");

  static constexpr std::uint64_t id() {
    std::uint64_t all = wire::fingerprint(Tag::name);
    ((all = joined(all, wire::fingerprint(wire::shape_text<std::remove_cvref_t<A>>()))), ...);
    return joined(all, result_fingerprint<R>());
  }
  static constexpr Method method{.interface = Tag::interface, .name = Tag::name, .id = id()};
};
template <class Tag> using SignedMethod = Signed<Tag, typename Tag::Signature>;

/// Reaches into a Remote, which shows no names of its own.
struct RemoteAccess {
  template <class Remote> static auto& state(Remote& remote) { return remote.bulkhead_state_; }
};

template <class T> Result<T> decode_result(Incoming& reply) {
  auto decoder = reply.decoder();
  if constexpr (std::is_void_v<T>) {
    return decoder.finish();
  } else {
    auto value = decoder.template get<T>();
    if (!value) return fail(std::move(value).error());
    if (auto finished = decoder.finish(); !finished) return fail(std::move(finished).error());
    return *std::move(value);
  }
}

template <class... A> Result<void> encode_arguments(Outgoing& request, A&... arguments) {
  [[maybe_unused]] auto encoder = request.encoder();
  Result<void> outcome;
  static_cast<void>(((outcome = encoder.put(arguments)).has_value() && ...));
  return outcome;
}

template <class Tag, class Self, class... A>
RemoteResult<typename SignedMethod<Tag>::Return> call_method(const Self& remote, A&... arguments) {
  using R = typename SignedMethod<Tag>::Return;
  constexpr const Method& method = SignedMethod<Tag>::method;
  const auto& state = RemoteAccess::state(remote);
  Outgoing request;
  if (auto encoded = encode_arguments(request, arguments...); !encoded) {
    return fail(encoded.error().during(std::string(method.name)));
  }
  if constexpr (SignedMethod<Tag>::one_way) {
    return notify(*state.session, method, request, state.time);
  } else if constexpr (is_stream<Value<R>>) {
    auto source = open_stream(state.session, method, request, state.time);
    if (!source) return fail(std::move(source).error());
    return StreamAccess::receive<typename StreamValue<Value<R>>::type>(*std::move(source));
  } else {
    Incoming reply;
    if (auto called = call(*state.session, method, request, state.time, reply); !called) {
      return fail(std::move(called).error());
    }
    auto value = decode_result<Value<R>>(reply);
    if (!value) return fail(value.error().during(std::string(method.name)));
    return value;
  }
}

/// Defined by <bulkhead/asio.hpp>, which a caller of the async_ forms includes.
template <class Tag, class Self, class Token, class... A>
auto async_call_method(const Self& remote, Token&& token, A&... arguments);

template <class Tag, class Implementation> struct Served {
  using Types = SignedMethod<Tag>;
  using R = typename Types::Return;

  static Result<void> body(void* implementation, wire::Decoder& decoder, Answer& answer) {
    return decode_and_invoke(
        *static_cast<Implementation*>(implementation), decoder, answer,
        std::make_index_sequence<std::tuple_size_v<typename Types::Arguments>>{});
  }

 private:
  template <class T>
  static bool get(wire::Decoder& decoder, std::optional<T>& into, Result<void>& outcome) {
    if (!outcome) return false;
    auto value = decoder.template get<T>();
    if (!value) {
      outcome = fail(std::move(value).error());
      return false;
    }
    into.emplace(*std::move(value));
    return true;
  }

  template <std::size_t... I>
  static Result<void> decode_and_invoke(Implementation& implementation, wire::Decoder& decoder,
                                        Answer& answer, std::index_sequence<I...>) {
    std::tuple<std::optional<std::tuple_element_t<I, typename Types::Arguments>>...> arguments;
    Result<void> outcome;
    static_cast<void>((get(decoder, std::get<I>(arguments), outcome) && ...));
    if (outcome) outcome = decoder.finish();
    if (!outcome) return outcome;
    if constexpr (Types::one_way) {
      Tag::invoke(implementation, std::move(*std::get<I>(arguments))...);
      return {};
    } else if constexpr (std::is_same_v<R, Result<void>>) {
      return Tag::invoke(implementation, std::move(*std::get<I>(arguments))...);
    } else {
      return finish(Tag::invoke(implementation, std::move(*std::get<I>(arguments))...), answer);
    }
  }

  template <class Returned> static Result<void> finish(Returned&& returned, Answer& answer) {
    if constexpr (Unwrapped<R>::can_fail) {
      if (!returned) return fail(std::move(returned).error());
      return finish_value(*std::move(returned), answer);
    } else {
      return finish_value(std::forward<Returned>(returned), answer);
    }
  }

  template <class T> static Result<void> finish_value(T&& value, Answer& answer) {
    if constexpr (is_stream<std::remove_cvref_t<T>>) {
      answer.stream = StreamAccess::producer(std::move(value));
      return {};
    } else {
      auto encoder = answer.out.encoder();
      return encoder.put(value);
    }
  }
};

/// An interface's methods as the session looks them up: sorted by id.
template <class Implementation, class... Tags> struct ServedMethods {
  static constexpr auto table = [] {
    std::array<ServedMethod, sizeof...(Tags)> methods{
        ServedMethod{SignedMethod<Tags>::method, &Served<Tags, Implementation>::body,
                     !SignedMethod<Tags>::one_way}...};
    std::sort(methods.begin(), methods.end(), [](const ServedMethod& a, const ServedMethod& b) {
      return a.method.id < b.method.id;
    });
    return methods;
  }();
};

}  // namespace bulkhead::detail
