// SPDX-License-Identifier: Apache-2.0
// Atomic operations of a program built with -fsanitize=thread: the compiler leaves them to us.
//
// A write is put down before it happens and a read after, as everywhere. What reads and writes does
// both: whoever wrote in between is found by the second look.
#include "memory/thread.h"

#define GORDIAN_ENTRY extern "C" __attribute__((visibility("default")))

using namespace gordian::memory;  // NOLINT(google-build-using-namespace): a file of entry points

namespace {

enum : int { kRelaxed, kConsume, kAcquire, kRelease, kAcqRel, kSeqCst };

template <typename Value>
void on_write_of(const volatile Value* at) {
  on_write(number(at));
  if (sizeof(Value) > 8) on_write(number(at) + 8);
}
template <typename Value>
void on_was_read_of(const volatile Value* at) {
  on_was_read(number(at));
  if (sizeof(Value) > 8) on_was_read(number(at) + 8);
}

// Every operation is at least as strong as asked for. On x86 only the store differs in price.
template <typename Value>
Value load(const volatile Value* at) {
  const Value value = __atomic_load_n(at, __ATOMIC_SEQ_CST);
  on_was_read_of(at);
  return value;
}

template <typename Value>
void store(volatile Value* at, Value value, int order) {
  on_write_of(at);
  if (order == kSeqCst) {
    __atomic_store_n(at, value, __ATOMIC_SEQ_CST);
  } else {
    // ORDER: as the program asked, and it says what this pairs with.
    __atomic_store_n(at, value, __ATOMIC_RELEASE);
  }
}

template <typename Value, typename Change>
Value change(volatile Value* at, Change operation) {
  on_write_of(at);
  const Value before = operation();
  on_was_read_of(at);
  return before;
}

template <typename Value>
bool compare_exchange(volatile Value* at, Value* expected, Value desired) {
  // The program's own memory, of which the compiler tells nothing.
  Value found = *expected;
  on_was_read_of(expected);
  on_write_of(at);
  const bool done =
      __atomic_compare_exchange_n(at, &found, desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  on_was_read_of(at);
  if (!done) {
    on_write_of(expected);
    *expected = found;
  }
  return done;
}

}  // namespace

#define GORDIAN_ATOMIC(bits, Value)                                                            \
  GORDIAN_ENTRY Value __tsan_atomic##bits##_load(const volatile Value* at, int) {              \
    return load(at);                                                                           \
  }                                                                                            \
  GORDIAN_ENTRY void __tsan_atomic##bits##_store(volatile Value* at, Value value, int order) { \
    store(at, value, order);                                                                   \
  }                                                                                            \
  GORDIAN_ENTRY Value __tsan_atomic##bits##_exchange(volatile Value* at, Value value, int) {   \
    return change(at, [=] { return __atomic_exchange_n(at, value, __ATOMIC_SEQ_CST); });       \
  }                                                                                            \
  GORDIAN_FETCH(bits, Value, add)                                                              \
  GORDIAN_FETCH(bits, Value, sub)                                                              \
  GORDIAN_FETCH(bits, Value, and)                                                              \
  GORDIAN_FETCH(bits, Value, or)                                                               \
  GORDIAN_FETCH(bits, Value, xor)                                                              \
  GORDIAN_FETCH(bits, Value, nand)                                                             \
  GORDIAN_ENTRY int __tsan_atomic##bits##_compare_exchange_strong(                             \
      volatile Value* at, Value* expected, Value desired, int, int) {                          \
    return compare_exchange(at, expected, desired);                                            \
  }                                                                                            \
  GORDIAN_ENTRY int __tsan_atomic##bits##_compare_exchange_weak(                               \
      volatile Value* at, Value* expected, Value desired, int, int) {                          \
    return compare_exchange(at, expected, desired);                                            \
  }                                                                                            \
  GORDIAN_ENTRY Value __tsan_atomic##bits##_compare_exchange_val(                              \
      volatile Value* at, Value expected, Value desired, int, int) {                           \
    compare_exchange(at, &expected, desired);                                                  \
    return expected;                                                                           \
  }

