# SPDX-License-Identifier: Apache-2.0
# `cmake --install`: headers, both libraries, the command, find_package(bulkhead CONFIG), pkg-config.

include(CMakePackageConfigHelpers)
set(config_folder ${CMAKE_INSTALL_LIBDIR}/cmake/bulkhead)

# What `make install` builds: no tests, no examples.
add_custom_target(installable DEPENDS bulkhead bulkhead_static)
install(TARGETS bulkhead bulkhead_static EXPORT bulkheadTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET bulkhead_command)
  add_dependencies(installable bulkhead_command)
  # Left out where only a part of the tree was built.
  install(TARGETS bulkhead_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} OPTIONAL)
endif()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/bulkhead DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.hpp")
install(EXPORT bulkheadTargets NAMESPACE bulkhead:: DESTINATION ${config_folder})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/bulkheadConfig.cmake.in
  ${CMAKE_CURRENT_BINARY_DIR}/bulkheadConfig.cmake INSTALL_DESTINATION ${config_folder})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/bulkheadConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/bulkheadConfig.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/bulkheadConfigVersion.cmake DESTINATION ${config_folder})

# The .pc file finds its prefix from where it lies, so an installed tree may be moved.
file(RELATIVE_PATH BULKHEAD_PC_TO_PREFIX "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" BULKHEAD_PC_TO_PREFIX "${BULKHEAD_PC_TO_PREFIX}")
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  set(BULKHEAD_PC_EXTRA " -DASIO_HAS_CO_AWAIT=1")
endif()
configure_file(${PROJECT_SOURCE_DIR}/cmake/bulkhead.pc.in ${CMAKE_CURRENT_BINARY_DIR}/bulkhead.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/bulkhead.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
