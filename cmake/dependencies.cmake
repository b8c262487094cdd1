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

# These have no CMake files of their own. What a library goes by: its name, or file names, the best first.
macro(gordian_require_library name debian header)
  find_path(${name}_INCLUDE_DIR ${header})
  find_library(${name}_LIBRARY NAMES ${ARGN})
  if(${name}_INCLUDE_DIR AND ${name}_LIBRARY)
    add_library(${name}::${name} INTERFACE IMPORTED)
    target_include_directories(${name}::${name} SYSTEM INTERFACE ${${name}_INCLUDE_DIR})
    target_link_libraries(${name}::${name} INTERFACE ${${name}_LIBRARY})
  else()
    list(APPEND gordian_missing ${debian})
  endif()
endmacro()

# Archives before shared libraries: docs/decisions/0006-the-program-brings-its-libraries.md.
# What core files and debug information are compressed by.
gordian_require_library(zstd libzstd-dev zstd.h libzstd.a zstd)
gordian_require_library(lz4 liblz4-dev lz4frame.h liblz4.a lz4)
gordian_require_library(lzma liblzma-dev lzma.h liblzma.a lzma)
gordian_require_library(bz2 libbz2-dev bzlib.h libbz2.a bz2)
gordian_require_library(z zlib1g-dev zlib.h libz.a z)
# elfutils.
gordian_require_library(elf libelf-dev libelf.h libelf.a elf)
gordian_require_library(dw libdw-dev elfutils/libdwfl.h libdw.a dw)
if(TARGET dw::dw)
  target_link_libraries(dw::dw INTERFACE ${elf_LIBRARY} ${lzma_LIBRARY} ${bz2_LIBRARY} ${z_LIBRARY})
endif()

# Not its archive: it goes into a shared library of ours, too.
gordian_require_library(hiredis libhiredis-dev hiredis/hiredis.h hiredis)
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
