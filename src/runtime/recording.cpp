// SPDX-License-Identifier: Apache-2.0
#include "runtime/recording.h"

#include "runtime/chains.h"
#include "runtime/lock_table.h"
#include "runtime/log.h"
#include "runtime/modules.h"
#include "runtime/pages.h"
#include "runtime/system_calls.h"

#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/single_threaded.h>
#include <time.h>

namespace gordian::runtime {

using format::Event;
using format::event_head;
using format::kRingBytes;
using format::kWakeBytes;
using format::Ring;

constinit Recorder recorder{};

namespace {

constexpr uint32_t kProbes = 32;
// How long a judge may be silent before nobody waits for it any more.
constexpr uint64_t kSilence_ns = 1'000'000'000;

constinit uint64_t silent_beats = UINT64_MAX;  // the beat at which we stopped waiting

// libc's needs no system call; a sanitizer's does not work before that has come to life.
constinit bool has_libcs_clock = false;

uint64_t now_ns(clockid_t clock) {
  timespec now{};
  if (has_libcs_clock) {
    clock_gettime(clock, &now);
  } else {
    raw_call(SYS_clock_gettime, clock, reinterpret_cast<long>(&now));
  }
  return static_cast<uint64_t>(now.tv_sec) * 1000000000 + static_cast<uint64_t>(now.tv_nsec);
}

Ring* own_ring(const ThreadState& thread) {
  return thread.card == nullptr ? nullptr : ring_of(*thread.card);
}

uint64_t load_tail(const Ring& ring) {
  // ORDER: pairs with the judge's release: what it has taken out may be overwritten.
  return __atomic_load_n(&ring.tail, __ATOMIC_ACQUIRE);
}

// There is something for the judge to take, should it sleep. A program of several threads may
// always wake: its own locks do. One of a single thread may have put itself behind a filter
// without.
void wake_judge() {
  uint32_t& sleeps = recorder.header->sleeps;
  if (__atomic_load_n(&sleeps, __ATOMIC_RELAXED) == 0 || __libc_single_threaded != 0) return;
  // ORDER: pairs with the judge's store of 1: it looks at the heads after that. One thread wakes
  // it.
  if (__atomic_exchange_n(&sleeps, 0, __ATOMIC_SEQ_CST) == 0) return;
  raw_call(SYS_futex, reinterpret_cast<long>(&sleeps), FUTEX_WAKE, 1);
}

// Waits until `end` bytes fit. False: not now.
bool wait_for_room(Ring& ring, uint64_t end) {
  const format::RingsHeader& header = *recorder.header;
  if (header.blocks == 0) return false;
  uint64_t beats = __atomic_load_n(&header.beats, __ATOMIC_RELAXED);
  if (beats == __atomic_load_n(&silent_beats, __ATOMIC_RELAXED)) return false;
  ring.waited += 1;
  uint64_t since = now_ns(CLOCK_MONOTONIC_COARSE);
  while (end > load_tail(ring) + kRingBytes) {
    raw_call(SYS_sched_yield);
    const uint64_t beat = __atomic_load_n(&header.beats, __ATOMIC_RELAXED);
    if (beat != beats) {
      beats = beat;
      since = now_ns(CLOCK_MONOTONIC_COARSE);
    } else if (now_ns(CLOCK_MONOTONIC_COARSE) - since > kSilence_ns) {
      __atomic_store_n(&silent_beats, beats, __ATOMIC_RELAXED);
      return false;
    }
  }
  return true;
}

void note_used(uint32_t index) {
  uint32_t used = __atomic_load_n(&recorder.header->used, __ATOMIC_RELAXED);
  while (used <= index && !__atomic_compare_exchange_n(&recorder.header->used, &used, index + 1,
                                                       true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
}

// Up to where records may be written without asking: the end of the ring or of what is free, or
// where the judge is to be woken. What it has taken meanwhile is seen there, so that is never far.
void set_limit(Ring& ring, uint64_t tail) {
  const uint64_t free_end = tail + kRingBytes;
  const uint64_t ring_end = (ring.head & ~uint64_t{kRingBytes - 1}) + kRingBytes;
  const uint64_t wake_at = tail + kWakeBytes;
  const uint64_t next_look = ring.head < wake_at ? wake_at : ring.head + kWakeBytes;
  uint64_t end = free_end < ring_end ? free_end : ring_end;
  if (next_look < end) end = next_look;
  ring.limit = end - kRoom + sizeof(uint32_t);
}

uint32_t* words_at(const Ring& ring, uint64_t position) {
  return reinterpret_cast<uint32_t*>(ring.data + (position & (kRingBytes - 1)));
}

void advance(Ring& ring, uint64_t bytes) {
  // ORDER: who sees the head sees the records; pairs with the judge's acquire.
  __atomic_store_n(&ring.head, ring.head + bytes, __ATOMIC_RELEASE);
}

// Contiguous room for `bytes`, behind the head; null: there is none.
uint32_t* find_room(Ring& ring, uint64_t bytes) {
  for (;;) {
    const uint64_t to_end = kRingBytes - (ring.head & (kRingBytes - 1));
    const bool must_wrap = bytes > to_end;
    const uint64_t end = ring.head + (must_wrap ? to_end + bytes : bytes);
    const uint64_t tail = load_tail(ring);
    if (end > tail + kWakeBytes) wake_judge();
    if (end > tail + kRingBytes) {
      if (!wait_for_room(ring, end)) return nullptr;
      continue;
    }
    if (!must_wrap) {
      set_limit(ring, tail);
      return words_at(ring, ring.head);
    }
    *words_at(ring, ring.head) = event_head(Event::Pad, 1);
    advance(ring, to_end);
  }
}

void write_u64(uint32_t* words, uint64_t value) {
  words[0] = static_cast<uint32_t>(value);
  words[1] = static_cast<uint32_t>(value >> 32);
}

void write_time(Ring& ring, uint32_t* words, uint64_t time) {
  words[0] = event_head(Event::Time, 3);
  write_u64(words + 1, time);
  advance(ring, 12);
}

// Room for a record; what has to stand before it is written. Null: the record is lost, and the next
// one that fits will say so.
uint32_t* begin_settled(Ring& ring, uint64_t bytes) {
  constexpr uint64_t kLostBytes = 16, kTimeBytes = 12;
  if (ring.data == 0) {
    const auto index = static_cast<uint32_t>(&ring - recorder.rings);
    ring.data = reinterpret_cast<uint64_t>(recorder.header) + recorder.header->data_offset +
                uint64_t{index} * kRingBytes;
    note_used(index);
  }
  uint32_t* room = find_room(ring, bytes + kLostBytes + kTimeBytes);
  if (room == nullptr) {
    ring.lost += 1;
    ring.limit = 0;
    return nullptr;
  }
  if (ring.lost != ring.lost_told) {
    room[0] = event_head(Event::Lost, 4);
    write_u64(room + 1, ring.lost - ring.lost_told);
    room[3] = ring.uid;
    ring.lost_told = ring.lost;
    advance(ring, kLostBytes);
    room += kLostBytes / 4;
  }
  const uint32_t clock = __atomic_load_n(&recorder.header->clock, __ATOMIC_RELAXED);
  if (ring.clock != clock) {
    ring.clock = clock;
    write_time(ring, room, now_ns(CLOCK_MONOTONIC));
    room += kTimeBytes / 4;
  }
  return room;
}

bool tell_read_from(void* ring, uint32_t from, uint64_t position) {
  auto& own = *static_cast<Ring*>(ring);
  uint32_t* const words = begin_settled(own, 16);
  if (words == nullptr) return false;
  words[0] = event_head(Event::ReadFrom, 4);
  words[1] = from;
  write_u64(words + 2, position);
  advance(own, 16);
  return true;
}

__attribute__((noinline)) void settle_memory(Ring& ring) {
  // Whoever was loaded meanwhile may read and write as it likes.
  if (objects_were_added()) note_missed_memory(format::kMemoryLateObject);
  recorder.memory->settle(reinterpret_cast<void*>(ring.memory), &ring, tell_read_from);
}

// As begin_settled, for an event: what the thread has read so far comes before it.
uint32_t* begin(Ring& ring, uint64_t bytes) {
  if (__builtin_expect(ring.memory != 0, 0)) settle_memory(ring);
  return begin_settled(ring, bytes);
}

// A record that may be missing without harm to any order.
uint32_t* begin_optional(Ring& ring, uint64_t bytes) {
  const uint64_t lost = ring.lost;
  const uint64_t limit = ring.limit;
  uint32_t* room = begin(ring, bytes);
  if (room == nullptr) {
    ring.lost = lost;
    ring.limit = limit;
  }
  return room;
}

// ---- objects

uint64_t load_address(const ObjectSlot& slot) {
  // ORDER: relaxed: an address is written once, and its use is ordered by the object itself.
  return __atomic_load_n(&slot.address, __ATOMIC_RELAXED);
}

uint32_t next_ticket(ObjectSlot& slot) {
  __atomic_store_n(&slot.last, 0, __ATOMIC_RELAXED);
  return __atomic_add_fetch(&slot.ticket, 1, __ATOMIC_RELAXED);
}

// The slot of an address, found or taken; 0: they are all taken.
uint32_t take_slot(uint64_t address) {
  const uint32_t home = object_index(address);
  for (uint32_t i = 0; i < kProbes; ++i) {
    const uint32_t index = (home + i) & (format::kMaxSlots - 1);
    if (index == 0) continue;
    ObjectSlot& slot = recorder.slots[index];
    uint64_t found = load_address(slot);
    if (found == 0 && __atomic_compare_exchange_n(&slot.address, &found, address | kEndedObject,
                                                  false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
      return index;
    }
    if ((found & ~kEndedObject) == address) return index;
  }
  return 0;
}

uint32_t find_slot(uint64_t address) {
  const uint32_t home = object_index(address);
  for (uint32_t i = 0; i < kProbes; ++i) {
    const uint32_t index = (home + i) & (format::kMaxSlots - 1);
    const uint64_t found = index == 0 ? 1 : load_address(recorder.slots[index]);
    if ((found & ~kEndedObject) == address) return index;
    if (found == 0) break;
  }
  return 0;
}

void write_called(Ring& ring, uint32_t index, const char* name, uint32_t size) {
  const uint32_t bytes = 16 + ((size + 3) & ~3U);
  const uint32_t ticket = __atomic_load_n(&recorder.slots[index].ticket, __ATOMIC_RELAXED);
  uint32_t* const words = begin_optional(ring, bytes);
  if (words == nullptr) return;
  words[bytes / 4 - 1] = 0;
  words[0] = event_head(Event::Called, format::kSizeFollows, 0, index);
  words[1] = bytes / 4;
  words[2] = ticket;
  words[3] = size;
  memcpy(words + 4, name, size);
  advance(ring, bytes);
}

void record_born(Ring& ring, uint32_t index, const Request& request, const CallSite& site) {
  ObjectSlot& slot = recorder.slots[index];
  // Registered, so that its end is seen.
  const format::LockEntry* const entry = register_lock(request, site.pc);
  const uint32_t ticket = next_ticket(slot);
  constexpr uint64_t kBytes = 8 + sizeof(format::BornBody);
  uint32_t* const words = begin(ring, kBytes);
  if (words == nullptr) return;
  words[0] = event_head(Event::Born, format::kSizeFollows, 0, index);
  words[1] = kBytes / 4;
  format::BornBody body{};
  body.ticket = ticket;
  body.kind = static_cast<uint8_t>(request.kind);
  body.address = request.address;
  body.birth_site = entry == nullptr ? site.pc : entry->birth_site;
  if (entry != nullptr) {
    body.flags = entry->flags;
    body.type = entry->type;
    body.creator_uid = entry->creator_uid;
  }
  memcpy(words + 2, &body, sizeof body);
  advance(ring, kBytes);
  note_module_of(body.birth_site);
  const format::NameRecord* const name =
      entry == nullptr ? nullptr : record_at<format::NameRecord>(entry->name);
  if (name != nullptr) write_called(ring, index, name->text, name->size);
}

// The slot of what is asked for, as whoever was there before has left it; 0: none to be had.
uint32_t slot_as_it_is(const Request& request) {
  const uint32_t index = take_slot(key_of(request) & ~kEndedObject);
  if (index == 0) count(recorder.header->dropped_objects);
  return index;
}

// The same, and the object lives.
uint32_t slot_of(Ring& ring, const Request& request, const CallSite& site) {
  const uint64_t address = key_of(request) & ~kEndedObject;
  const uint32_t index = slot_as_it_is(request);
  if (index == 0) return 0;
  ObjectSlot& slot = recorder.slots[index];
  uint64_t found = load_address(slot);
  if (found != address && __atomic_compare_exchange_n(&slot.address, &found, address, false,
                                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    record_born(ring, index, request, site);
  }
  return index;
}

// Whose tickets its holder counts by plain stores. Nobody else may touch them.
bool has_holder(format::Kind kind) {
  using format::Kind;
  return is_lock(kind) || kind == Kind::Once || kind == Kind::Guard || kind == Kind::GlibOnce;
}

// As slot_of(), for a thread that does not hold what it asks for: the birth of a lock is told by
// whoever takes it first.
uint32_t slot_asked_for(Ring& ring, const Request& request, const CallSite& site) {
  return has_holder(request.kind) ? slot_as_it_is(request) : slot_of(ring, request, site);
}

// ---- stacks

// Words, not memcpy: a sanitizer's memcpy would object to reading other frames.
__attribute__((noinline, no_sanitize("address", "thread"))) void copy_words(void* to, uint64_t from,
                                                                            uint64_t bytes) {
  auto* const words = static_cast<uint32_t*>(to);
  for (uint64_t i = 0; i < bytes / 4; ++i) words[i] = reinterpret_cast<const uint32_t*>(from)[i];
}

// A program that has just begun meets hundreds of stacks, each a thousand times the size of an
// event, while the judge may not have had a turn yet. A stack can come later, what does not fit of
// the events is lost: half of a ring is theirs. (Where rings block there is no need to choose.)
bool leaves_room(const Ring& ring, uint64_t bytes) {
  return recorder.header->blocks != 0 || ring.head + bytes <= load_tail(ring) + kRingBytes / 2;
}

// Not inlined: the registers are those of this frame, which lies in the slice.
__attribute__((noinline)) void record_stack(Ring& ring, uint32_t id, const format::Card& card,
                                            const CallSite& site, uint64_t address) {
  format::StackBody body{};
  format::Registers registers;
  capture_registers(registers);
  uint64_t end = card.stack_high;
  if (registers.rsp < card.stack_low || registers.rsp >= end) end = (registers.rsp | 4095) + 1;
  uint64_t slice = (end - registers.rsp) & ~uint64_t{7};
  if (slice > kMaxSlice) slice = kMaxSlice;
  const uint64_t bytes = 8 + sizeof body + slice;
  note_module_of(site.pc);
  uint32_t* const words = leaves_room(ring, bytes) ? begin_optional(ring, bytes) : nullptr;
  if (words == nullptr) {
    // Another try when it comes again.
    __atomic_store_n(&recorder.stacks[id], uint64_t{0}, __ATOMIC_RELAXED);
    return;
  }
  words[0] = event_head(Event::Stack, format::kSizeFollows);
  words[1] = static_cast<uint32_t>(bytes / 4);
  body.id = id;
  body.depth = static_cast<uint32_t>((card.stack_high - site.frame) >> 3);
  body.address = address;
  body.site = site.pc;
  body.frame = site.frame;
  static_assert(sizeof registers == sizeof body.registers);
  memcpy(body.registers, &registers, sizeof registers);
  memcpy(words + 2, &body, sizeof body);
  copy_words(words + 2 + sizeof body / 4, registers.rsp, slice);
  advance(ring, bytes);
}

uint32_t stack_of(Ring& ring, const format::Card& card, const CallSite& site, uint64_t address) {
  const uint64_t key = stack_key(card, site);
  const uint32_t home = stack_index(key);
  for (uint32_t i = 0; i < kProbes; ++i) {
    const uint32_t id = (home + i) & (kStackSlots - 1);
    if (id == 0) continue;
    uint64_t found = __atomic_load_n(&recorder.stacks[id], __ATOMIC_RELAXED);
    if (found == 0 && __atomic_compare_exchange_n(&recorder.stacks[id], &found, key, false,
                                                  __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
      record_stack(ring, id, card, site, address);
      return id;
    }
    if (found == key) return id;
  }
  return 0;  // a program of more places than there is room for: this one stays unknown
}

uint32_t flags_of(const Request& request) {
  uint32_t flags = 0;
  if ((request.flags & format::kSharedMode) != 0) flags |= format::kEventShared;
  if ((request.flags & format::kTry) != 0) flags |= format::kEventTry;
  if ((request.flags & format::kTimed) != 0) flags |= format::kEventTimed;
  return flags;
}

void write(Ring& ring, uint32_t head, uint32_t first, uint32_t second) {
  uint32_t* const words = begin(ring, 12);
  if (words == nullptr) return;
  words[0] = head;
  words[1] = first;
  words[2] = second;
  advance(ring, 12);
}

void write_exact_time(Ring& ring) {
  if (uint32_t* const words = begin_optional(ring, 12)) {
    write_time(ring, words, now_ns(CLOCK_MONOTONIC));
  }
}

// A thread that spins in one of its own scopes cannot be interrupted by its own hooks; where no
// scope is open yet, this opens one.
class OwnScope {
 public:
  OwnScope() : was_open_(this_thread.scope != 0) {
    if (!was_open_) this_thread.open_scope(1);
  }
  ~OwnScope() {
    if (!was_open_) this_thread.close_scope();
  }
  OwnScope(const OwnScope&) = delete;
  OwnScope& operator=(const OwnScope&) = delete;

 private:
  bool was_open_;
};

}  // namespace

void settle(Ring& ring) {
  settle_memory(ring);
  // Else a record would come before the one that says what was lost.
  if (ring.lost == ring.lost_told) set_limit(ring, load_tail(ring));
}

void record_acquired(ThreadState& thread, const Request& request, const CallSite& site) {
  Ring* const ring = own_ring(thread);
  if (ring == nullptr || request.kind == format::Kind::Semaphore) return;  // Take says it
  const uint32_t stack = stack_of(*ring, *thread.card, site, request.address);
  const uint32_t index = slot_of(*ring, request, site);
  if (index == 0) return;
  ObjectSlot& slot = recorder.slots[index];
  // Readers hold it at the same time; a writer is alone with its lock and its slot.
  const bool is_shared = (request.flags & format::kSharedMode) != 0;
  if (is_shared) {
    write(*ring, event_head(Event::Acquire, 3, flags_of(request), index), next_ticket(slot), stack);
    return;
  }
  const uint32_t ticket = slot.ticket += 1;
  const uint32_t self = taker(ring, stack);
  const uint32_t size = slot.last == self ? 1 : is_same_ring(slot.last, self) ? 2 : 3;
  uint32_t* const words = begin(*ring, size * 4);
  // The next one must not lean on what is not there.
  slot.last = words == nullptr ? 0 : self;
  if (words == nullptr) return;
  constexpr Event kBySize[] = {Event::AcquireAgain, Event::AcquireNext, Event::Acquire};
  words[0] = event_head(kBySize[size - 1], size, flags_of(request), index);
  if (size == 3) words[1] = ticket;
  if (size > 1) words[size - 1] = stack;
  advance(*ring, size * 4);
}

void record_released(ThreadState& thread, const Request& request) {
  Ring* const ring = own_ring(thread);
  if (ring == nullptr || request.kind == format::Kind::Semaphore) return;
  const uint32_t index = find_slot(key_of(request) & ~kEndedObject);
  if (index == 0) return;
  uint32_t* const words = begin(*ring, 4);
  if (words == nullptr) return;
  words[0] = event_head(Event::Release, 1, flags_of(request) & format::kEventShared, index);
  advance(*ring, 4);
  // Who finds the variable made looks at its guard alone.
  if (ring->memory != 0 && request.kind == format::Kind::Guard) {
    recorder.memory->wrote(reinterpret_cast<void*>(ring->memory), ring, tell_read_from,
                           request.address);
  }
}

void record_cancelled_wait(ThreadState& thread, const Request& request) {
  const format::Hold* const hold = thread.find_hold(request.address);
  if (hold == nullptr || (hold->flags & format::kSuspended) == 0) return;
  record_acquired(thread, {.address = hold->address, .kind = hold->kind},
                  {.pc = hold->site, .frame = hold->frame});
}

void record_request(ThreadState& thread, const Request& request, const CallSite& site) {
  Ring* const ring = own_ring(thread);
  if (ring == nullptr) return;
  write_exact_time(*ring);
  const uint32_t stack = stack_of(*ring, *thread.card, site, request.address);
  if (request.kind == format::Kind::Join) {
    write(*ring, event_head(Event::JoinWait, 3, flags_of(request)),
          static_cast<uint32_t>(request.object), stack);
    return;
  }
  const uint32_t index = slot_asked_for(*ring, request, site);
  uint32_t* const words = index == 0 ? nullptr : begin(*ring, 8);
  if (words == nullptr) return;
  words[0] = event_head(Event::Request, 2, flags_of(request), index);
  words[1] = stack;
  advance(*ring, 8);
}

void record_wait_end(ThreadState& thread, const Request& request) {
  Ring* const ring = own_ring(thread);
  if (ring == nullptr) return;
  write_exact_time(*ring);
  const uint32_t index =
      request.kind == format::Kind::Join ? 0 : find_slot(key_of(request) & ~kEndedObject);
  uint32_t* const words = begin(*ring, 4);
  if (words == nullptr) return;
  words[0] = event_head(Event::WaitEnd, 1, flags_of(request), index);
  advance(*ring, 4);
}

void record_try_failed(ThreadState& thread, const Request& request, const CallSite& site) {
  Ring* const ring = own_ring(thread);
  if (ring == nullptr) return;
  const uint32_t stack = stack_of(*ring, *thread.card, site, request.address);
  const uint32_t index = slot_asked_for(*ring, request, site);
  if (index == 0) return;
  const uint32_t seen = __atomic_load_n(&recorder.slots[index].ticket, __ATOMIC_RELAXED);
  write(*ring, event_head(Event::TryFailed, 3, flags_of(request), index), seen, stack);
}

void record_signal(ThreadState& thread, Event event, const Request& request, const CallSite& site,
                   uint32_t flags) {
  Ring* const ring = own_ring(thread);
  if (ring == nullptr) return;
  const uint32_t stack = stack_of(*ring, *thread.card, site, request.address);
  const uint32_t index = slot_of(*ring, request, site);
  if (index == 0) return;
  const uint32_t ticket = next_ticket(recorder.slots[index]);
  write(*ring, event_head(event, 3, flags, index), ticket, stack);
}

namespace {

// The mutex that a wait on a condition gives back meanwhile.
Request mutex_of(const Request& request) {
  return {.address = request.object,
          .kind = request.kind == format::Kind::GlibCond ? format::Kind::GlibMutex
                                                         : format::Kind::Mutex};
}

}  // namespace

void record_condition_wait(ThreadState& thread, const Request& request, const CallSite& site) {
  if (Ring* const ring = own_ring(thread)) write_exact_time(*ring);
  record_signal(thread, Event::CondWait, request, site, flags_of(request));
  record_released(thread, mutex_of(request));
}

void record_condition_wake(ThreadState& thread, const Request& request, const CallSite& site,
                           bool gave_up) {
  if (Ring* const ring = own_ring(thread)) write_exact_time(*ring);
  record_signal(thread, Event::CondWake, request, site, gave_up ? format::kEventTimed : 0);
  record_acquired(thread, mutex_of(request), site);
}

void record_passed(ThreadState& thread, const Request& request, const CallSite& site) {
  Ring* const ring = own_ring(thread);
  const uint32_t index = ring == nullptr ? 0 : find_slot(request.address);
  if (index == 0) return;  // it was done before anything was recorded
  const uint32_t stack = stack_of(*ring, *thread.card, site, request.address);
  uint32_t* const words = begin(*ring, 8);
  if (words == nullptr) return;
  words[0] = event_head(Event::Passed, 2, 0, index);
  words[1] = stack;
  advance(*ring, 8);
}

void record_thread(ThreadState& thread, Event event, const Request& request, const CallSite& site) {
  Ring* const ring = own_ring(thread);
  const auto uid = static_cast<uint32_t>(request.object);
  if (ring == nullptr || uid == 0) return;
  const uint32_t stack = stack_of(*ring, *thread.card, site, 0);
  write(*ring, event_head(event, 3, flags_of(request)), uid, stack);
}

void record_begin(ThreadState& thread) {
  Ring* const ring = own_ring(thread);
  if (ring == nullptr) {
    count(recorder.header->dropped_threads);
    return;
  }
  const format::Card& card = *thread.card;
  ring->uid = card.uid;
  ring->memory = 0;  // that of the thread before
  constexpr uint64_t kBytes = 8 + sizeof(format::BeginBody);
  uint32_t* const words = begin(*ring, kBytes);
  if (words == nullptr) return;
  words[0] = event_head(Event::Begin, format::kSizeFollows);
  words[1] = kBytes / 4;
  const format::BeginBody body{.uid = card.uid,
                               .parent_uid = card.parent_uid,
                               .tid = card.tid,
                               .flags = card.flags,
                               .start_routine = card.start_routine,
                               .create_site = card.create_site,
                               .time_ns = now_ns(CLOCK_MONOTONIC)};
  memcpy(words + 2, &body, sizeof body);
  advance(*ring, kBytes);
}

namespace {

void end_memory_of(Ring& ring) {
  if (ring.memory == 0) return;
  recorder.memory->forget(reinterpret_cast<void*>(ring.memory));
  ring.memory = 0;
}

}  // namespace

void record_thread_end(ThreadState& thread, const char* name) {
  Ring* const ring = own_ring(thread);
  if (ring == nullptr) return;
  write_exact_time(*ring);
  uint32_t* const words = begin(*ring, 24);
  if (words == nullptr) return end_memory_of(*ring);
  words[0] = event_head(Event::ThreadEnd, 6);
  words[1] = thread.uid;
  memcpy(words + 2, name, 16);
  advance(*ring, 24);
  end_memory_of(*ring);
}

void record_name(ThreadState& thread, const char* name) {
  Ring* const ring = own_ring(thread);
  uint32_t* const words = ring == nullptr ? nullptr : begin_optional(*ring, 20);
  if (words == nullptr) return;
  words[0] = event_head(Event::Name, 5);
  memcpy(words + 1, name, 16);
  advance(*ring, 20);
}

void record_called(ThreadState& thread, uint64_t address, const char* name, uint32_t size) {
  Ring* const ring = own_ring(thread);
  const uint32_t index = ring == nullptr ? 0 : find_slot(address & ~kEndedObject);
  if (index == 0 || (load_address(recorder.slots[index]) & kEndedObject) != 0) return;
  write_called(*ring, index, name, size);
}

void record_described(ThreadState& thread, const Request& request, const CallSite& site,
                      format::Described what, int32_t level) {
  Ring* const ring = own_ring(thread);
  const uint32_t index = ring == nullptr ? 0 : slot_of(*ring, request, site);
  if (index == 0) return;
  const uint32_t ticket = __atomic_load_n(&recorder.slots[index].ticket, __ATOMIC_RELAXED);
  uint32_t* const words = begin_optional(*ring, 16);
  if (words == nullptr) return;
  words[0] = event_head(Event::Described, 4, 0, index);
  words[1] = ticket;
  words[2] = static_cast<uint32_t>(what);
  words[3] = static_cast<uint32_t>(level);
  advance(*ring, 16);
}

void record_end_of(uint64_t address) {
  ThreadState& thread = this_thread;
  Ring* const ring = own_ring(thread);
  const uint32_t index = ring == nullptr ? 0 : find_slot(address & ~kEndedObject);
  if (index == 0) return;
  ObjectSlot& slot = recorder.slots[index];
  if ((load_address(slot) & kEndedObject) != 0) return;
  const OwnScope scope;
  __atomic_fetch_or(&slot.address, kEndedObject, __ATOMIC_RELAXED);
  const uint32_t ticket = next_ticket(slot);
  uint32_t* const words = begin(*ring, 8);
  if (words == nullptr) return;
  words[0] = event_head(Event::End, 2, 0, index);
  words[1] = ticket;
  advance(*ring, 8);
}

void record_module(const format::ModuleBody& module, const char* path) {
  ThreadState& thread = this_thread;
  Ring* const ring = own_ring(thread);
  if (ring == nullptr) return;
  const OwnScope scope;
  const uint64_t path_bytes = (uint64_t{module.path_size} + 3) & ~uint64_t{3};
  const uint64_t bytes = 8 + sizeof module + path_bytes;
  uint32_t* const words = begin_optional(*ring, bytes);
  if (words == nullptr) return;
  words[0] = event_head(Event::Module, format::kSizeFollows);
  words[1] = static_cast<uint32_t>(bytes / 4);
  memcpy(words + 2, &module, sizeof module);
  words[bytes / 4 - 1] = 0;
  memcpy(words + 2 + sizeof module / 4, path, module.path_size);
  advance(*ring, bytes);
}

bool begin_memory(const format::MemoryClient& client) {
  if (!is_recording() || client.version != format::kMemoryVersion) return false;
  recorder.memory = &client;
  __atomic_fetch_or(&recorder.header->memory, format::kMemoryTold, __ATOMIC_RELAXED);
  return true;
}

format::MemoryTurn begin_memory_thread(ThreadState& thread, void* memory, format::MemoryRing& to) {
  Ring* const ring = own_ring(thread);
  if (ring == nullptr || recorder.memory == nullptr) return format::MemoryTurn::Never;
  ring->memory = reinterpret_cast<uint64_t>(memory);
  to.head = &ring->head;
  to.limit = &ring->limit;
  to.number = static_cast<uint32_t>(ring - recorder.rings);
  return format::MemoryTurn::Told;
}

void record_freed(ThreadState& thread, uint64_t address, uint64_t size) {
  Ring* const ring = own_ring(thread);
  if (ring == nullptr || ring->memory == 0) return;
  recorder.memory->freed(reinterpret_cast<void*>(ring->memory), ring, tell_read_from, address,
                         size);
}

bool record_read_from(ThreadState& thread, uint32_t from, uint64_t position) {
  Ring* const ring = own_ring(thread);
  return ring != nullptr && tell_read_from(ring, from, position);
}

void note_missed_memory(uint32_t why) {
  format::RingsHeader* const header = recorder.header;
  if (header != nullptr) __atomic_fetch_or(&header->memory, why, __ATOMIC_RELAXED);
}

int make_recording(bool blocks, uint64_t size_limit) {
  has_libcs_clock = is_in_library(reinterpret_cast<const void*>(clock_gettime), "libc.so");
  uint32_t capacity = board.header->card_capacity;
  if (capacity > kMaxRings) capacity = kMaxRings;
  const auto rings_offset = kPage;
  const auto size_of = [](uint64_t rings) {
    return kPage + page_up(rings * sizeof(Ring)) + rings * kRingBytes;
  };
  while (size_limit != 0 && size_of(capacity) > size_limit) {
    capacity /= 2;
    if (capacity < 4) return -1;
  }
  const uint64_t size = size_of(capacity);
  const int memfd = make_memfd(format::kRingsName, size);
  if (memfd < 0) return -1;
  void* const memory = map_shared(size, nullptr, memfd);
  constexpr uint64_t kSlotBytes = format::kMaxSlots * sizeof(ObjectSlot);
  constexpr uint64_t kTableBytes = kSlotBytes + kStackSlots * sizeof(uint64_t);
  const long tables = raw_call(SYS_mmap, 0, kTableBytes, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == nullptr || is_error(tables)) {
    if (memory != nullptr) {
      raw_call(SYS_munmap, reinterpret_cast<long>(memory), static_cast<long>(size));
    }
    raw_call(SYS_close, memfd);
    return -1;
  }
  raw_call(SYS_madvise, reinterpret_cast<long>(memory), static_cast<long>(size), MADV_DONTDUMP);
  auto* const header = static_cast<format::RingsHeader*>(memory);
  header->version = format::kRecordingVersion;
  header->pid = board.header->pid;
  header->parent_pid = board.header->parent_pid;
  header->size = size;
  header->rings_offset = rings_offset;
  header->data_offset = kPage + page_up(uint64_t{capacity} * sizeof(Ring));
  header->capacity = capacity;
  header->blocks = blocks ? 1 : 0;
  // ORDER: pairs with the judge's acquire: the header is whole.
  __atomic_store_n(&header->magic, format::kRingsMagic, __ATOMIC_RELEASE);
  recorder.rings = reinterpret_cast<Ring*>(static_cast<uint8_t*>(memory) + rings_offset);
  recorder.slots = reinterpret_cast<ObjectSlot*>(tables);
  recorder.stacks = reinterpret_cast<uint64_t*>(tables + static_cast<long>(kSlotBytes));
  recorder.size = size;
  recorder.tables_size = kTableBytes;
  const auto first_ring = reinterpret_cast<uint64_t>(recorder.rings);
  recorder.ring_bias = first_ring - (reinterpret_cast<uint64_t>(board.cards) >> kRingShift);
  recorder.rings_end = first_ring + uint64_t{capacity} * sizeof(Ring);
  recorder.header = header;
  return memfd;
}

// Covered, not unmapped: a frame that a signal handler's fork interrupted may still write there.
void leave_recording() {
  if (recorder.header == nullptr) return;
  raw_call(SYS_mmap, reinterpret_cast<long>(recorder.header), static_cast<long>(recorder.size),
           PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  raw_call(SYS_munmap, reinterpret_cast<long>(recorder.slots),
           static_cast<long>(recorder.tables_size));
  recorder = {};
  silent_beats = UINT64_MAX;
}

void trim_recording() {
  format::RingsHeader* const header = recorder.header;
  if (header == nullptr) return;
  constexpr uint32_t kSpare = 32;
  const uint64_t used = header->used + kSpare;
  if (used >= header->capacity) return;
  __atomic_store_n(&header->capacity, static_cast<uint32_t>(used), __ATOMIC_SEQ_CST);
  recorder.rings_end = reinterpret_cast<uint64_t>(recorder.rings + used);
  const uint64_t kept = header->data_offset + used * kRingBytes;
  raw_call(SYS_munmap, reinterpret_cast<long>(header) + static_cast<long>(kept),
           static_cast<long>(recorder.size - kept));
  recorder.size = kept;
}

}  // namespace gordian::runtime
