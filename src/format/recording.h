// SPDX-License-Identifier: Apache-2.0
// The recording as bytes: the rings through which a watched process tells everything it does with
// its locks, and the file that the judge makes of them. docs/format.md is the prose of this file.
//
// Rings lie in shared memory, one for each card of the board (a thread's ring is that of its card;
// a card that is used again goes on with the same ring). A ring holds records of 4-byte words, the
// newest overwriting what the judge has taken out. The file holds the same records, in chunks.
//
// A reader skips record and chunk types it does not know, using their size. So adding a type is
// free if the others mean the same without it. Changing the meaning or layout of one is not, nor is
// a type that takes a ticket or a lock: that bumps kRecordingVersion.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gordian::format {

inline constexpr uint32_t kRecordingVersion = 2;             // 1 had no AcquireAgain
inline constexpr uint32_t kOldestRecordingVersion = 1;       // that is read
inline constexpr char kRecordVariable[] = "GORDIAN_RECORD";  // "drop" or "block"; unset: no rings

// ---- records

// What a record's `slot` is depends on its type: the number of a synchronisation object, or 0.
// "ticket": the how-manieth record about that object this is. Locks take theirs while they are
// held, so that tickets tell the order of the acquisitions; see docs/format.md for the others.
enum class Event : uint8_t {
  Pad = 0,         // the rest of the ring, up to its end, is void
  Acquire = 1,     // slot; ticket, stack. The thread holds the lock now (not again: now)
  Release = 2,     // slot. About to release it, for good (not one level)
  Request = 3,     // slot; stack. About to block for it
  WaitEnd = 4,     // slot. No longer blocked: got it if an Acquire follows, else gave up
  TryFailed = 5,   // slot; ticket of the last acquisition seen, stack
  CondWait = 6,    // slot of the condition; ticket, stack. Its mutex's Release follows
  CondWake = 7,    // slot of the condition; ticket. Its mutex's Acquire follows
  Notify = 8,      // slot of the condition; ticket, stack. About to signal; kEventAll: to all
  Post = 9,        // slot of the semaphore; ticket, stack. About to post
  Take = 10,       // slot of the semaphore; ticket, stack. One of its posts was taken
  Arrive = 11,     // slot of the barrier; ticket, stack
  Depart = 12,     // slot of the barrier; ticket
  Born = 13,       // slot; ticket, then BornBody. First use of an object
  End = 14,        // slot; ticket. The object does not exist any more; the slot may serve another
  Fork = 15,       // uid of the thread just created, stack
  Join = 16,       // uid of the thread just joined, stack
  JoinWait = 17,   // uid, stack. About to wait for that thread's end
  Begin = 18,      // BeginBody. A thread begins to use this ring
  ThreadEnd = 19,  // uid, then 16 bytes of name. Its last record
  Name = 20,       // 16 bytes: the name of the thread
  Time = 21,       // u64: CLOCK_MONOTONIC in ns, now
  Lost = 22,       // u64, uid: so many records of that thread did not fit here, since the last Lost
  Stack = 23,      // StackBody, then bytes of stack memory
  Module = 24,     // ModuleBody, then its path
  Passed = 25,     // slot, stack. Found the once-routine done: comes after it
  // slot; stack. As Acquire, with the ticket after the last one: this ring took that as well. What
  // one thread does again and again is then the same bytes again and again.
  AcquireNext = 27,
  // slot. As AcquireNext, with that acquisition's stack.
  AcquireAgain = 30,
  // ring, u64 position. The thread read what that ring's thread had written when `position` bytes
  // of it were recorded: all before came before. It may be its own ring, in the life of a thread
  // before it. Only of programs built with gordian cc
  ReadFrom = 26,
  // slot; ticket of the object's last record seen, bytes, then so many of text. What the program
  // calls it.
  Called = 28,
  Described = 29,  // slot; ticket as above, GORDIAN_KIND_* of gordian/annotate.h, level (-1: none)
};

