# SPDX-License-Identifier: Apache-2.0
# How everything of ours is compiled: language, warnings, sanitizers, where programs go.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Release or Debug" FORCE)
endif()

set(BULKHEAD_SANITIZE "" CACHE STRING "Sanitizers for everything: empty, address,undefined or thread")
set(BULKHEAD_PARTS "" CACHE STRING "Only these parts (os;memory;...), while an upper floor is in pieces; empty: all")
option(BULKHEAD_WERROR "Treat warnings as errors" ${PROJECT_IS_TOP_LEVEL})

if(NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
  find_program(BULKHEAD_CCACHE ccache)
  mark_as_advanced(BULKHEAD_CCACHE)
  if(BULKHEAD_CCACHE)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${BULKHEAD_CCACHE})
  endif()
endif()

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS ON) # BULKHEAD_TRY is a GNU statement expression
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
# -O2: the third level doubles the compile time of the coroutine headers and wins nothing measurable.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")

# What every target of ours gets and no user of the library does.
add_library(bulkhead_flags INTERFACE)
target_compile_options(bulkhead_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion)
if(BULKHEAD_WERROR)
  target_compile_options(bulkhead_flags INTERFACE -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # The coroutine detection of Asio 1.22 does not know this compiler's spelling.
  target_compile_definitions(bulkhead_flags INTERFACE ASIO_HAS_CO_AWAIT=1)
  # stable_sort of libstdc++ 12 uses what libstdc++ 12 calls deprecated.
  target_compile_options(bulkhead_flags INTERFACE -Wno-deprecated-declarations)
endif()
if(BULKHEAD_SANITIZE)
  target_compile_options(bulkhead_flags INTERFACE
    -fsanitize=${BULKHEAD_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1)
  target_link_options(bulkhead_flags INTERFACE -fsanitize=${BULKHEAD_SANITIZE})
  if(BULKHEAD_SANITIZE MATCHES "undefined")
    # It looks at memory through a pipe, and so takes a test without free descriptors for a bug.
    target_compile_options(bulkhead_flags INTERFACE -fno-sanitize=vptr)
  endif()
  if(BULKHEAD_SANITIZE MATCHES thread)
    # GCC's ThreadSanitizer refuses fences. Asio's stand beside locks that it does see.
    target_compile_definitions(bulkhead_flags INTERFACE ASIO_DISABLE_FENCED_BLOCK)
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC 12's flow warnings see the sanitizers' own branches; the plain build keeps them.
    target_compile_options(bulkhead_flags INTERFACE
      -Wno-maybe-uninitialized -Wno-stringop-overflow -Wno-array-bounds -Wno-restrict)
  endif()
endif()

# Fills `out` with the files that match; new files are seen by the next build.
function(bulkhead_glob out)
  file(GLOB_RECURSE files CONFIGURE_DEPENDS ${ARGN})
  set(${out} ${files} PARENT_SCOPE)
endfunction()

# The programs directly inside a folder, one source each.
function(bulkhead_glob_flat out)
  file(GLOB files CONFIGURE_DEPENDS ${ARGN})
  set(${out} ${files} PARENT_SCOPE)
endfunction()
