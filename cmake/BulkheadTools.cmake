# SPDX-License-Identifier: Apache-2.0
# The `bulkhead` command: tools/bulkhead/, one file per verb; the bench verb also uses bench/.

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
target_link_libraries(bulkhead_command PRIVATE bulkhead_bench CLI11::CLI11)

# What the bench and its advice compute from what they measure.
if(COMMAND bulkhead_test AND bench_tests)
  bulkhead_test(bench_tests LABELS unit SOURCES ${bench_tests})
  target_link_libraries(bench_tests PRIVATE bulkhead_bench)
endif()