#define GORDIAN_FETCH(bits, Value, name)                                                         \
  GORDIAN_ENTRY Value __tsan_atomic##bits##_fetch_##name(volatile Value* at, Value value, int) { \
    return change(at, [=] { return __atomic_fetch_##name(at, value, __ATOMIC_SEQ_CST); });       \
  }

GORDIAN_ATOMIC(8, uint8_t)
GORDIAN_ATOMIC(16, uint16_t)
GORDIAN_ATOMIC(32, uint32_t)
GORDIAN_ATOMIC(64, uint64_t)

// 16 bytes: with cmpxchg16b, which there is no load or store of.
namespace {

using Wide = unsigned __int128;

Wide exchange_if(volatile Wide* at, Wide expected, Wide desired) {
  return __sync_val_compare_and_swap(at, expected, desired);
}

template <typename Change>
Wide change_wide(volatile Wide* at, Change to) {
  return change(at, [=] {
    Wide found = *at;
    for (;;) {
      const Wide before = exchange_if(at, found, to(found));
      if (before == found) return before;
      found = before;
    }
  });
}

}  // namespace

GORDIAN_ENTRY Wide __tsan_atomic128_load(const volatile Wide* at, int) {
  const Wide value = exchange_if(const_cast<volatile Wide*>(at), 0, 0);
  on_was_read_of(at);
  return value;
}
GORDIAN_ENTRY void __tsan_atomic128_store(volatile Wide* at, Wide value, int) {
  change_wide(at, [=](Wide) { return value; });
}
GORDIAN_ENTRY Wide __tsan_atomic128_exchange(volatile Wide* at, Wide value, int) {
  return change_wide(at, [=](Wide) { return value; });
}
GORDIAN_ENTRY Wide __tsan_atomic128_fetch_add(volatile Wide* at, Wide value, int) {
  return change_wide(at, [=](Wide found) { return found + value; });
}
GORDIAN_ENTRY Wide __tsan_atomic128_fetch_sub(volatile Wide* at, Wide value, int) {
  return change_wide(at, [=](Wide found) { return found - value; });
}
GORDIAN_ENTRY Wide __tsan_atomic128_fetch_and(volatile Wide* at, Wide value, int) {
  return change_wide(at, [=](Wide found) { return found & value; });
}
GORDIAN_ENTRY Wide __tsan_atomic128_fetch_or(volatile Wide* at, Wide value, int) {
  return change_wide(at, [=](Wide found) { return found | value; });
}
GORDIAN_ENTRY Wide __tsan_atomic128_fetch_xor(volatile Wide* at, Wide value, int) {
  return change_wide(at, [=](Wide found) { return found ^ value; });
}
GORDIAN_ENTRY Wide __tsan_atomic128_fetch_nand(volatile Wide* at, Wide value, int) {
  return change_wide(at, [=](Wide found) { return ~(found & value); });
}
GORDIAN_ENTRY Wide __tsan_atomic128_compare_exchange_val(volatile Wide* at, Wide expected,
                                                         Wide desired, int, int) {
  return change(at, [=] { return exchange_if(at, expected, desired); });
}
GORDIAN_ENTRY int __tsan_atomic128_compare_exchange_strong(volatile Wide* at, Wide* expected,
                                                           Wide desired, int, int) {
  const Wide found = *expected;
  on_was_read_of(expected);
  const Wide before = change(at, [=] { return exchange_if(at, found, desired); });
  if (before == found) return 1;
  on_write_of(expected);
  *expected = before;
  return 0;
}
GORDIAN_ENTRY int __tsan_atomic128_compare_exchange_weak(volatile Wide* at, Wide* expected,
                                                         Wide desired, int first, int second) {
  return __tsan_atomic128_compare_exchange_strong(at, expected, desired, first, second);
}

GORDIAN_ENTRY void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
GORDIAN_ENTRY void __tsan_atomic_signal_fence(int) { __atomic_signal_fence(__ATOMIC_SEQ_CST); }
