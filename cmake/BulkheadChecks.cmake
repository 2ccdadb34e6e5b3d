# SPDX-License-Identifier: Apache-2.0
# The checks of scripts/ as tests, each with a self-test that plants what it must catch; and programs
# outside the tree that use an installed Bulkhead.

find_program(BULKHEAD_PYTHON python3)
mark_as_advanced(BULKHEAD_PYTHON)
if(NOT BULKHEAD_PYTHON)
  message(STATUS "Bulkhead: python3 not found; the checks are left out")
  return()
endif()

set(scripts ${PROJECT_SOURCE_DIR}/scripts)
foreach(check format includes order coroutines style headers)
  set(arguments)
  if(check STREQUAL "headers")
    set(arguments --cache ${CMAKE_BINARY_DIR}/checked-headers)
  endif()
  add_test(NAME check.${check} COMMAND ${scripts}/check-${check} ${PROJECT_SOURCE_DIR} ${arguments})
  add_test(NAME check.${check}.catches COMMAND ${BULKHEAD_PYTHON} ${scripts}/selftest.py check-${check})
  list(APPEND checks check.${check} check.${check}.catches)
endforeach()
foreach(script setup ctest-lines)
  add_test(NAME check.${script} COMMAND ${BULKHEAD_PYTHON} ${scripts}/selftest.py ${script})
  list(APPEND checks check.${script})
endforeach()
set_tests_properties(${checks} PROPERTIES LABELS check TIMEOUT 300 SKIP_RETURN_CODE 77)
# It keeps both cores busy.
set_tests_properties(check.headers PROPERTIES PROCESSORS 2 TIMEOUT 600)

# What `make test` ran before this ctest (sanitizers, Clang); passes when ctest was started alone.
add_test(NAME stages.all_passed COMMAND ${scripts}/test report)
set_tests_properties(stages.all_passed PROPERTIES LABELS check)

if(NOT BULKHEAD_SANITIZE)
  foreach(way find_package find_package_static pkg_config pkg_config_static)
    add_test(NAME install.${way}
      COMMAND ${PROJECT_SOURCE_DIR}/tests/install/try ${way} ${CMAKE_BINARY_DIR} ${CMAKE_CXX_COMPILER})
    set_tests_properties(install.${way} PROPERTIES LABELS install TIMEOUT 300)
  endforeach()
endif()
