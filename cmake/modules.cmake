# SPDX-License-Identifier: Apache-2.0
# A module is a folder under src/. Its files are found by suffix:
#
#   x.cpp        the library gordian_NAME
#   x_test.cpp   NAME_test, GoogleTest, one ctest per TEST()
#   x_bench.cpp  NAME_bench, google-benchmark
#   x_fuzz.cpp   x_fuzz with libFuzzer; without it x_fuzz_replay, which replays tests/corpus/x/ as a test
#
# A folder without sources is header-only.

add_custom_target(unit_tests)

set(gordian_warnings -Wall -Wextra)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # "text" + std::string: https://gcc.gnu.org/bugzilla/show_bug.cgi?id=105651
  list(APPEND gordian_warnings -Wno-restrict)
endif()

function(gordian_common target)
  target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
  target_compile_definitions(${target} PRIVATE GORDIAN_VERSION="${PROJECT_VERSION}")
  target_compile_options(${target} PRIVATE ${gordian_warnings})
endfunction()

function(gordian_sanitized target)
  if(GORDIAN_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${GORDIAN_SANITIZE} -fno-sanitize-recover=all
      -fno-omit-frame-pointer)
    target_link_options(${target} PRIVATE -fsanitize=${GORDIAN_SANITIZE})
  endif()
endfunction()

# Compiles a target's files ten at a time, where that is wanted: most of the time goes into the headers
# they share, and into templates that each would make anew. What users install is built file by file,
# so that each is seen to include what it needs. Names in a module's anonymous namespaces must differ
# for it.
function(gordian_together target)
  if(GORDIAN_TOGETHER)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 10)
  endif()
endfunction()

