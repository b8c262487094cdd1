// SPDX-License-Identifier: Apache-2.0
// The board as bytes: what the runtime writes into shared memory and any judge reads.
//
// One board per process, one card per thread. The runtime only ever publishes here; it never reads
// another thread's card. A reader copies first and validates then: the writer is alive, may be
// preempted between two stores, and may be hostile. docs/format.md is the prose of this file.
//
//   header | wait words (64 B a card) | cards (8 KiB each) | hold blocks | lock table | log
//
// The regions are sparse: only what is touched costs memory. Their sizes stand in the header,
// because a process under RLIMIT_AS gets a smaller board.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gordian::format {

inline constexpr uint64_t kBoardMagic = 0x31445242'4e445247;  // "GRDNBRD1"
inline constexpr uint32_t kBoardVersion = 1;
inline constexpr char kBoardName[] = "gordian-board";      // memfd name, seen in /proc/PID/maps
inline constexpr char kJudgeVariable[] = "GORDIAN_JUDGE";  // abstract socket name, without NUL

// What a thread can hold or wait for. Values are wire format: append only.
enum class Kind : uint8_t {
  None = 0,
  Mutex = 1,      // pthread_mutex_t, mtx_t
  RwLock = 2,     // pthread_rwlock_t
  Spin = 3,       // pthread_spinlock_t
  Condition = 4,  // pthread_cond_t, cnd_t; WaitWord::object is the mutex
  Semaphore = 5,  // sem_t
  Barrier = 6,    // pthread_barrier_t
  Once = 7,       // pthread_once_t, C11 once_flag
  Guard = 8,      // __cxa_guard: initialisation of a function-local static
  Join = 9,       // a thread; address is its pthread_t, object its card uid (0: unknown)
  Futex = 10,     // a futex wait through libc's syscall(): owner unknown
  Future = 11,    // libstdc++'s __atomic_futex_unsigned_base
  GlibMutex = 12,
  GlibRecMutex = 13,  // object is the pthread object behind it, as for GRWLock
  GlibRwLock = 14,
  GlibCond = 15,  // object is the GMutex
  GlibOnce = 16,
  GlibBit = 17,  // address is the int, with the bit number in its top byte
  GlibQueue = 18,
  Flock = 19,      // address is dev, object is inode
  FcntlLock = 20,  // POSIX record lock, owned by the process
  OfdLock = 21,    // open-file-description lock
  Custom = 22,     // gordian/annotate.h
  Lease = 23,      // the same, of a lock on a server
  Signal = 24,     // the same, of what nobody holds: a condition or queue of the program's own
};

enum class Mode : uint8_t { Exclusive = 0, Shared = 1 };

// Flags of holds, waits and chains.
inline constexpr uint8_t kTimed = 1;      // the request gives up by itself: never stuck
inline constexpr uint8_t kTry = 2;        // taken by a try: holds, but its request could not block
inline constexpr uint8_t kSuspended = 4;  // hold: released inside a condition wait in progress
inline constexpr uint8_t kSpinning = 8;   // wait: busy loop of ours, heartbeat attests it
inline constexpr uint8_t kUncertain =
    16;                                 // hold: seen only in part (inexact), never a definite edge
inline constexpr uint8_t kShared = 32;  // process-shared object: identity is (inode, offset)
inline constexpr uint8_t kPriority = 64;  // priority-inheriting: the kernel may show another word

// One held lock. `frame` is the stack pointer of the acquiring frame right after the call returned:
// the frame of the holder's stack that contains it is the one that took the lock.
struct Hold {
  uint64_t address;
  uint64_t site;  // return address of the acquiring call
  uint64_t frame;
  Kind kind;
  uint8_t flags;        // Mode is bit 7: see mode_of()
  uint16_t count;       // recursion depth
  uint32_t generation;  // low bits of the address's generation when it was taken
};
static_assert(sizeof(Hold) == 32, "wire layout: bump kBoardVersion");
inline constexpr uint8_t kSharedMode = 128;

