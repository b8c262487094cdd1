// SPDX-License-Identifier: Apache-2.0
// What compilers call before each read and write of a program built with -fsanitize=thread.
#include "memory/thread.h"

#define GORDIAN_ENTRY extern "C" __attribute__((visibility("default")))

using namespace gordian::memory;  // NOLINT(google-build-using-namespace): a file of entry points

namespace {

// It may lie in two granules.
__attribute__((always_inline)) inline void read_anywhere(const void* address, uint32_t size) {
  on_read(number(address));
  const uint64_t last = number(address) + size - 1;
  if ((last ^ number(address)) > 7) on_read(last);
}
__attribute__((always_inline)) inline void write_anywhere(const void* address, uint32_t size) {
  on_write(number(address));
  const uint64_t last = number(address) + size - 1;
  if ((last ^ number(address)) > 7) on_write(last);
}

}  // namespace

GORDIAN_ENTRY void __tsan_init() { start(); }
GORDIAN_ENTRY void __tsan_func_entry(void*) {}
GORDIAN_ENTRY void __tsan_func_exit() {}
GORDIAN_ENTRY void __tsan_ignore_thread_begin() {}
GORDIAN_ENTRY void __tsan_ignore_thread_end() {}

// "volatile" is asked for with an option only; "read_write" is one access that does both.
#define GORDIAN_ACCESS(size)                                                       \
  GORDIAN_ENTRY void __tsan_read##size(void* at) { on_read(number(at)); }          \
  GORDIAN_ENTRY void __tsan_write##size(void* at) { on_write(number(at)); }        \
  GORDIAN_ENTRY void __tsan_read_write##size(void* at) { on_write(number(at)); }   \
  GORDIAN_ENTRY void __tsan_volatile_read##size(void* at) { on_read(number(at)); } \
  GORDIAN_ENTRY void __tsan_volatile_write##size(void* at) { on_write(number(at)); }
#define GORDIAN_UNALIGNED(size)                                                                  \
  GORDIAN_ENTRY void __tsan_unaligned_read##size(void* at) { read_anywhere(at, size); }          \
  GORDIAN_ENTRY void __tsan_unaligned_write##size(void* at) { write_anywhere(at, size); }        \
  GORDIAN_ENTRY void __tsan_unaligned_read_write##size(void* at) { write_anywhere(at, size); }   \
  GORDIAN_ENTRY void __tsan_unaligned_volatile_read##size(void* at) { read_anywhere(at, size); } \
  GORDIAN_ENTRY void __tsan_unaligned_volatile_write##size(void* at) { write_anywhere(at, size); }

GORDIAN_ACCESS(1)
GORDIAN_ACCESS(2)
GORDIAN_ACCESS(4)
GORDIAN_ACCESS(8)
GORDIAN_UNALIGNED(2)
GORDIAN_UNALIGNED(4)
GORDIAN_UNALIGNED(8)

namespace {

// 16 bytes anywhere may lie in three granules.
void read_sixteen(const void* at) {
  read_anywhere(at, 8);
  read_anywhere(static_cast<const char*>(at) + 8, 8);
}
void write_sixteen(const void* at) {
  write_anywhere(at, 8);
  write_anywhere(static_cast<const char*>(at) + 8, 8);
}

}  // namespace

GORDIAN_ENTRY void __tsan_read16(void* at) { read_sixteen(at); }
GORDIAN_ENTRY void __tsan_write16(void* at) { write_sixteen(at); }
GORDIAN_ENTRY void __tsan_read_write16(void* at) { write_sixteen(at); }
GORDIAN_ENTRY void __tsan_volatile_read16(void* at) { read_sixteen(at); }
GORDIAN_ENTRY void __tsan_volatile_write16(void* at) { write_sixteen(at); }
GORDIAN_ENTRY void __tsan_unaligned_read16(void* at) { read_sixteen(at); }
GORDIAN_ENTRY void __tsan_unaligned_write16(void* at) { write_sixteen(at); }
GORDIAN_ENTRY void __tsan_unaligned_read_write16(void* at) { write_sixteen(at); }
GORDIAN_ENTRY void __tsan_unaligned_volatile_read16(void* at) { read_sixteen(at); }
GORDIAN_ENTRY void __tsan_unaligned_volatile_write16(void* at) { write_sixteen(at); }

GORDIAN_ENTRY void __tsan_read_range(void* at, unsigned long size) {
  on_read_range(number(at), size);
}
GORDIAN_ENTRY void __tsan_write_range(void* at, unsigned long size) {
  on_write_range(number(at), size);
}
GORDIAN_ENTRY void __tsan_vptr_read(void** at) { on_read(number(at)); }
GORDIAN_ENTRY void __tsan_vptr_update(void** at, void*) { on_write(number(at)); }
