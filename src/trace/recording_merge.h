// SPDX-License-Identifier: Apache-2.0
// Puts the records of many rings into one order in which they can have happened.
//
// A ring is followed until its next record has to wait for another's: an acquisition for the ticket
// before its own and for the lock to be free, a thread for its creation, a join for an end. What
// waits is asked again when that has happened, so each record is looked at a few times at most.
//
// Orders that are none of locks (signals, posts, barriers, once-routines, failed tries) become
// writes and reads of variables of their own: the analysis knows those, and keeps them.
//
// Behind a loss in a ring nothing of it is used, nor what depends on that: the result is a prefix
// of what happened, and complete in itself.
#pragma once

#include "format/recording.h"
#include "model/trace.h"
#include "trace/recording_facts.h"
#include "trace/recording_records.h"
#include "trace/std_reader.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace gordian::trace {

class RecordingMerge {
 public:
  RecordingMerge(RecordingFacts& facts, Detail detail, const EventSink& sink);

  // The payload of a chunk of records.
  void feed(std::span<const std::byte> blocks);
  // After the last chunk.
  void finish();

  [[nodiscard]] uint64_t events() const { return events_; }
  [[nodiscard]] uint32_t variables() const { return variables_; }
  // Orders that are none of locks are there, handed out or not.
  [[nodiscard]] bool has_other_orders() const {
    return reads_tokens_ || !facts_.met_by_try.empty() || !facts_.unruly.empty();
  }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;

  enum class Step : uint8_t { Done, Blocked };

  struct Ring {
    std::vector<uint32_t> words;
    size_t at = 0;
    uint64_t position = 0;  // of words[at] in the ring
    uint32_t thread = kNone;
    bool closed = false;  // a loss, or nonsense: nothing more of it is used
    uint64_t done = 0;    // up to where it was used
    std::vector<std::pair<uint64_t, uint32_t>> waits_done_to;  // position, ring
    std::vector<uint32_t> write_tokens;                        // as the facts' read_from, so far
    bool queued = false;
    bool blocked = false;
    uint32_t asks = 0;  // slot it is blocked for in the recording; 0: none
    uint32_t asks_flags = 0;
    uint32_t asks_stack = 0;
    size_t notified_before = 0;  // notifications of the condition when its wait began
    // What keeps it, for the end of the input.
    uint32_t waits_free = 0;  // slot
    uint32_t waits_join = kNone;
    uint32_t waits_done = 0;    // slot
    std::set<uint32_t> robust;  // slots of robust mutexes that it took
  };
  // A synchronisation object, by slot.
  struct Object {
    uint32_t next = 1;  // ticket
    uint32_t instance = 0;
    uint32_t lock = kNone;  // id of this instance
    format::BornBody born{};
    uint32_t last_stack = 0;  // of the last acquisition
    uint32_t writer = kNone;  // threads
    std::vector<uint32_t> readers;
    uint32_t waits_free = kNone;                              // ring
    std::vector<std::pair<uint32_t, uint32_t>> waits_ticket;  // ticket, ring
    std::vector<uint32_t> waits_done;                         // rings
    uint32_t released = kNone;                                // variable of the last release
    std::vector<uint32_t> tokens;  // variables of notifications, posts, arrivals
    size_t taken = 0;
    uint32_t last_take = kNone;  // its token, where a try failed
    uint32_t born_at = 0;        // ticket: annotations from before are another object's
    std::string name;
    format::Described what = format::Described::Lock;
    int32_t level = -1;
  };
  void run();
  void queue(uint32_t ring);
  std::optional<RingRecord> next_record(Ring& ring);
  Step step(uint32_t id, const RingRecord& record);
  Step acquire(uint32_t id, const RingRecord& record);
  Step release(Ring& ring, const RingRecord& record);
  Step condition_wake(uint32_t id, const RingRecord& record);
  Step semaphore_take(uint32_t id, const RingRecord& record);
  Step barrier_depart(uint32_t id, const RingRecord& record);
  Step try_failed(uint32_t id, const RingRecord& record);
  Step passed(uint32_t id, const RingRecord& record);
  Step read_from(uint32_t id, const RingRecord& record);
  // The ring was used up to `position`.
  void reach(uint32_t id, uint64_t position);
  Step begin(uint32_t id, const RingRecord& record);
  Step join(uint32_t id, const RingRecord& record);
  void end_of_thread(Ring& ring, const RingRecord& record);
  void give_back_robust(Ring& ring);
  void born(Object& object, const RingRecord& record);
  void annotate(const RingRecord& record);
  void add_stack(const RingRecord& record);
  void add_module(const RingRecord& record);

  Object& object_of(uint32_t slot);
  // True: it is the ticket's turn, and the next one's now.
  bool takes_turn(uint32_t ring, uint32_t slot, uint32_t ticket);
  void wake_ticket(Object& object);
  void wake_free(Object& object);
  bool is_free(const Object& object, uint32_t thread, bool shared) const;
  uint32_t lock_of(Object& object, uint32_t slot);
  [[nodiscard]] bool is_exhausted(uint32_t ring) const;
  [[nodiscard]] bool is_dropped(uint32_t thread) const;
  void free_by_force(Object& object, uint32_t slot);
  bool resolve();
  void close(Ring& ring);

  uint32_t write_token(const Ring& ring, uint32_t stack);
  void read_token(const Ring& ring, uint32_t token, uint32_t stack);
  void put(model::TraceEvent event);
  void flush();

  RecordingFacts& facts_;
  Detail detail_;
  const EventSink& sink_;
  std::vector<Ring> rings_;
  std::vector<uint32_t> slot_index_;
  std::deque<Object> objects_;
  std::deque<uint32_t> ready_;
  std::vector<char> forked_, ended_;                   // by thread
  std::vector<uint32_t> ring_of_;                      // by thread
  std::unordered_map<uint32_t, uint32_t> waits_fork_;  // thread -> ring
  std::unordered_map<uint32_t, std::vector<uint32_t>> waits_join_;
  std::unordered_map<uint64_t, uint32_t> met_tokens_;     // slot << 32 | ticket
  std::unordered_map<uint64_t, uint32_t> barrier_round_;  // thread << 32 | slot -> arrival
  uint64_t pending_words_ = 0;
  uint64_t events_ = 0;
  uint32_t variables_ = 0;
  bool reads_tokens_ = false;
  size_t count_ = 0;
  std::array<model::TraceEvent, 512> block_;
};

}  // namespace gordian::trace
