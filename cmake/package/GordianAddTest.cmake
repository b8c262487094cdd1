# SPDX-License-Identifier: Apache-2.0
# Tests that run under Gordian: a test that deadlocks, or takes locks against the order file, fails.
#
#   gordian_add_test(NAME transfer COMMAND bank_test --quick
#     [ORDER gordian.order]     the file of `gordian order learn`; its violations fail the test
#     [STRICT]                  so does what may be wrong: possible deadlocks, orders not in the file
#     [SUPPRESS known.txt]      findings that are known
#     [OPTIONS --stall=30s]     further options of `gordian run`
#     [WORKING_DIRECTORY DIR] [CONFIGURATIONS CONFIG...])
#
#   gordian_watch_tests(bank_test [ORDER ...] [STRICT] ...)   before add_test() or
#   gtest_discover_tests(bank_test): every test of the target runs under Gordian.
#
# CTest of CMake 3.25 has no launcher for tests (TEST_LAUNCHER came with 3.29); what it has is a
# prefix for programs of other machines, CROSSCOMPILING_EMULATOR, which gordian_watch_tests() uses.
# Without the program `gordian` the tests run as they are, and CMake says so once.

# The words in front of a test's command; empty without the program.
function(_gordian_prefix result)
  cmake_parse_arguments(ARG "STRICT" "ORDER;SUPPRESS" "OPTIONS" ${ARGN})
  if(NOT GORDIAN_EXECUTABLE)
    get_property(said GLOBAL PROPERTY _gordian_is_missing)
    if(NOT said)
      message(WARNING "The program gordian is not installed: tests run without it.")
      set_property(GLOBAL PROPERTY _gordian_is_missing TRUE)
    endif()
    set(${result} "" PARENT_SCOPE)
    return()
  endif()
  if(ARG_ORDER)
    get_filename_component(order "${ARG_ORDER}" ABSOLUTE BASE_DIR "${CMAKE_CURRENT_SOURCE_DIR}")
    set(words "${GORDIAN_EXECUTABLE}" order check "${order}")
  else()
    set(words "${GORDIAN_EXECUTABLE}" run)
  endif()
  if(ARG_STRICT)
    list(APPEND words --strict)
  endif()
  if(ARG_SUPPRESS)
    get_filename_component(suppress "${ARG_SUPPRESS}" ABSOLUTE BASE_DIR "${CMAKE_CURRENT_SOURCE_DIR}")
    list(APPEND words "--suppress=${suppress}")
  endif()
  list(APPEND words ${ARG_OPTIONS} --)
  set(${result} "${words}" PARENT_SCOPE)
endfunction()

function(gordian_add_test)
  cmake_parse_arguments(PARSE_ARGV 0 ARG "STRICT" "NAME;ORDER;SUPPRESS;WORKING_DIRECTORY"
    "COMMAND;OPTIONS;CONFIGURATIONS")
  if(NOT ARG_NAME OR NOT ARG_COMMAND)
    message(FATAL_ERROR "gordian_add_test needs NAME and COMMAND")
  endif()
  if(ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "gordian_add_test: unknown words: ${ARG_UNPARSED_ARGUMENTS}")
  endif()
  set(options "")
  if(ARG_STRICT)
    list(APPEND options STRICT)
  endif()
  foreach(option ORDER SUPPRESS OPTIONS)
    if(ARG_${option})
      list(APPEND options ${option} ${ARG_${option}})
    endif()
  endforeach()
  _gordian_prefix(prefix ${options})

  # As add_test() does it: a target stands for its file.
  list(GET ARG_COMMAND 0 program)
  if(TARGET "${program}")
    set(program "$<TARGET_FILE:${program}>")
  endif()
  # Also words that are empty or have a semicolon, which a list that is written out would lose.
  set(arguments "")
  set(is_argument FALSE)
  foreach(word IN LISTS ARG_COMMAND)
    if(is_argument)
      string(APPEND arguments " [=====[${word}]=====]")
    endif()
    set(is_argument TRUE)
  endforeach()
  set(more "")
  foreach(option WORKING_DIRECTORY CONFIGURATIONS)
    if(ARG_${option})
      list(APPEND more ${option} ${ARG_${option}})
    endif()
  endforeach()
  cmake_language(EVAL CODE
    "add_test(NAME \"\${ARG_NAME}\" COMMAND \${prefix} \"\${program}\" ${arguments} \${more})")
endfunction()

function(gordian_watch_tests target)
  _gordian_prefix(prefix ${ARGN})
  if(prefix)
    set_target_properties(${target} PROPERTIES CROSSCOMPILING_EMULATOR "${prefix}")
  endif()
endfunction()
