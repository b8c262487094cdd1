# SPDX-License-Identifier: Apache-2.0
# libgordian_redis.so: the module `redis` with what it needs of base/ inside, for users of
# include/gordian/redis_lock.h. Not where a sanitizer would go in with it.
if(NOT GORDIAN_SANITIZE)
  file(WRITE ${PROJECT_BINARY_DIR}/redis_library.cpp "")
  add_library(gordian_redis_library SHARED ${PROJECT_BINARY_DIR}/redis_library.cpp)
  set(exports ${PROJECT_SOURCE_DIR}/src/redis/exports.map)
  target_link_libraries(gordian_redis_library PRIVATE $<LINK_LIBRARY:WHOLE_ARCHIVE,gordian_redis>)
  target_link_options(gordian_redis_library PRIVATE -Wl,--no-undefined -Wl,--version-script=${exports})
  target_include_directories(gordian_redis_library INTERFACE $<INSTALL_INTERFACE:include>)
  target_compile_features(gordian_redis_library INTERFACE cxx_std_20)
  set_target_properties(gordian_redis_library PROPERTIES
    OUTPUT_NAME gordian_redis EXPORT_NAME redis LINK_DEPENDS ${exports}
    VERSION ${PROJECT_VERSION} SOVERSION 0
    LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)

  # find_package(gordian_redis) gives gordian::redis; pkg-config knows gordian_redis.
  install(TARGETS gordian_redis_library EXPORT gordian_redis LIBRARY DESTINATION lib)
  install(EXPORT gordian_redis NAMESPACE gordian:: DESTINATION lib/cmake/gordian_redis
    FILE gordian_redis-config.cmake)
  file(WRITE ${PROJECT_BINARY_DIR}/gordian_redis.pc
    "prefix=\${pcfiledir}/../..\n\nName: gordian_redis\nDescription: Locks on Redis that cannot deadlock silently\n"
    "Version: ${PROJECT_VERSION}\nLibs: -L\${prefix}/lib -lgordian_redis\nCflags: -I\${prefix}/include\n")
  install(FILES ${PROJECT_BINARY_DIR}/gordian_redis.pc DESTINATION lib/pkgconfig)
endif()
