# SPDX-License-Identifier: Apache-2.0
# The installed tree works from any place: gordian finds ../lib/libgordian.so beside its own file. So
# the folder is "lib" whatever the distribution calls its library folder.
#
# Three parts, as the packages: runtime (the library alone), tool (the program), dev (headers, and
# what finds them).
if(TARGET gordian_runtime)
  install(TARGETS gordian_runtime LIBRARY DESTINATION lib COMPONENT runtime)
endif()
# What gordian cc links: programs that it built need the library wherever they run.
install(TARGETS gordian_memory LIBRARY DESTINATION lib COMPONENT runtime)
install(FILES ${PROJECT_BINARY_DIR}/lib/gordian_object_note.o
  ${GORDIAN_GCC_PLUGIN} DESTINATION lib COMPONENT tool)
install(DIRECTORY ${PROJECT_BINARY_DIR}/lib/gordian_include DESTINATION lib COMPONENT tool)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION share/doc/libgordian COMPONENT runtime)

if(TARGET gordian)
  install(TARGETS gordian gordian-redis RUNTIME DESTINATION bin COMPONENT tool)
  # As a compiler it has one word: build systems take CC for a file.
  foreach(compiler cc c++)
    add_custom_command(TARGET gordian POST_BUILD VERBATIM
      COMMAND ${CMAKE_COMMAND} -E create_symlink gordian $<TARGET_FILE_DIR:gordian>/gordian-${compiler})
    install(FILES $<TARGET_FILE_DIR:gordian>/gordian-${compiler} DESTINATION bin COMPONENT tool)
  endforeach()
endif()
# All that is installed, and nothing else: what tools/build builds.
if(TARGET gordian)
  add_custom_target(installed DEPENDS gordian gordian_runtime gordian_memory)
  if(TARGET gordian_redis_library)
    add_dependencies(installed gordian_redis_library)
  endif()
endif()
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION share/doc/gordian COMPONENT tool)
file(GLOB gordian_man CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/man/*.1)
install(FILES ${gordian_man} DESTINATION share/man/man1 COMPONENT tool)
install(FILES ${PROJECT_SOURCE_DIR}/completion/gordian.bash
  DESTINATION share/bash-completion/completions RENAME gordian COMPONENT tool)
install(FILES ${PROJECT_SOURCE_DIR}/completion/_gordian DESTINATION share/zsh/site-functions
  COMPONENT tool)
# (gdb) source PREFIX/share/gordian/gdb/gordian.py; it finds PREFIX/bin/gordian from there.
install(FILES ${PROJECT_SOURCE_DIR}/gdb/gordian.py DESTINATION share/gordian/gdb COMPONENT tool)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/gordian DESTINATION include COMPONENT dev
  FILES_MATCHING PATTERN "*.h")
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION share/doc/gordian-dev COMPONENT dev)
include(CMakePackageConfigHelpers)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/package/gordianConfig.cmake.in
  ${PROJECT_BINARY_DIR}/gordianConfig.cmake INSTALL_DESTINATION lib/cmake/gordian)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/gordianConfigVersion.cmake
  COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
configure_file(${PROJECT_SOURCE_DIR}/cmake/package/gordian.pc.in ${PROJECT_BINARY_DIR}/gordian.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/gordianConfig.cmake ${PROJECT_BINARY_DIR}/gordianConfigVersion.cmake
  ${PROJECT_SOURCE_DIR}/cmake/package/GordianAddTest.cmake
  DESTINATION lib/cmake/gordian COMPONENT dev)
install(FILES ${PROJECT_BINARY_DIR}/gordian.pc DESTINATION share/pkgconfig COMPONENT dev)

# cpack: three Debian packages. It packs what was built, and does not build the tests for that.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME gordian)
set(CPACK_PACKAGE_VENDOR Gordian)
set(CPACK_PACKAGE_CONTACT "The Gordian project <gordian@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL runtime tool dev)
set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION devel)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME libgordian)
set(CPACK_DEBIAN_TOOL_PACKAGE_NAME gordian)
set(CPACK_DEBIAN_DEV_PACKAGE_NAME gordian-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_ARCHITECTURE all)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_TOOL_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_TOOL_PACKAGE_DEPENDS "libgordian (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_DEV_PACKAGE_SUGGESTS gordian)
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "${PROJECT_DESCRIPTION}: the library for LD_PRELOAD")
set(CPACK_COMPONENT_TOOL_DESCRIPTION "${PROJECT_DESCRIPTION}: the program")
set(CPACK_COMPONENT_DEV_DESCRIPTION "${PROJECT_DESCRIPTION}: headers, CMake and pkg-config files")
include(CPack)
