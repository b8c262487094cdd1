# SPDX-License-Identifier: Apache-2.0
# gordian_end_to_end(NAME FILE.py): one test for every test_* function of FILE, see harness.py.
function(gordian_end_to_end name file)
  if(NOT TARGET gordian OR NOT TARGET gordian_runtime OR NOT GORDIAN_SCENARIOS)
    return()
  endif()
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  file(STRINGS ${file} functions REGEX "^def test_")
  foreach(function IN LISTS functions)
    string(REGEX REPLACE "^def test_([a-z0-9_]+).*" "\\1" test ${function})
    add_test(NAME ${name}.${test}
      COMMAND ${GORDIAN_PYTHON} ${file} ${test}
        --gordian $<TARGET_FILE:gordian> --runtime $<TARGET_FILE:gordian_runtime>
        --kinds ${PROJECT_BINARY_DIR}/scenarios/kinds --random-program $<TARGET_FILE:random_program>
        --tools ${PROJECT_SOURCE_DIR}/tools --directory ${PROJECT_BINARY_DIR}/tests/runs)
    set_tests_properties(${name}.${test} PROPERTIES LABELS "end-to-end" TIMEOUT 180 SKIP_RETURN_CODE 77)
  endforeach()
endfunction()
