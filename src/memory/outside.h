// SPDX-License-Identifier: Apache-2.0
// What threads tell each other through the kernel: pipes, sockets, files, children.
//
// Which call hears which is not followed. The world outside is one place of memory: whoever tells
// it something writes there before, whoever hears from it reads there after. So what is heard comes
// after all that was told. Standard output and error are not heard by the program itself, unless it
// puts other files in their places.
#pragma once

#include "memory/real_functions.h"
#include "memory/thread.h"

#include <stdio.h>

namespace gordian::memory {

extern uint64_t outside __attribute__((visibility("hidden")));
extern bool has_other_output __attribute__((visibility("hidden")));  // 1 or 2 is another file now

inline void tell_outside() { on_write(number(&outside)); }
inline void hear_outside() { on_was_read(number(&outside)); }

inline bool is_heard(int descriptor) { return descriptor > 2 || has_other_output; }
inline bool is_heard(FILE* file) { return (file != stdout && file != stderr) || has_other_output; }

// What libc writes for the program, put down before it does. Null: it writes nothing.
inline void answer(const void* at, size_t size) {
  if (at != nullptr && may_tell()) on_write_range(number(at), size);
}

// A text that libc reads or has read.
void read_text(const char* text);
// One that it has written, of a length that was not known before.
void wrote_text(const char* text);

}  // namespace gordian::memory

#define GORDIAN_NOTHING static_cast<void>(0)

// A hook that does BEFORE, the real call, then AFTER.
#define GORDIAN_OUTSIDE(type, name, parameters, arguments, before, after) \
  namespace {                                                             \
  GORDIAN_REAL(name);                                                     \
  __attribute__((constructor)) void find_##name() { GORDIAN_FIND(name); } \
  }                                                                       \
  GORDIAN_HOOK type name parameters {                                     \
    if (real_##name == nullptr) GORDIAN_FIND(name);                       \
    before;                                                               \
    auto const result = real_##name arguments;                            \
    after;                                                                \
    return result;                                                        \
  }

// The same for a symbol whose declaration is in the way: an argument list that varies, a body in a
// header, the name of a structure.
#define GORDIAN_OUTSIDE_AS(type, hook, symbol, parameters, arguments, before, after) \
  GORDIAN_HOOK_AS(type, hook, symbol, parameters);                                   \
  GORDIAN_HOOK type hook parameters {                                                \
    before;                                                                          \
    auto const result = found_##hook() arguments;                                    \
    after;                                                                           \
    return result;                                                                   \
  }
