// SPDX-License-Identifier: Apache-2.0
// The cheap look at one process: do its long waits make the cards worth reading?
//
// Costs one cache line a thread. A wait is long when it has lasted from one look to the next, or as
// long as there usually is between two. While the same threads wait in the same waits, and none has
// ended, the answer stays the same and costs no look at the cards.
#pragma once

#include "trace/board_reader.h"

#include <chrono>
#include <cstdint>
#include <vector>

namespace gordian::watch {

// Folds one more value into a signature.
uint64_t mix_signature(uint64_t hash, uint64_t value);

class LongWaits {
 public:
  struct Look {
    bool any = false;                   // there are long waits
    bool worth = false;                 // one of them could belong to a knot
    uint64_t signature = 0;             // of all of them
    std::chrono::nanoseconds since{0};  // the oldest one, CLOCK_MONOTONIC
  };
  // `seed` is whatever else would change the answer.
  Look look(trace::BoardReader& board, uint64_t seed);

 private:
  // What is known of the wait on a card.
  struct Known {
    uint64_t number = 0;
    uint32_t uid = 0;
    bool holds = false;  // its thread holds something meanwhile
    bool owned = false;  // one owner can end it
  };

  bool is_worth_examining(const trace::BoardReader& board, bool thread_ended);
  bool has_free_thread(const trace::BoardReader& board);

  std::vector<format::WaitWord> words_;
  std::vector<uint64_t> numbers_;  // of the last look, by card
  std::vector<Known> known_;       // by card
  uint64_t signature_ = 0;
  uint64_t gone_threads_ = 0;
  bool worth_ = false;
  uint32_t free_card_ = 0;  // where a free thread was last seen
};

}  // namespace gordian::watch
