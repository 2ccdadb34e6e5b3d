// SPDX-License-Identifier: Apache-2.0
//
// BULKHEAD_INTERFACE: the line that makes a struct of functions callable from another process.
//
//   struct Decoder {
//     Result<Image> decode(std::string png, Size limit);   // a call; the error travels too
//     int version();                                       // a call that cannot fail by itself
//     Result<Stream<Row>> rows(std::string png);           // many values
//     void forget(std::string name);                       // one-way: nobody waits for it
//   };
//   BULKHEAD_INTERFACE(Decoder, decode, version, rows, forget)
//
// Stands in the interface's own namespace, after the struct. Arguments are values that
// <bulkhead/wire.hpp> can encode, and handles. No overloads. A method's identity is its name and
// the wire shape of its arguments and result: reordering methods or adding some breaks nobody.
// What is only declared needs no definition: who calls never links the implementation.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

#include <bulkhead/detail/for_each.hpp>
#include <bulkhead/detail/service/dispatch.hpp>

#define BULKHEAD_INTERFACE(Interface, ...)                                                         \
  struct bulkhead_interface_##Interface {                                                          \
    using Type = Interface;                                                                        \
    static constexpr std::string_view name = #Interface;                                           \
    BULKHEAD_FOR_EACH(BULKHEAD_DETAIL_METHOD, Interface, __VA_ARGS__)                              \
    template <class Self>                                                                          \
    struct Stubs : BULKHEAD_LIST(BULKHEAD_DETAIL_STUB_NAME, Self, __VA_ARGS__) {};                 \
    template <class Implementation>                                                                \
    using Served = ::bulkhead::detail::ServedMethods<                                              \
        Implementation, BULKHEAD_LIST(BULKHEAD_DETAIL_METHOD_NAME, Interface, __VA_ARGS__)>;       \
  };                                                                                               \
  [[maybe_unused]] inline bulkhead_interface_##Interface bulkhead_interface_of(const Interface*) { \
    return {};                                                                                     \
  }

// For each method: a tag that names it, and a stub with a member function of the same signature.
#define BULKHEAD_DETAIL_METHOD(Interface, method)                                            \
  struct bulkhead_method_##method {                                                          \
    static constexpr std::string_view interface = #Interface;                                \
    static constexpr std::string_view name = #method;                                        \
    using Signature = ::bulkhead::detail::SignatureOf<decltype(&Interface::method)>;         \
    template <class Implementation, class... Arguments>                                      \
    static decltype(auto) invoke(Implementation& implementation, Arguments&&... arguments) { \
      return implementation.method(std::forward<Arguments>(arguments)...);                   \
    }                                                                                        \
  };                                                                                         \
  template <class Self, class Signature = typename bulkhead_method_##method::Signature>      \
  struct bulkhead_stub_##method;                                                             \
  template <class Self, class BulkheadResult, class... BulkheadArguments>                    \
  struct bulkhead_stub_##method<Self, BulkheadResult(BulkheadArguments...)> {                \
    ::bulkhead::detail::RemoteResult<BulkheadResult> method(                                 \
        BulkheadArguments... arguments) const {                                              \
      return ::bulkhead::detail::call_method<bulkhead_method_##method>(                      \
          static_cast<const Self&>(*this), arguments...);                                    \
    }                                                                                        \
    /* The same without waiting; include <bulkhead/asio.hpp>. void(RemoteResult) */          \
    template <class Token>                                                                   \
    auto async_##method(BulkheadArguments... arguments, Token&& token) const {               \
      return ::bulkhead::detail::async_call_method<bulkhead_method_##method>(                \
          static_cast<const Self&>(*this), std::forward<Token>(token), arguments...);        \
    }                                                                                        \
  };
#define BULKHEAD_DETAIL_STUB_NAME(Self, method) bulkhead_stub_##method<Self>
#define BULKHEAD_DETAIL_METHOD_NAME(Interface, method) bulkhead_method_##method
