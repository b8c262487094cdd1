// SPDX-License-Identifier: Apache-2.0
// "While holding these, it asked for that": logged once per thread, with a slice of its stack.
//
// Four sieves, each cheaper than the next: the card's own cache (512 chains, one comparison, see
// ThreadState::check_chain); a memory of all (thread, chain) seen; a count of threads per chain,
// for servers with a thread a connection; a count of chains per combination of call sites, for
// servers with a lock in every object. So the log of a program that runs for months is bounded by
// its code.
#pragma once

#include "runtime/thread_card.h"

#include <stdint.h>

namespace gordian::runtime {

inline constexpr uint32_t kChainSlots = 1 << 18;
inline constexpr uint32_t kThreadsPerChain = 16;
inline constexpr uint32_t kChainsPerSites = 4096;
inline constexpr uint32_t kBareChainsPerSite = 64;  // nothing held: 64 instances tell enough
inline constexpr uint32_t kMaxSlice = 4096;
inline constexpr uint32_t kSlicesPerSites = 1024;  // of different callers
inline constexpr uint32_t kMoreSlices = 4096;      // of all sites together: 16 MiB of log

// A memory for numbers (never 0), lock-free. It forgets: when the few slots a number may lie in are
// full, one of them is given up. A forgotten chain is logged again, which other limits bound.
class ChainMemory {
 public:
  // True if the number was not there.
  bool insert(uint64_t number);
  // Adds one to the number's count, up to 255, and returns what it was.
  uint32_t count_up(uint64_t number);

  uint64_t slots[kChainSlots];
};

// Was this number never asked about before? Shares the set of the chains.
bool is_news(uint64_t key);

// Counts one more record made at this place. False: enough of them.
bool is_worth_logging(uint64_t site);

// In a forked child: its log is empty, everything is new to it.
void clear_chains();

// `segment`: the thread's, or kWholeLife (order.h) for a chain that comes again and again.
void log_chain(ThreadState& thread, const Request& request, const CallSite& site, uint32_t segment);

}  // namespace gordian::runtime
