// SPDX-License-Identifier: Apache-2.0
// Second pass of prediction: what the closure and the search for patterns need of a trace.
//
// Of each thread only its *steps* are kept: acquisitions of locks that matter
// (Candidates::matters), and events that cannot happen before an event of another thread has
// (created, joined, read from, woken). All else comes along with the step before it. A position in
// a thread is the number of its steps so far; a prefix of a trace is one position for each thread,
// and "position 5" includes all that the thread does before its step number 5 (steps count from 0).
//
// An order between threads that is implied by an earlier one of the same two threads is not kept.
// No vector clocks are stored: the closure follows the edges instead.
#pragma once

#include "analysis/growing_array.h"
#include "analysis/predict_scan.h"
#include "model/trace.h"

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace gordian::analysis {

enum class OrderKind : uint8_t { Fork, Join, ReadsFrom, Notify };

// An acquisition or an incoming edge, told apart by the high bit of `what`.
struct TraceStep {
  static constexpr uint32_t kEdge = 1U << 31;
  static constexpr uint32_t kKindShift = 28;
  static constexpr uint32_t kThreadMask = (1U << kKindShift) - 1;
  static constexpr uint32_t kNever = UINT32_MAX;

  uint32_t what = 0;    // lock << 1 | shared; or kEdge | kind << 28 | thread it comes from
  uint32_t a = 0;       // how-manieth acquisition of this lock; or the position it comes from
  uint32_t b = kNever;  // position of the thread when it is released; kNever: not in this trace

  [[nodiscard]] bool is_edge() const { return (what & kEdge) != 0; }
  [[nodiscard]] uint32_t lock() const { return what >> 1; }
  [[nodiscard]] bool shared() const { return (what & 1) != 0; }
  [[nodiscard]] uint32_t source() const { return what & kThreadMask; }
  [[nodiscard]] OrderKind kind() const { return static_cast<OrderKind>(what >> kKindShift & 3); }
};

// Steps of one sort in one thread (the same lock and mode, or the same source), in order: so the
// last one before a position is found without walking there.
struct StepGroup {
  uint32_t what = 0;  // as in TraceStep, without the kind
  uint32_t begin = 0;
  uint32_t end = 0;
};

struct ThreadSteps {
  GrowingArray<TraceStep> steps;
  std::vector<StepGroup> groups;   // filled in by TraceIndex::group()
  GrowingArray<uint32_t> grouped;  // step numbers
};

// What a thread holds: a list that shares its tail with those it was built from.
struct HeldCell {
  uint32_t outer = 0;  // 0: nothing else
  uint32_t lock = 0;
  uint32_t site = 0;
  model::Mode mode = model::Mode::Exclusive;
};

// An abstract acquisition: all moments at which a thread asked for one resource at one place while
// it held the same locks, taken at the same places.
struct TraceRequest {
  uint32_t thread = 0;
  uint32_t wanted = 0;  // a lock, or with is_join a thread
  uint32_t held = 0;    // index of the innermost HeldCell; 0: nothing
  uint32_t site = 0;
  model::Mode mode = model::Mode::Exclusive;
  bool is_join = false;

  bool operator==(const TraceRequest&) const = default;
};

// One moment of a TraceRequest: its thread has done all before `position`, and asks.
struct Moment {
  uint32_t position = 0;
  uint32_t event = 0;  // in TraceIndex::events, if those are kept
  uint64_t line = 0;
};

// An event is in a prefix whose position of its thread is at least this. Apart from the events:
// whoever makes a witness looks at all of them for nothing else.
struct PrefixNeed {
  uint32_t thread = 0;
  uint32_t position = 0;
};

class TraceIndex {
 public:
  static constexpr uint64_t kMaxKeptEvents = 8'000'000;
  // Of steps and moments. A thousand million events fit unless most are of locks in circles.
  static constexpr uint64_t kMaxBytes = uint64_t{11} << 29;

  struct Limits {
    uint64_t bytes = kMaxBytes;
    uint64_t kept_events = kMaxKeptEvents;
  };

  TraceIndex(const Candidates& candidates, const model::TraceSize& size);
  TraceIndex(const Candidates& candidates, const model::TraceSize& size, const Limits& limits);

  // What no longer fits is left out: the trace ends earlier, then.
  void add(std::span<const model::TraceEvent> events);
  // Call once after the last event.
  void finish();

  [[nodiscard]] const std::vector<ThreadSteps>& threads() const { return steps_; }
  [[nodiscard]] const std::vector<TraceRequest>& requests() const { return requests_; }
  [[nodiscard]] const GrowingArray<Moment>& moments(uint32_t request) const {
    return moments_[request];
  }
  [[nodiscard]] bool was_cut() const { return bytes_ > limits_.bytes; }
  [[nodiscard]] const HeldCell& held(uint32_t cell) const { return cells_[cell]; }
  [[nodiscard]] uint32_t lock_count() const { return lock_count_; }
  [[nodiscard]] bool keeps_events() const { return keeps_events_; }
  // For witnesses and the search.
  [[nodiscard]] const std::vector<model::TraceEvent>& events() const { return events_; }
  [[nodiscard]] const std::vector<PrefixNeed>& needs() const { return needs_; }  // by event

 private:
  static constexpr uint32_t kNobody = UINT32_MAX;

  struct Hold {
    uint32_t lock = 0;
    uint32_t cell = 0;  // with everything outside of it
    uint32_t step = TraceStep::kNever;
    uint32_t site = 0;
    model::Mode mode = model::Mode::Exclusive;
  };
  struct Thread {
    std::vector<Hold> held;
    uint32_t waits_on = kNobody;
    size_t wait_since = 0;  // notifications of that condition before
    bool has_acted = false;
    model::TraceEvent asked;  // a request that is not yet granted
    bool asks = false;
  };
  struct Notification {
    uint32_t thread = 0;
    uint32_t position = 0;
    bool is_all = false;
    bool used = false;
  };
  struct Write {
    uint32_t thread = kNobody;
    uint32_t position = 0;
  };
  struct Source {
    uint32_t thread = 0;
    uint32_t position = 0;
  };

  void add_one(const model::TraceEvent& event);
  void keep(const model::TraceEvent& event);
  // False: nobody notified it.
  bool wake(uint32_t id, Thread& thread);
  void acquire(uint32_t id, Thread& thread, const model::TraceEvent& event);
  void release(uint32_t id, Thread& thread, const model::TraceEvent& event);
  void exchange(uint32_t id, Thread& thread, const model::TraceEvent& event);
  void join(uint32_t id, Thread& thread, const model::TraceEvent& event);
  void ask(uint32_t id, const Thread& thread, const model::TraceEvent& event);
  [[nodiscard]] bool is_worth_asking(const Thread& thread, const model::TraceEvent& event) const;
  // `source` at `position` comes before the next step of `to`. False: known already.
  bool edge(uint32_t to, uint32_t source, uint32_t position, OrderKind kind);
  [[nodiscard]] uint32_t position_of(uint32_t thread) const {
    return static_cast<uint32_t>(steps_[thread].steps.size());
  }
  void step(uint32_t thread, const TraceStep& step);
  uint32_t cell_of(uint32_t outer, const Hold& hold);
  uint32_t request_of(const TraceRequest& request);
  uint32_t& known(uint32_t to, uint32_t source);
  void group(ThreadSteps& thread);

  const Candidates& candidates_;
  const Limits limits_;
  uint64_t bytes_ = 0;
  uint32_t lock_count_;
  bool keeps_events_;
  std::vector<ThreadSteps> steps_;
  std::vector<Thread> threads_;
  std::vector<uint32_t> acquisitions_;                    // by lock, so far
  std::vector<Write> last_write_;                         // by variable
  std::vector<std::vector<Notification>> notifications_;  // by condition
  std::vector<Source> phantom_forks_;
  std::vector<HeldCell> cells_ = std::vector<HeldCell>(1);
  std::unordered_map<uint64_t, std::vector<uint32_t>> cell_index_;
  std::vector<TraceRequest> requests_;
  std::vector<GrowingArray<Moment>> moments_;
  std::unordered_map<uint64_t, std::vector<uint32_t>> request_index_;
  std::vector<uint32_t> known_;  // dense where threads are few
  std::unordered_map<uint64_t, uint32_t> known_sparse_;
  std::vector<model::TraceEvent> events_;
  std::vector<PrefixNeed> needs_;
};

}  // namespace gordian::analysis
