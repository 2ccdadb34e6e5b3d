# SPDX-License-Identifier: Apache-2.0
# Examples: a folder or a file, one program each. They use public headers only.

# What a folder's example needs beyond the library, as pkg-config modules.
set(BULKHEAD_EXAMPLE_isolate_NEEDS libpng libjpeg libwebp)
set(BULKHEAD_EXAMPLE_isolate_PACKAGES GIF)

function(bulkhead_example name)
  set(libraries)
  foreach(module ${BULKHEAD_EXAMPLE_${name}_NEEDS})
    pkg_check_modules(EXAMPLE_${module} QUIET IMPORTED_TARGET ${module})
    if(NOT EXAMPLE_${module}_FOUND)
      message(STATUS "Bulkhead: example ${name} is left out (${module} not found)")
      return()
    endif()
    list(APPEND libraries PkgConfig::EXAMPLE_${module})
  endforeach()
  foreach(package ${BULKHEAD_EXAMPLE_${name}_PACKAGES})
    find_package(${package} QUIET)
    if(NOT ${package}_FOUND)
      message(STATUS "Bulkhead: example ${name} is left out (${package} not found)")
      return()
    endif()
    list(APPEND libraries ${package}::${package})
  endforeach()
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE bulkhead_static bulkhead_flags ${libraries})
endfunction()

bulkhead_glob_flat(single ${PROJECT_SOURCE_DIR}/examples/*.cpp)
foreach(source ${single})
  cmake_path(GET source STEM name)
  bulkhead_example(${name} ${source})
endforeach()

file(GLOB folders CONFIGURE_DEPENDS LIST_DIRECTORIES true RELATIVE ${PROJECT_SOURCE_DIR}/examples
     ${PROJECT_SOURCE_DIR}/examples/*)
foreach(folder ${folders})
  bulkhead_glob(sources ${PROJECT_SOURCE_DIR}/examples/${folder}/*.cpp)
  if(sources AND IS_DIRECTORY ${PROJECT_SOURCE_DIR}/examples/${folder})
    bulkhead_example(${folder} ${sources})
  endif()
endforeach()