// The wait of one thread, in one cache line, in an array of its own: a judge with 1,000 idle
// threads reads 64 KB, not 8 MB. Written by the owner only. `number` is odd while a wait is
// published and grows by one at each begin and each end.
struct WaitWord {
  uint64_t number;
  uint64_t address;
  uint64_t object;
  uint64_t site;
  uint64_t frame;
  uint64_t since_ns;  // CLOCK_MONOTONIC_COARSE
  uint32_t tid;
  Kind kind;
  uint8_t flags;  // kTimed, kSpinning, kShared, kPriority, kSharedMode
  uint8_t depth;  // further waits below this one (a signal handler interrupted a wait)
  uint8_t reserved;
  uint64_t heartbeat;
};
static_assert(sizeof(WaitWord) == 64, "wire layout: bump kBoardVersion");

// Registers as they stand inside the hook that blocks; the hook's own frame stays on the stack as
// long as the wait lasts, so unwinding from here with the CFI of libgordian.so is exact.
struct Registers {
  uint64_t rip, rsp, rbp, rbx, r12, r13, r14, r15;
};

enum class CardState : uint32_t { Free = 0, Live = 1, Exited = 2 };

inline constexpr uint32_t kCardInexact =
    1;                                    // a record was skipped: no definite edge from this card
inline constexpr uint32_t kCardMain = 2;  // the thread that called main
inline constexpr uint32_t kCardAdopted = 4;  // birth unseen (raw clone, thread older than us)
inline constexpr uint32_t kCardForked = 8;   // the one thread that survived fork

inline constexpr uint32_t kInlineHolds = 64;
inline constexpr uint32_t kHoldBlockHolds = 64;  // holds in one overflow block
inline constexpr uint32_t kHoldBlocksPerCard = 32;
inline constexpr uint32_t kChainCacheSize = 512;
inline constexpr uint32_t kBareCacheSize = 64;
inline constexpr uint32_t kFullSitesSize = 64;
inline constexpr uint32_t kOuterWaits = 3;

struct OuterWait {
  WaitWord wait;
  Registers registers;
};

struct Card {
  CardState state;
  uint32_t tid;  // as the thread itself sees it (its own pid namespace)
  uint32_t uid;  // unique in this process's life; 0 never. Log records name threads by it
  uint32_t flags;
  uint64_t pthread;   // pthread_self()
  uint64_t tid_word;  // address of the tid word joiners wait on (0: unknown)
  uint32_t parent_uid;
  uint32_t segment;        // happens-before segment, see SyncRecord
  uint64_t start_routine;  // or what tells threads of one trampoline apart (std::thread, GLib)
  uint64_t create_site;
  uint64_t stack_low;
  uint64_t stack_high;
  Registers registers;  // of the wait in this card's WaitWord
  uint32_t hold_count;  // valid holds: the first 64 here, the rest in hold blocks
  uint32_t holds_dropped;
  uint32_t hold_blocks[kHoldBlocksPerCard];  // index + 1 into the hold blocks, 0 ends
  OuterWait outer[kOuterWaits];
  uint64_t acquisitions;  // lock acquisitions seen, for the summary; owner-written
  uint64_t nested;        // ... of those, with another lock held
  uint64_t longest_wait_ns;
  uint64_t waits;        // blocking waits published
  uint64_t segment_key;  // private to the runtime: the segment, spread over 64 bits
  uint8_t reserved[8192 - 696 - kInlineHolds * sizeof(Hold) - kChainCacheSize * 8 -
                   (kBareCacheSize + kFullSitesSize) * 8];
  Hold holds[kInlineHolds];
  // Private to the runtime: what was logged already, with locks held and with none.
  uint64_t chain_cache[kChainCacheSize];
  uint64_t bare_cache[kBareCacheSize];
  uint64_t full_sites[kFullSitesSize];  // places of which enough was logged
};
static_assert(sizeof(Card) == 8192, "wire layout: bump kBoardVersion");

