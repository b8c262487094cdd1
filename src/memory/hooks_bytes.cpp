// SPDX-License-Identifier: Apache-2.0
// Functions of libc that read or write the program's memory: libc tells nothing itself.
//
// Bytes that are filled are put down before the call, those that are only looked at after it; what
// is copied is put down in the middle (copies.h). Called from libstdc++ too, so what its strings
// and streams copy is seen.
#include "memory/copies.h"
#include "memory/real_functions.h"
#include "memory/thread.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

using namespace gordian::memory;  // NOLINT(google-build-using-namespace): a file of hooks

GORDIAN_HOOK void* memcpy(void* to, const void* from, size_t size) noexcept {
  if (!may_tell()) return plain_copy(to, from, size);
  copy_told(to, from, size);
  return to;
}

GORDIAN_HOOK void* memmove(void* to, const void* from, size_t size) noexcept {
  if (!may_tell()) return plain_move(to, from, size);
  copy_told(to, from, size);
  return to;
}

GORDIAN_HOOK void* memset(void* to, int byte, size_t size) noexcept {
  if (!may_tell()) return plain_fill(to, byte, size);
  fill_told(to, byte, size);
  return to;
}

// What clang calls them.
GORDIAN_HOOK void* __tsan_memcpy(void* to, const void* from, size_t size) {
  return memcpy(to, from, size);
}
GORDIAN_HOOK void* __tsan_memmove(void* to, const void* from, size_t size) {
  return memmove(to, from, size);
}
GORDIAN_HOOK void* __tsan_memset(void* to, int byte, size_t size) { return memset(to, byte, size); }

// ---- strings

// The loader is done before any of these can be called.
#define GORDIAN_STRING(type, hook, symbol, parameters) \
  GORDIAN_HOOK_AS(type, hook, symbol, parameters);     \
  GORDIAN_HOOK type hook parameters

GORDIAN_STRING(size_t, length_of, "strlen", (const char* text)) {
  const size_t length = found_length_of()(text);
  if (may_tell()) on_was_read_range(number(text), length + 1);
  return length;
}
GORDIAN_STRING(size_t, length_within, "strnlen", (const char* text, size_t most)) {
  const size_t length = found_length_within()(text, most);
  if (may_tell()) on_was_read_range(number(text), length < most ? length + 1 : most);
  return length;
}

namespace {

// As much of both as has to be looked at to tell them apart.
void read_alike(const char* one, const char* other, size_t most, bool ends_at_zero) {
  size_t size = 0;
  while (size < most && one[size] == other[size] && !(ends_at_zero && one[size] == '\0')) ++size;
  if (size < most) ++size;
  on_was_read_range(number(one), size);
  on_was_read_range(number(other), size);
}

size_t copied_length(const char* text) { return found_length_of()(text) + 1; }

}  // namespace

GORDIAN_STRING(int, compare_bytes, "memcmp", (const void* one, const void* other, size_t size)) {
  const int result = found_compare_bytes()(one, other, size);
  if (may_tell())
    read_alike(static_cast<const char*>(one), static_cast<const char*>(other), size, false);
  return result;
}
// What -O2 makes of memcmp(...) == 0.
GORDIAN_STRING(int, compare_equal, "bcmp", (const void* one, const void* other, size_t size)) {
  const int result = found_compare_equal()(one, other, size);
  if (may_tell())
    read_alike(static_cast<const char*>(one), static_cast<const char*>(other), size, false);
  return result;
}
GORDIAN_STRING(int, compare_texts, "strcmp", (const char* one, const char* other)) {
  const int result = found_compare_texts()(one, other);
  if (may_tell()) read_alike(one, other, SIZE_MAX, true);
  return result;
}
GORDIAN_STRING(int, compare_starts, "strncmp", (const char* one, const char* other, size_t size)) {
  const int result = found_compare_starts()(one, other, size);
  if (may_tell()) read_alike(one, other, size, true);
  return result;
}
GORDIAN_STRING(void*, find_byte, "memchr", (const void* bytes, int byte, size_t size)) {
  void* const found = found_find_byte()(bytes, byte, size);
  const size_t read = found == nullptr ? size : number(found) - number(bytes) + 1;
  if (may_tell()) on_was_read_range(number(bytes), read);
  return found;
}
GORDIAN_STRING(char*, find_first, "strchr", (const char* text, int byte)) {
  char* const found = found_find_first()(text, byte);
  if (may_tell())
    on_was_read_range(number(text),
                      found == nullptr ? copied_length(text) : number(found) - number(text) + 1);
  return found;
}
GORDIAN_STRING(char*, find_last, "strrchr", (const char* text, int byte)) {
  char* const found = found_find_last()(text, byte);
  if (may_tell()) on_was_read_range(number(text), copied_length(text));
  return found;
}
GORDIAN_STRING(char*, duplicate, "strdup", (const char* text)) {
  char* const copied = found_duplicate()(text);
  if (copied == nullptr || !may_tell()) return copied;
  on_was_read_range(number(text), copied_length(text));
  on_write_range(number(copied), copied_length(copied));
  return copied;
}
