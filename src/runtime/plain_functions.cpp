// SPDX-License-Identifier: Apache-2.0
// The string and memory functions the compiler and we ourselves call, hidden in the library. libc's
// come through the dynamic linker, which a sanitizer's runtime interposes and initialises after us.
//
// Only in the library itself: the unit tests keep libc's.
#if GORDIAN_RUNTIME

#include <stddef.h>

// The compiler knows these names and will not hear of another visibility: the assembler does.
asm(".hidden memcpy, memset, memcmp, strncmp, strcmp, strnlen, strlen");

#define GORDIAN_PLAIN extern "C" __attribute__((used))

GORDIAN_PLAIN void* memcpy(void* to, const void* from, size_t size) {
  void* at = to;
  asm volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(size) : : "memory");
  return to;
}

GORDIAN_PLAIN void* memset(void* to, int byte, size_t size) {
  void* at = to;
  asm volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(byte) : "memory");
  return to;
}

GORDIAN_PLAIN int memcmp(const void* a, const void* b, size_t size) {
  const auto* one = static_cast<const unsigned char*>(a);
  const auto* other = static_cast<const unsigned char*>(b);
  for (size_t i = 0; i < size; ++i) {
    if (one[i] != other[i]) return one[i] < other[i] ? -1 : 1;
  }
  return 0;
}

GORDIAN_PLAIN int strncmp(const char* a, const char* b, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    if (a[i] != b[i]) {
      return static_cast<unsigned char>(a[i]) < static_cast<unsigned char>(b[i]) ? -1 : 1;
    }
    if (a[i] == '\0') return 0;
  }
  return 0;
}

GORDIAN_PLAIN int strcmp(const char* a, const char* b) { return strncmp(a, b, ~size_t{0}); }

GORDIAN_PLAIN size_t strnlen(const char* text, size_t limit) {
  size_t size = 0;
  while (size < limit && text[size] != '\0') {
    asm volatile("" : "+r"(size));  // or the compiler sees a strlen in it
    ++size;
  }
  return size;
}

GORDIAN_PLAIN size_t strlen(const char* text) { return strnlen(text, ~size_t{0}); }

#endif
