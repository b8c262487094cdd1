// SPDX-License-Identifier: Apache-2.0
#include "analysis/predict_search.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace gordian::analysis {

using model::Mode;
using model::TraceEvent;
using model::TraceOp;

namespace {

enum Need : size_t { kFork, kWoken, kSource };

bool begins_section(const TraceEvent& event) {
  return event.op == TraceOp::Acquire || event.op == TraceOp::Exchange;
}

}  // namespace

ScheduleSearch::ScheduleSearch(const std::vector<TraceEvent>& events, const model::TraceSize& size)
    : events_(events), size_(size) {
  prepare();
}

void ScheduleSearch::prepare() {
  const size_t count = events_.size();
  by_thread_.resize(size_.threads);
  ordinal_.resize(count);
  needs_.assign(count, {kNone, kNone, kNone});
  release_of_.assign(count, kNone);
  wait_of_.assign(count, kNone);
  wake_of_.assign(count, kNone);
  std::vector<uint32_t> fork(size_.threads, kNone);
  std::vector<uint32_t> wait(size_.threads, kNone);
  std::vector<uint32_t> last_write(size_.variables, kNone);
  std::unordered_map<uint64_t, uint32_t> open;  // (thread, lock) -> acquisition
  std::unordered_map<uint32_t, std::vector<uint32_t>> notes;
  const auto wake = [&](uint32_t i, uint32_t begin) {
    const std::vector<uint32_t>& all = notes[events_[begin].object];
    for (auto at = std::lower_bound(all.begin(), all.end(), begin); at != all.end(); ++at) {
      const bool is_all = events_[*at].op == TraceOp::NotifyAll;
      if (!is_all && wait_of_[*at] != kNone) continue;
      if (!is_all) wait_of_[*at] = begin;
      needs_[i][kWoken] = *at;
      wake_of_[begin] = i;
      return;
    }
  };
  for (uint32_t i = 0; i < count; ++i) {
    const TraceEvent& event = events_[i];
    const uint32_t id = thread_of(i);
    const uint64_t key = static_cast<uint64_t>(id) << 32 | event.object;
    ordinal_[i] = static_cast<uint32_t>(by_thread_[id].size());
    by_thread_[id].push_back(i);
    needs_[i][kFork] = std::exchange(fork[id], kNone);
    if (wait[id] != kNone && event.op != TraceOp::Request) wake(i, std::exchange(wait[id], kNone));
    switch (event.op) {
      case TraceOp::Acquire:
        open[key] = i;
        break;
      case TraceOp::Release:
        release_of_[open[key]] = i;
        break;
      case TraceOp::Exchange:
        release_of_[std::exchange(open[key], i)] = i;
        break;
      case TraceOp::Read:
        needs_[i][kSource] = last_write[event.object];
        break;
      case TraceOp::Write:
        last_write[event.object] = i;
        break;
      case TraceOp::Fork:
        fork[event.object] = i;
        break;
      case TraceOp::Join:
        // A child without events of its own since its creation was created all the same.
        needs_[i][kSource] = fork[event.object] != kNone        ? fork[event.object]
                             : by_thread_[event.object].empty() ? kNone
                                                                : by_thread_[event.object].back();
        break;
      case TraceOp::Wait:
        wait[id] = i;
        has_waits_ = true;
        break;
      case TraceOp::Notify:
      case TraceOp::NotifyAll:
        notes[event.object].push_back(i);
        break;
      default:
        break;
    }
  }
  // Who asks at the end of the trace has been woken, too.
  for (uint32_t id = 0; id < size_.threads; ++id) {
    if (wait[id] == kNone) continue;
    const uint32_t last = by_thread_[id].back();
    if (events_[last].op == TraceOp::Request) wake(last, wait[id]);
  }
}

bool ScheduleSearch::close(Prefix& prefix, Prefix done, const Prefix& limit, uint64_t& work) const {
  for (bool changed = true; changed;) {
    changed = false;
    for (uint32_t id = 0; id < prefix.size(); ++id) {
      while (done[id] < prefix[id]) {
        if (work == 0) return false;
        --work;
        changed = true;
        for (const uint32_t need : needs_[by_thread_[id][done[id]++]]) {
          if (need == kNone) continue;
          const uint32_t source = thread_of(need);
          prefix[source] = std::max(prefix[source], ordinal_[need] + 1);
          if (prefix[source] > limit[source]) return false;
        }
      }
    }
  }
  return true;
}

