# SPDX-License-Identifier: Apache-2.0
# Fuzz targets: fuzz/*.cpp, one program each, its corpus in fuzz/corpus/<name>/. Clang's libFuzzer.

if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  message(FATAL_ERROR "BULKHEAD_FUZZ needs Clang: configure with -DCMAKE_CXX_COMPILER=clang++-19")
endif()
set(instrument -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -g1 -O1)
target_compile_options(bulkhead_objects PRIVATE ${instrument})
# The examples are compiled as users compile them, but link the instrumented library.
target_link_options(bulkhead_static INTERFACE
  $<BUILD_INTERFACE:-fsanitize=fuzzer-no-link,address,undefined>)

bulkhead_glob_flat(targets ${PROJECT_SOURCE_DIR}/fuzz/*.cpp)
foreach(source ${targets})
  cmake_path(GET source STEM name)
  add_executable(${name} ${source})
  target_compile_options(${name} PRIVATE ${instrument})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/tests)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer,address,undefined)
  target_link_libraries(${name} PRIVATE bulkhead_static bulkhead_flags)
endforeach()
