// SPDX-License-Identifier: Apache-2.0
// First pass of prediction: can anything at all be in a cycle?
//
// Most traces have no lock cycle, and this is all they cost: for each nested acquisition one look
// into a small cache. No event is kept. The strong components of the graph of locks tell what the
// second pass has to look at; of 100 locks usually two or three remain.
#pragma once

#include "model/trace.h"

#include <array>
#include <cstdint>
#include <span>
#include <unordered_set>
#include <utility>
#include <vector>

namespace gordian::analysis {

// What the later passes need to know beforehand.
struct Candidates {
  static constexpr uint32_t kNone = 0;

  std::vector<uint32_t> component;  // of a lock; kNone: in no cycle
  std::vector<char> is_shared;      // by lock: two threads at least
  // By lock: shared, and a thread may have to stop in one of its sections, since there is something
  // in it that waits for others, or may be asked to. A section of any other lock is over before its
  // thread could stop: it never keeps anybody waiting, and no schedule has to mind it.
  std::vector<char> matters;
  std::vector<char> is_rwlock;       // by lock: ever taken shared
  bool joins_while_holding = false;  // then cycles may go through threads, and any lock counts
  bool has_waits_while_holding = false;
  bool has_pending = false;  // a request that is its thread's last event
  // Threads that were created under names that then never act, as some loggers number them.
  bool has_phantoms = false;
  bool orders_cut = false;  // locks were nested in more ways than fit: there may be more cycles
  std::vector<char> is_phantom;  // by thread: created, never acts
  std::vector<char> is_orphan;   // by thread: acts, never created, and not the first
  uint64_t acquisitions = 0;
  uint64_t nested = 0;
  uint32_t used_locks = 0;  // acquired at all, unlike a condition

  [[nodiscard]] bool is_in_cycle(uint32_t lock) const {
    return lock < component.size() && component[lock] != kNone;
  }
  [[nodiscard]] bool any() const { return is_any; }
  bool is_any = false;
};

// Can locks that were nested in these orders (held, asked for) be in a circle at all?
bool has_order_cycle(std::span<const std::pair<uint32_t, uint32_t>> nestings);

class LockOrderScan {
 public:
  static constexpr size_t kMaxOrders = 16'000'000;

  explicit LockOrderScan(size_t max_orders = kMaxOrders) : max_orders_(max_orders) {}

  void add(std::span<const model::TraceEvent> events);
  // `threads` and `locks` as the reader counted them.
  [[nodiscard]] Candidates finish(const model::TraceSize& size);

 private:
  struct Thread {
    std::vector<uint32_t> held;  // outermost first; without those beyond kMaxHeld
    size_t marked = 0;           // so many of them are known to matter
    bool is_created = false;
    bool asks = false;  // its last event is a request
  };
  static constexpr size_t kCacheSize = 1 << 12;
  static constexpr uint32_t kNobody = UINT32_MAX;

  Thread& thread_of(const model::TraceEvent& event);
  void use(uint32_t thread, uint32_t lock);
  void acquire(Thread& thread, const model::TraceEvent& event);
  void order(uint32_t held, uint32_t wanted, bool by_try);
  void mark_held(Thread& thread);
  void find_what_matters(Candidates& out, bool all) const;

  std::vector<Thread> threads_;
  std::vector<uint32_t> user_;  // of a lock: its first thread; kNobody: none yet
  std::vector<char> is_shared_;
  std::vector<char> is_rwlock_;
  // held << 32 | wanted, and for a successful try, which did not wait, kTry as well.
  static constexpr uint64_t kTry = uint64_t{1} << 63;
  std::unordered_set<uint64_t> orders_;
  size_t max_orders_;
  bool orders_cut_ = false;
  std::vector<char> is_marked_;  // by lock: somebody waited, joined, or was forked, in a section
  std::array<uint64_t, kCacheSize> cache_{};
  bool joins_while_holding_ = false;
  bool waits_while_holding_ = false;
  bool holds_beyond_belief_ = false;  // more than kMaxHeld
  uint64_t acquisitions_ = 0;
  uint64_t nested_ = 0;
};

}  // namespace gordian::analysis
