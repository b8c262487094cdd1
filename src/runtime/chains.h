// SPDX-License-Identifier: Apache-2.0
// "While holding these, it asked for that": logged once per thread, with a slice of its stack.
//
// Three sieves, each cheaper than the next: the card's own cache (512 chains, one comparison, see
// ThreadState::check_chain); the set of all (thread, chain) seen; a count of threads per chain, so
// that a server with a thread a connection does not log the same thing for ever.
#pragma once

#include "runtime/thread_card.h"

#include <stdint.h>

namespace gordian::runtime {

inline constexpr uint32_t kChainSlots = 1 << 18;
inline constexpr uint32_t kThreadsPerChain = 16;
inline constexpr uint32_t kMaxSlice = 4096;

// A set of numbers (never 0) that only grows; lock-free. When it is full, or the probes run out,
// everything counts as seen: better to lose a record than to flood the log.
class ChainSet {
 public:
  enum class Seen { New, Before, Full };
  Seen insert(uint64_t key);
  // Adds one to the key's count and returns what it was; kThreadsPerChain when there is no room.
  uint32_t count_up(uint64_t key);

  uint64_t slots[kChainSlots];
};

// Was this number never asked about before? Shares the set of the chains.
bool is_news(uint64_t key);

// In a forked child: its log is empty, everything is new to it.
void clear_chains();

void log_chain(ThreadState& thread, const Request& request, const CallSite& site);

}  // namespace gordian::runtime
