# SPDX-License-Identifier: Apache-2.0
# The `bulkhead` command: tools/bulkhead/, one file per verb, and a folder beside it where a verb is
# many; the bench verb also uses bench/.

bulkhead_glob_flat(sources ${PROJECT_SOURCE_DIR}/tools/bulkhead/*.cpp)
if(NOT sources)
  return()
endif()
find_package(CLI11 QUIET)
find_package(fmt QUIET)
find_package(nlohmann_json QUIET)
if(NOT CLI11_FOUND OR NOT fmt_FOUND OR NOT nlohmann_json_FOUND)
  message(STATUS "Bulkhead: the command is left out (needs CLI11, fmt and nlohmann-json)")
  return()
endif()

bulkhead_glob_flat(map_sources ${PROJECT_SOURCE_DIR}/tools/bulkhead/map/*.cpp)
set(map_tests ${map_sources})
list(FILTER map_sources EXCLUDE REGEX "_test\\.cpp$")
list(FILTER map_tests INCLUDE REGEX "_test\\.cpp$")
add_library(bulkhead_map STATIC ${map_sources})
target_include_directories(bulkhead_map PUBLIC ${PROJECT_SOURCE_DIR})
target_link_libraries(bulkhead_map PUBLIC bulkhead_static bulkhead_flags fmt::fmt)

bulkhead_glob_flat(bench_sources ${PROJECT_SOURCE_DIR}/bench/*.cpp)
set(bench_tests ${bench_sources})
list(FILTER bench_sources EXCLUDE REGEX "_test\\.cpp$")
list(FILTER bench_tests INCLUDE REGEX "_test\\.cpp$")
add_library(bulkhead_bench OBJECT ${bench_sources})
target_include_directories(bulkhead_bench PUBLIC ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(bulkhead_bench PUBLIC
  bulkhead_static bulkhead_flags fmt::fmt nlohmann_json::nlohmann_json)

add_executable(bulkhead_command ${sources})
set_target_properties(bulkhead_command PROPERTIES OUTPUT_NAME bulkhead)
target_compile_definitions(bulkhead_command PRIVATE BULKHEAD_VERSION="${PROJECT_VERSION}")
target_link_libraries(bulkhead_command PRIVATE bulkhead_map bulkhead_bench CLI11::CLI11)

# What the bench and its advice compute from what they measure, and what the verb `map` is made of.
if(COMMAND bulkhead_test)
  if(bench_tests)
    bulkhead_test(bench_tests LABELS unit SOURCES ${bench_tests})
    target_link_libraries(bench_tests PRIVATE bulkhead_bench)
  endif()
  if(map_tests)
    bulkhead_test(map_tests LABELS unit SOURCES ${map_tests})
    target_link_libraries(map_tests PRIVATE bulkhead_map)
  endif()
endif()

# What a Pool costs beside its peers, in a program of its own: its roles and theirs take turns.
add_executable(bulkhead_pool_bench ${PROJECT_SOURCE_DIR}/bench/pool/main.cpp)
set_target_properties(bulkhead_pool_bench PROPERTIES OUTPUT_NAME pool-bench)
target_link_libraries(bulkhead_pool_bench PRIVATE bulkhead_static bulkhead_flags)
