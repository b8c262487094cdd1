// SPDX-License-Identifier: Apache-2.0
// The less common functions of libc on texts and bytes: see hooks_bytes.cpp. Where it costs more to
// find out how much they look at, it is all.
#include "memory/copies.h"
#include "memory/outside.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

using namespace gordian::memory;  // NOLINT(google-build-using-namespace): a file of hooks

namespace {

void read_texts(const char* one, const char* other) {
  read_text(one);
  read_text(other);
}
void read_starts(const char* one, const char* other, size_t most) {
  if (!may_tell()) return;
  on_was_read_range(number(one), strnlen(one, most));
  on_was_read_range(number(other), strnlen(other, most));
}
void read_bytes(const void* bytes, size_t size) {
  if (may_tell()) on_was_read_range(number(bytes), size);
}
void read_wide(const wchar_t* text) {
  if (may_tell()) on_was_read_range(number(text), (wcslen(text) + 1) * sizeof *text);
}
// A text that is cut up where it stands.
void cuts_text(const char* text) {
  if (text != nullptr && may_tell()) on_write_range(number(text), strlen(text) + 1);
}

}  // namespace

// ---- looked at

GORDIAN_OUTSIDE_AS(const char*, find_text, "strstr", (const char* text, const char* part),
                   (text, part), GORDIAN_NOTHING, read_texts(text, part))
GORDIAN_OUTSIDE_AS(const char*, find_text_in_any_case, "strcasestr",
                   (const char* text, const char* part), (text, part), GORDIAN_NOTHING,
                   read_texts(text, part))
GORDIAN_OUTSIDE_AS(int, compare_in_any_case, "strcasecmp", (const char* one, const char* other),
                   (one, other), GORDIAN_NOTHING, read_texts(one, other))
GORDIAN_OUTSIDE_AS(int, compare_starts_in_any_case, "strncasecmp",
                   (const char* one, const char* other, size_t most), (one, other, most),
                   GORDIAN_NOTHING, read_starts(one, other, most))
GORDIAN_OUTSIDE_AS(int, compare_in_locale, "strcoll", (const char* one, const char* other),
                   (one, other), GORDIAN_NOTHING, read_texts(one, other))
GORDIAN_OUTSIDE_AS(size_t, length_of_any, "strspn", (const char* text, const char* bytes),
                   (text, bytes), GORDIAN_NOTHING, read_texts(text, bytes))
GORDIAN_OUTSIDE_AS(size_t, length_of_none, "strcspn", (const char* text, const char* bytes),
                   (text, bytes), GORDIAN_NOTHING, read_texts(text, bytes))
GORDIAN_OUTSIDE_AS(const char*, find_any, "strpbrk", (const char* text, const char* bytes),
                   (text, bytes), GORDIAN_NOTHING, read_texts(text, bytes))
GORDIAN_OUTSIDE_AS(const char*, find_byte_or_end, "strchrnul", (const char* text, int byte),
                   (text, byte), GORDIAN_NOTHING, read_text(text))
GORDIAN_OUTSIDE_AS(const void*, find_last_byte, "memrchr",
                   (const void* bytes, int byte, size_t size), (bytes, byte, size), GORDIAN_NOTHING,
                   read_bytes(bytes, size))
GORDIAN_OUTSIDE_AS(const void*, find_certain_byte, "rawmemchr", (const void* bytes, int byte),
                   (bytes, byte), GORDIAN_NOTHING,
                   read_bytes(bytes, number(result) - number(bytes) + 1))
GORDIAN_OUTSIDE_AS(const void*, find_bytes, "memmem",
                   (const void* bytes, size_t size, const void* part, size_t part_size),
                   (bytes, size, part, part_size), GORDIAN_NOTHING,
                   (read_bytes(bytes, size), read_bytes(part, part_size)))
GORDIAN_OUTSIDE_AS(size_t, wide_length, "wcslen", (const wchar_t* text), (text), GORDIAN_NOTHING,
                   read_bytes(text, (result + 1) * sizeof *text))
GORDIAN_OUTSIDE_AS(int, compare_wide, "wmemcmp",
                   (const wchar_t* one, const wchar_t* other, size_t count), (one, other, count),
                   GORDIAN_NOTHING,
                   (read_bytes(one, count * sizeof *one), read_bytes(other, count * sizeof *one)))
GORDIAN_OUTSIDE_AS(int, compare_wide_texts, "wcscmp", (const wchar_t* one, const wchar_t* other),
                   (one, other), GORDIAN_NOTHING, (read_wide(one), read_wide(other)))

// ---- copied and changed

// A hook that does TOLD where there may be something to tell, which gives the real one's result.
// What strlen and the like look at on the way is told by their own hooks.
#define GORDIAN_COPY(type, hook, symbol, parameters, arguments, told) \
  GORDIAN_HOOK_AS(type, hook, symbol, parameters);                    \
  GORDIAN_HOOK type hook parameters {                                 \
    if (!may_tell()) return found_##hook() arguments;                 \
    return told;                                                      \
  }