// A lock instance that was born, nested, contended or annotated. Open addressing by address.
// `id` is unique in the process's life: a new generation at one address is a new id.
struct LockEntry {
  uint64_t address;  // 0 free slot
  uint32_t id;
  uint32_t creator_uid;  // thread that initialised it, 0 unknown
  Kind kind;
  uint8_t flags;        // kLock*
  uint16_t type;        // pthread kind bits as glibc has them (recursive, errorcheck, ...)
  uint32_t name;        // offset of a NameRecord in the log, 0 none
  uint64_t birth_site;  // see kLockBornByInit, else the first site that locked it
  uint32_t poster_uid;  // last thread that posted/signalled it, for happens-before
  uint32_t poster_segment;
  uint64_t page_link;  // private to the runtime
  uint64_t reserved[2];
};
static_assert(sizeof(LockEntry) == 64, "wire layout: bump kBoardVersion");
inline constexpr uint8_t kLockDead = 1;           // generation ended
inline constexpr uint8_t kLockBornByInit = 2;     // birth_site is the caller of its init
inline constexpr uint8_t kLockSemaphoreLike = 4;  // released once by a thread that did not hold it
inline constexpr uint8_t kLockPrefersWriters = 8;
inline constexpr uint8_t kLockProcessShared = 16;
inline constexpr uint8_t kLockPostedInHandler = 32;  // a signal handler was seen to post it
inline constexpr uint8_t kLockSharedByThreads = 64;  // more than one thread was seen at it
inline constexpr uint8_t kLockClosedWakers = 128;  // "only these threads wake it": see WakerRecord

// The log: append only, records 64-byte aligned. A writer reserves by adding to
// BoardHeader::log_used, fills the record and stores `committed` last. A reader that meets an
// uncommitted record skips in steps of 64 bytes to the next magic.
enum class RecordType : uint16_t {
  Module = 1,
  Thread = 2,
  ThreadEnd = 3,
  Lock = 4,
  Chain = 5,
  Sync = 6,
  Name = 7,
  Mark = 8,
  Waker = 9,
  Description = 10,
};
inline constexpr uint32_t kRecordMagic = 0x43455247;  // "GREC"
inline constexpr uint32_t kRecordAlign = 64;

struct RecordHeader {
  uint32_t magic;
  RecordType type;
  uint16_t committed;  // 1 when the record is complete
  uint32_t size;       // of the whole record, a multiple of 64
  uint32_t uid;        // thread that wrote it
};

struct ModuleRecord {
  RecordHeader header;
  uint64_t start, end;  // mapped range
  uint64_t bias;        // load bias (link_map l_addr)
  uint8_t build_id_size;
  uint8_t build_id[23];
  uint16_t path_size;
  char path[];  // not terminated; empty for the program itself (/proc/PID/exe)
};

struct ThreadRecord {
  RecordHeader header;  // uid: the new thread
  uint32_t tid;
  uint32_t parent_uid;
  uint32_t parent_segment;  // parent's events up to here happened before the child
  uint32_t flags;           // kCard*
  uint64_t start_routine;
  uint64_t create_site;
};

struct ThreadEndRecord {
  RecordHeader header;
  uint32_t tid;
  uint32_t segment;     // last segment
  uint32_t hold_count;  // > 0: held-at-exit; the holds follow (at most 64)
  uint32_t reserved;
  char name[16];  // comm
  Hold holds[];
};

struct LockRecord {
  RecordHeader header;
  uint64_t address;
  uint32_t id;
  uint32_t creator_uid;
  Kind kind;
  uint8_t flags;
  uint16_t type;
  uint32_t reserved;
  uint64_t birth_site;
};

// "While holding these, it asked for that": one per new chain of locks per thread. Written before
// the request blocks, or after an uncontended request succeeded.
// Who had been at a lock when a chain that names it was logged.
enum class Visitors : uint16_t {
  Others = 0,       // another thread too, or nobody can say
  CreatorOnly = 1,  // only the thread that logs, and it was seen to create the lock
  SelfOnly = 2,     // only the thread that logs; the creation was not seen
};
struct ChainHold {
  uint64_t site;
  uint64_t frame;
  uint32_t lock;  // LockRecord id
  Kind kind;
  uint8_t flags;
  Visitors visitors;
};
struct ChainRecord {
  RecordHeader header;
  uint64_t site;  // of the request
  uint64_t frame;
  uint64_t object;  // join: uid of the joined thread; condition: lock id of its mutex;
                    // nothing held and `lock` 0: the address of a lock not registered then
  uint32_t lock;    // LockRecord id wanted
  uint32_t segment;
  Kind kind;
  uint8_t flags;        // kTimed, kTry, kSharedMode
  uint16_t hold_count;  // ChainHolds that follow, outermost first
  uint16_t holds_omitted;
  Visitors visitors;    // of the lock wanted
  uint32_t slice_size;  // bytes of stack that follow the holds, starting at registers.rsp; 0: same
  uint32_t slice_of;    // sites as an earlier chain: log offset / 64 of the one that has the slice
  Registers registers;
};