// First word of each record.
//   bits 0-5 type, 6-8 words of the record (kSizeFollows: the second word says), 9-11 flags,
//   12-31 slot
inline constexpr uint32_t kEventTypeBits = 6;
inline constexpr uint32_t kEventSizeShift = 6;
inline constexpr uint32_t kSizeFollows = 7;
inline constexpr uint32_t kEventFlagShift = 9;
inline constexpr uint32_t kEventSlotShift = 12;
inline constexpr uint32_t kMaxSlots = 1U << 20;  // 0 is none
inline constexpr uint32_t kMaxRecordWords = 1200;

inline constexpr uint32_t kEventShared = 1;  // Acquire, Release, Request, TryFailed: as a reader
inline constexpr uint32_t kEventAll = 1;     // Notify
inline constexpr uint32_t kEventTry = 2;     // Acquire, Take, Join: by a try
inline constexpr uint32_t kEventTimed = 4;   // the call would have given up; CondWake: it did
// Acquire, Request, Join: whoever asks so waits for nobody for ever.
inline constexpr uint32_t kEventGivesUp = kEventTry | kEventTimed;

constexpr uint32_t event_head(Event type, uint32_t words, uint32_t flags = 0, uint32_t slot = 0) {
  return static_cast<uint32_t>(type) | words << kEventSizeShift | flags << kEventFlagShift |
         slot << kEventSlotShift;
}

// Bodies of the longer records, behind the first two words.
struct BornBody {
  uint32_t ticket;
  uint8_t kind;   // format::Kind
  uint8_t flags;  // kLock* of board.h
  uint16_t type;  // as in LockEntry: for a barrier how many it takes, for a semaphore its value
  uint64_t address;
  uint64_t birth_site;
  uint32_t creator_uid;  // 0: its initialisation was not seen
  uint32_t reserved;
};
static_assert(sizeof(BornBody) == 32, "wire layout: bump kRecordingVersion");

struct BeginBody {
  uint32_t uid;
  uint32_t parent_uid;  // 0: nobody was seen to create it
  uint32_t tid;
  uint32_t flags;  // kCard* of board.h
  uint64_t start_routine;
  uint64_t create_site;
  uint64_t time_ns;
};
static_assert(sizeof(BeginBody) == 40, "wire layout: bump kRecordingVersion");

struct StackBody {
  uint32_t id;
  uint32_t depth;    // of the frame in its thread's stack, in words of 8 bytes
  uint64_t address;  // what was asked for then
  uint64_t site;     // return address of the call, and the stack pointer after it
  uint64_t frame;
  uint64_t registers[8];  // rip, rsp, rbp, rbx, r12 .. r15; the bytes that follow start at rsp
};
static_assert(sizeof(StackBody) == 96, "wire layout: bump kRecordingVersion");

struct ModuleBody {
  uint64_t start, end, bias;
  uint8_t build_id_size;
  uint8_t build_id[23];
  uint32_t path_size;
  uint32_t flags;  // kModule*
};
inline constexpr uint32_t kModuleTellsMemory = 1;      // it has the note of gordian cc (memory.h)
inline constexpr uint32_t kModuleHasHoles = 2;         // ... which says: not all of it
inline constexpr uint32_t kModuleCallsUnfollowed = 4;  // ... because of functions of libc it calls
static_assert(sizeof(ModuleBody) == 56, "wire layout: bump kRecordingVersion");

// ---- shared memory

inline constexpr uint64_t kRingsMagic = 0x31474e49'52445247;  // "GRDRING1"
inline constexpr char kRingsName[] = "gordian-recording";     // memfd name
inline constexpr uint32_t kRingBytes = 512 << 10;             // a power of two
inline constexpr uint32_t kWakeBytes = kRingBytes / 4;        // in a ring: the judge is woken

// `head` and `tail` are bytes since the beginning. The thread owns `head`, the judge `tail`.
struct alignas(64) Ring {
  uint64_t head;
  uint64_t limit;      // private to the runtime: up to here nothing has to be asked
  uint64_t data;       // private to the runtime: where the bytes are
  uint32_t clock;      // private to the runtime: the judge's clock at the last Time
  uint32_t uid;        // private to the runtime
  uint64_t lost;       // records dropped, ever
  uint64_t lost_told;  // of those, the ones that a Lost record told
  uint64_t waited;     // times the thread waited for room
  uint64_t memory;     // private to the runtime: what the memory runtime knows its thread by; 0: no
  alignas(64) uint64_t tail;
  uint64_t reserved_too[7];
};
static_assert(sizeof(Ring) == 128, "wire layout: bump kRecordingVersion");

