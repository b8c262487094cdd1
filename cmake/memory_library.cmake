# SPDX-License-Identifier: Apache-2.0
# What `gordian cc` links: lib/libgordian_memory.so in the place of libtsan, under the rules of
# docs/runtime.md, and beside it what is linked into every object, included by every source and loaded
# by gcc.
function(gordian_telling name)
  cmake_parse_arguments(ARG "" "" "DEPS" ${ARGN})
  gordian_find_files(${name})
  set(notes ${SOURCES})
  list(FILTER notes INCLUDE REGEX "object_note\\.S$")
  list(FILTER SOURCES EXCLUDE REGEX "object_note\\.S$")
  set(library gordian_${name})
  add_library(${library} SHARED ${SOURCES})
  gordian_common(${library})
  foreach(dep IN LISTS ARG_DEPS)
    target_link_libraries(${library} PRIVATE gordian_${dep})
  endforeach()
  target_compile_options(${library} PRIVATE
    -O2 -g -mcx16 -ffunction-sections -fno-plt -fvisibility=hidden -fasynchronous-unwind-tables
    -ftls-model=initial-exec -fno-stack-protector -U_FORTIFY_SOURCE -Wframe-larger-than=512
    -fno-exceptions -fno-rtti -fno-threadsafe-statics -fvisibility-inlines-hidden
    # Loops that fill and copy must not become calls of what they implement.
    -fno-builtin)
  target_link_options(${library} PRIVATE -nostartfiles -nodefaultlibs
    -Wl,--no-undefined -Wl,-z,now -Wl,-z,relro -Wl,-z,nodelete -Wl,-z,noexecstack -Wl,--hash-style=gnu
    -Wl,--gc-sections)
  target_link_libraries(${library} PRIVATE -lc)
  set_target_properties(${library} PROPERTIES
    LINKER_LANGUAGE C
    LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)

  add_library(gordian_object_note OBJECT ${notes})
  set(note ${PROJECT_BINARY_DIR}/lib/gordian_object_note.o)
  add_custom_command(OUTPUT ${note} VERBATIM
    COMMAND ${CMAKE_COMMAND} -E copy $<TARGET_OBJECTS:gordian_object_note> ${note}
    DEPENDS gordian_object_note $<TARGET_OBJECTS:gordian_object_note>)
  add_custom_target(gordian_object_note_file ALL DEPENDS ${note})
  configure_file(${PROJECT_SOURCE_DIR}/src/${name}/string_templates.inc
    ${PROJECT_BINARY_DIR}/lib/gordian_include/bits/c++config.h COPYONLY)
  add_dependencies(${library} gordian_object_note_file)
endfunction()

# The plugin for gcc 12, with none of this build's own options: gcc loads it into itself. Its name says
# which gcc it is for.
function(gordian_gcc_plugin name)
  find_program(GORDIAN_GCC NAMES g++-12 g++ DOC "The gcc 12 that gordian cc is to make tell all")
  set(version 0)
  if(GORDIAN_GCC)
    execute_process(COMMAND ${GORDIAN_GCC} -dumpfullversion
      OUTPUT_VARIABLE version OUTPUT_STRIP_TRAILING_WHITESPACE)
    execute_process(COMMAND ${GORDIAN_GCC} -print-file-name=plugin
      OUTPUT_VARIABLE folder OUTPUT_STRIP_TRAILING_WHITESPACE)
  endif()
  if(NOT version MATCHES "^12\\.")
    message(WARNING "There is no gcc 12: of what gordian cc compiles with another gcc nothing can be proved")
    return()
  endif()
  if(NOT EXISTS ${folder}/include/gcc-plugin.h)
    message(FATAL_ERROR "The headers of gcc's plugins are missing: apt-get install gcc-12-plugin-dev")
  endif()
  set(source ${PROJECT_SOURCE_DIR}/src/${name}/tell_all.cpp)
  set(plugin ${PROJECT_BINARY_DIR}/lib/gordian_gcc_${version}.so)
  add_custom_command(OUTPUT ${plugin} VERBATIM
    COMMAND ${GORDIAN_GCC} -std=c++20 -O2 -g -fPIC -shared -fno-rtti -fvisibility=hidden -Wall -Wextra -Werror
      -isystem ${folder}/include ${source} -o ${plugin}
    DEPENDS ${source} COMMENT "Building the plugin for gcc ${version}")
  add_custom_target(gordian_${name} ALL DEPENDS ${plugin})
  add_dependencies(gordian_memory gordian_${name})
  set(GORDIAN_GCC_PLUGIN ${plugin} PARENT_SCOPE)
endfunction()
