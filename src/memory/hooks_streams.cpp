// SPDX-License-Identifier: Apache-2.0
// stdio: the buffers of streams lie in libc, which tells nothing. What is put into one is told to
// the world outside, what is taken out of one is heard from it (outside.h).
#include "memory/format_words.h"
#include "memory/mappings.h"
#include "memory/outside.h"

#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

using namespace gordian::memory;  // NOLINT(google-build-using-namespace): a file of hooks

namespace {

void tell_stream(FILE* file) {
  if (is_heard(file)) tell_outside();
}
void tell_stream_bytes(FILE* file, const void* bytes, size_t size) {
  if (!is_heard(file)) return;
  on_was_read_range(number(bytes), size);
  tell_outside();
}
void tell_printed_to(bool heard, const char* format, va_list arguments) {
  if (!heard) return;
  tell_printed(format, arguments);
  tell_outside();
}
// The line may be moved, and is longer than it was: that memory is new to everybody.
void writes_line(char** line, const size_t* size) {
  if (!may_tell()) return;
  if (*line != nullptr) on_write_range(number(*line), *size);
  on_write(number(line));
  on_write(number(size));
}
void wrote_line(ssize_t length, char** line) {
  if (length > 0 && may_tell()) on_write_range(number(*line), static_cast<size_t>(length) + 1);
  hear_outside();
}

void opened(FILE* file) {
  if (file != nullptr) note_descriptor(fileno(file), false);
}

}  // namespace

// ---- opened and closed

GORDIAN_OUTSIDE(FILE*, fopen, (const char* path, const char* mode), (path, mode),
                (read_text(path), tell_outside()), (hear_outside(), opened(result)))
GORDIAN_OUTSIDE_AS(FILE*, open_stream_64, "fopen64", (const char* path, const char* mode),
                   (path, mode), (read_text(path), tell_outside()),
                   (hear_outside(), opened(result)))
GORDIAN_OUTSIDE(
    FILE*, freopen, (const char* path, const char* mode, FILE* file), (path, mode, file),
    {
      read_text(path);
      has_other_output = has_other_output || file == stdout || file == stderr;
      tell_outside();
    },
    (hear_outside(), opened(result)))
GORDIAN_OUTSIDE(FILE*, popen, (const char* command, const char* mode), (command, mode),
                (read_text(command), tell_outside(), note_child()), hear_outside())
GORDIAN_OUTSIDE(int, pclose, (FILE * file), (file), tell_outside(), hear_outside())
GORDIAN_OUTSIDE(int, fclose, (FILE * file), (file), tell_outside(), GORDIAN_NOTHING)
GORDIAN_OUTSIDE(int, fflush, (FILE * file), (file), tell_stream(file), GORDIAN_NOTHING)
GORDIAN_OUTSIDE(int, fseek, (FILE * file, long at, int whence), (file, at, whence), tell_outside(),
                hear_outside())
GORDIAN_OUTSIDE_AS(int, seek_64, "fseeko64", (FILE * file, off64_t at, int whence),
                   (file, at, whence), tell_outside(), hear_outside())
GORDIAN_OUTSIDE(int, fseeko, (FILE * file, off_t at, int whence), (file, at, whence),
                tell_outside(), hear_outside())
GORDIAN_OUTSIDE(long, ftell, (FILE * file), (file), GORDIAN_NOTHING, hear_outside())
GORDIAN_OUTSIDE(off_t, ftello, (FILE * file), (file), GORDIAN_NOTHING, hear_outside())
GORDIAN_OUTSIDE_AS(off64_t, tell_64, "ftello64", (FILE * file), (file), GORDIAN_NOTHING,
                   hear_outside())
GORDIAN_OUTSIDE(int, feof, (FILE * file) noexcept, (file), GORDIAN_NOTHING, hear_outside())
GORDIAN_OUTSIDE(int, ferror, (FILE * file) noexcept, (file), GORDIAN_NOTHING, hear_outside())

GORDIAN_HOOK_AS(void, go_to_start, "rewind", (FILE * file));
GORDIAN_HOOK void go_to_start(FILE* file) {
  tell_outside();
  found_go_to_start()(file);
  hear_outside();
}

// ---- written