struct RingsHeader {
  uint64_t magic;  // stored last
  uint32_t version;
  uint32_t pid;  // as the process sees itself
  uint64_t size;
  uint64_t rings_offset;
  uint64_t data_offset;  // kRingBytes for each ring
  uint32_t capacity;
  uint32_t used;             // rings at and above were never written to
  uint32_t blocks;           // --record-full=block
  uint32_t memory;           // kMemory* of memory.h
  uint64_t dropped_objects;  // no slot was left for them: nothing of theirs is recorded
  uint64_t parent_pid;
  uint64_t dropped_threads;  // the same of threads, for which no ring was left
  // Written by the judge.
  alignas(64) uint64_t beats;  // counts up with each pass
  // A futex of the judge. It sets it to 1 before it empties the rings and sleeps on it afterwards;
  // a thread whose ring has kWakeBytes then makes it 0 and wakes it. 0: it asks for no waking.
  uint32_t sleeps;
  // Changes when the time should be recorded anew. Every recorded event reads it: a line of its
  // own.
  alignas(64) uint32_t clock;
};

// ---- the file

inline constexpr uint64_t kRecordingMagic = 0x31434552'4e445247;  // "GRDNREC1"
inline constexpr uint32_t kByteOrderMark = 0x01020304;
inline constexpr uint64_t kClockMonotonic = 1;

struct RecordingFileHeader {
  uint64_t magic;
  uint32_t version;
  uint32_t header_size;
  uint32_t byte_order;
  uint32_t word_size;             // of the recorded program, in bytes
  uint64_t features;              // none yet. A reader refuses those it does not know
  uint64_t clock;                 // what Time records are: kClockMonotonic
  uint64_t started_ns;            // the same moment on CLOCK_REALTIME ...
  uint64_t started_monotonic_ns;  // ... and on the clock
  char tool_version[24];
};
static_assert(sizeof(RecordingFileHeader) == 80, "wire layout: bump kRecordingVersion");

enum class ChunkType : uint16_t {
  Process = 1,     // ProcessBody, then the path of its executable
  Records = 2,     // blocks of records: BlockHeader and bytes, one after the other
  ProcessEnd = 3,  // ProcessEndBody
};
inline constexpr uint32_t kChunkMagic = 0x4b484347;   // "GCHK"
inline constexpr uint32_t kMaxChunkBytes = 16 << 20;  // before compression

struct ChunkHeader {
  uint32_t magic;
  ChunkType type;
  uint16_t compressed;   // 1: the payload is a zstd frame
  uint32_t process;      // counts from 0 in the file
  uint32_t stored_size;  // of the payload as it follows
  uint32_t raw_size;     // ... and before compression
  uint32_t committed;    // check_of() the other fields: a torn header is none
};
static_assert(sizeof(ChunkHeader) == 24, "wire layout: bump kRecordingVersion");

constexpr uint32_t check_of(const ChunkHeader& chunk) {
  uint64_t check = 0x9E3779B97F4A7C15U;
  const uint64_t words[] = {chunk.magic,       static_cast<uint64_t>(chunk.type),
                            chunk.compressed,  chunk.process,
                            chunk.stored_size, chunk.raw_size};
  for (const uint64_t word : words) {
    check = (check ^ word) * 0xD6E8FEB86659FD93U;
    check ^= check >> 32;
  }
  return static_cast<uint32_t>(check) | 1;
}

struct ProcessBody {
  uint32_t pid;
  uint32_t parent_pid;
  uint32_t blocks;
  uint32_t path_size;
};

// What of a ring was taken out in one go; records never straddle two of a ring.
struct BlockHeader {
  uint32_t ring;
  uint32_t bytes;
  uint64_t position;  // of its first byte in the ring, since the beginning
};

struct ProcessEndBody {
  uint64_t lost;             // records, of all rings
  uint64_t dropped_objects;  // see RingsHeader
  uint64_t waited;
  uint64_t memory;           // see RingsHeader; missing in older files
  uint64_t dropped_threads;  // the same
};

}  // namespace gordian::format
