// SPDX-License-Identifier: Apache-2.0
// The writer of a recording: every event of a thread into its ring (format/recording.h).
//
// All functions want the thread's scope to be open (HookScope), so that no signal handler writes
// into the ring in the middle of a record. Nothing here allocates; with --record-full=block a full
// ring makes its thread wait for the judge, as long as the judge gives signs of life.
//
// Order. Each object has a slot with a ticket counter. Who holds a lock exclusively counts its
// ticket up by plain stores: the lock itself orders them, and the slot belongs to that one address
// for good. Readers and objects without holder use an atomic addition.
#pragma once

#include "format/memory.h"
#include "format/recording.h"
#include "runtime/thread_card.h"

#include <stdint.h>

namespace gordian::runtime {

struct ObjectSlot {
  uint64_t address;  // kEndedObject set: the object has ended, the slot waits for the next there
  uint32_t ticket;
  uint32_t last;  // taker() of that ticket, for an exclusive hold; 0: somebody else's
};
inline constexpr uint64_t kEndedObject = uint64_t{1} << 63;

struct Recorder {
  format::RingsHeader* header;  // null: nothing is recorded
  format::Ring* rings;
  ObjectSlot* slots;  // kMaxSlots of them
  uint64_t* stacks;   // stack_key() by stack id
  uint64_t size;      // of the mapping
  uint64_t tables_size;
  const format::MemoryClient* memory;  // null: reads and writes are not seen
  uint64_t ring_bias;  // a card's ring is at ring_bias + (the card's address >> kRingShift)
  uint64_t rings_end;
};
extern Recorder recorder __attribute__((visibility("hidden")));

inline bool is_recording() { return __builtin_expect(recorder.header != nullptr, 0); }

// Makes the rings of this process; the memfd, or -1: no recording is to be had.
int make_recording(bool blocks, uint64_t size_limit);
// In a forked child, which must never write into its parent's rings.
void leave_recording();
// Gives back the rings that nobody uses yet, for good; see trim_board().
void trim_recording();

// The thread's ring; null: it has none. In few instructions: every recorded lock asks twice.
inline constexpr uint32_t kRingShift = 6;
static_assert(sizeof(format::Card) == sizeof(format::Ring) << kRingShift);
inline format::Ring* ring_of(const format::Card& card) {
  const uint64_t at = recorder.ring_bias + (reinterpret_cast<uint64_t>(&card) >> kRingShift);
  return __builtin_expect(at < recorder.rings_end, 1) ? reinterpret_cast<format::Ring*>(at)
                                                      : nullptr;
}

// Who took a lock where: another number for each ring and stack, and not 0. The rings lie side by
// side, so the low bits of where they lie tell them apart.
inline constexpr uint32_t kMaxRings = 1U << 15;
inline constexpr uint32_t kStackBits = 16;
inline uint32_t taker(const format::Ring* ring, uint32_t stack) {
  static_assert(sizeof(format::Ring) == 1 << 7);
  return kMaxRings << kStackBits |
         static_cast<uint32_t>(reinterpret_cast<uint64_t>(ring) >> 7) << kStackBits | stack;
}
inline bool is_same_ring(uint32_t taker, uint32_t other) {
  return (taker ^ other) >> kStackBits == 0;
}

// ---- events, by whom they are called for

void record_acquired(ThreadState& thread, const Request& request, const CallSite& site);
void record_released(ThreadState& thread, const Request& request);
// Before a release: a cancelled wait on a condition never told that it has its mutex again.
void record_cancelled_wait(ThreadState& thread, const Request& request);
void record_request(ThreadState& thread, const Request& request, const CallSite& site);
void record_wait_end(ThreadState& thread, const Request& request);
void record_try_failed(ThreadState& thread, const Request& request, const CallSite& site);
// A wait on a condition, with the release of its mutex (`request.object`), and the end of it.
void record_condition_wait(ThreadState& thread, const Request& request, const CallSite& site);
void record_condition_wake(ThreadState& thread, const Request& request, const CallSite& site,
                           bool gave_up);
// Condition, semaphore, barrier: an event with a ticket of its own.
void record_signal(ThreadState& thread, format::Event event, const Request& request,
                   const CallSite& site, uint32_t flags = 0);
void record_passed(ThreadState& thread, const Request& request, const CallSite& site);
// Fork, Join: of the thread that is the request's object.
void record_thread(ThreadState& thread, format::Event event, const Request& request,
                   const CallSite& site);
void record_begin(ThreadState& thread);
void record_thread_end(ThreadState& thread, const char* name);
void record_name(ThreadState& thread, const char* name);
// Annotations. An object that is not recorded yet gets its name when it is: see format::LockEntry.
void record_called(ThreadState& thread, uint64_t address, const char* name, uint32_t size);
void record_described(ThreadState& thread, const Request& request, const CallSite& site,
                      format::Described what, int32_t level);
// The memory runtime's: see format/memory.h.
bool begin_memory(const format::MemoryClient& client);
format::MemoryTurn begin_memory_thread(ThreadState& thread, void* memory, format::MemoryRing& to);
bool record_read_from(ThreadState& thread, uint32_t from, uint64_t position);
void note_missed_memory(uint32_t why);
// The thread is about to free a block.
void record_freed(ThreadState& thread, uint64_t address, uint64_t size);
// The object at `address` is no more. By the calling thread, if it has a ring.
void record_end_of(uint64_t address);
void record_module(const format::ModuleBody& module, const char* path);

// ---- the hot path

inline constexpr uint32_t kStackSlots = 1U << kStackBits;
inline constexpr uint32_t kRoom = 16;  // bytes that are there if `head` is below `limit`

// The judge's processor has read the lines that are about to be written anew. Fetching them back
// takes longer than all the rest of a record, and the next atomic operation would wait for it: so
// they are asked for some records earlier.
inline constexpr uint32_t kFetchAhead = 512;  // bytes
__attribute__((always_inline)) inline void fetch_ahead(const format::Ring& ring, uint64_t head) {
  const uint64_t at = (head + kFetchAhead) & (format::kRingBytes - 1);
  asm volatile("prefetchw %0" : : "m"(*reinterpret_cast<const char*>(ring.data + at)));
}

// A call site and how deep its frame lies in the stack: what tells stacks apart cheaply.
inline uint64_t stack_key(const format::Card& card, const CallSite& site) {
  return (site.pc & 0xffffffffffffU) | ((card.stack_high - site.frame) >> 3) << 48;
}
inline uint32_t stack_index(uint64_t key) {
  return static_cast<uint32_t>((key * 0x9E3779B97F4A7C15U) >> 48);
}
static_assert(kStackSlots == 1U << (64 - 48));
// As generation_index(), but even the smallest locks, 4 bytes apart, have slots of their own.
inline uint32_t object_index(uint64_t address) {
  return static_cast<uint32_t>((address * ((uint64_t{1} << 42) + 0x9E3779B9U)) >> 44);
}
static_assert(format::kMaxSlots == 1U << (64 - 44));

// The object's slot is asked for before the lock itself is touched: with many locks neither is in
// the caches, and so both come in the time of one.
__attribute__((always_inline)) inline void fetch_slot(uint64_t address) {
  __builtin_prefetch(&recorder.slots[object_index(address)], 1);
}

// Is there room for a record, and no need to tell the time first? Only in a scope.
inline bool has_room(const format::Ring& ring) {
  return ring.head < ring.limit && ring.clock == recorder.header->clock;
}

// Where the program tells what it reads: that goes first, and then there may be room.
void settle(format::Ring& ring);
inline void settle_what_was_read(format::Ring* ring) {
  if (ring != nullptr && ring->memory != 0) settle(*ring);
}

// Acquire of a lock held exclusively, into a ring that has room. False: nothing was written, since
// the object or the stack is new.
__attribute__((always_inline)) inline bool record_acquired_quickly(format::Ring& ring,
                                                                   const format::Card& card,
                                                                   uint64_t address,
                                                                   const CallSite& site,
                                                                   uint32_t flags = 0) {
  const uint64_t key = stack_key(card, site);
  const uint32_t stack = stack_index(key);
  const uint32_t slot = object_index(address);
  ObjectSlot& object = recorder.slots[slot];
  if (__builtin_expect((object.address != address) | (recorder.stacks[stack] != key), 0)) {
    return false;
  }
  const uint64_t head = ring.head;
  fetch_ahead(ring, head);
  char* const to = reinterpret_cast<char*>(ring.data + (head & (format::kRingBytes - 1)));
  const uint32_t ticket = object.ticket + 1;
  const uint32_t self = taker(&ring, stack);
  const uint32_t last = object.last;
  object.ticket = ticket;
  using Word [[gnu::may_alias, gnu::aligned(4)]] = uint32_t;
  using Words [[gnu::may_alias, gnu::aligned(4)]] = uint64_t;
  if (__builtin_expect(last == self, 1)) {
    *reinterpret_cast<Word*>(to) = format::event_head(format::Event::AcquireAgain, 1, flags, slot);
    // ORDER: who sees the head sees the record; pairs with the judge's acquire.
    __atomic_store_n(&ring.head, head + 4, __ATOMIC_RELEASE);
    return true;
  }
  object.last = self;
  if (is_same_ring(last, self)) {
    *reinterpret_cast<Words*>(to) =
        format::event_head(format::Event::AcquireNext, 2, flags, slot) | uint64_t{stack} << 32;
    // ORDER: as above.
    __atomic_store_n(&ring.head, head + 8, __ATOMIC_RELEASE);
    return true;
  }
  *reinterpret_cast<Words*>(to) =
      format::event_head(format::Event::Acquire, 3, flags, slot) | uint64_t{ticket} << 32;
  reinterpret_cast<Word*>(to)[2] = stack;
  // ORDER: as above.
  __atomic_store_n(&ring.head, head + 12, __ATOMIC_RELEASE);
  return true;
}

// Release of a lock, as above.
__attribute__((always_inline)) inline bool record_released_quickly(format::Ring& ring,
                                                                   uint64_t address) {
  const uint32_t slot = object_index(address);
  const uint64_t head = ring.head;
  if (__builtin_expect((recorder.slots[slot].address != address) | (head >= ring.limit), 0)) {
    return false;
  }
  *reinterpret_cast<uint32_t*>(ring.data + (head & (format::kRingBytes - 1))) =
      format::event_head(format::Event::Release, 1, 0, slot);
  // ORDER: as above.
  __atomic_store_n(&ring.head, head + 4, __ATOMIC_RELEASE);
  return true;
}

}  // namespace gordian::runtime
