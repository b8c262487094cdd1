// SPDX-License-Identifier: Apache-2.0
#include "memory/thread.h"

#include "memory/mappings.h"
#include "memory/outside.h"

#include <dlfcn.h>

// libgordian.so's, if it is there.
#pragma weak gordian_memory_begin
#pragma weak gordian_memory_thread
#pragma weak gordian_memory_read_from
#pragma weak gordian_memory_missed

extern "C" int __register_atfork(void (*prepare)(), void (*parent)(), void (*child)(),
                                 void* object);

namespace gordian::memory {

using format::MemoryTurn;

__thread Thread self = {};
constinit uint32_t state = kNotStarted;

namespace {

constinit bool watches_forks = false;
constinit uint32_t missed = 0;                            // of what miss() was told
constinit uint64_t recorder_begin = 0, recorder_end = 0;  // 0: not looked for yet

uint32_t load_state() {
  // ORDER: pairs with start(): who sees it on sees the shadow.
  return __atomic_load_n(&state, __ATOMIC_ACQUIRE);
}

bool tell_by_call(void* ring, uint32_t from, uint64_t position) {
  static_cast<void>(ring);
  return gordian_memory_read_from(from, position);
}

// By ring: where the thread that has it now began. 0: nobody has had it, or it is one of too many.
constexpr uint32_t kStarts = 1 << 16;
constinit Cell starts[kStarts] = {};

Cell start_of(uint32_t ring) {
  // ORDER: relaxed: a start that is not seen yet only makes more news.
  return ring < kStarts ? __atomic_load_n(&starts[ring], __ATOMIC_RELAXED) : ~Cell{0};
}

// Is what the cell says news to the thread? Then it is remembered. What comes after a place in a
// ring comes after all before it, but only as far as the same thread had the ring.
__attribute__((always_inline)) inline bool is_news(Thread& thread, Cell cell) {
  cell = without_place(cell);
  // Nobody's, or its own since it has the ring: what a segment of its own has is never before that.
  if (cell == 0 || ((cell ^ thread.owner) >> kRingShift == 0 && cell >= thread.first)) {
    return false;
  }
  const uint32_t ring = ring_of_cell(cell);
  Known& known = thread.known[ring % kKnown];
  if ((cell ^ known.last) >> kRingShift == 0 && cell <= known.last && cell >= known.first)
    return false;
  const Cell start = start_of(ring);
  known = {.first = cell >= start ? start : cell, .last = cell};
  return true;
}

void tell(Thread& thread, Cell cell, void* ring, format::TellReadFrom teller) {
  if (!teller(ring, ring_of_cell(cell), position_of_cell(cell)))
    gordian_memory_missed(format::kMemoryNotRecorded);
  // The record has made room for more, but there may be reads left that come first.
  *thread.limit = 0;
}

void settle(Thread& thread, void* ring, format::TellReadFrom teller, uint32_t room) {
  for (uint32_t i = room; i < kFull; ++i) {
    // ORDER: relaxed: the thread has read what the cell stands for, and x86 keeps loads in order.
    const Cell cell = __atomic_load_n(thread.reads[i], __ATOMIC_RELAXED);
    if (is_news(thread, cell)) tell(thread, cell, ring, teller);
  }
  for (uint64_t at = thread.range_begin & ~uint64_t{7}; at < thread.range_end; at += 8) {
    const Cell cell = __atomic_load_n(cell_of(at), __ATOMIC_RELAXED);
    if (is_news(thread, cell)) tell(thread, cell, ring, teller);
  }
  thread.range_begin = thread.range_end = 0;
}

// With the reads of the thread looked up. False: it is not the calling one, or in the middle of it.
template <typename Action>
bool settle_and(void* thread, void* ring, format::TellReadFrom teller, Action then) {
  Thread& own = *static_cast<Thread*>(thread);
  if (&own != &self || own.room == 0) return false;
  const uint32_t room = own.room;
  own.room = 0;
  settle(own, ring, teller, room);
  then(own);
  own.room = kFull;
  return true;
}

void note_unsettled(const void* thread) {
  if (thread == &self && self.stage == Stage::On) gordian_memory_missed(format::kMemoryNested);
}

void settle_for_event(void* thread, void* ring, format::TellReadFrom teller) {
  if (!settle_and(thread, ring, teller, [](Thread&) {})) note_unsettled(thread);
}

// First the order, which begins a new segment of the thread, then the cell: whoever finds the
// thread there comes after what the thread comes after.
void take(Thread& thread, uint64_t address, void* ring, format::TellReadFrom teller) {
  if (*thread.head >> (kPositionBits + 2) != 0) {  // no cell can name it
    gordian_memory_missed(format::kMemoryNotRecorded);
    return;
  }
  Cell* const cell = cell_of(address);
  for (;;) {
    Cell found = __atomic_load_n(cell, __ATOMIC_RELAXED);
    if (is_news(thread, found)) tell(thread, found, ring, teller);
    Cell own = own_cell(thread, address);
    if (found != 0 && ((found ^ own) & kPlaceMask) != 0) own = without_place(own) | kSeveralPlaces;
    if (found == own ||
        __atomic_compare_exchange_n(cell, &found, own, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
      return;
    }
  }
}

void write_for_event(void* thread, void* ring, format::TellReadFrom teller, uint64_t address) {
  if (!settle_and(thread, ring, teller, [=](Thread& own) { take(own, address, ring, teller); }))
    note_unsettled(thread);
}

// What is larger is not emptied: that takes time, and all that is lost is that orders are too many.
constexpr uint64_t kMaxFreed = 1 << 20;

// Whoever else was there has looked up what he read when he let go of the block, or the program is
// wrong.
void forget_freed(void* thread, void* ring, format::TellReadFrom teller, uint64_t address,
                  uint64_t size) {
  // Of a smaller shadow a cell has more granules than places tell apart.
  const bool tells_places = shadow.mask >> (kShadowBits - 1) == 1;
  if (size > kMaxFreed || !tells_places) return;
  settle_and(thread, ring, teller, [=](Thread&) {
    for (uint64_t at = (address + 7) & ~uint64_t{7}; at + 8 <= address + size; at += 8) {
      Cell* const cell = cell_of(at);
      Cell found = __atomic_load_n(cell, __ATOMIC_RELAXED);
      if (found == 0 || (found & kPlaceMask) != place_of(at)) continue;
      // Whoever comes between writes to another granule.
      __atomic_compare_exchange_n(cell, &found, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
    }
  });
}

void forget_thread(void* thread) {
  Thread& own = *static_cast<Thread*>(thread);
  if (&own != &self) return;
  own.room = 0;
  own.stage = Stage::Off;
}

constinit const format::MemoryClient kClient{.version = format::kMemoryVersion,
                                             .settle = settle_for_event,
                                             .wrote = write_for_event,
                                             .freed = forget_freed,
                                             .forget = forget_thread};

// What the child does comes after what this thread did.
void tell_of_fork() {
  tell_outside();
  note_child();
}

// The child has another recording, or none.
void after_fork_in_child() {
  self.room = 0;
  self.stage = Stage::New;
  // ORDER: as in start().
  __atomic_store_n(&state, gordian_memory_begin(&kClient) ? kOn : kOff, __ATOMIC_RELEASE);
  for (Known& known : self.known) known = {};
  missed = 0;
  note_parent();
}

// Whether accesses of the thread can be told from now on.
bool begin_thread(Thread& thread) {
  if (load_state() == kNotStarted) start();
  if (load_state() != kOn || thread.stage == Stage::Off) return false;
  format::MemoryRing ring{};
  switch (gordian_memory_thread(&thread, &ring)) {
    case MemoryTurn::Never:
      thread.stage = Stage::Off;
      thread.owner = 0;
      gordian_memory_missed(format::kMemoryNotRecorded);
      return false;
    case MemoryTurn::NotNow:
      gordian_memory_missed(format::kMemoryNested);
      return false;
    case MemoryTurn::Told:
      break;
  }
  thread.owner = cell_owner(ring.number);
  thread.head = ring.head;
  thread.limit = ring.limit;
  thread.first = without_place(own_cell(thread, 0));
  // ORDER: relaxed: before any cell of the thread, which is written by compare and exchange.
  if (ring.number < kStarts) __atomic_store_n(&starts[ring.number], thread.first, __ATOMIC_RELAXED);
  thread.stage = Stage::On;
  thread.room = kFull;
  return true;
}

}  // namespace

bool get_ready(Thread& thread) {
  if (load_state() == kOff) return false;
  if (thread.stage == Stage::New) return begin_thread(thread);
  if (thread.stage == Stage::Off) {
    // What it writes now comes after its last record; what it reads nobody will hear of.
    gordian_memory_missed(format::kMemoryAfterEnd);
    return false;
  }
  if (thread.room == 0) {
    gordian_memory_missed(format::kMemoryNested);
    return false;
  }
  const uint32_t room = thread.room;
  thread.room = 0;
  compiler_fence();
  settle(thread, nullptr, tell_by_call, room);
  compiler_fence();
  thread.room = kFull;
  return true;
}

void start() {
  uint32_t now = kOff;
  // What is called here may be a hook of this library.
  // ORDER: pairs with load_state().
  __atomic_store_n(&state, kOff, __ATOMIC_RELEASE);
  if (gordian_memory_begin != nullptr && gordian_memory_thread != nullptr &&
      gordian_memory_read_from != nullptr && gordian_memory_missed != nullptr) {
    const bool is_recorded = gordian_memory_begin(&kClient);
    // Behind the recorder's own, whom that has started: in a child it has to begin anew first.
    if (!watches_forks) __register_atfork(tell_of_fork, nullptr, after_fork_in_child, nullptr);
    watches_forks = true;
    if (is_recorded) {
      now = kOn;
      if (shadow.base == 0 && !map_shadow()) {
        gordian_memory_missed(format::kMemoryNoShadow);
        now = kOff;
      }
    }
  }
  // ORDER: as above.
  __atomic_store_n(&state, now, __ATOMIC_RELEASE);
}

void miss(uint32_t why) {
  if (load_state() != kOn) return;
  __atomic_fetch_or(&missed, why, __ATOMIC_SEQ_CST);
  gordian_memory_missed(why);
}

bool has_missed(uint32_t why) { return (__atomic_load_n(&missed, __ATOMIC_SEQ_CST) & why) != 0; }

bool is_recorder(const void* code) {
  if (recorder_end == 0) {
    dl_find_object found{};
    if (gordian_memory_begin == nullptr ||
        _dl_find_object(reinterpret_cast<void*>(gordian_memory_begin), &found) != 0) {
      recorder_end = 1;
      return false;
    }
    recorder_begin = number(found.dlfo_map_start);
    recorder_end = number(found.dlfo_map_end);
  }
  return number(code) >= recorder_begin && number(code) < recorder_end;
}

void settle_reads(Thread& thread, uint32_t room) { settle(thread, nullptr, tell_by_call, room); }

void read_cell(Thread& thread, const Cell* cell) {
  // ORDER: relaxed, as in settle().
  const Cell found = __atomic_load_n(cell, __ATOMIC_RELAXED);
  if (is_news(thread, found)) tell(thread, found, nullptr, tell_by_call);
}

void take_cell(Thread& thread, uint64_t address) { take(thread, address, nullptr, tell_by_call); }

void on_read_range(uint64_t address, uint64_t size) {
  if (size == 0) return;
  on_read(address);
  if (self.room == 0) return;
  if (self.range_end != 0) {
    // Those before have happened; this one has not, so it is put down anew.
    if (!get_ready(self)) return;
    on_read(address);
  }
  self.range_begin = address;
  self.range_end = address + size;
}

// Of no bytes at an odd address the loops below would touch the granule that it lies in.
void on_write_range(uint64_t address, uint64_t size) {
  if (size == 0) return;
  for (uint64_t at = address & ~uint64_t{7}; at < address + size; at += 8) on_write(at);
}

void on_was_read_range(uint64_t address, uint64_t size) {
  if (size == 0) return;
  for (uint64_t at = address & ~uint64_t{7}; at < address + size; at += 8) on_was_read(at);
}

}  // namespace gordian::memory