// Everything `from_uid` did in segments <= from_segment happened before everything `uid` (header)
// does in segments >= to_segment. Written only when it adds something new.
struct SyncRecord {
  RecordHeader header;
  uint32_t from_uid;
  uint32_t from_segment;
  uint32_t to_segment;
  Kind kind;  // Join, Condition, Semaphore, Barrier, ...
  uint8_t reserved[3];
  uint32_t lock;  // object, 0 for threads
};

struct NameRecord {  // annotation: a lock's name
  RecordHeader header;
  uint32_t lock;
  uint16_t size;
  char text[];
};

// What an object of Kind::Custom or Kind::Signal is: GORDIAN_KIND_* of gordian/annotate.h.
enum class Described : int32_t {
  Lock = 0,
  Mutex = 1,
  RwLock = 2,
  Gate = 3,
  Worker = 4,
  Condition = 5,
  Queue = 6,
};
struct DescriptionRecord {  // annotation
  RecordHeader header;
  uint32_t lock;
  Described what;
  int32_t level;  // -1: none
};

// Things that cannot be said of one chain: see MarkType.
enum class MarkType : uint32_t {
  NeverReportPair = 1,      // locks a, b: annotation
  AssertedNothingHeld = 2,  // the thread held `a` at an "assert nothing held" annotation; site
  ReleasedByOther = 3,      // lock a was released by a thread that did not hold it; site
  SelfDeadlockError = 4,    // a real call returned EDEADLK for lock a; site
  Signalled = 5,  // condition/semaphore a signalled with nothing held; else it is a ChainRecord
};
struct MarkRecord {
  RecordHeader header;
  MarkType mark;
  uint32_t a, b;
  uint32_t segment;  // Signalled: of the thread, and the frame of the call
  uint64_t site;
  uint64_t frame;
};

struct WakerRecord {  // annotation: only these threads wake lock
  RecordHeader header;
  uint32_t lock;
  uint32_t waker_uid;
};

enum class BoardState : uint32_t { Starting = 0, Live = 1, Disarmed = 2, Exiting = 3 };

struct BoardHeader {
  uint64_t magic;
  uint32_t version;
  uint32_t header_size;
  uint64_t board_size;
  BoardState state;
  uint32_t pid;  // as the process sees itself
  uint32_t parent_pid;
  uint32_t word_size;     // 8
  uint64_t start_ns;      // CLOCK_MONOTONIC
  uint64_t waits_offset;  // WaitWord[card_capacity]
  uint64_t cards_offset;  // Card[card_capacity]
  uint32_t card_capacity;
  uint32_t cards_used;     // high-water mark: cards at and above were never used
  uint64_t blocks_offset;  // Hold[kHoldBlockHolds] each
  uint32_t block_capacity;
  uint32_t blocks_used;
  uint64_t locks_offset;
  uint32_t lock_capacity;  // power of two
  uint32_t locks_used;
  uint64_t log_offset;
  uint64_t log_size;
  uint64_t log_used;     // bytes reserved; may exceed log_size when full
  uint32_t next_thread;  // last uid given
  uint32_t next_lock;    // last lock id given
  uint32_t tid_offset;   // of the tid word in glibc's thread descriptor, 0 unknown
  uint32_t flags;
  // What could not be kept, by reason. Never reset.
  uint64_t dropped_threads, dropped_locks, dropped_holds, dropped_chains, dropped_blocks,
      dropped_repeats, inexact_events;
  // Totals of threads that have gone, so that the summary survives recycled cards.
  uint64_t gone_threads, gone_acquisitions, gone_nested, gone_waits, gone_longest_wait_ns;
  uint64_t steer_offset;  // SteerPage and its gates (format/steer.h); 0: none
};
static_assert(sizeof(BoardHeader) <= 4096, "one page");

// Hello: what a runtime sends to the judge's abstract SOCK_SEQPACKET socket, with the board's memfd
// attached (no descriptor attached: read the board through the process's memory at `address`).
struct Hello {
  uint64_t magic;  // kBoardMagic
  uint32_t version;
  uint32_t pid;
  uint64_t address;  // of the board in the process
  uint64_t size;
};

}  // namespace gordian::format
