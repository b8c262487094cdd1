# SPDX-License-Identifier: Apache-2.0
# gordian_scenario(NAME SOURCE PROGRAM [LABELS label...]): one test for every case (RUN line) of SOURCE.
# "%twin" in PROGRAM stands for the name of the case up to its "@".
#
# The same source is also checked bare (label "bare", run by `ctest -C bare`): the broken cases must
# hang without us, the others end.
find_program(GORDIAN_PYTHON python3 HINTS /usr/bin REQUIRED)
set_property(GLOBAL PROPERTY GORDIAN_RUN_SCENARIO ${CMAKE_CURRENT_LIST_DIR}/run_scenario.py)
set_property(GLOBAL PROPERTY GORDIAN_CORE_SCENARIOS ${CMAKE_CURRENT_LIST_DIR}/../core/core_scenarios.py)

function(gordian_scenario name source program)
  cmake_parse_arguments(PARSE_ARGV 3 arg "" "" "LABELS")
  get_property(runner GLOBAL PROPERTY GORDIAN_RUN_SCENARIO)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
  set(common --program ${program} --directory ${PROJECT_BINARY_DIR}/tests/runs)
  if(TARGET gordian AND TARGET gordian_runtime)
    list(APPEND common --gordian $<TARGET_FILE:gordian> --runtime $<TARGET_FILE:gordian_runtime>)
  endif()

  # Every case that hangs, started without gordian: gordian attach says the same as gordian run.
  if(TARGET gordian AND TARGET gordian_runtime)
    add_test(NAME attach.${name}
      COMMAND ${GORDIAN_PYTHON} ${runner} --attach ${common} ${source})
    set_tests_properties(attach.${name} PROPERTIES LABELS "attach;${arg_LABELS}" TIMEOUT 300)
    # And so does gordian core of a core of it.
    get_property(cores GLOBAL PROPERTY GORDIAN_CORE_SCENARIOS)
    add_test(NAME core.${name} COMMAND ${GORDIAN_PYTHON} ${cores} ${common} ${source})
    set_tests_properties(core.${name} PROPERTIES LABELS "core;${arg_LABELS}" TIMEOUT 300
      SKIP_RETURN_CODE 77)
  endif()

  file(STRINGS ${source} runs REGEX "^(//|#) RUN(\\([^)]*\\))?:")
  foreach(run IN LISTS runs)
    set(cases run)
    if(run MATCHES "RUN\\(([^)]*)\\):")
      string(REPLACE "," ";" cases ${CMAKE_MATCH_1})
    endif()
    foreach(case IN LISTS cases)
      string(STRIP ${case} case)
      set(test ${name}.${case})
      if(case STREQUAL "run")
        set(test ${name})
      endif()
      if(TARGET gordian AND TARGET gordian_runtime)
        add_test(NAME scenario.${test}
          COMMAND ${GORDIAN_PYTHON} ${runner} ${common} ${source} ${case})
        set_tests_properties(scenario.${test} PROPERTIES LABELS "scenario;${arg_LABELS}" TIMEOUT 300)
        # Run many times. They begin first, that not all wait for one of them in the end.
        if(case MATCHES "^repaired")
          set_tests_properties(scenario.${test} PROPERTIES COST 60)
        endif()
      endif()
      add_test(NAME bare.${test} CONFIGURATIONS bare
        COMMAND ${GORDIAN_PYTHON} ${runner} --bare ${common} ${source} ${case})
      set_tests_properties(bare.${test} PROPERTIES LABELS "bare" TIMEOUT 60)
    endforeach()
  endforeach()
endfunction()
