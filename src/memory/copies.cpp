// SPDX-License-Identifier: Apache-2.0
#include "memory/copies.h"

#include "memory/real_functions.h"
#include "memory/thread.h"

#include <stdint.h>
#include <string.h>

namespace gordian::memory {
namespace {

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

// On the stack of whoever copies, which may be small.
constexpr size_t kPiece = 256;

void copy_piece(char* to, const char* from, size_t size) {
  alignas(16) char bytes[kPiece];
  plain_copy(bytes, from, size);
  on_was_read_range(number(from), size);
  on_write_range(number(to), size);
  plain_copy(to, bytes, size);
}

}  // namespace

void* plain_copy(void* to, const void* from, size_t size) {
  if (is_loaded) return real_memcpy(to, from, size);
  void* at = to;
  asm volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(size) : : "memory");
  return to;
}

void* plain_move(void* to, const void* from, size_t size) {
  if (is_loaded) return real_memmove(to, from, size);
  auto* const target = static_cast<char*>(to);
  const auto* const source = static_cast<const char*>(from);
  if (target <= source || target >= source + size) return plain_copy(to, from, size);
  for (size_t i = size; i-- > 0;) {
    const char byte = source[i];
    asm volatile("" : : : "memory");  // or the compiler calls memmove for it
    target[i] = byte;
  }
  return to;
}

void* plain_fill(void* to, int byte, size_t size) {
  if (is_loaded) return real_memset(to, byte, size);
  void* at = to;
  asm volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(byte) : "memory");
  return to;
}

void copy_told(void* to, const void* from, size_t size) {
  auto* const target = static_cast<char*>(to);
  const auto* const source = static_cast<const char*>(from);
  if (target > source && target < source + size) {
    for (size_t left = size; left > 0;) {
      const size_t piece = left < kPiece ? left : kPiece;
      left -= piece;
      copy_piece(target + left, source + left, piece);
    }
    return;
  }
  for (size_t done = 0; done < size; done += kPiece) {
    const size_t left = size - done;
    copy_piece(target + done, source + done, left < kPiece ? left : kPiece);
  }
}

void fill_told(void* to, int byte, size_t size) {
  on_write_range(number(to), size);
  plain_fill(to, byte, size);
}

}  // namespace gordian::memory