// The open sections of some lock of which not all can stay open.
std::vector<uint32_t> ScheduleSearch::find_conflict(const Prefix& prefix, uint64_t& work) const {
  std::unordered_map<uint32_t, std::vector<uint32_t>> open;
  for (uint32_t id = 0; id < prefix.size(); ++id) {
    work -= std::min<uint64_t>(work, prefix[id]);
    for (uint32_t i = 0; i < prefix[id]; ++i) {
      const uint32_t event = by_thread_[id][i];
      if (begins_section(events_[event]) && !contains(prefix, release_of_[event]))
        open[events_[event].object].push_back(event);
    }
  }
  std::vector<uint32_t> found;
  for (auto& [lock, sections] : open) {
    const bool excludes = std::any_of(sections.begin(), sections.end(), [&](uint32_t section) {
      return events_[section].mode == Mode::Exclusive;
    });
    // The same choice every time: the map has no order of its own.
    if (sections.size() > 1 && excludes && (found.empty() || sections.front() < found.front()))
      found = sections;
  }
  std::sort(found.begin(), found.end());
  return found;
}

// Puts the events of a prefix in order.
class Ordering {
 public:
  using Prefix = std::vector<uint32_t>;

  Ordering(const ScheduleSearch& search, const Prefix& prefix, const Prefix& limit, uint64_t& work)
      : search_(search),
        prefix_(prefix),
        work_(work),
        done_(prefix.size()),
        locks_(search.size_.locks),
        last_(search.size_.variables, kNone) {
    count(limit);
  }

  // False with work left: there is no order.
  bool run() {
    run_free();
    std::vector<Frame> frames;
    frames.push_back(frame());
    while (!frames.empty()) {
      if (schedule_.size() == all_) return true;
      Frame& top = frames.back();
      if (work_ == 0) return false;
      if (top.next == top.choices.size()) {
        frames.pop_back();
        continue;
      }
      undo(top);
      execute(top.choices[top.next++]);
      run_free();
      if (seen_.insert(hash_).second) frames.push_back(frame());
    }
    return false;
  }

  [[nodiscard]] const std::vector<uint32_t>& schedule() const { return schedule_; }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;

  struct Lock {
    uint32_t writers = 0;  // inside
    uint32_t readers = 0;
    uint32_t writes_left = 0;  // acquisitions still to come
    uint32_t reads_left = 0;
  };
  struct Frame {
    std::vector<uint32_t> choices;
    size_t next = 0;
    size_t schedule = 0;
    size_t log = 0;
    uint64_t hash = 0;
  };

  void count(const Prefix& limit) {
    for (uint32_t id = 0; id < prefix_.size(); ++id) {
      all_ += prefix_[id];
      for (uint32_t i = 0; i < prefix_[id]; ++i) {
        const uint32_t event = search_.by_thread_[id][i];
        const TraceEvent& what = search_.events_[event];
        if (begins_section(what))
          ++(what.mode == Mode::Exclusive ? locks_[what.object].writes_left
                                          : locks_[what.object].reads_left);
        if (what.op == TraceOp::Read) ++readers_left_[value_of(event)];
        if (what.op == TraceOp::Notify || what.op == TraceOp::NotifyAll) continue;
        const uint32_t note = search_.needs_[event][kWoken];
        if (note != kNone) waits_for_note_[note].push_back(wait_before(event));
      }
      // The event at which a thread stops needs to be woken too.
      if (limit[id] == prefix_[id] && prefix_[id] < search_.by_thread_[id].size()) {
        const uint32_t stop = search_.by_thread_[id][prefix_[id]];
        const uint32_t note = search_.needs_[stop][kWoken];
        if (note != kNone) waits_for_note_[note].push_back(wait_before(stop));
      }
    }
  }

  [[nodiscard]] uint32_t wait_before(uint32_t wake) const {
    uint32_t at = search_.ordinal_[wake];
    const std::vector<uint32_t>& own = search_.by_thread_[search_.thread_of(wake)];
    while (at > 0 && search_.wake_of_[own[at - 1]] != wake) --at;
    return at > 0 ? own[at - 1] : wake;
  }

