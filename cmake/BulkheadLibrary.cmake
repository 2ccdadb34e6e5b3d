# SPDX-License-Identifier: Apache-2.0
# The library: compiled once, position independent, linked into a shared and a static form.

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(SECCOMP REQUIRED libseccomp)
find_path(BULKHEAD_ASIO_INCLUDE asio.hpp REQUIRED)
mark_as_advanced(BULKHEAD_ASIO_INCLUDE)

bulkhead_glob(BULKHEAD_SOURCES ${PROJECT_SOURCE_DIR}/src/*.cpp)
list(FILTER BULKHEAD_SOURCES EXCLUDE REGEX "_test\\.cpp$")
if(BULKHEAD_PARTS)
  string(JOIN "|" parts ${BULKHEAD_PARTS})
  list(FILTER BULKHEAD_SOURCES INCLUDE REGEX "/src/(${parts})/")
endif()
if(NOT BULKHEAD_SOURCES)
  message(STATUS "Bulkhead: no library sources")
  return()
endif()

add_library(bulkhead_objects OBJECT ${BULKHEAD_SOURCES})
set_target_properties(bulkhead_objects PROPERTIES POSITION_INDEPENDENT_CODE ON)
target_compile_features(bulkhead_objects PUBLIC cxx_std_23)
# Asio 1.22 looks for aligned allocation before it knows the standard library, so that the answer depends on what
# was included first, and one file may free what another allocated differently.
set(asio_definitions ASIO_STANDALONE ASIO_NO_DEPRECATED ASIO_HAS_STD_ALIGNED_ALLOC=1)
target_compile_definitions(bulkhead_objects PUBLIC ${asio_definitions})
target_include_directories(bulkhead_objects
  PUBLIC ${PROJECT_SOURCE_DIR}/include PRIVATE ${PROJECT_SOURCE_DIR}/src ${SECCOMP_INCLUDE_DIRS})
target_link_libraries(bulkhead_objects PRIVATE bulkhead_flags Threads::Threads)

# Optional, and opened at run time by the one file that uses it: nothing of ours links against it.
find_path(BULKHEAD_HWLOC_INCLUDE hwloc.h)
mark_as_advanced(BULKHEAD_HWLOC_INCLUDE)
if(BULKHEAD_HWLOC_INCLUDE)
  set_source_files_properties(${PROJECT_SOURCE_DIR}/src/pool/topology.cpp PROPERTIES
    COMPILE_DEFINITIONS BULKHEAD_HAS_HWLOC INCLUDE_DIRECTORIES ${BULKHEAD_HWLOC_INCLUDE})
else()
  message(STATUS "Bulkhead: hwloc not found; pools take each CPU for a core")
endif()

add_library(bulkhead SHARED $<TARGET_OBJECTS:bulkhead_objects>)
add_library(bulkhead_static STATIC $<TARGET_OBJECTS:bulkhead_objects>)
set_target_properties(bulkhead PROPERTIES
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
set_target_properties(bulkhead_static PROPERTIES OUTPUT_NAME bulkhead)

foreach(form bulkhead bulkhead_static)
  add_library(bulkhead::${form} ALIAS ${form})
  target_compile_features(${form} PUBLIC cxx_std_23)
  target_compile_definitions(${form} INTERFACE ${asio_definitions}
    $<$<CXX_COMPILER_ID:Clang>:ASIO_HAS_CO_AWAIT=1>)
  target_include_directories(${form} INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  # A role is found in the executable by its offset and the build id, so every user needs the id.
  target_link_options(${form} INTERFACE LINKER:--build-id)
  target_link_libraries(${form} PRIVATE $<BUILD_INTERFACE:bulkhead_flags> PUBLIC Threads::Threads)
endforeach()
target_link_options(bulkhead PRIVATE LINKER:--build-id LINKER:--no-undefined)
if(BULKHEAD_SANITIZE OR BULKHEAD_FUZZ)
  # Sanitizer runtimes live in the executable; the shared form leaves their symbols open.
  target_link_options(bulkhead PRIVATE LINKER:-z,undefs)
endif()
target_link_libraries(bulkhead PRIVATE ${SECCOMP_LINK_LIBRARIES})
target_link_libraries(bulkhead_static PRIVATE
  $<BUILD_INTERFACE:${SECCOMP_LINK_LIBRARIES}> $<INSTALL_INTERFACE:seccomp>)
