// SPDX-License-Identifier: Apache-2.0
// Which twin of a story this build is. One source makes all of them, so that they cannot drift
// apart.
//
// The build gives SCENARIO_TWIN (and, for the twin whose functions and locks all have other names,
// SCENARIO_RENAMED). Without it a story compiled by hand is the broken one.
#pragma once

#include "support/luck.h"

#include <cstdlib>

#ifndef SCENARIO_TWIN
#define SCENARIO_TWIN Broken
#endif

// Keeps a function as a frame of its own, as it would be in the big program, where caller and
// callee stand in different source files.
#define SCENARIO_FRAME [[gnu::noinline]]

namespace scenario {

enum class Twin {
  Broken,      // hangs, every time
  Repaired,    // the fix; takes the same locks, nested, and ends
  Trylock,     // as broken, but one request only tries; ends
  Timed,       // as broken, but one request gives up after a while; ends
  Gate,        // as broken, but both orders are taken under one more lock; ends
  IdleThread,  // as broken, with one more thread that could still help; and at last does; ends
  SecondJoin,  // hangs in the second of two joins of one thread
  Migrating,   // a fiber goes on on another thread; ends
  Staying,     // a fiber stays on its thread; ends
  Lucky,       // the broken program in a run that happens to end
};

inline constexpr Twin kTwin = Twin::SCENARIO_TWIN;

// The twins in which the threads first meet, each holding one lock, before asking for the next.
// In the others such a meeting would never come about (or would be the deadlock itself).
inline constexpr bool kThreadsMeetHoldingLocks =
    kTwin != Twin::Repaired && kTwin != Twin::Gate && kTwin != Twin::Lucky;

// Every story asks for it first, so the lucky twin's luck begins here.
// The number of threads in the story: the first argument, else SCENARIO_THREADS, else `usual`.
inline int thread_count(int argc, char** argv, int usual, int least) {
  lucky = kTwin == Twin::Lucky;
  const char* text = argc > 1 ? argv[1] : std::getenv("SCENARIO_THREADS");
  const int count = text != nullptr ? std::atoi(text) : usual;
  return count < least ? least : count;
}

}  // namespace scenario
