# SPDX-License-Identifier: Apache-2.0
# What `gordian cc` links: lib/libgordian_memory.so in the place of libtsan, under the rules of
# docs/runtime.md, and beside it what is linked into every object and included by every source.
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
  configure_file(${PROJECT_SOURCE_DIR}/src/${name}/string_templates.h
    ${PROJECT_BINARY_DIR}/lib/gordian_string_templates.h COPYONLY)
  add_dependencies(${library} gordian_object_note_file)
endfunction()