namespace {

// Of a text that somebody else changes meanwhile no more is written than there was room for. The
// result is where the copy ends.
char* copy_told_text(char* to, const char* from, size_t length) {
  copy_told(to, from, length);
  fill_told(to + length, 0, 1);
  return to + length;
}
char* copy_told_start(char* to, const char* from, size_t size) {
  const size_t length = strnlen(from, size);
  copy_told(to, from, length);
  fill_told(to + length, 0, size - length);
  return to + length;
}
void* copy_told_until(void* to, const void* from, int byte, size_t size) {
  const void* const found = memchr(from, byte, size);
  const size_t copied = found == nullptr ? size : number(found) - number(from) + 1;
  copy_told(to, from, copied);
  return found == nullptr ? nullptr : static_cast<char*>(to) + copied;
}
wchar_t* copy_told_wide(wchar_t* to, const wchar_t* from, size_t count) {
  copy_told(to, from, count * sizeof *from);
  return to;
}

}  // namespace

GORDIAN_COPY(char*, copy_text, "strcpy", (char* to, const char* from), (to, from),
             (copy_told_text(to, from, strlen(from)), to))
GORDIAN_COPY(char*, copy_start, "strncpy", (char* to, const char* from, size_t size),
             (to, from, size), (copy_told_start(to, from, size), to))
GORDIAN_COPY(char*, append_text, "strcat", (char* to, const char* from), (to, from),
             (copy_told_text(to + strlen(to), from, strlen(from)), to))
GORDIAN_COPY(char*, append_start, "strncat", (char* to, const char* from, size_t size),
             (to, from, size), (copy_told_text(to + strlen(to), from, strnlen(from, size)), to))
GORDIAN_COPY(char*, copy_text_to_end, "stpcpy", (char* to, const char* from), (to, from),
             copy_told_text(to, from, strlen(from)))
GORDIAN_COPY(char*, copy_text_to_end_too, "__stpcpy", (char* to, const char* from), (to, from),
             copy_told_text(to, from, strlen(from)))
GORDIAN_COPY(char*, copy_start_to_end, "stpncpy", (char* to, const char* from, size_t size),
             (to, from, size), copy_told_start(to, from, size))
GORDIAN_COPY(void*, copy_to_end, "mempcpy", (void* to, const void* from, size_t size),
             (to, from, size), (copy_told(to, from, size), static_cast<char*>(to) + size))
GORDIAN_COPY(void*, copy_until, "memccpy", (void* to, const void* from, int byte, size_t size),
             (to, from, byte, size), copy_told_until(to, from, byte, size))
GORDIAN_COPY(wchar_t*, copy_wide, "wmemcpy", (wchar_t * to, const wchar_t* from, size_t count),
             (to, from, count), copy_told_wide(to, from, count))
GORDIAN_COPY(wchar_t*, move_wide, "wmemmove", (wchar_t * to, const wchar_t* from, size_t count),
             (to, from, count), copy_told_wide(to, from, count))
GORDIAN_OUTSIDE_AS(char*, duplicate_start, "strndup", (const char* text, size_t size), (text, size),
                   GORDIAN_NOTHING, (read_bytes(text, strnlen(text, size)), wrote_text(result)))
GORDIAN_OUTSIDE_AS(wchar_t*, fill_wide, "wmemset", (wchar_t * to, wchar_t what, size_t count),
                   (to, what, count), answer(to, count * sizeof *to), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(char*, cut_text, "strtok_r", (char* text, const char* bytes, char** rest),
                   (text, bytes, rest),
                   (cuts_text(text != nullptr ? text : *rest), answer(rest, sizeof *rest)),
                   read_text(bytes))
GORDIAN_OUTSIDE_AS(char*, cut_text_too, "__strtok_r", (char* text, const char* bytes, char** rest),
                   (text, bytes, rest),
                   (cuts_text(text != nullptr ? text : *rest), answer(rest, sizeof *rest)),
                   read_text(bytes))
GORDIAN_OUTSIDE_AS(char*, separate, "strsep", (char** text, const char* bytes), (text, bytes),
                   (cuts_text(*text), answer(text, sizeof *text)), read_text(bytes))
GORDIAN_OUTSIDE_AS(int, next_option, "getsubopt", (char** text, char* const* names, char** value),
                   (text, names, value),
                   (cuts_text(*text), answer(text, sizeof *text), answer(value, sizeof *value)),
                   GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(size_t, to_wide, "mbrtowc",
                   (wchar_t * to, const char* from, size_t most, mbstate_t* state),
                   (to, from, most, state), (answer(to, sizeof *to), answer(state, sizeof *state)),
                   read_bytes(from, from == nullptr ? 0 : strnlen(from, most)))
GORDIAN_OUTSIDE_AS(int, describe_error_in, "__xpg_strerror_r", (int error, char* to, size_t size),
                   (error, to, size), answer(to, size), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(char*, describe_error, "strerror_r", (int error, char* to, size_t size),
                   (error, to, size), answer(to, size), GORDIAN_NOTHING)

#define GORDIAN_CLEAR(hook, symbol)                             \
  GORDIAN_HOOK_AS(void, hook, symbol, (void* at, size_t size)); \
  GORDIAN_HOOK void hook(void* at, size_t size) {               \
    answer(at, size);                                           \
    found_##hook()(at, size);                                   \
  }
GORDIAN_CLEAR(clear, "bzero")
GORDIAN_CLEAR(clear_for_good, "explicit_bzero")

// What compares belongs to the program, and tells itself what it looks at.
using Compare = int (*)(const void*, const void*);
GORDIAN_HOOK_AS(void, sort, "qsort", (void* at, size_t count, size_t size, Compare compare));
GORDIAN_HOOK void sort(void* at, size_t count, size_t size, Compare compare) {
  answer(at, count * size);
  found_sort()(at, count, size, compare);
}
