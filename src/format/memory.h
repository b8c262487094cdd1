// SPDX-License-Identifier: Apache-2.0
// How the two libraries inside a program talk: libgordian.so, which records, and
// libgordian_memory.so, the runtime of `gordian cc`, which sees reads and writes.
//
// Both are of one installation, but either may be older: kMemoryVersion is compared when they meet,
// and a pair that does not match records no memory.
#pragma once

#include <cstdint>

namespace gordian::format {

inline constexpr uint32_t kMemoryVersion = 2;

// RingsHeader::memory and ProcessEndBody::memory: whether reads and writes are told, and why not
// all of them are.
inline constexpr uint32_t kMemoryTold = 1;          // ReadFrom records tell what read from whom
inline constexpr uint32_t kMemoryLateObject = 2;    // an object was loaded while it ran
inline constexpr uint32_t kMemoryNested = 4;        // a signal handler interrupted the bookkeeping
inline constexpr uint32_t kMemoryNotRecorded = 8;   // there was no ring for a thread, or no room
inline constexpr uint32_t kMemoryAfterEnd = 16;     // a thread read after its last record
inline constexpr uint32_t kMemoryUnseenCause = 32;  // a thread was driven in a way that is not seen
inline constexpr uint32_t kMemoryNoShadow = 64;     // no room for the shadow

// In an object that `gordian cc` linked there is a note of this name and type. Its first word says
// whether all that was linked into the object tells its reads and writes; text behind it says what
// does not.
inline constexpr char kObjectNoteName[] = "Gordian";
inline constexpr uint32_t kObjectNoteType = 1;
inline constexpr uint32_t kObjectIsWhole = 0x1e5e11;
inline constexpr uint32_t kObjectHasHoles = 0x401e5;
inline constexpr uint32_t kObjectCallsUnfollowed = 0xca115;  // functions of libc, named in the text

// Appends "what was read before came from there" to a ring. False: it was lost.
using TellReadFrom = bool (*)(void* ring, uint32_t from, uint64_t position);

// What libgordian.so calls, each time in the thread that it is about.
struct MemoryClient {
  uint32_t version;
  // The thread is about to record something else than a read: it tells its reads first.
  void (*settle)(void* thread, void* ring, TellReadFrom tell);
  // The thread is about to write there itself, in a function of ours that the compiler sees nothing
  // of: behind its last record.
  void (*wrote)(void* thread, void* ring, TellReadFrom tell, uint64_t address);
  // The thread is about to give a block back: what was written there is nobody's any more.
  void (*freed)(void* thread, void* ring, TellReadFrom tell, uint64_t address, uint64_t size);
  // The thread has no ring any more.
  void (*forget)(void* thread);
};

// A thread's ring, for libgordian_memory.so.
struct MemoryRing {
  const uint64_t* head;  // bytes recorded so far: which segment of its life the thread is in
  uint64_t* limit;       // set to 0: the next record is preceded by MemoryClient::settle
  uint32_t number;
};

enum class MemoryTurn : uint32_t { Never, NotNow, Told };

}  // namespace gordian::format

// What libgordian.so exports for it.
extern "C" {
// Once, and again in a forked child. False: nothing is recorded.
bool gordian_memory_begin(const gordian::format::MemoryClient* client);
// The calling thread's ring. NotNow: a signal handler interrupted a hook. Never: the thread has
// none (any more).
gordian::format::MemoryTurn gordian_memory_thread(void* thread, gordian::format::MemoryRing* ring);
// As TellReadFrom, for the calling thread.
bool gordian_memory_read_from(uint32_t from, uint64_t position);
// Reads or writes were missed: kMemory*.
void gordian_memory_missed(uint32_t why);
}
