# SPDX-License-Identifier: Apache-2.0
# For the scripts beside it, which source it: they stand in the repository's root, and say where they are.

cd "$(dirname "$0")/.." || exit 2
step=0
steps=${steps:-1}
started=$(date +%s)
jobs=$(nproc)

# "[2/5] building the release tree"
say() {
  step=$((step + 1))
  printf '\n[%d/%d] %s (%d s so far)\n' "$step" "$steps" "$*" $(($(date +%s) - started))
}

fail() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 2
}

# Configures build/PRESET once. Later runs leave that to the build, which sees by itself what changed;
# only a wish the tree was not made for (NAME=VALUE) is added to it.
configure() {
  preset=$1
  shift
  missing=
  for wish in "$@"; do
    name=${wish%%=*}
    grep -q "^$name:[A-Z]*=${wish#*=}\$" "build/$preset/CMakeCache.txt" 2>/dev/null || missing="$missing -D$wish"
  done
  if [ ! -f "build/$preset/build.ninja" ] || [ -n "$missing" ]; then
    # shellcheck disable=SC2086  # a list of words
    cmake --preset "$preset" $missing || return 1
  fi
}
