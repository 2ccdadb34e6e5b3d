// SPDX-License-Identifier: Apache-2.0
//
// The insides of isolate: a function's call as two messages, and the role that answers one.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <bulkhead/detail/process_arguments.hpp>
#include <bulkhead/message.hpp>
#include <bulkhead/process.hpp>
#include <bulkhead/wire.hpp>

#if __cpp_exceptions
#include <exception>
#include <new>
#endif

namespace bulkhead {

struct IsolateOptions;

namespace detail {

/// Starts the role, sends the request, receives the reply, ends it.
BULKHEAD_API Result<Message> isolate(RoleEntry entry, Message request, IsolateOptions options);

template <class... A> struct First {
  using type = void;
};
template <class A, class... Rest> struct First<A, Rest...> {
  using type = A;
};
template <class... A> using FirstOf = typename First<A...>::type;

template <class R> struct Wrapped {
  using type = Result<R>;
};
template <class R> struct Wrapped<Result<R>> {
  using type = Result<R>;
};

/// R and P... of a function or of a lambda's call operator.
template <class F> struct IsolatedSignature : IsolatedSignature<decltype(&F::operator())> {};
template <class R, class... P> struct IsolatedSignature<R (*)(P...)> {
  using Return = R;
  using Parameters = std::tuple<std::remove_cvref_t<P>...>;
  static constexpr bool by_value =
      ((!std::is_lvalue_reference_v<P> || std::is_const_v<std::remove_reference_t<P>>) && ...);
};
template <class R, class... P>
struct IsolatedSignature<R (*)(P...) noexcept> : IsolatedSignature<R (*)(P...)> {};
template <class R, class C, class... P>
struct IsolatedSignature<R (C::*)(P...) const> : IsolatedSignature<R (*)(P...)> {};
template <class R, class C, class... P>
struct IsolatedSignature<R (C::*)(P...) const noexcept> : IsolatedSignature<R (*)(P...)> {};

/// Encodes as the parameter's type what is convertible to it.
template <class Parameter, class A> Result<void> put_as(wire::Encoder& encoder, A&& argument) {
  if constexpr (std::is_same_v<std::remove_cvref_t<A>, Parameter>) {
    return encoder.put(argument);
  } else {
    Parameter converted(std::forward<A>(argument));
    return encoder.put(converted);
  }
}

/// Calls what may throw. An exception becomes an error in words; but for memory that ran out: that
/// ends the process, so that its Exit says so and names the limit.
template <class Wrapped, class Work> Wrapped guarded(Work&& work) {
#if __cpp_exceptions
  try {
    return work();
  } catch (const std::bad_alloc&) {
    std::terminate();
  } catch (const std::exception& thrown) {
    return fail(ErrorKind::system, {.cause = std::string("it threw: ") + thrown.what()});
  } catch (...) {
    return fail(ErrorKind::system, {.cause = "it threw something that is no std::exception"});
  }
#else
  return work();
#endif
}

template <auto Function> class IsolatedCall {
  using Signature = IsolatedSignature<std::remove_cvref_t<decltype(Function)>>;
  using Return = typename Signature::Return;
  using Parameters = typename Signature::Parameters;
  static_assert(Signature::by_value,
                "Bulkhead: a function to isolate takes values or const references: what it changes "
                "in another process does not come back");

 public:
  using Wrapped = typename detail::Wrapped<Return>::type;
  static constexpr std::size_t parameters = std::tuple_size_v<Parameters>;

  template <class... A> static Result<Message> request(A&&... arguments) {
    return request_of(std::index_sequence_for<A...>{}, std::forward<A>(arguments)...);
  }

  /// In the child: answers one request.
  static void role(Bootstrap& boot) {
    auto request = boot.channel().receive(never);
    if (!request) return;
    Wrapped result = invoke(*request);
    // Nobody is there to hear of a failure but a parent that has given up.
    if (auto reply = reply_of(result)) static_cast<void>(boot.channel().send(*reply, never));
  }

  static Wrapped result_of(Message& reply, const std::string& name) {
    wire::Decoder decoder{reply.bytes(), reply.handles(), Trust::untrusted};
    auto result = decoder.get<Wrapped>();
    if (!result) return fail(result.error().during("isolate", name));
    if (auto done = decoder.finish(); !done) return fail(done.error().during("isolate", name));
    if (!*result && result->error().operation().empty()) {
      return fail(result->error().during(name));
    }
    return *std::move(result);
  }

 private:
  template <std::size_t... I, class... A>
  static Result<Message> request_of(std::index_sequence<I...>, A&&... arguments) {
    std::vector<std::byte> bytes;
    std::vector<Handle> handles;
    [[maybe_unused]] wire::Encoder encoder{bytes, &handles};
    Result<void> outcome;
    static_cast<void>((
        (outcome = put_as<std::tuple_element_t<I, Parameters>>(encoder, std::forward<A>(arguments)))
            .has_value() &&
        ...));
    if (!outcome) return fail(std::move(outcome).error());
    return Message{bytes, std::move(handles)};
  }

  static Result<Message> reply_of(Wrapped& result) {
    std::vector<std::byte> bytes;
    std::vector<Handle> handles;
    auto encoded = wire::Encoder{bytes, &handles}.put(result);
    if (!encoded) {
      bytes.clear();
      handles.clear();
      Wrapped failed = fail(std::move(encoded).error());
      BULKHEAD_TRY(wire::Encoder{bytes, &handles}.put(failed));
    }
    return Message{bytes, std::move(handles)};
  }

  static Wrapped invoke(Message& request) {
    return invoke_with(request, std::make_index_sequence<parameters>{});
  }

  template <std::size_t... I>
  static Wrapped invoke_with(Message& request, std::index_sequence<I...>) {
    wire::Decoder decoder{request.bytes(), request.handles(), Trust::equal};
    std::tuple<std::optional<std::tuple_element_t<I, Parameters>>...> values;
    Result<void> outcome;
    static_cast<void>((get_argument(decoder, std::get<I>(values), outcome) && ...));
    if (!outcome) return fail(std::move(outcome).error());
    request.clear();
    return guarded<Wrapped>([&]() -> Wrapped {
      if constexpr (std::is_void_v<Return>) {
        Function(std::move(*std::get<I>(values))...);
        return {};
      } else {
        return Function(std::move(*std::get<I>(values))...);
      }
    });
  }
};

template <auto Function> using IsolatedResult = typename IsolatedCall<Function>::Wrapped;

}  // namespace detail
}  // namespace bulkhead
