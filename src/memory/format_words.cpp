// SPDX-License-Identifier: Apache-2.0
#include "memory/format_words.h"

#include "memory/outside.h"

#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <wchar.h>

namespace gordian::memory {
namespace {

constexpr int kNone = -1;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Does any argument have a number?
bool has_numbers(const char* format) {
  for (const char* at = strchr(format, '%'); at != nullptr; at = strchr(at, '%')) {
    if (at[1] == '%') {
      at += 2;
      continue;
    }
    for (++at; is_digit(*at); ++at) {
    }
    if (*at == '$') return true;
  }
  return false;
}

int read_number(const char*& at) {
  int value = kNone;
  for (; is_digit(*at); ++at)
    if (value < INT_MAX / 100) value = (value == kNone ? 0 : value * 10) + (*at - '0');
  return value;
}

// Bytes of an integer of the lengths hh h l ll q L j z t.
size_t integer_size(const char*& at) {
  size_t size = sizeof(int);
  for (;; ++at) {
    switch (*at) {
      case 'h':
        size /= 2;
        break;
      case 'l':
      case 'q':
      case 'L':
      case 'j':
      case 'z':
      case 't':
        size = 8;
        break;
      default:
        return size;
    }
  }
}
static_assert(sizeof(long) == 8 && sizeof(long long) == 8 && sizeof(intmax_t) == 8);

size_t wide_bytes(const wchar_t* text, size_t most) {
  size_t length = 0;
  while (length < most && text[length] != L'\0') ++length;
  return length * sizeof(wchar_t);
}

void tell_text(const void* text, bool is_wide, int precision) {
  if (text == nullptr) return;
  const size_t most = precision < 0 ? SIZE_MAX : static_cast<size_t>(precision);
  on_was_read_range(number(text), is_wide ? wide_bytes(static_cast<const wchar_t*>(text), most)
                                          : strnlen(static_cast<const char*>(text), most));
}

// Behind '[': up to its end. A ']' that comes first is one of the characters.
const char* behind_set(const char* at) {
  if (*at == '^') ++at;
  if (*at == ']') ++at;
  while (*at != '\0' && *at != ']') ++at;
  return *at == '\0' ? at : at + 1;
}

struct Scanned {
  bool is_kept = true;     // no *
  bool allocates = false;  // m
  int width = kNone;
  bool is_long = false;
  size_t size = 0;  // of an integer
};

// %s and %[: kept somewhere, until the input says otherwise.
void tell_scanned_text(const Scanned& one, void* to, bool is_done) {
  const size_t unit = one.is_long ? sizeof(wchar_t) : 1;
  if (!is_done) {
    const size_t length = one.width == kNone ? 1 : static_cast<size_t>(one.width) + 1;
    on_write_range(number(to), one.allocates ? sizeof(void*) : length * unit);
    return;
  }
  const void* const text = one.allocates ? *static_cast<void**>(to) : to;
  if (text == nullptr || (one.width != kNone && !one.allocates)) return;
  on_write_range(number(text),
                 unit + (one.is_long ? wide_bytes(static_cast<const wchar_t*>(text), SIZE_MAX)
                                     : strlen(static_cast<const char*>(text))));
}

}  // namespace

void tell_printed(const char* format, va_list arguments) {
  if (!may_tell() || format == nullptr) return;
  if (has_numbers(format)) {
    miss(format::kMemoryUnseenCause);
    return;
  }
  va_list rest;
  va_copy(rest, arguments);
  for (const char* at = strchr(format, '%'); at != nullptr && *at != '\0'; at = strchr(at, '%')) {
    ++at;
    int precision = kNone;
    while (*at != '\0' && strchr("-+ #0'I", *at) != nullptr) ++at;
    if (*at == '*') {
      static_cast<void>(va_arg(rest, int));
      ++at;
    } else {
      read_number(at);
    }
    if (*at == '.') {
      ++at;
      if (*at == '*') {
        precision = va_arg(rest, int);
        ++at;
      } else {
        precision = read_number(at);
        if (precision == kNone) precision = 0;
      }
    }
    const char* const length_at = at;
    const size_t size = integer_size(at);
    const bool is_long = *length_at == 'l';
    const bool is_longest = *length_at == 'L';
    switch (*at) {
      case '%':
      case 'm':
        break;
      case 'd':
      case 'i':
      case 'o':
      case 'u':
      case 'x':
      case 'X':
      case 'c':
      case 'C':
        // A smaller one lies in as much room.
        static_cast<void>(va_arg(rest, long));
        break;
      case 'a':
      case 'A':
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        if (is_longest) {  // NOLINT(bugprone-branch-clone): two types
          static_cast<void>(va_arg(rest, long double));
        } else {
          static_cast<void>(va_arg(rest, double));
        }
        break;
      case 's':
      case 'S':
        tell_text(va_arg(rest, const void*), is_long || *at == 'S', precision);
        break;
      case 'p':
        static_cast<void>(va_arg(rest, void*));
        break;
      case 'n':
        on_write_range(number(va_arg(rest, void*)), size);
        break;
      default:
        miss(format::kMemoryUnseenCause);
        va_end(rest);
        return;
    }
    ++at;
  }
  va_end(rest);
}

void tell_scanned(const char* format, va_list arguments, int done) {
  if (!may_tell() || format == nullptr) return;
  if (has_numbers(format)) {
    miss(format::kMemoryUnseenCause);
    return;
  }
  va_list rest;
  va_copy(rest, arguments);
  const bool is_done = done >= 0;
  int left = is_done ? done : INT_MAX;
  for (const char* at = strchr(format, '%'); at != nullptr && *at != '\0' && left > 0;
       at = strchr(at, '%')) {
    ++at;
    Scanned one;
    for (; *at == '*' || *at == '\'' || *at == 'I'; ++at) one.is_kept = one.is_kept && *at != '*';
    one.width = read_number(at);
    if (*at == 'm') {
      one.allocates = true;
      ++at;
    }
    one.is_long = *at == 'l' || *at == 'S' || *at == 'C';
    const bool is_longest = *at == 'L';
    one.size = integer_size(at);
    const char kind = *at;
    if (kind == '\0') break;
    at = kind == '[' ? behind_set(at + 1) : at + 1;
    if (kind == '%' || !one.is_kept) continue;
    void* const to = va_arg(rest, void*);
    switch (kind) {
      case 'd':
      case 'i':
      case 'o':
      case 'u':
      case 'x':
      case 'X':
      case 'n':
        if (!is_done) on_write_range(number(to), one.size);
        break;
      case 'a':
      case 'A':
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        if (!is_done)
          on_write_range(number(to), is_longest ? sizeof(long double) : one.is_long ? 8 : 4);
        break;
      case 'p':
        if (!is_done) on_write_range(number(to), sizeof(void*));
        break;
      case 'c':
      case 'C': {
        const size_t count = one.width == kNone ? 1 : static_cast<size_t>(one.width);
        const size_t bytes = count * (one.is_long ? sizeof(wchar_t) : 1);
        if (!is_done) {
          on_write_range(number(to), one.allocates ? sizeof(void*) : bytes);
        } else if (one.allocates && *static_cast<void**>(to) != nullptr) {
          on_write_range(number(*static_cast<void**>(to)), bytes);
        }
        break;
      }
      case 's':
      case 'S':
      case '[':
        tell_scanned_text(one, to, is_done);
        break;
      default:
        miss(format::kMemoryUnseenCause);
        va_end(rest);
        return;
    }
    if (kind != 'n') --left;
  }
  va_end(rest);
}

}  // namespace gordian::memory
