# SPDX-License-Identifier: Apache-2.0
include(CMakeDependentOption)

# What a preset may choose. Every option here is used by one.
option(GORDIAN_TESTS "Build the tests of the whole program" ON)
cmake_dependent_option(GORDIAN_UNIT_TESTS "Build the tests that stand beside the code" ON GORDIAN_TESTS OFF)
option(GORDIAN_SCENARIOS "Build the programs that deadlock, and their repaired twins" ON)
option(GORDIAN_BENCH "Build the benchmarks" OFF)
option(GORDIAN_FUZZ "Build the fuzzers (clang only)" OFF)
option(GORDIAN_TOGETHER "Compile ten files of a target as one" OFF)
set(GORDIAN_SANITIZE "" CACHE STRING "Sanitizers for the tools, as after -fsanitize=; never for the runtime")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()
if(NOT CMAKE_SYSTEM_NAME STREQUAL "Linux" OR NOT CMAKE_SIZEOF_VOID_P EQUAL 8)
  message(FATAL_ERROR "Gordian is for 64-bit Linux.")
endif()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS ON)
set(CMAKE_C_STANDARD 11)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_LINK_DEPENDS_NO_SHARED ON)

# The runtime is C++ linked by the C driver. CMake would add libstdc++ and libgcc to that by itself.
set(CMAKE_CXX_IMPLICIT_LINK_LIBRARIES "")
