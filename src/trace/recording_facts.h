// SPDX-License-Identifier: Apache-2.0
// What a recording tells beside the order of its events: who the threads and locks were, where they
// stood. Gathered by the first reading, the same in every later one.
#pragma once

#include "format/board.h"
#include "model/resource.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace gordian::trace {

struct RecordedThread {
  uint32_t uid = 0;  // in order of birth
  uint32_t tid = 0;  // 0: it never ran
  uint32_t parent_uid = 0;
  uint32_t flags = 0;  // kCard* of format/board.h
  uint64_t start_routine = 0;
  uint64_t create_site = 0;
  std::string name;
};

// A lock from its birth to its end; the next at its address is another one.
struct RecordedLock {
  uint64_t address = 0;
  uint64_t birth_site = 0;
  format::Kind kind = format::Kind::None;
  uint8_t flags = 0;  // kLock* of format/board.h
  uint16_t type = 0;  // its kind word, as libc has it
  uint32_t creator_uid = 0;
  uint32_t slot = 0;
  uint32_t instance = 0;  // how many lived at the address before
  // Annotations; empty, Described::Lock, -1: none.
  std::string name;
  format::Described what = format::Described::Lock;
  int32_t level = -1;
};

// Where a thread stood when it asked, and a piece of its stack the first time it stood there.
struct RecordedStack {
  uint64_t site = 0;                    // return address of the call; 0: not recorded
  uint64_t frame = 0;                   // stack pointer behind the call
  uint32_t depth = 0;                   // of that frame in its thread's stack, in words of 8 bytes
  uint64_t address = 0;                 // of what was asked for when the slice was taken
  std::array<uint64_t, 8> registers{};  // rip, rsp, rbp, rbx, r12 .. r15
  std::vector<std::byte> slice;         // from registers[1] on
};

struct RecordedModule {
  uint64_t start = 0, end = 0, bias = 0;
  std::string build_id;  // raw
  std::string path;
  uint32_t flags = 0;  // kModule* of format/recording.h
};

// Of a ring: the positions that other threads read from, sorted once the first reading is done.
using ReadPositions = std::vector<uint64_t>;

struct RecordingFacts {
  std::vector<RecordedThread> threads;
  std::vector<RecordedLock> locks;
  std::vector<RecordedStack> stacks;  // by TraceEvent::site; 0: not known
  std::vector<RecordedModule> modules;

  std::unordered_map<uint32_t, uint32_t> thread_index;  // by uid
  std::unordered_map<uint64_t, uint32_t> lock_index;    // by slot << 32 | instance
  // Slots of locks that were released by others than their holders, or unseen: they order what
  // happens, but are never held.
  std::unordered_set<uint32_t> unruly;
  // Acquisitions that a failed try met, as slot << 32 | ticket; of a semaphore all, as ticket 0.
  std::unordered_set<uint64_t> met_by_try;
  std::vector<ReadPositions> read_from;  // by ring
  bool knows_read_from = false;          // the first reading is done
  size_t slice_bytes = 0;

  uint64_t lost = 0;             // records that did not fit into the rings
  uint64_t dropped_objects = 0;  // objects of which nothing was recorded
  uint64_t dropped_threads = 0;  // threads of which nothing was recorded
  uint64_t left_out = 0;         // records behind a loss, or whose order cannot be told
  std::string damage;            // what is wrong with the file; empty: nothing
  uint64_t memory = 0;           // kMemory* of format/memory.h
  bool has_end = false;          // the recording was closed, not cut

  // Unless it is known.
  void add_module(RecordedModule module) {
    constexpr size_t kMaxModules = 1 << 16;
    if (modules.size() >= kMaxModules) return;
    for (const RecordedModule& known : modules)
      if (known.start == module.start && known.end == module.end) return;
    modules.push_back(std::move(module));
  }

  uint32_t thread_of(uint32_t uid) {
    const auto [at, is_new] = thread_index.try_emplace(uid, static_cast<uint32_t>(threads.size()));
    if (is_new) threads.emplace_back().uid = uid;
    return at->second;
  }
};

}  // namespace gordian::trace
