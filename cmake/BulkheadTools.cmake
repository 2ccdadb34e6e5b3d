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
add_executable(bulkhead_command ${sources} ${bench_sources})
set_target_properties(bulkhead_command PROPERTIES OUTPUT_NAME bulkhead)
target_compile_definitions(bulkhead_command PRIVATE BULKHEAD_VERSION="${PROJECT_VERSION}")
target_include_directories(bulkhead_command PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(bulkhead_command PRIVATE
  bulkhead_static bulkhead_flags CLI11::CLI11 fmt::fmt nlohmann_json::nlohmann_json)

# What a Pool costs beside its peers, in a program of its own: its roles and theirs take turns.
add_executable(bulkhead_pool_bench EXCLUDE_FROM_ALL ${PROJECT_SOURCE_DIR}/bench/pool/main.cpp)
target_link_libraries(bulkhead_pool_bench PRIVATE bulkhead_static bulkhead_flags)
