#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check.sh FILE COMPILER...: FILE compiles; with -DMISUSE it does not, and the compiler says what each of its
# REFUSED lines promises.
set -u
file=$1
shift
if ! "$@" -fsyntax-only "$file"; then
  echo "$file does not compile without the misuse" >&2
  exit 1
fi
if said=$("$@" -fsyntax-only -DMISUSE "$file" 2>&1); then
  echo "$file compiles with the misuse" >&2
  exit 1
fi
grep -q '^// REFUSED: ' "$file" || { echo "$file promises nothing" >&2; exit 1; }
sed -n 's|^// REFUSED: ||p' "$file" | while read -r wanted; do
  printf '%s\n' "$said" | grep -qE -- "$(printf '%s' "$wanted" | sed 's/[()]/\\&/g')" || {
    printf 'not refused for: %s\nbut:\n%s\n' "$wanted" "$said" >&2
    exit 1
  }
done
