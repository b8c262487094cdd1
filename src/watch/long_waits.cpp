// SPDX-License-Identifier: Apache-2.0
#include "watch/long_waits.h"

#include "model/snapshot.h"
#include "trace/board_snapshot.h"

#include <algorithm>
#include <chrono>
#include <unordered_set>

namespace gordian::watch {
namespace {

using format::Kind;
using format::WaitWord;

constexpr std::chrono::milliseconds kLong{20};

bool is_waiting(const WaitWord& word) { return word.number % 2 == 1 && word.kind != Kind::None; }

bool is_timed(const WaitWord& word) { return (word.flags & format::kTimed) != 0; }

std::unordered_set<uint32_t> live_uids(const trace::BoardReader& board) {
  std::unordered_set<uint32_t> uids;
  for (uint32_t i = 0; i < board.cards_used(); ++i) {
    if (const auto brief = board.read_brief(i)) uids.insert(brief->uid);
  }
  return uids;
}

}  // namespace

uint64_t mix_signature(uint64_t hash, uint64_t value) {
  return (hash ^ value) * 0x9e3779b97f4a7c15 + (hash >> 29);
}

LongWaits::Look LongWaits::look(trace::BoardReader& board, uint64_t seed) {
  Look look;
  if (!board.refresh()) return look;
  board.read_waits(words_);
  numbers_.resize(words_.size(), 0);
  known_.resize(words_.size());
  const uint64_t gone_threads = board.header().gone_threads;
  look.signature = mix_signature(seed, gone_threads);
  uint64_t oldest = UINT64_MAX;
  const std::chrono::nanoseconds now = std::chrono::steady_clock::now().time_since_epoch();
  const auto long_ago = static_cast<uint64_t>((now - kLong).count());
  for (uint32_t i = 0; i < words_.size(); ++i) {
    const WaitWord& word = words_[i];
    const bool is_long = is_waiting(word) && !is_timed(word) &&
                         (word.number == numbers_[i] || word.since_ns < long_ago);
    numbers_[i] = word.number;
    if (!is_long) continue;
    look.any = true;
    oldest = std::min(oldest, word.since_ns);
    look.signature = mix_signature(look.signature, mix_signature(i, word.number));
  }
  if (!look.any) {
    signature_ = 0;
    return look;
  }
  look.since = std::chrono::nanoseconds(oldest);
  if (look.signature != signature_) {
    signature_ = look.signature;
    const bool thread_ended = gone_threads_ != gone_threads;
    gone_threads_ = gone_threads;
    worth_ = is_worth_examining(board, thread_ended);
  }
  look.worth = worth_;
  return look;
}

// A thread that waits and holds nothing, and whom no other waiting thread waits for, closes no
// knot; unless what it waits for has lost its owner, or everybody waits.
bool LongWaits::is_worth_examining(const trace::BoardReader& board, bool thread_ended) {
  bool worth = false;
  std::unordered_set<uint32_t> joined, to_be_live;
  for (uint32_t i = 0; i < words_.size(); ++i) {
    const WaitWord& word = words_[i];
    if (word.number % 2 == 0 || word.number != numbers_[i] || is_timed(word)) continue;
    Known& known = known_[i];
    const bool is_new = known.number != word.number;
    if (is_new) {
      const auto brief = board.read_brief(i);
      if (!brief) continue;
      const bool suspended = brief->suspended_first && brief->hold_count == 1;
      known = {.number = word.number,
               .uid = brief->uid,
               .holds = brief->hold_count > 0 && !suspended,
               .owned = model::is_owned(trace::resource_kind(word.kind))};
    }
    worth |= known.holds;
    const auto joined_uid = static_cast<uint32_t>(word.object);
    if (word.kind == Kind::Join) joined.insert(joined_uid);
    // Its owner may have gone, or go: that is asked when the wait is new and when a thread has
    // ended.
    if (!known.owned || (!is_new && !thread_ended)) continue;
    if (word.kind == Kind::Join && joined_uid != 0) {
      to_be_live.insert(joined_uid);
    } else {
      worth = true;
    }
  }
  if (worth) return true;
  if (!to_be_live.empty()) {
    const std::unordered_set<uint32_t> live = live_uids(board);
    for (const uint32_t uid : to_be_live) {
      if (!live.contains(uid)) return true;
    }
  }
  for (size_t i = 0; i < words_.size(); ++i) {
    const Known& wait = known_[i];
    if (wait.number == 0 || wait.number != words_[i].number || !wait.owned) continue;
    if (joined.contains(wait.uid)) return true;
  }
  return !has_free_thread(board);
}

bool LongWaits::has_free_thread(const trace::BoardReader& board) {
  const auto is_free = [&](uint32_t i) {
    if (i >= words_.size() || (is_waiting(words_[i]) && !is_timed(words_[i]))) return false;
    return board.read_brief(i).has_value();
  };
  if (is_free(free_card_)) return true;
  for (uint32_t i = 0; i < words_.size(); ++i) {
    if (!is_free(i)) continue;
    free_card_ = i;
    return true;
  }
  return false;
}

}  // namespace gordian::watch
