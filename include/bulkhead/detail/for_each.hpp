// SPDX-License-Identifier: Apache-2.0
//
// Applies a macro to each of up to 64 arguments: what BULKHEAD_INTERFACE needs until C++ can list
// the member functions of a struct by itself. Rescanning works as __VA_OPT__ allows it.
#pragma once

#define BULKHEAD_PARENS ()
#define BULKHEAD_EXPAND(...) \
  BULKHEAD_EXPAND3(BULKHEAD_EXPAND3(BULKHEAD_EXPAND3(BULKHEAD_EXPAND3(__VA_ARGS__))))
#define BULKHEAD_EXPAND3(...) \
  BULKHEAD_EXPAND2(BULKHEAD_EXPAND2(BULKHEAD_EXPAND2(BULKHEAD_EXPAND2(__VA_ARGS__))))
#define BULKHEAD_EXPAND2(...) \
  BULKHEAD_EXPAND1(BULKHEAD_EXPAND1(BULKHEAD_EXPAND1(BULKHEAD_EXPAND1(__VA_ARGS__))))
#define BULKHEAD_EXPAND1(...) __VA_ARGS__

/// macro(context, argument) for each argument, one after the other.
#define BULKHEAD_FOR_EACH(macro, context, ...) \
  __VA_OPT__(BULKHEAD_EXPAND(BULKHEAD_FOR_EACH_STEP(macro, context, __VA_ARGS__)))
#define BULKHEAD_FOR_EACH_STEP(macro, context, first, ...) \
  macro(context, first)                                    \
      __VA_OPT__(BULKHEAD_FOR_EACH_AGAIN BULKHEAD_PARENS(macro, context, __VA_ARGS__))
#define BULKHEAD_FOR_EACH_AGAIN() BULKHEAD_FOR_EACH_STEP

/// The same with commas between.
#define BULKHEAD_LIST(macro, context, ...) \
  __VA_OPT__(BULKHEAD_EXPAND(BULKHEAD_LIST_STEP(macro, context, __VA_ARGS__)))
#define BULKHEAD_LIST_STEP(macro, context, first, ...) \
  macro(context, first)                                \
      __VA_OPT__(, BULKHEAD_LIST_AGAIN BULKHEAD_PARENS(macro, context, __VA_ARGS__))
#define BULKHEAD_LIST_AGAIN() BULKHEAD_LIST_STEP
