#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# compilers.sh [all]: compiles every_part.cpp and runs it: with the usual compilers, libraries and flags, or
# with all that are installed; then also the unit tests by clang under each sanitizer. Warnings are errors. What
# is not installed is left out and said.
set -u
cd "$(dirname "$0")"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0
try() {
  command -v "$1" >/dev/null || { echo "not here: $1"; return; }
  case "$*" in *libc++*)
    echo '#include <version>' | "$1" -stdlib=libc++ -x c++ -std=c++20 -fsyntax-only - 2>/dev/null ||
      { echo "not here: libc++ for $1"; return; } ;;
  esac
  if "$@" -Wall -Wextra -Werror -pthread -I../../include every_part.cpp -o "$folder/program" &&
    timeout 60 "$folder/program"; then
    echo "ok: $*"
  else
    echo "FAILED: $*"
    failed=1
  fi
}
try_tests() {
  if "$@" -O1 -g -pthread -I../../include ./*_test.cpp -o "$folder/tests" -lgtest_main -lgmock -lgtest &&
    timeout 600 "$folder/tests" --gtest_brief=1 --gtest_filter=-Stories.*; then
    echo "ok: the unit tests, $*"
  else
    echo "FAILED: the unit tests, $*"
    failed=1
  fi
}
try g++ -std=c++23 -fno-exceptions -fno-rtti
try clang++ -std=c++20 -Wthread-safety
try clang++ -std=c++20 -stdlib=libc++
if [ "${1-}" = all ]; then
  for compiler in g++-10 g++-11 g++-12 g++-13 g++-14 clang++-13 clang++-14 clang++-15 clang++-16 clang++-17 clang++-18 clang++-19; do
    for standard in 20 2b; do
      try $compiler -std=c++$standard
      try $compiler -std=c++$standard -fno-exceptions -fno-rtti
    done
    case $compiler in clang*) try $compiler -std=c++20 -stdlib=libc++ ;; esac
  done
  for sanitizer in thread address,undefined; do
    try_tests clang++ -std=c++20 -fsanitize=$sanitizer -fno-sanitize-recover=all
  done
fi
exit $failed
