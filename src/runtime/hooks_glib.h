// SPDX-License-Identifier: Apache-2.0
// GLib's functions as the hooks call them, and the table that glib_presence.cpp binds.
#pragma once

#include "runtime/glib_presence.h"

#include <stdint.h>

namespace gordian::runtime {

// GLib's own types are opaque here: the runtime must build and run without GLib. Return types and
// arguments are those of glib 2.32 and later (gboolean is int, gint64 is int64_t).
#define GORDIAN_GLIB_FUNCTIONS(X)                                             \
  X(g_mutex_init, void, (void* mutex))                                        \
  X(g_mutex_clear, void, (void* mutex))                                       \
  X(g_mutex_lock, void, (void* mutex))                                        \
  X(g_mutex_trylock, int, (void* mutex))                                      \
  X(g_mutex_unlock, void, (void* mutex))                                      \
  X(g_rec_mutex_init, void, (void* mutex))                                    \
  X(g_rec_mutex_clear, void, (void* mutex))                                   \
  X(g_rec_mutex_lock, void, (void* mutex))                                    \
  X(g_rec_mutex_trylock, int, (void* mutex))                                  \
  X(g_rec_mutex_unlock, void, (void* mutex))                                  \
  X(g_rw_lock_init, void, (void* lock))                                       \
  X(g_rw_lock_clear, void, (void* lock))                                      \
  X(g_rw_lock_writer_lock, void, (void* lock))                                \
  X(g_rw_lock_writer_trylock, int, (void* lock))                              \
  X(g_rw_lock_writer_unlock, void, (void* lock))                              \
  X(g_rw_lock_reader_lock, void, (void* lock))                                \
  X(g_rw_lock_reader_trylock, int, (void* lock))                              \
  X(g_rw_lock_reader_unlock, void, (void* lock))                              \
  X(g_cond_init, void, (void* condition))                                     \
  X(g_cond_clear, void, (void* condition))                                    \
  X(g_cond_wait, void, (void* condition, void* mutex))                        \
  X(g_cond_wait_until, int, (void* condition, void* mutex, int64_t end))      \
  X(g_cond_signal, void, (void* condition))                                   \
  X(g_cond_broadcast, void, (void* condition))                                \
  X(g_once_init_enter, int, (volatile void* location))                        \
  X(g_once_init_leave, void, (volatile void* location, unsigned long result)) \
  X(g_bit_lock, void, (volatile int* address, int bit))                       \
  X(g_bit_trylock, int, (volatile int* address, int bit))                     \
  X(g_bit_unlock, void, (volatile int* address, int bit))                     \
  X(g_pointer_bit_lock, void, (void* address, int bit))                       \
  X(g_pointer_bit_trylock, int, (void* address, int bit))                     \
  X(g_pointer_bit_unlock, void, (void* address, int bit))                     \
  X(g_async_queue_pop, void*, (void* queue))                                  \
  X(g_async_queue_try_pop, void*, (void* queue))                              \
  X(g_async_queue_timeout_pop, void*, (void* queue, uint64_t timeout))

struct GlibFunctions {
#define GORDIAN_MEMBER(name, result, arguments) result(*name) arguments;
  GORDIAN_GLIB_FUNCTIONS(GORDIAN_MEMBER)
#undef GORDIAN_MEMBER
};
extern GlibFunctions real_glib;

// Ends with a null name.
extern const GlibStandIn kGlibStandIns[];

}  // namespace gordian::runtime
