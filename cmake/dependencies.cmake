# SPDX-License-Identifier: Apache-2.0
# Everything comes from the system. All that is missing is named at once, with the line that installs it.
set(gordian_missing "")

macro(gordian_require package debian)
  find_package(${package} QUIET ${ARGN})
  if(NOT ${package}_FOUND)
    list(APPEND gordian_missing ${debian})
  endif()
endmacro()

gordian_require(fmt libfmt-dev CONFIG)
gordian_require(nlohmann_json nlohmann-json3-dev CONFIG)
gordian_require(CLI11 libcli11-dev CONFIG)
gordian_require(Threads libc6-dev)
if(GORDIAN_TESTS)
  gordian_require(GTest "libgtest-dev libgmock-dev" CONFIG)
endif()
if(GORDIAN_BENCH)
  gordian_require(benchmark libbenchmark-dev CONFIG)
endif()

# elfutils has no CMake files of its own.
find_path(ELFUTILS_INCLUDE_DIR elfutils/libdwfl.h)
find_library(ELFUTILS_DW_LIBRARY dw)
find_library(ELFUTILS_ELF_LIBRARY elf)
if(ELFUTILS_INCLUDE_DIR AND ELFUTILS_DW_LIBRARY AND ELFUTILS_ELF_LIBRARY)
  add_library(elfutils::dw INTERFACE IMPORTED)
  target_include_directories(elfutils::dw SYSTEM INTERFACE ${ELFUTILS_INCLUDE_DIR})
  target_link_libraries(elfutils::dw INTERFACE ${ELFUTILS_DW_LIBRARY} ${ELFUTILS_ELF_LIBRARY})
else()
  list(APPEND gordian_missing libdw-dev libelf-dev)
endif()

# What core files are compressed by.
macro(gordian_require_library name header library debian)
  find_path(${name}_INCLUDE_DIR ${header})
  find_library(${name}_LIBRARY ${library})
  if(${name}_INCLUDE_DIR AND ${name}_LIBRARY)
    add_library(${name}::${name} INTERFACE IMPORTED)
    target_include_directories(${name}::${name} SYSTEM INTERFACE ${${name}_INCLUDE_DIR})
    target_link_libraries(${name}::${name} INTERFACE ${${name}_LIBRARY})
  else()
    list(APPEND gordian_missing ${debian})
  endif()
endmacro()
gordian_require_library(zstd zstd.h zstd libzstd-dev)
gordian_require_library(lz4 lz4frame.h lz4 liblz4-dev)
gordian_require_library(lzma lzma.h lzma liblzma-dev)

gordian_require_library(hiredis hiredis/hiredis.h hiredis libhiredis-dev)
# From 1.0 on it can read RESP3, in which servers push between replies; Debian 12 has 0.14.
if(TARGET hiredis::hiredis)
  # Looked at anew each time: another one may have been named since.
  file(STRINGS ${hiredis_INCLUDE_DIR}/hiredis/read.h gordian_push REGEX "define REDIS_REPLY_PUSH ")
  if(gordian_push)
    target_compile_definitions(hiredis::hiredis INTERFACE GORDIAN_HAS_RESP3)
  endif()
endif()

# Without it there is no TLS to Redis servers.
find_package(OpenSSL 1.1.1 QUIET)
add_library(gordian_tls INTERFACE)
if(OPENSSL_FOUND)
  target_link_libraries(gordian_tls INTERFACE OpenSSL::SSL)
  target_compile_definitions(gordian_tls INTERFACE GORDIAN_HAS_TLS)
else()
  message(STATUS "OpenSSL is not there (libssl-dev): rediss:// will be an error")
endif()

if(gordian_missing)
  list(JOIN gordian_missing " " gordian_missing)
  message(FATAL_ERROR "Missing libraries. Install them with\n"
    "  apt-get install ${gordian_missing}\n"
    "or let tools/setup install everything that is needed.")
endif()