  // What a read sees: the write, or "the initial value of variable x".
  [[nodiscard]] uint64_t value_of(uint32_t read) const {
    return value(search_.needs_[read][kSource], search_.events_[read].object);
  }
  static uint64_t value(uint32_t write, uint32_t variable) {
    return write != kNone ? write : uint64_t{1} << 32 | variable;
  }

  static uint64_t mixed(uint64_t value) {
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
    value = (value ^ value >> 27) * 0x94d049bb133111eb;
    return value ^ value >> 31;
  }

  void set(uint32_t& cell, uint32_t value) {
    log_.emplace_back(&cell, cell);
    cell = value;
  }
  void set_hashed(uint32_t& cell, uint32_t value, uint64_t name) {
    hash_ ^= mixed(name << 32 | cell) ^ mixed(name << 32 | value);
    set(cell, value);
  }

  Frame frame() {
    Frame made{
        .choices = {}, .next = 0, .schedule = schedule_.size(), .log = log_.size(), .hash = hash_};
    for (uint32_t id = 0; id < prefix_.size(); ++id) {
      if (done_[id] == prefix_[id]) continue;
      const uint32_t event = search_.by_thread_[id][done_[id]];
      if (can_run(event)) made.choices.push_back(event);
    }
    std::sort(made.choices.begin(), made.choices.end());
    return made;
  }

  void undo(const Frame& to) {
    for (; log_.size() > to.log; log_.pop_back()) *log_.back().first = log_.back().second;
    schedule_.resize(to.schedule);
    hash_ = to.hash;
  }

  [[nodiscard]] bool is_done(uint32_t event) const { return search_.contains(done_, event); }

  // A decision keeps others from running; anything else only helps them.
  [[nodiscard]] bool is_free(uint32_t event) const {
    const TraceOp op = search_.events_[event].op;
    return op != TraceOp::Acquire && op != TraceOp::Exchange && op != TraceOp::Write;
  }

  bool can_run(uint32_t event) {
    work_ -= work_ > 0 ? 1 : 0;
    for (const uint32_t need : search_.needs_[event])
      if (need != kNone && !is_done(need)) return false;
    const TraceEvent& what = search_.events_[event];
    switch (what.op) {
      case TraceOp::Acquire:
      case TraceOp::Exchange: {
        const Lock& lock = locks_[what.object];
        const bool stays = !search_.contains(prefix_, search_.release_of_[event]);
        const uint32_t own = what.op == TraceOp::Exchange ? 1 : 0;  // in the other mode
        if (what.mode == Mode::Exclusive)
          return lock.writers == 0 && lock.readers == own &&
                 (!stays || lock.writes_left + lock.reads_left == 1);
        return lock.writers == own && (!stays || lock.writes_left == 0);
      }
      case TraceOp::Read:
        return last_[what.object] == search_.needs_[event][kSource];
      case TraceOp::Write: {
        const auto it = readers_left_.find(value(last_[what.object], what.object));
        return it == readers_left_.end() || it->second == 0;
      }
      case TraceOp::Notify:
      case TraceOp::NotifyAll: {
        const auto it = waits_for_note_.find(event);
        return it == waits_for_note_.end() ||
               std::all_of(it->second.begin(), it->second.end(),
                           [&](uint32_t wait) { return is_done(wait); });
      }
      default:
        return true;
    }
  }

  void execute(uint32_t event) {
    const uint32_t id = search_.thread_of(event);
    set_hashed(done_[id], done_[id] + 1, id);
    schedule_.push_back(event);
    const TraceEvent& what = search_.events_[event];
    if (begins_section(what) || what.op == TraceOp::Release) {
      Lock& lock = locks_[what.object];
      uint32_t& inside = what.mode == Mode::Exclusive ? lock.writers : lock.readers;
      if (begins_section(what)) {
        uint32_t& left = what.mode == Mode::Exclusive ? lock.writes_left : lock.reads_left;
        uint32_t& other = what.mode == Mode::Exclusive ? lock.readers : lock.writers;
        set(left, left - 1);
        set(inside, inside + 1);
        if (what.op == TraceOp::Exchange) set(other, other - 1);
      } else {
        // A release in the other mode than the acquisition is the acquisition's all the same.
        uint32_t& held = inside > 0 ? inside : lock.writers > 0 ? lock.writers : lock.readers;
        set(held, held - 1);
      }
    } else if (what.op == TraceOp::Read) {
      uint32_t& left = readers_left_[value_of(event)];
      set(left, left - 1);
    } else if (what.op == TraceOp::Write) {
      set_hashed(last_[what.object], event, uint64_t{1} << 31 | what.object);
    }
  }

