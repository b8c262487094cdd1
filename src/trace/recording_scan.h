// SPDX-License-Identifier: Apache-2.0
// Which locks a recorded run ever nested, ring by ring, without an order between the rings.
//
// Most runs nest their locks in one order: then there is nothing to predict, and the tickets need
// not be looked at. What is told is at least what the merged order (recording_merge.h) would tell:
// no thread and no instance of a lock is told from another. What cannot be told ring by ring says
// so in `needs_order`. The memory used does not grow with the recording.
#pragma once

#include "format/recording.h"
#include "trace/recording_facts.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_set>
#include <utility>
#include <vector>

namespace gordian::trace {

struct RunSketch {
  // A loss or damage, a join with a lock in hand, a release by another than the holder: what that
  // means only the merged order tells.
  bool needs_order = false;
  std::vector<std::pair<uint32_t, uint32_t>> nestings = {};  // slots: held, asked for
  uint64_t events = 0;  // as RecordingRun::read() would count them
  uint64_t acquisitions = 0;
  uint64_t nested = 0;
  uint32_t threads = 0;
  uint32_t used_locks = 0;
  std::vector<RecordedModule> modules = {};  // if there is no `needs_order`
};

class RecordingScan {
 public:
  // The payload of a chunk of records. Nothing more need be fed once it says false.
  bool feed(std::span<const std::byte> blocks);
  // After the last chunk.
  [[nodiscard]] RunSketch finish();

 private:
  static constexpr size_t kMaxHeld = 32;
  static constexpr size_t kCacheSize = 1 << 12;

  struct Ring {
    uint64_t position = 0;  // of its next byte
    bool has_thread = false;
    uint32_t asks = 0;  // slot it is blocked for; 0: none
    uint32_t held_count = 0;
    std::array<uint32_t, kMaxHeld> held{};
  };

  bool scan(Ring& ring, std::span<const uint32_t> words);
  uint32_t& use_of(uint32_t slot);
  bool acquire(Ring& ring, uint32_t slot, bool gives_up);
  static bool release(Ring& ring, uint32_t slot);
  bool other(Ring& ring, std::span<const uint32_t> words, uint64_t position, size_t& size);
  void nest(const Ring& ring, uint32_t wanted);

  std::vector<Ring> rings_;
  std::vector<uint32_t> used_;  // by slot: kUsed, and how many objects were born there
  std::unordered_set<uint64_t> nestings_;
  std::array<uint64_t, kCacheSize> cache_{};
  std::unordered_set<uint32_t> threads_;  // uids
  std::vector<uint32_t> words_;           // of a block that is not aligned
  RunSketch out_;
};

}  // namespace gordian::trace
