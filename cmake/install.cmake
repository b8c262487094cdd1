# SPDX-License-Identifier: Apache-2.0
# The installed tree works from any place: gordian finds ../lib/libgordian.so beside its own file. So
# the folder is "lib" whatever the distribution calls its library folder.
foreach(target gordian gordian_runtime)
  if(TARGET ${target})
    install(TARGETS ${target} RUNTIME DESTINATION bin LIBRARY DESTINATION lib)
  endif()
endforeach()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/gordian DESTINATION include OPTIONAL
  FILES_MATCHING PATTERN "*.h")
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION share/doc/gordian)
file(GLOB gordian_man CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/man/*.1)
install(FILES ${gordian_man} DESTINATION share/man/man1)
install(FILES ${PROJECT_SOURCE_DIR}/completion/gordian.bash
  DESTINATION share/bash-completion/completions RENAME gordian OPTIONAL)
install(FILES ${PROJECT_SOURCE_DIR}/completion/_gordian DESTINATION share/zsh/site-functions OPTIONAL)
# (gdb) source PREFIX/share/gordian/gdb/gordian.py; it finds PREFIX/bin/gordian from there.
install(FILES ${PROJECT_SOURCE_DIR}/gdb/gordian.py DESTINATION share/gordian/gdb)