  void run_free() {
    for (bool ran = true; ran;) {
      ran = false;
      for (uint32_t id = 0; id < prefix_.size(); ++id) {
        while (done_[id] < prefix_[id]) {
          const uint32_t event = search_.by_thread_[id][done_[id]];
          if (!is_free(event) || !can_run(event)) break;
          execute(event);
          ran = true;
        }
      }
    }
  }

  const ScheduleSearch& search_;
  const Prefix& prefix_;
  uint64_t& work_;
  size_t all_ = 0;
  Prefix done_;
  std::vector<Lock> locks_;
  std::vector<uint32_t> last_;                           // by variable: the write it holds
  std::unordered_map<uint64_t, uint32_t> readers_left_;  // by value
  std::unordered_map<uint32_t, std::vector<uint32_t>> waits_for_note_;
  std::vector<uint32_t> schedule_;
  std::vector<std::pair<uint32_t*, uint32_t>> log_;
  std::unordered_set<uint64_t> seen_;
  uint64_t hash_ = 0;
};

void ScheduleSearch::choose(const Prefix& prefix, const Prefix& limit, uint64_t& work,
                            Outcome& outcome) {
  if (work == 0 || ++choices_ > kMaxChoices) {
    outcome.is_exhaustive = false;
    return;
  }
  const std::vector<uint32_t> conflict = find_conflict(prefix, work);
  if (conflict.empty()) {
    Ordering ordering(*this, prefix, limit, work);
    if (ordering.run()) outcome.schedule = ordering.schedule();
    if (work == 0) outcome.is_exhaustive = false;
    return;
  }
  // One exclusive section stays open, or the shared ones together; the last recorded is tried
  // first.
  bool tried_shared = false;
  for (size_t i = conflict.size(); i > 0 && !outcome.schedule; --i) {
    const uint32_t open = conflict[i - 1];
    const bool is_shared = events_[open].mode == Mode::Shared;
    if (is_shared && std::exchange(tried_shared, true)) continue;
    Prefix next = prefix;
    bool is_possible = true;
    for (const uint32_t other : conflict) {
      if (other == open || (is_shared && events_[other].mode == Mode::Shared)) continue;
      const uint32_t release = release_of_[other];
      if (release == kNone) {
        is_possible = false;
        break;
      }
      uint32_t& position = next[thread_of(release)];
      position = std::max(position, ordinal_[release] + 1);
      is_possible = is_possible && position <= limit[thread_of(release)];
    }
    if (is_possible && close(next, prefix, limit, work)) choose(next, limit, work, outcome);
  }
  if (work == 0) outcome.is_exhaustive = false;
}

ScheduleSearch::Outcome ScheduleSearch::find(std::span<const Stop> stops, uint64_t& work) {
  Outcome outcome;
  outcome.is_exhaustive = !has_waits_;
  choices_ = 0;
  Prefix limit(by_thread_.size());
  for (uint32_t id = 0; id < limit.size(); ++id)
    limit[id] = static_cast<uint32_t>(by_thread_[id].size());
  Prefix prefix(limit.size());
  for (const Stop& stop : stops) {
    if (stop.event != Stop::kAtEnd) limit[stop.thread] = ordinal_[stop.event];
    prefix[stop.thread] = limit[stop.thread];
  }
  // The event a thread stops before must be due: created, woken.
  for (const Stop& stop : stops) {
    if (stop.event == Stop::kAtEnd) continue;
    for (const Need kind : {kFork, kWoken}) {
      const uint32_t need = needs_[stop.event][kind];
      if (need == kNone) continue;
      uint32_t& position = prefix[thread_of(need)];
      position = std::max(position, ordinal_[need] + 1);
      if (position > limit[thread_of(need)]) return outcome;
    }
  }
  if (close(prefix, Prefix(prefix.size()), limit, work)) choose(prefix, limit, work, outcome);
  if (work == 0 && !outcome.schedule) outcome.is_exhaustive = false;
  return outcome;
}

}  // namespace gordian::analysis
