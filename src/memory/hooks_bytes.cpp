// SPDX-License-Identifier: Apache-2.0
// Functions of libc that read or write the program's memory: libc tells nothing itself.
//
// Written bytes are put down before the call, read ones after it. Called from libstdc++ too, so
// what its strings and streams copy is seen.
#include "memory/real_functions.h"
#include "memory/thread.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

using namespace gordian::memory;  // NOLINT(google-build-using-namespace): a file of hooks

namespace {

uint64_t number(const void* address) { return reinterpret_cast<uint64_t>(address); }

GORDIAN_REAL(memcpy);
GORDIAN_REAL(memmove);
GORDIAN_REAL(memset);

// The loader itself may call these, before anything can be looked up.
constinit bool is_loaded = false;
__attribute__((constructor)) void find_functions() {
  GORDIAN_FIND(memcpy);
  GORDIAN_FIND(memmove);
  GORDIAN_FIND(memset);
  is_loaded = true;
}

void* copy(void* to, const void* from, size_t size) {
  if (is_loaded) return real_memcpy(to, from, size);
  void* at = to;
  asm volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(size) : : "memory");
  return to;
}

void* move(void* to, const void* from, size_t size) {
  if (is_loaded) return real_memmove(to, from, size);
  auto* const target = static_cast<char*>(to);
  const auto* const source = static_cast<const char*>(from);
  if (target <= source || target >= source + size) return copy(to, from, size);
  for (size_t i = size; i-- > 0;) {
    const char byte = source[i];
    asm volatile("" : : : "memory");  // or the compiler calls memmove for it
    target[i] = byte;
  }
  return to;
}

void* fill(void* to, int byte, size_t size) {
  if (is_loaded) return real_memset(to, byte, size);
  void* at = to;
  asm volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(byte) : "memory");
  return to;
}

}  // namespace

GORDIAN_HOOK void* memcpy(void* to, const void* from, size_t size) noexcept {
  if (!may_tell()) return copy(to, from, size);
  on_write_range(number(to), size);
  copy(to, from, size);
  on_was_read_range(number(from), size);
  return to;
}

GORDIAN_HOOK void* memmove(void* to, const void* from, size_t size) noexcept {
  if (!may_tell()) return move(to, from, size);
  on_write_range(number(to), size);
  move(to, from, size);
  on_was_read_range(number(from), size);
  return to;
}

GORDIAN_HOOK void* memset(void* to, int byte, size_t size) noexcept {
  if (may_tell()) on_write_range(number(to), size);
  return fill(to, byte, size);
}

// What clang calls them.
GORDIAN_HOOK void* __tsan_memcpy(void* to, const void* from, size_t size) {
  return memcpy(to, from, size);
}
GORDIAN_HOOK void* __tsan_memmove(void* to, const void* from, size_t size) {
  return memmove(to, from, size);
}
GORDIAN_HOOK void* __tsan_memset(void* to, int byte, size_t size) { return memset(to, byte, size); }