# Sets SOURCES, TESTS, BENCHES, FUZZERS of src/NAME in the caller.
function(gordian_find_files name)
  set(dir ${PROJECT_SOURCE_DIR}/src/${name})
  file(GLOB all CONFIGURE_DEPENDS ${dir}/*.cpp ${dir}/*.S)
  foreach(kind test bench fuzz)
    set(found_${kind} ${all})
    list(FILTER found_${kind} INCLUDE REGEX "_${kind}\\.cpp$")
  endforeach()
  list(FILTER all EXCLUDE REGEX "_(test|bench|fuzz)\\.cpp$")
  set(SOURCES ${all} PARENT_SCOPE)
  set(TESTS ${found_test} PARENT_SCOPE)
  set(BENCHES ${found_bench} PARENT_SCOPE)
  set(FUZZERS ${found_fuzz} PARENT_SCOPE)
endfunction()

# The executables beside a module's library; all link LIBRARY. TSan has nothing to say of code that no
# thread runs beside another's: of the rest of the modules it sees none.
function(gordian_companions name library)
  if(GORDIAN_UNIT_TESTS AND TESTS)
    add_executable(${name}_test ${TESTS})
    gordian_common(${name}_test)
    gordian_sanitized(${name}_test)
    # Some tests look for names and lines in their own debug information.
    target_compile_options(${name}_test PRIVATE -g)
    gordian_together(${name}_test)
    target_link_libraries(${name}_test PRIVATE ${library} GTest::gtest_main GTest::gmock Threads::Threads)
    set_target_properties(${name}_test PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
    # PRE_TEST: a sanitized binary need not run on the machine that only builds it.
    gtest_discover_tests(${name}_test DISCOVERY_MODE PRE_TEST TEST_PREFIX ${name}.
      PROPERTIES LABELS unit TIMEOUT 300)
    add_dependencies(unit_tests ${name}_test)
  endif()

  if(GORDIAN_BENCH AND BENCHES)
    add_executable(${name}_bench ${BENCHES})
    gordian_common(${name}_bench)
    target_link_libraries(${name}_bench PRIVATE ${library} benchmark::benchmark_main Threads::Threads)
    set_target_properties(${name}_bench PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bench)
  endif()

  foreach(file IN LISTS FUZZERS)
    get_filename_component(fuzzer ${file} NAME_WE)
    if(GORDIAN_FUZZ)
      add_executable(${fuzzer} ${file})
      gordian_common(${fuzzer})
      gordian_sanitized(${fuzzer})
      target_link_libraries(${fuzzer} PRIVATE ${library})
      target_link_options(${fuzzer} PRIVATE -fsanitize=fuzzer)
      set_target_properties(${fuzzer} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/fuzz)
    elseif(GORDIAN_UNIT_TESTS)
      string(REGEX REPLACE "_fuzz$" "" subject ${fuzzer})
      add_executable(${fuzzer}_replay ${file} ${PROJECT_SOURCE_DIR}/cmake/fuzz_replay.cpp)
      gordian_common(${fuzzer}_replay)
      gordian_sanitized(${fuzzer}_replay)
      target_link_libraries(${fuzzer}_replay PRIVATE ${library})
      set_target_properties(${fuzzer}_replay PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
      add_test(NAME ${name}.${fuzzer}_corpus
        COMMAND ${fuzzer}_replay ${PROJECT_SOURCE_DIR}/tests/corpus/${subject})
      set_tests_properties(${name}.${fuzzer}_corpus PROPERTIES LABELS unit TIMEOUT 300)
      add_dependencies(unit_tests ${fuzzer}_replay)
    endif()
  endforeach()
endfunction()

function(gordian_module name)
  cmake_parse_arguments(ARG "THREADED" "" "DEPS;LIBS;PRECOMPILE" ${ARGN})
  gordian_find_files(${name})
  # The program's main is a thing of its own: tests of the module bring another.
  list(FILTER SOURCES EXCLUDE REGEX "/main\\.cpp$")

  set(dependencies ${ARG_LIBS})
  foreach(dep IN LISTS ARG_DEPS)
    list(APPEND dependencies gordian_${dep})
  endforeach()
  if(SOURCES)
    add_library(gordian_${name} STATIC ${SOURCES})
    gordian_common(gordian_${name})
    gordian_sanitized(gordian_${name})
    gordian_together(gordian_${name})
    if(ARG_PRECOMPILE)
      target_precompile_headers(gordian_${name} PRIVATE ${ARG_PRECOMPILE})
    endif()
    target_link_libraries(gordian_${name} PUBLIC ${dependencies} Threads::Threads)
    if(GORDIAN_FUZZ)
      target_compile_options(gordian_${name} PRIVATE -fsanitize=fuzzer-no-link)
    endif()
  else()
    add_library(gordian_${name} INTERFACE)
    target_include_directories(gordian_${name} INTERFACE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
    target_link_libraries(gordian_${name} INTERFACE ${dependencies})
  endif()
  if(ARG_THREADED OR NOT GORDIAN_SANITIZE STREQUAL "thread")
    gordian_companions(${name} gordian_${name})
  endif()
endfunction()

# The executable NAME: main.cpp of the module MAIN, and that module.
function(gordian_program name)
  cmake_parse_arguments(ARG "" "MAIN" "" ${ARGN})
  set(main ${PROJECT_SOURCE_DIR}/src/${ARG_MAIN}/main.cpp)
  file(GLOB main CONFIGURE_DEPENDS ${main})
  if(NOT main)
    message(STATUS "src/${ARG_MAIN}/main.cpp is not there: ${name} is not built")
    return()
  endif()
  add_executable(${name} ${main})
  gordian_common(${name})
  gordian_sanitized(${name})
  target_link_libraries(${name} PRIVATE gordian_${ARG_MAIN})
  # Every shared library costs each start: docs/decisions/0006-the-program-brings-its-libraries.md.
  target_link_options(${name} PRIVATE -static-libstdc++ -static-libgcc)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
endfunction()

# A library for LD_PRELOAD: lib/libgordian.so, target gordian_NAME. Section "Rules of the runtime" of
# docs/runtime.md says why each flag is there.
#
# What is not a hook (hooks*.cpp, *.S) is also the plain static library gordian_NAME_core, which the
# unit tests link, sanitized like any tool. Hooks stay out of it: the tests must not be hooked.
function(gordian_preload name)
  cmake_parse_arguments(ARG "" "" "DEPS" ${ARGN})
  gordian_find_files(${name})
  if(NOT SOURCES)
    message(STATUS "src/${name} has no sources: libgordian.so is not built")
    return()
  endif()
  set(dependencies "")
  foreach(dep IN LISTS ARG_DEPS)
    list(APPEND dependencies gordian_${dep})
  endforeach()

  add_library(gordian_${name} SHARED ${SOURCES})
  gordian_common(gordian_${name})
  target_link_libraries(gordian_${name} PRIVATE ${dependencies})
  target_compile_options(gordian_${name} PRIVATE
    # -O2 and -g always: hooks compiled without inlining overflow small stacks and show in no budget.
    -O2 -g -ffunction-sections -fno-plt
    -fvisibility=hidden -fasynchronous-unwind-tables -ftls-model=initial-exec
    -fno-stack-protector -U_FORTIFY_SOURCE -Wframe-larger-than=512
    $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions -fno-tree-slp-vectorize -fno-rtti -fno-threadsafe-statics -fvisibility-inlines-hidden>)
  target_compile_definitions(gordian_${name} PRIVATE GORDIAN_RUNTIME=1)
  target_link_options(gordian_${name} PRIVATE -nostartfiles -nodefaultlibs
    -Wl,--no-undefined -Wl,-z,now -Wl,-z,relro -Wl,-z,nodelete -Wl,-z,noexecstack -Wl,--hash-style=gnu
    -Wl,--gc-sections)
  target_link_libraries(gordian_${name} PRIVATE -lc)
  set(exports ${PROJECT_SOURCE_DIR}/src/${name}/exports.map)
  if(EXISTS ${exports})
    target_link_options(gordian_${name} PRIVATE -Wl,--version-script=${exports})
    set_target_properties(gordian_${name} PROPERTIES LINK_DEPENDS ${exports})
  endif()
  set_target_properties(gordian_${name} PROPERTIES
    OUTPUT_NAME gordian
    NO_SONAME ON
    LINKER_LANGUAGE C
    LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)

  # GLib's names must not appear in programs without GLib: see cmake/hide_symbols.cpp.
  add_executable(hide_symbols ${PROJECT_SOURCE_DIR}/cmake/hide_symbols.cpp)
  add_custom_command(TARGET gordian_${name} POST_BUILD VERBATIM
    COMMAND hide_symbols $<TARGET_FILE:gordian_${name}> g_)

  set(core ${SOURCES})
  list(FILTER core EXCLUDE REGEX "/hooks[^/]*\\.cpp$|\\.S$")
  if(core AND ((GORDIAN_UNIT_TESTS AND TESTS) OR (GORDIAN_BENCH AND BENCHES) OR FUZZERS))
    add_library(gordian_${name}_core STATIC ${core})
    gordian_common(gordian_${name}_core)
    gordian_sanitized(gordian_${name}_core)
    target_link_libraries(gordian_${name}_core PUBLIC ${dependencies} Threads::Threads)
    gordian_companions(${name} gordian_${name}_core)
  else()
    gordian_companions(${name} "${dependencies}")
  endif()
endfunction()

# A folder that brings its own CMakeLists.txt.
function(gordian_folder name)
  cmake_parse_arguments(ARG "" "IF" "" ${ARGN})
  file(GLOB file CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${name}/CMakeLists.txt)
  if(file AND ${ARG_IF})
    add_subdirectory(${name})
  endif()
endfunction()

if(GORDIAN_TESTS)
  enable_testing()
  include(GoogleTest)
endif()
