// SPDX-License-Identifier: Apache-2.0
// Looks for a schedule that takes some threads to given requests, with critical sections in another
// order than recorded if need be.
//
// First the events that every such schedule contains. Where they leave two sections of one lock
// open, at most one may stay so: each choice is tried, and adds the rest of the other sections.
// Then the events of a choice are put in order, depth first, the recorded order as first guess: an
// acquisition or a write is a decision, all else runs as soon as it can. States seen before are not
// entered again.
//
// The whole is bounded. What it finds is to be replayed; what it does not find within its bounds
// says nothing, unless the search came to its end by itself.
#pragma once

#include "analysis/predict_index.h"
#include "analysis/predict_replay.h"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_set>
#include <vector>

namespace gordian::analysis {

class ScheduleSearch {
 public:
  // `events` must outlive it; all of the trace, reads and writes if memory counts.
  ScheduleSearch(const std::vector<model::TraceEvent>& events, const model::TraceSize& size);

  struct Outcome {
    std::optional<std::vector<uint32_t>> schedule;  // of event numbers
    bool is_exhaustive = true;                      // without a schedule: there is none
  };
  // `work` is taken from, one for each event looked at; at 0 the search ends.
  Outcome find(std::span<const Stop> stops, uint64_t& work);

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr size_t kMaxChoices = 256;  // of sections that stay open, tried for one pattern

  using Prefix = std::vector<uint32_t>;  // by thread: how many of its events

  void prepare();
  // Makes `prefix` contain what its events need; what `done` has, it has already. False: that would
  // take a thread beyond `limit`.
  bool close(Prefix& prefix, Prefix done, const Prefix& limit, uint64_t& work) const;
  [[nodiscard]] std::vector<uint32_t> find_conflict(const Prefix& prefix, uint64_t& work) const;
  void choose(const Prefix& prefix, const Prefix& limit, uint64_t& work, Outcome& outcome);

  [[nodiscard]] uint32_t thread_of(uint32_t event) const {
    return static_cast<uint32_t>(events_[event].thread);
  }
  [[nodiscard]] bool contains(const Prefix& prefix, uint32_t event) const {
    return event != kNone && ordinal_[event] < prefix[thread_of(event)];
  }

  friend class Ordering;

  const std::vector<model::TraceEvent>& events_;
  const model::TraceSize& size_;
  std::vector<std::vector<uint32_t>> by_thread_;
  std::vector<uint32_t> ordinal_;  // of an event in its thread
  // Events that come before: the creation of its thread, what woke it, what it reads or joins.
  std::vector<std::array<uint32_t, 3>> needs_;
  // Of an acquisition. An exchange ends one section, and has a release as the next one's beginning.
  std::vector<uint32_t> release_of_;
  std::vector<uint32_t> wait_of_;  // of a notification: the wait it ends
  std::vector<uint32_t> wake_of_;  // of a wait: the event behind it
  bool has_waits_ = false;  // then another notification might do: the search is not exhaustive
  size_t choices_ = 0;
};

}  // namespace gordian::analysis