GORDIAN_OUTSIDE(size_t, fwrite, (const void* bytes, size_t size, size_t count, FILE* file),
                (bytes, size, count, file), tell_stream_bytes(file, bytes, size* count),
                GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(size_t, write_unlocked, "fwrite_unlocked",
                   (const void* bytes, size_t size, size_t count, FILE* file),
                   (bytes, size, count, file), tell_stream_bytes(file, bytes, size* count),
                   GORDIAN_NOTHING)
GORDIAN_OUTSIDE(int, fputs, (const char* text, FILE* file), (text, file),
                tell_stream_bytes(file, text, strlen(text)), GORDIAN_NOTHING)
GORDIAN_OUTSIDE(int, puts, (const char* text), (text),
                tell_stream_bytes(stdout, text, strlen(text)), GORDIAN_NOTHING)
GORDIAN_OUTSIDE(int, fputc, (int byte, FILE* file), (byte, file), tell_stream(file),
                GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, put_byte, "putc", (int byte, FILE* file), (byte, file), tell_stream(file),
                   GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, put_byte_unlocked, "putc_unlocked", (int byte, FILE* file), (byte, file),
                   tell_stream(file), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, overflow, "__overflow", (FILE * file, int byte), (file, byte),
                   tell_stream(file), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, put_to_output, "putchar", (int byte), (byte), tell_stream(stdout),
                   GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, print_list_to, "vfprintf",
                   (FILE * file, const char* format, va_list arguments), (file, format, arguments),
                   tell_printed_to(is_heard(file), format, arguments), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, print_list_to_file, "vdprintf",
                   (int file, const char* format, va_list arguments), (file, format, arguments),
                   tell_printed_to(is_heard(file), format, arguments), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, print_list, "vprintf", (const char* format, va_list arguments),
                   (format, arguments), tell_printed_to(is_heard(stdout), format, arguments),
                   GORDIAN_NOTHING)
GORDIAN_HOOK_AS(int, print_list_within, "vsnprintf",
                (char* to, size_t size, const char* format, va_list arguments));
GORDIAN_HOOK_AS(int, print_list_anew, "vasprintf",
                (char** to, const char* format, va_list arguments));

// Its length is not known before it is printed: so that happens twice.
GORDIAN_HOOK int print_list_within(char* to, size_t size, const char* format, va_list arguments) {
  if (may_tell()) {
    tell_printed(format, arguments);
    va_list copy;
    va_copy(copy, arguments);
    const int length = found_print_list_within()(nullptr, 0, format, copy);
    va_end(copy);
    const size_t written = length < 0 ? 0 : static_cast<size_t>(length) + 1;
    on_write_range(number(to), written < size ? written : size);
  }
  return found_print_list_within()(to, size, format, arguments);
}
GORDIAN_HOOK int print_list_into(char* to, const char* format, va_list arguments) asm("vsprintf");
GORDIAN_HOOK int print_list_into(char* to, const char* format, va_list arguments) {
  return print_list_within(to, INT_MAX, format, arguments);
}
GORDIAN_HOOK int print_list_anew(char** to, const char* format, va_list arguments) {
  if (may_tell()) {
    tell_printed(format, arguments);
    on_write(number(to));
  }
  const int length = found_print_list_anew()(to, format, arguments);
  if (length >= 0 && may_tell()) on_write_range(number(*to), static_cast<size_t>(length) + 1);
  return length;
}

// SYMBOL with its arguments as a list.
#define GORDIAN_WITH_LIST(hook, symbol, parameters, call) \
  GORDIAN_HOOK int hook parameters asm(symbol);           \
  GORDIAN_HOOK int hook parameters {                      \
    va_list arguments;                                    \
    va_start(arguments, format);                          \
    const int result = call;                              \
    va_end(arguments);                                    \
    return result;                                        \
  }

GORDIAN_WITH_LIST(print_to, "fprintf", (FILE * file, const char* format, ...),
                  print_list_to(file, format, arguments))
GORDIAN_WITH_LIST(print_to_file, "dprintf", (int file, const char* format, ...),
                  print_list_to_file(file, format, arguments))
GORDIAN_WITH_LIST(print, "printf", (const char* format, ...), print_list(format, arguments))
GORDIAN_WITH_LIST(print_into, "sprintf", (char* to, const char* format, ...),
                  print_list_into(to, format, arguments))
GORDIAN_WITH_LIST(print_anew, "asprintf", (char** to, const char* format, ...),
                  print_list_anew(to, format, arguments))
GORDIAN_WITH_LIST(print_words_within, "snprintf", (char* to, size_t size, const char* format, ...),
                  print_list_within(to, size, format, arguments))

// ---- read

GORDIAN_OUTSIDE(size_t, fread, (void* bytes, size_t size, size_t count, FILE* file),
                (bytes, size, count, file), answer(bytes, size* count), hear_outside())
GORDIAN_OUTSIDE_AS(size_t, read_unlocked, "fread_unlocked",
                   (void* bytes, size_t size, size_t count, FILE* file), (bytes, size, count, file),
                   answer(bytes, size* count), hear_outside())
GORDIAN_OUTSIDE(char*, fgets, (char* bytes, int size, FILE* file), (bytes, size, file),
                answer(bytes, size > 0 ? static_cast<size_t>(size) : 0), hear_outside())
GORDIAN_OUTSIDE(int, fgetc, (FILE * file), (file), GORDIAN_NOTHING, hear_outside())
GORDIAN_OUTSIDE(int, getc, (FILE * file), (file), GORDIAN_NOTHING, hear_outside())
GORDIAN_OUTSIDE_AS(int, get_byte_unlocked, "getc_unlocked", (FILE * file), (file), GORDIAN_NOTHING,
                   hear_outside())
GORDIAN_OUTSIDE_AS(int, underflow, "__uflow", (FILE * file), (file), GORDIAN_NOTHING,
                   hear_outside())
GORDIAN_OUTSIDE_AS(int, get_from_input, "getchar", (), (), GORDIAN_NOTHING, hear_outside())
GORDIAN_OUTSIDE_AS(int, unget, "ungetc", (int byte, FILE* file), (byte, file), tell_outside(),
                   GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(ssize_t, hear_delimited, "__getdelim",
                   (char** line, size_t* size, int end, FILE* file), (line, size, end, file),
                   writes_line(line, size), wrote_line(result, line))
GORDIAN_OUTSIDE_AS(ssize_t, hear_delimited_too, "getdelim",
                   (char** line, size_t* size, int end, FILE* file), (line, size, end, file),
                   writes_line(line, size), wrote_line(result, line))
GORDIAN_OUTSIDE_AS(ssize_t, hear_line, "getline", (char** line, size_t* size, FILE* file),
                   (line, size, file), GORDIAN_NOTHING, wrote_line(result, line))

namespace {

// `arguments` are used up by what comes in between.
struct ScanCall {
  ScanCall(const char* format, va_list arguments) : format_(format) {
    va_copy(arguments_, arguments);
    tell_scanned(format_, arguments_, -1);
  }
  int done(int result) {
    tell_scanned(format_, arguments_, result < 0 ? 0 : result);
    va_end(arguments_);
    return result;
  }

 private:
  const char* format_;
  va_list arguments_;
};

}  // namespace

// The names that the dialects of C have for one function: as GNU has it, C99 and C23. The C23 ones
// are there from glibc 2.38 on; where a program asks for one, there is one.
#define GORDIAN_SCAN(hook, prefix)                                                           \
  GORDIAN_HOOK_LATE(int, hook##_list_of, prefix "vfscanf",                                   \
                    (FILE * file, const char* format, va_list arguments));                   \
  GORDIAN_HOOK_LATE(int, hook##_list_in, prefix "vsscanf",                                   \
                    (const char* text, const char* format, va_list arguments));              \
  GORDIAN_HOOK int hook##_list_of(FILE* file, const char* format, va_list arguments) {       \
    ScanCall call(format, arguments);                                                        \
    const int result = call.done(found_##hook##_list_of()(file, format, arguments));         \
    hear_outside();                                                                          \
    return result;                                                                           \
  }                                                                                          \
  GORDIAN_HOOK int hook##_list_in(const char* text, const char* format, va_list arguments) { \
    ScanCall call(format, arguments);                                                        \
    const int result = call.done(found_##hook##_list_in()(text, format, arguments));         \
    read_text(text);                                                                         \
    return result;                                                                           \
  }                                                                                          \
  GORDIAN_WITH_LIST(hook##_of, prefix "fscanf", (FILE * file, const char* format, ...),      \
                    hook##_list_of(file, format, arguments))                                 \
  GORDIAN_WITH_LIST(hook##_in, prefix "sscanf", (const char* text, const char* format, ...), \
                    hook##_list_in(text, format, arguments))                                 \
  GORDIAN_WITH_LIST(hook##_input, prefix "scanf", (const char* format, ...),                 \
                    hook##_list_of(stdin, format, arguments))

GORDIAN_SCAN(scan, "")
GORDIAN_SCAN(scan_c99, "__isoc99_")
GORDIAN_SCAN(scan_c23, "__isoc23_")
