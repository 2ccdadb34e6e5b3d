// SPDX-License-Identifier: Apache-2.0
// A function of a pool: its arguments to bytes, its call in the worker, its result from bytes.
#pragma once

#include <concepts>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <bulkhead/detail/isolate.hpp>
#include <bulkhead/detail/pool/state.hpp>
#include <bulkhead/wire.hpp>

namespace bulkhead::detail {

template <class T>
concept TupleLike = requires { std::tuple_size<std::remove_cvref_t<T>>::value; };

template <auto Function> class PooledCall {
  using Signature = IsolatedSignature<std::remove_cvref_t<decltype(Function)>>;
  using Return = typename Signature::Return;
  static_assert(
      Signature::by_value,
      "Bulkhead: a function of a pool takes values or const references: what it changes in "
      "another process does not come back");

 public:
  using Parameters = typename Signature::Parameters;
  using Wrapped = typename detail::Wrapped<Return>::type;
  using Value = typename Wrapped::value_type;
  static constexpr std::size_t parameters = std::tuple_size_v<Parameters>;

  template <class... A> static Result<void> put(Request& request, A&&... arguments) {
    static_assert(sizeof...(A) == parameters, "as many arguments as the function takes");
    request.bytes.reserve(usual_task_bytes);  // one allocation for header and short arguments
    request.bytes.resize(task_header_bytes);
    return put_each(request, std::index_sequence_for<A...>{}, arguments...);
  }

  /// One input of a map: the argument, or a tuple of them.
  template <class Input> static Result<void> put_input(Request& request, Input& input) {
    if constexpr (parameters > 1 && TupleLike<Input>) {
      return std::apply([&](auto&... each) { return put(request, each...); }, input);
    } else {
      return put(request, input);
    }
  }

  /// In the worker.
  static void run(TaskCall& call) {
    const std::size_t before = call.out.size();
    Wrapped result = invoke(call, std::make_index_sequence<parameters>{});
    auto encoded = wire::Encoder{call.out, &call.out_handles}.put(result);
    call.failed = !result || !encoded;
    if (encoded) return;
    call.out.resize(before);
    call.out_handles.clear();
    Wrapped failed = fail(std::move(encoded).error());
    static_cast<void>(wire::Encoder{call.out, &call.out_handles}.put(failed));
  }

  /// The result of a task that has ended.
  static Wrapped result_of(Task& task) {
    auto message = answer(task);
    if (!message) return fail(std::move(message).error());
    wire::Decoder decoder{(*message)->bytes().subspan(task_header_bytes), (*message)->handles(),
                          trust_of(task)};
    auto result = decoder.template get<Wrapped>();
    if (!result) return fail(std::move(result).error());
    if (auto done = decoder.finish(); !done) return fail(std::move(done).error());
    return *std::move(result);
  }

 private:
  template <std::size_t... I, class... A>
  static Result<void> put_each(Request& request, std::index_sequence<I...>, A&... arguments) {
    [[maybe_unused]] wire::Encoder encoder{request.bytes, &request.handles};
    Result<void> outcome;
    static_cast<void>(
        ((outcome = put_as<std::tuple_element_t<I, Parameters>>(encoder, arguments)).has_value() &&
         ...));
    return outcome;
  }

  template <std::size_t... I> static Wrapped invoke(TaskCall& call, std::index_sequence<I...>) {
    wire::Decoder decoder{call.arguments, call.handles, Trust::equal};
    std::tuple<std::optional<std::tuple_element_t<I, Parameters>>...> values;
    Result<void> outcome;
    static_cast<void>((get_argument(decoder, std::get<I>(values), outcome) && ...));
    if (!outcome) return fail(std::move(outcome).error());
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

template <class Input> Reproducer reproducer_of(const Input& input) {
  if constexpr (std::is_same_v<Input, std::filesystem::path>) {
    return {.kind = Reproducer::Kind::file, .text = input.string()};
  } else if constexpr (std::is_convertible_v<const Input&, std::string_view>) {
    return {.kind = Reproducer::Kind::text, .text = std::string(std::string_view(input))};
  } else if constexpr (std::is_same_v<Input, std::vector<std::byte>>) {
    return {.kind = Reproducer::Kind::text, .text = std::string(as_text(Bytes(input)))};
  } else {
    return {};
  }
}

/// What to save of a task, read back from what was sent: nothing is kept for it meanwhile.
template <auto Function> Reproducer reproduce(Task& task) {
  using Parameters = typename PooledCall<Function>::Parameters;
  if constexpr (std::tuple_size_v<Parameters> == 1) {
    using Only = std::tuple_element_t<0, Parameters>;
    if constexpr (!wire::carries_handles<Only>) {
      wire::Decoder decoder{
          Bytes{request_of(task).bytes}.subspan(task_header_bytes), {}, Trust::equal};
      if (auto input = decoder.template get<Only>()) return reproducer_of(*input);
    }
  }
  return {};
}

template <auto Function, class... A> Result<void> initialize(Bootstrap& boot) {
  using Call = IsolatedSignature<std::remove_cvref_t<decltype(Function)>>;
  using Return = typename Call::Return;
  auto arguments = boot.arguments<A...>();
  if (!arguments) return fail(std::move(arguments).error());
  return guarded<Result<void>>([&]() -> Result<void> {
    return std::apply(
        [](auto&... each) -> Result<void> {
          if constexpr (std::is_same_v<Return, Result<void>>) {
            return Function(std::move(each)...);
          } else {
            Function(std::move(each)...);
            return {};
          }
        },
        *arguments);
  });
}

/// The arguments of an initializer, as the parameters' types.
template <class... P, class... A> Arguments arguments_as(std::tuple<P...>*, A&&... values) {
  return arguments(P(std::forward<A>(values))...);
}
template <auto Function, class... P> constexpr InitializerEntry initializer_of(std::tuple<P...>*) {
  return &initialize<Function, Argument<P>...>;
}

}  // namespace bulkhead::detail
