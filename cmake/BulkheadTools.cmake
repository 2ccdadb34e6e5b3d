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
list(FILTER map_sources EXCLUDE REGEX "_test\\.cpp$")
add_library(bulkhead_map STATIC ${map_sources})
target_include_directories(bulkhead_map PUBLIC ${PROJECT_SOURCE_DIR})
target_link_libraries(bulkhead_map PUBLIC bulkhead_static bulkhead_flags fmt::fmt)

bulkhead_glob_flat(bench_sources ${PROJECT_SOURCE_DIR}/bench/*.cpp)
add_executable(bulkhead_command ${sources} ${bench_sources})
set_target_properties(bulkhead_command PROPERTIES OUTPUT_NAME bulkhead)
target_compile_definitions(bulkhead_command PRIVATE BULKHEAD_VERSION="${PROJECT_VERSION}")
target_include_directories(bulkhead_command PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(bulkhead_command PRIVATE
  bulkhead_map bulkhead_static bulkhead_flags CLI11::CLI11 fmt::fmt nlohmann_json::nlohmann_json)
