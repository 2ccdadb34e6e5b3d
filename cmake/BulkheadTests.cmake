# SPDX-License-Identifier: Apache-2.0
# Tests: one binary a part (from the *_test.cpp beside its code), one for the conformance suite, one a
# scenario, one a misbehaving child. All of them land in bin/, so a test finds its children beside itself.

find_package(GTest QUIET)
if(NOT GTest_FOUND)
  message(STATUS "Bulkhead: GoogleTest not found; tests are left out")
  return()
endif()
enable_testing()
include(GoogleTest)

# Parts whose units use threads; ThreadSanitizer runs these, the conformance suite, and the binaries
# that have a suite whose name ends in _threaded.
set(BULKHEAD_THREADED_PARTS memory transport channel service)

bulkhead_glob_flat(support ${PROJECT_SOURCE_DIR}/tests/support/*.cpp)
list(FILTER support EXCLUDE REGEX "_test\\.cpp$")
add_library(bulkhead_test_flags INTERFACE)
target_include_directories(bulkhead_test_flags INTERFACE
  ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/tests ${PROJECT_SOURCE_DIR})
target_link_libraries(bulkhead_test_flags INTERFACE
  bulkhead_static bulkhead_flags ${CMAKE_DL_LIBS})
# The library keeps its level. In the tests' own code, which is most of the build, the second level costs
# half as much time again, and GCC 12 takes three times as long for a sanitizer at the first as at none.
if(BULKHEAD_SANITIZE)
  target_compile_options(bulkhead_test_flags INTERFACE -O0)
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(bulkhead_test_flags INTERFACE -O1)
endif()
if(BULKHEAD_PARTS AND NOT "process" IN_LIST BULKHEAD_PARTS)
  target_compile_definitions(bulkhead_test_flags INTERFACE BULKHEAD_TEST_WITHOUT_ROLES)
endif()
if(support)
  add_library(bulkhead_test_support STATIC ${support})
  target_link_libraries(bulkhead_test_support PUBLIC bulkhead_test_flags GTest::gmock GTest::gtest)
  set(test_main bulkhead_test_support)
else()
  set(test_main bulkhead_test_flags GTest::gtest_main GTest::gmock)
endif()

# The misbehaving children first: tests depend on all of them.
bulkhead_glob_flat(children ${PROJECT_SOURCE_DIR}/tests/children/*.cpp)
set(child_targets)
foreach(source ${children})
  cmake_path(GET source STEM name)
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE bulkhead_test_flags)
  list(APPEND child_targets ${name})
endforeach()

# What the stages of scripts/test build: everything; what ThreadSanitizer runs; what the others run.
add_custom_target(tests-all)
add_custom_target(tests-threaded)
add_custom_target(tests-sanitized)

# Rows that differ from another only in trust, direction or the form of their address have its threads.
set(unthreaded_rows "mechanisms/*_one_way:mechanisms/*_untrusted:mechanisms/*_abstract")

# bulkhead_test(name LABELS label... SOURCES file...): a binary whose cases ctest finds before it runs.
# ctest's own limit stands behind the watchdog of tests/support, which says what was waited for.
# With a sanitizer a process takes 20 times as long to start as most cases do to run, so ctest starts one
# for each of SHARDS parts of the binary, rather than one for each case.
function(bulkhead_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "SHARDS" "LABELS;SOURCES")
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${test_main})
  if(child_targets)
    add_dependencies(${name} ${child_targets})
  endif()
  add_dependencies(tests-all ${name})
  if("threaded" IN_LIST arg_LABELS)
    add_dependencies(tests-threaded ${name})
  endif()
  if(NOT "scenario" IN_LIST arg_LABELS OR "sanitized" IN_LIST arg_LABELS)
    add_dependencies(tests-sanitized ${name})
  endif()
  # What takes something from all processes of the user runs alone.
  set(alone)
  if("alone" IN_LIST arg_LABELS)
    set(alone RUN_SERIAL TRUE)
  endif()
  # One label, as discovery cannot carry a list; `ctest -L threaded` matches inside it.
  string(JOIN "," labels ${arg_LABELS})
  set(filter "-misbehaving.*")
  if(NOT BULKHEAD_SANITIZE)
    gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60 TEST_PREFIX ${name}.
      TEST_FILTER ${filter} PROPERTIES TIMEOUT 120 LABELS ${labels} ${alone})
    return()
  endif()
  if(BULKHEAD_SANITIZE MATCHES thread)
    string(APPEND filter ":${unthreaded_rows}")
  endif()
  if(NOT arg_SHARDS)
    set(arg_SHARDS 1)
  endif()
  foreach(shard RANGE 1 ${arg_SHARDS})
    math(EXPR index "${shard} - 1")
    set(test "${name}.${shard}_of_${arg_SHARDS}")
    add_test(NAME ${test} COMMAND ${name} --gtest_filter=${filter})
    set_tests_properties(${test} PROPERTIES TIMEOUT 900 LABELS ${labels} ${alone}
      ENVIRONMENT "GTEST_TOTAL_SHARDS=${arg_SHARDS};GTEST_SHARD_INDEX=${index}")
  endforeach()
endfunction()

# Appends `threaded` to the list of labels when a source has a suite that says so.
function(bulkhead_find_threaded variable)
  foreach(source ${ARGN})
    file(STRINGS ${source} suites REGEX "^(TEST|TEST_F|TEST_P|TYPED_TEST)\\(.*_threaded[,)]")
    if(suites)
      list(APPEND ${variable} threaded)
      break()
    endif()
  endforeach()
  set(${variable} ${${variable}} PARENT_SCOPE)
endfunction()

file(GLOB parts CONFIGURE_DEPENDS LIST_DIRECTORIES true RELATIVE ${PROJECT_SOURCE_DIR}/src
     ${PROJECT_SOURCE_DIR}/src/*)
if(BULKHEAD_PARTS)
  set(parts ${BULKHEAD_PARTS})
endif()
foreach(part ${parts})
  bulkhead_glob(sources ${PROJECT_SOURCE_DIR}/src/${part}/*_test.cpp)
  if(sources)
    set(labels unit)
    if(part IN_LIST BULKHEAD_THREADED_PARTS)
      list(APPEND labels threaded)
    else()
      bulkhead_find_threaded(labels ${sources})
    endif()
    bulkhead_test(${part}_tests LABELS ${labels} SHARDS 2 SOURCES ${sources})
  endif()
endforeach()

bulkhead_glob_flat(sources ${PROJECT_SOURCE_DIR}/tests/support/*_test.cpp)
if(sources)
  bulkhead_test(support_tests LABELS unit SOURCES ${sources})
endif()

bulkhead_glob(sources ${PROJECT_SOURCE_DIR}/tests/conformance/*.cpp)
if(sources)
  bulkhead_test(conformance_tests LABELS conformance threaded SHARDS 12 SOURCES ${sources})
  # The headers of the library and of the suite, once for four of its files.
  set_target_properties(conformance_tests PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 4)
endif()

bulkhead_glob_flat(scenarios ${PROJECT_SOURCE_DIR}/tests/*_test.cpp)
foreach(source ${scenarios})
  cmake_path(GET source STEM name)
  set(labels scenario)
  # The victim of a hostile peer runs under AddressSanitizer, and so do coroutines (a bug of GCC 12).
  if(name MATCHES "hostile|coroutine")
    list(APPEND labels sanitized)
  endif()
  if(name MATCHES "under_way")
    list(APPEND labels alone)
  endif()
  bulkhead_find_threaded(labels ${source})
  bulkhead_test(${name} LABELS ${labels} SOURCES ${source})
endforeach()

# What must not compile, with the words that say why.
if(support AND NOT BULKHEAD_PARTS AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_test(NAME refused.shared_memory COMMAND ${CMAKE_COMMAND} -D COMPILER=${CMAKE_CXX_COMPILER}
    -D SOURCE=${PROJECT_SOURCE_DIR}/tests/refused/shared_memory.cpp
    -D INCLUDE=${PROJECT_SOURCE_DIR}/include -P ${PROJECT_SOURCE_DIR}/tests/refused/check.cmake)
  set_tests_properties(refused.shared_memory PROPERTIES TIMEOUT 300 LABELS unit)
endif()

# The crash harness: a program that kills, one that is killed, and what the harness says of primitives
# that do not survive. A sanitizer's instructions are not those that are shipped.
bulkhead_glob_flat(crash ${PROJECT_SOURCE_DIR}/tests/crash/*.cpp)
list(FILTER crash EXCLUDE REGEX "_test\\.cpp$")
if(crash AND support AND NOT BULKHEAD_SANITIZE AND NOT BULKHEAD_PARTS)
  add_library(bulkhead_crash STATIC ${crash})
  target_link_libraries(bulkhead_crash PUBLIC bulkhead_test_support)
  foreach(name crash_victim crash_census)
    add_executable(${name} ${PROJECT_SOURCE_DIR}/tests/crash/programs/${name}.cpp)
    target_link_libraries(${name} PRIVATE bulkhead_crash)
  endforeach()
  # It starts thousands of times, and spends most of that in binding symbols.
  target_link_options(crash_victim PRIVATE -static-libstdc++ -static-libgcc)
  add_dependencies(crash_census crash_victim)
  add_dependencies(tests-all crash_census)
  add_test(NAME crash_census COMMAND crash_census)
  set_tests_properties(crash_census PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300 LABELS scenario
    WORKING_DIRECTORY ${CMAKE_BINARY_DIR})
  bulkhead_glob_flat(sources ${PROJECT_SOURCE_DIR}/tests/crash/*_test.cpp)
  foreach(source ${sources})
    cmake_path(GET source STEM name)
    bulkhead_test(${name} LABELS scenario SOURCES ${source})
    target_link_libraries(${name} PRIVATE bulkhead_crash)
    add_dependencies(${name} crash_victim)
  endforeach()
endif()
include(BulkheadChecks OPTIONAL)
