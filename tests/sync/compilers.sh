#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# compilers.sh [all | libc++]: compiles every_part.cpp and runs it: with the usual compilers, libraries and
# flags; or with all that are installed, and then also the unit tests, by clang under each sanitizer; or with
# every clang that the installed libc++ fits. Warnings are errors. What is not installed is left out and said.
#
# Debian's versions of libc++ exclude each other: `libc++` is run once for each of libc++-14-dev, libc++-15-dev,
# libc++-16-dev and libc++-19-dev (and libc++abi of the same version).
set -u
cd "$(dirname "$0")"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0
clangs=""
gccs=""
for version in 10 11 12 13 14 15 16 17 18 19; do
  if command -v g++-$version >/dev/null; then gccs="$gccs g++-$version"; else echo "not here: g++-$version"; fi
  if command -v clang++-$version >/dev/null; then clangs="$clangs clang++-$version"; else echo "not here: clang++-$version"; fi
done >"$folder/absent"
try() {
  command -v "$1" >/dev/null || { echo "not here: $1"; return; }
  case "$*" in *libc++*)
    # A libc++ warns of a clang that is too old for it.
    printf '#include <cstddef>\n#include <version>' | "$1" -stdlib=libc++ -x c++ -std=c++20 -Werror -fsyntax-only - 2>/dev/null ||
      { echo "not here: libc++ for $1"; return; } ;;
  esac
  if "$@" -Wall -Wextra -Wpedantic -Wshadow -Werror -pthread -I../../include every_part.cpp -o "$folder/program" &&
    timeout 60 "$folder/program"; then
    echo "ok: $*"
  else
    echo "FAILED: $*"
    failed=1
  fi
}
try_standards() {
  for standard in 20 2b; do
    try "$@" -std=c++$standard
    try "$@" -std=c++$standard -fno-exceptions -fno-rtti
  done
}
try_tests() {
  # clang links its sanitizers as archives, which have an operator new of their own.
  case "$*" in
  *-fsanitize*) tests=$(ls ./*_test.cpp | grep -v allocator_test) ;;
  *) tests=$(ls ./*_test.cpp) ;;
  esac
  if "$@" -O1 -g -pthread -I../../include $tests -o "$folder/tests" -lgtest_main -lgmock -lgtest &&
    timeout 600 "$folder/tests" --gtest_brief=1 --gtest_filter=-Stories.*; then
    echo "ok: the unit tests, $*"
  else
    echo "FAILED: the unit tests, $*"
    failed=1
  fi
}
case ${1-} in
  "")
    try g++ -std=c++23 -fno-exceptions -fno-rtti
    try clang++ -std=c++20 -Wthread-safety
    try clang++ -std=c++20 -stdlib=libc++
    ;;
  all | libc++)
    cat "$folder/absent"
    if [ "$1" = all ]; then
      for compiler in $gccs $clangs; do
        try_standards $compiler
      done
    fi
    for compiler in $clangs; do
      try_standards $compiler -stdlib=libc++
    done
    if [ "$1" = all ]; then
      for compiler in $gccs $clangs; do
        try_tests $compiler -std=c++20
      done
      for sanitizer in thread address,undefined; do
        try_tests clang++ -std=c++20 -fsanitize=$sanitizer -fno-sanitize-recover=all
      done
    fi
    ;;
  *)
    echo "usage: compilers.sh [all | libc++]" >&2
    exit 2
    ;;
esac
exit $failed
