// SPDX-License-Identifier: Apache-2.0
#include "trace/recording_merge.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

namespace gordian::trace {

using format::Event;
using model::Mode;
using model::ThreadId;
using model::TraceEvent;
using model::TraceOp;

namespace {

constexpr uint64_t kMaxPendingWords = uint64_t{256} << 20;
constexpr size_t kMaxSliceBytes = 256 << 20;
constexpr uint32_t kMaxStacks = 1 << 20;
constexpr size_t kMaxName = 255;

// Does a and b's distance, across the wrap, say that a is behind b?
bool is_before(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) < 0; }

// In RecordingFacts::met_by_try: no event of a semaphore has ticket 0.
uint64_t any_take_of(uint32_t slot) { return static_cast<uint64_t>(slot) << 32; }

constexpr uint16_t kRobustMutex = 16;  // in a mutex's kind word, as glibc has it

bool is_once(uint8_t kind) {
  const auto what = static_cast<format::Kind>(kind);
  return what == format::Kind::Once || what == format::Kind::Guard ||
         what == format::Kind::GlibOnce;
}

}  // namespace

RecordingMerge::RecordingMerge(RecordingFacts& facts, Detail detail, const EventSink& sink)
    : facts_(facts), detail_(detail), sink_(sink) {}

void RecordingMerge::feed(std::span<const std::byte> blocks) {
  while (blocks.size() >= sizeof(format::BlockHeader)) {
    format::BlockHeader header;
    std::memcpy(&header, blocks.data(), sizeof(header));
    blocks = blocks.subspan(sizeof(header));
    const size_t bytes = std::min<size_t>(header.bytes, blocks.size());
    if (header.ring < kMaxRings) {
      if (header.ring >= rings_.size()) rings_.resize(header.ring + 1);
      Ring& ring = rings_[header.ring];
      const uint64_t expected = ring.position + (ring.words.size() - ring.at) * 4;
      const bool is_whole = header.bytes % 4 == 0 && bytes == header.bytes;
      if (!ring.closed && (header.position != expected || !is_whole)) close(ring);
      if (pending_words_ >= kMaxPendingWords) close(ring);
      const size_t old = ring.words.size();
      ring.words.resize(old + bytes / 4);
      if (bytes >= 4) std::memcpy(ring.words.data() + old, blocks.data(), bytes / 4 * 4);
      pending_words_ += bytes / 4;
      if (ring.closed) {
        ring.position = header.position;
        close(ring);
      } else if (!ring.blocked) {
        queue(header.ring);
      }
    }
    blocks = blocks.subspan(bytes);
  }
  run();
}

void RecordingMerge::close(Ring& ring) {
  ring.closed = true;
  while (const std::optional<RingRecord> record = next_record(ring)) {
    ++facts_.left_out;
    pending_words_ -= record->words;
    ring.at += record->words;
    ring.position += record->words * 4;
  }
  pending_words_ -= ring.words.size() - ring.at;
  ring.words.clear();
  ring.at = 0;
}

void RecordingMerge::queue(uint32_t ring) {
  rings_[ring].blocked = false;
  if (rings_[ring].queued) return;
  rings_[ring].queued = true;
  ready_.push_back(ring);
}

std::optional<RingRecord> RecordingMerge::next_record(Ring& ring) {
  if (ring.at == ring.words.size()) return std::nullopt;
  std::optional<RingRecord> record =
      first_record(std::span(ring.words).subspan(ring.at), ring.position);
  if (!record) ring.closed = true;
  return record;
}

void RecordingMerge::run() {
  while (!ready_.empty()) {
    const uint32_t id = ready_.front();
    ready_.pop_front();
    rings_[id].queued = false;
    while (!rings_[id].closed) {
      Ring& ring = rings_[id];
      const std::optional<RingRecord> record = next_record(ring);
      if (!record) break;
      ring.waits_free = 0;
      ring.waits_done = 0;
      ring.waits_join = kNone;
      if (step(id, *record) == Step::Blocked) {
        rings_[id].blocked = true;
        break;
      }
      Ring& used = rings_[id];
      used.at += record->words;
      used.position += record->words * 4;
      pending_words_ -= record->words;
      reach(id, used.position);
    }
    Ring& ring = rings_[id];
    if (ring.at == ring.words.size() || ring.at > (1 << 16)) {
      ring.words.erase(ring.words.begin(), ring.words.begin() + static_cast<ptrdiff_t>(ring.at));
      ring.at = 0;
    }
  }
}

RecordingMerge::Object& RecordingMerge::object_of(uint32_t slot) {
  if (slot >= slot_index_.size()) slot_index_.resize(slot + 1 + slot / 2, kNone);
  uint32_t& index = slot_index_[slot];
  if (index == kNone) {
    index = static_cast<uint32_t>(objects_.size());
    objects_.emplace_back();
  }
  return objects_[index];
}

void RecordingMerge::wake_ticket(Object& object) {
  for (size_t i = 0; i < object.waits_ticket.size();) {
    if (is_before(object.next, object.waits_ticket[i].first)) {
      ++i;
      continue;
    }
    queue(object.waits_ticket[i].second);
    object.waits_ticket[i] = object.waits_ticket.back();
    object.waits_ticket.pop_back();
  }
}

bool RecordingMerge::takes_turn(uint32_t ring, uint32_t slot, uint32_t ticket) {
  Object& object = object_of(slot);
  if (is_before(object.next, ticket)) {
    object.waits_ticket.emplace_back(ticket, ring);
    return false;
  }
  // One that is late was given twice: a program that uses a lock it has destroyed.
  if (ticket == object.next) {
    ++object.next;
    wake_ticket(object);
  }
  return true;
}

bool RecordingMerge::is_free(const Object& object, uint32_t thread, bool shared) const {
  if (object.writer != kNone && object.writer != thread) return false;
  if (shared) return true;
  return object.readers.empty() || (object.readers.size() == 1 && object.readers[0] == thread);
}

void RecordingMerge::wake_free(Object& object) {
  if (object.waits_free == kNone) return;
  queue(object.waits_free);
  object.waits_free = kNone;
}

uint32_t RecordingMerge::lock_of(Object& object, uint32_t slot) {
  if (object.lock != kNone) return object.lock;
  const auto [at, is_new] =
      facts_.lock_index.try_emplace(static_cast<uint64_t>(slot) << 32 | object.instance,
                                    static_cast<uint32_t>(facts_.locks.size()));
  if (is_new) {
    const format::BornBody& born = object.born;
    facts_.locks.push_back({.address = born.address,
                            .birth_site = born.birth_site,
                            .kind = static_cast<format::Kind>(born.kind),
                            .flags = born.flags,
                            .type = born.type,
                            .creator_uid = born.creator_uid,
                            .slot = slot,
                            .instance = object.instance,
                            .name = object.name,
                            .what = object.what,
                            .level = object.level});
  }
  object.lock = at->second;
  return object.lock;
}

void RecordingMerge::put(TraceEvent event) {
  event.line = ++events_;
  if (detail_ == Detail::Locks) event.site = 0;
  block_[count_] = event;
  if (++count_ == block_.size()) flush();
}

void RecordingMerge::flush() {
  if (count_ > 0) sink_({block_.data(), count_});
  count_ = 0;
}

uint32_t RecordingMerge::write_token(const Ring& ring, uint32_t stack) {
  if (detail_ == Detail::Locks) return 0;
  const uint32_t token = variables_++;
  put({.thread = ThreadId{ring.thread}, .object = token, .site = stack, .op = TraceOp::Write});
  return token;
}

void RecordingMerge::read_token(const Ring& ring, uint32_t token, uint32_t stack) {
  if (token == kNone) return;
  reads_tokens_ = true;
  if (detail_ == Detail::Locks) return;
  put({.thread = ThreadId{ring.thread}, .object = token, .site = stack, .op = TraceOp::Read});
}

RecordingMerge::Step RecordingMerge::acquire(uint32_t id, const RingRecord& record) {
  Ring& ring = rings_[id];
  Object& object = object_of(record.slot);
  const bool is_named = record.type == Event::Acquire;
  const uint32_t ticket = is_named ? record.body[0] : object.next;
  const uint32_t stack = is_named                            ? record.body[1]
                         : record.type == Event::AcquireNext ? record.body[0]
                                                             : object.last_stack;
  const bool shared = (record.flags & format::kEventShared) != 0;
  if (is_before(object.next, ticket)) {
    object.waits_ticket.emplace_back(ticket, id);
    return Step::Blocked;
  }
  if (!is_free(object, ring.thread, shared)) {
    const uint32_t holder = object.writer != kNone ? object.writer : object.readers.front();
    if (ended_[holder] != 0) {
      free_by_force(object, record.slot);
    } else {
      object.waits_free = id;
      ring.waits_free = record.slot;
      return Step::Blocked;
    }
  }
  takes_turn(id, record.slot, ticket);
  object.last_stack = stack;
  const bool is_held =
      object.writer == ring.thread ||
      std::find(object.readers.begin(), object.readers.end(), ring.thread) != object.readers.end();
  // Taken again without a release in between: that was not seen.
  if (is_held) free_by_force(object, record.slot);
  const uint32_t lock = lock_of(object, record.slot);
  if (facts_.unruly.contains(record.slot)) {
    read_token(ring, object.released, stack);
  } else {
    put({.thread = ThreadId{ring.thread},
         .object = lock,
         .site = stack,
         .op = TraceOp::Acquire,
         .mode = shared ? Mode::Shared : Mode::Exclusive,
         .by_try = (record.flags & format::kEventGivesUp) != 0});
  }
  if (shared) {
    object.readers.push_back(ring.thread);
  } else {
    object.writer = ring.thread;
    if (object.born.kind == static_cast<uint8_t>(format::Kind::Mutex) &&
        (object.born.type & kRobustMutex) != 0) {
      ring.robust.insert(record.slot);
    }
  }
  if (!facts_.met_by_try.empty()) {
    const uint64_t met = static_cast<uint64_t>(record.slot) << 32 | ticket;
    if (facts_.met_by_try.contains(met)) met_tokens_[met] = write_token(ring, stack);
  }
  // The next reader may have its ticket already.
  if (shared) wake_free(object);
  return Step::Done;
}

RecordingMerge::Step RecordingMerge::release(Ring& ring, const RingRecord& record) {
  Object& object = object_of(record.slot);
  const auto reader = std::find(object.readers.begin(), object.readers.end(), ring.thread);
  Mode mode = Mode::Exclusive;
  if (object.writer == ring.thread) {
    object.writer = kNone;
  } else if (reader != object.readers.end()) {
    object.readers.erase(reader);
    mode = Mode::Shared;
  } else if (object.writer != kNone || !object.readers.empty()) {
    // Somebody else's: it is a semaphore.
    free_by_force(object, record.slot);
    object.released = write_token(ring, 0);
    return Step::Done;
  } else {
    if (object.lock != kNone) facts_.unruly.insert(record.slot);
    object.released = write_token(ring, 0);
    return Step::Done;
  }
  if (facts_.unruly.contains(record.slot)) {
    object.released = write_token(ring, 0);
  } else {
    put({.thread = ThreadId{ring.thread},
         .object = lock_of(object, record.slot),
         .op = TraceOp::Release,
         .mode = mode});
  }
  if (is_once(object.born.kind)) {
    object.released = write_token(ring, 0);
    for (const uint32_t waiting : object.waits_done) queue(waiting);
    object.waits_done.clear();
  }
  wake_free(object);
  return Step::Done;
}

// The lock is free although nobody gave it back, as far as was seen. From the next reading on it is
// held by nobody; in this one its holder keeps it, which only the analysis of candidates sees.
void RecordingMerge::free_by_force(Object& object, uint32_t slot) {
  facts_.unruly.insert(slot);
  object.writer = kNone;
  object.readers.clear();
  wake_free(object);
}

RecordingMerge::Step RecordingMerge::condition_wake(uint32_t id, const RingRecord& record) {
  if (!takes_turn(id, record.slot, record.body[0])) return Step::Blocked;
  Ring& ring = rings_[id];
  Object& object = object_of(record.slot);
  if ((record.flags & format::kEventTimed) != 0) return Step::Done;
  // Which of several woke it nobody knows: it comes after all of them.
  size_t first = std::min(ring.notified_before, object.tokens.size());
  // A signaller counts before its call: one that waited since may have been in time for it.
  if (first == object.tokens.size() && first > 0) --first;
  for (size_t i = first; i < object.tokens.size(); ++i) read_token(ring, object.tokens[i], 0);
  return Step::Done;
}

RecordingMerge::Step RecordingMerge::semaphore_take(uint32_t id, const RingRecord& record) {
  if (!takes_turn(id, record.slot, record.body[0])) return Step::Blocked;
  Object& object = object_of(record.slot);
  const size_t at_first = (object.born.flags & format::kLockBornByInit) != 0 ? object.born.type : 0;
  const size_t take = object.taken++;
  // First in, first out: whoever counts so needs no post more than there were.
  if (take >= at_first && take - at_first < object.tokens.size())
    read_token(rings_[id], object.tokens[take - at_first], record.body[1]);
  if (facts_.met_by_try.contains(any_take_of(record.slot))) {
    read_token(rings_[id], object.last_take, record.body[1]);
    object.last_take = write_token(rings_[id], record.body[1]);
  }
  return Step::Done;
}

RecordingMerge::Step RecordingMerge::barrier_depart(uint32_t id, const RingRecord& record) {
  if (!takes_turn(id, record.slot, record.body[0])) return Step::Blocked;
  Ring& ring = rings_[id];
  Object& object = object_of(record.slot);
  const size_t needed = std::max<size_t>(object.born.type, 1);
  const uint64_t key = static_cast<uint64_t>(ring.thread) << 32 | record.slot;
  const size_t round = barrier_round_[key] / needed;
  for (size_t i = round * needed; i < std::min((round + 1) * needed, object.tokens.size()); ++i)
    read_token(ring, object.tokens[i], 0);
  return Step::Done;
}

RecordingMerge::Step RecordingMerge::try_failed(uint32_t id, const RingRecord& record) {
  const uint32_t seen = record.body[0];
  Object& object = object_of(record.slot);
  if (!is_before(seen, object.next)) {
    object.waits_ticket.emplace_back(seen + 1, id);
    return Step::Blocked;
  }
  if (object.born.kind == static_cast<uint8_t>(format::Kind::Semaphore)) {
    // It was empty because all of them had taken one.
    facts_.met_by_try.insert(any_take_of(record.slot));
    read_token(rings_[id], object.last_take, record.body[1]);
    return Step::Done;
  }
  const uint64_t met = static_cast<uint64_t>(record.slot) << 32 | seen;
  facts_.met_by_try.insert(met);
  if (const auto token = met_tokens_.find(met); token != met_tokens_.end())
    read_token(rings_[id], token->second, record.body[1]);
  return Step::Done;
}

RecordingMerge::Step RecordingMerge::passed(uint32_t id, const RingRecord& record) {
  Object& object = object_of(record.slot);
  if (object.released == kNone && !is_free(object, kNone, false)) {
    object.waits_done.push_back(id);
    rings_[id].waits_done = record.slot;
    return Step::Blocked;
  }
  read_token(rings_[id], object.released, record.body[0]);
  return Step::Done;
}

void RecordingMerge::reach(uint32_t id, uint64_t position) {
  Ring& ring = rings_[id];
  ring.done = position;
  if (facts_.knows_read_from && detail_ == Detail::Memory && id < facts_.read_from.size() &&
      ring.thread != kNone) {
    const ReadPositions& read = facts_.read_from[id];
    while (ring.write_tokens.size() < read.size() && read[ring.write_tokens.size()] <= position)
      ring.write_tokens.push_back(write_token(ring, 0));
  }
  for (size_t i = 0; i < ring.waits_done_to.size();) {
    if (ring.waits_done_to[i].first > position) {
      ++i;
      continue;
    }
    queue(ring.waits_done_to[i].second);
    ring.waits_done_to[i] = ring.waits_done_to.back();
    ring.waits_done_to.pop_back();
  }
}

// Between the records of the writer's ring is no write: the first reading finds out where others
// read from, and the later ones put a write there.
RecordingMerge::Step RecordingMerge::read_from(uint32_t id, const RingRecord& record) {
  const uint32_t from = record.body[0];
  const uint64_t position = uint64_t{record.body[2]} << 32 | record.body[1];
  if (from >= kMaxRings) return Step::Done;
  if (from >= rings_.size()) rings_.resize(from + 1);
  if (rings_[from].done < position) {
    rings_[from].waits_done_to.emplace_back(position, id);
    return Step::Blocked;
  }
  if (!facts_.knows_read_from) {
    if (from >= facts_.read_from.size()) facts_.read_from.resize(from + 1);
    facts_.read_from[from].push_back(position);
    return Step::Done;
  }
  if (detail_ != Detail::Memory || from >= facts_.read_from.size()) return Step::Done;
  const ReadPositions& read = facts_.read_from[from];
  const auto at = std::lower_bound(read.begin(), read.end(), position);
  const auto index = static_cast<size_t>(at - read.begin());
  if (index < rings_[from].write_tokens.size())
    read_token(rings_[id], rings_[from].write_tokens[index], 0);
  return Step::Done;
}

RecordingMerge::Step RecordingMerge::begin(uint32_t id, const RingRecord& record) {
  const auto body = body_of<format::BeginBody>(record);
  const uint32_t thread = facts_.thread_of(body.uid);
  const size_t threads = facts_.threads.size();
  forked_.resize(threads);
  ended_.resize(threads);
  ring_of_.resize(threads, kNone);
  RecordedThread& about = facts_.threads[thread];
  about.tid = body.tid;
  about.parent_uid = body.parent_uid;
  about.flags = body.flags;
  about.start_routine = body.start_routine;
  about.create_site = body.create_site;
  if (body.parent_uid != 0 && forked_[thread] == 0) {
    waits_fork_[thread] = id;
    return Step::Blocked;
  }
  rings_[id].thread = thread;
  rings_[id].asks = 0;
  ring_of_[thread] = id;
  return Step::Done;
}

RecordingMerge::Step RecordingMerge::join(uint32_t id, const RingRecord& record) {
  const uint32_t child = facts_.thread_of(record.body[0]);
  ended_.resize(facts_.threads.size());
  if (ended_[child] == 0) {
    waits_join_[child].push_back(id);
    rings_[id].waits_join = child;
    return Step::Blocked;
  }
  if (child != rings_[id].thread)
    put({.thread = ThreadId{rings_[id].thread},
         .object = child,
         .site = record.body[1],
         .op = TraceOp::Join,
         .by_try = (record.flags & format::kEventGivesUp) != 0});
  return Step::Done;
}

void RecordingMerge::end_of_thread(Ring& ring, const RingRecord& record) {
  facts_.threads[ring.thread].name = name_in(record.body.subspan(1));
  ended_[ring.thread] = 1;
  give_back_robust(ring);
  if (const auto waiting = waits_join_.find(ring.thread); waiting != waits_join_.end()) {
    for (const uint32_t joiner : waiting->second) queue(joiner);
    waits_join_.erase(waiting);
  }
}

// The kernel does, when their owner dies and before anybody has joined it.
void RecordingMerge::give_back_robust(Ring& ring) {
  for (const uint32_t slot : std::exchange(ring.robust, {})) {
    Object& object = object_of(slot);
    if (object.writer != ring.thread) continue;
    if (!facts_.unruly.contains(slot))
      put({.thread = ThreadId{ring.thread},
           .object = lock_of(object, slot),
           .op = TraceOp::Release});
    object.writer = kNone;
    wake_free(object);
  }
}

void RecordingMerge::born(Object& object, const RingRecord& record) {
  object.born = body_of<format::BornBody>(record);
  object.born_at = object.born.ticket;
  if (object.lock == kNone) return;
  RecordedLock& lock = facts_.locks[object.lock];
  lock.address = object.born.address;
  lock.birth_site = object.born.birth_site;
  lock.kind = static_cast<format::Kind>(object.born.kind);
  lock.flags = object.born.flags;
  lock.type = object.born.type;
  lock.creator_uid = object.born.creator_uid;
}

// Nobody waits for an annotation: one that comes when its object has ended is of no use any more.
void RecordingMerge::annotate(const RingRecord& record) {
  Object& object = object_of(record.slot);
  const bool is_name = record.type == Event::Called;
  if (is_before(record.body[is_name ? 1 : 0], object.born_at)) return;
  if (is_name) {
    const auto text = std::as_bytes(record.body.subspan(3));
    object.name.assign(reinterpret_cast<const char*>(text.data()),
                       std::min<size_t>({text.size(), record.body[2], kMaxName}));
  } else {
    object.what = static_cast<format::Described>(record.body[1]);
    object.level = static_cast<int32_t>(record.body[2]);
  }
  if (object.lock == kNone) return;
  RecordedLock& lock = facts_.locks[object.lock];
  lock.name = object.name;
  lock.what = object.what;
  lock.level = object.level;
}

void RecordingMerge::add_stack(const RingRecord& record) {
  const auto body = body_of<format::StackBody>(record);
  if (body.id >= kMaxStacks) return;
  if (body.id >= facts_.stacks.size()) facts_.stacks.resize(body.id + 1);
  RecordedStack& stack = facts_.stacks[body.id];
  if (stack.site != 0) return;
  stack.site = body.site;
  stack.frame = body.frame;
  stack.depth = body.depth;
  stack.address = body.address;
  std::copy(std::begin(body.registers), std::end(body.registers), stack.registers.begin());
  const auto bytes = std::as_bytes(record.body.subspan(1 + sizeof(body) / 4));
  if (facts_.slice_bytes + bytes.size() > kMaxSliceBytes) return;
  facts_.slice_bytes += bytes.size();
  stack.slice.assign(bytes.begin(), bytes.end());
}

void RecordingMerge::add_module(const RingRecord& record) { facts_.add_module(module_of(record)); }

RecordingMerge::Step RecordingMerge::step(uint32_t id, const RingRecord& record) {
  Ring& ring = rings_[id];
  switch (record.type) {
    case Event::Begin:
      return begin(id, record);
    case Event::Stack:
      add_stack(record);
      return Step::Done;
    case Event::Module:
      add_module(record);
      return Step::Done;
    case Event::Lost:
      close(ring);
      return Step::Blocked;
    case Event::Pad:
    case Event::Time:
      return Step::Done;
    default:
      break;
  }
  if (ring.thread == kNone) {
    close(ring);  // whose records these are was lost
    return Step::Blocked;
  }
  switch (record.type) {
    case Event::Acquire:
    case Event::AcquireNext:
    case Event::AcquireAgain:
      return acquire(id, record);
    case Event::Release:
      return release(ring, record);
    case Event::Request:
      ring.asks = (record.flags & format::kEventGivesUp) != 0 ? 0 : record.slot;
      ring.asks_flags = record.flags;
      ring.asks_stack = record.body[0];
      return Step::Done;
    case Event::WaitEnd:
      ring.asks = 0;
      return Step::Done;
    case Event::TryFailed:
      return try_failed(id, record);
    case Event::CondWait:
      if (!takes_turn(id, record.slot, record.body[0])) return Step::Blocked;
      rings_[id].notified_before = object_of(record.slot).tokens.size();
      return Step::Done;
    case Event::CondWake:
      return condition_wake(id, record);
    case Event::Notify:
    case Event::Post:
    case Event::Arrive: {
      if (!takes_turn(id, record.slot, record.body[0])) return Step::Blocked;
      Object& object = object_of(record.slot);
      if (record.type == Event::Arrive)
        barrier_round_[static_cast<uint64_t>(ring.thread) << 32 | record.slot] =
            static_cast<uint32_t>(object.tokens.size());
      object.tokens.push_back(write_token(ring, record.body[1]));
      return Step::Done;
    }
    case Event::Take:
      return semaphore_take(id, record);
    case Event::Depart:
      return barrier_depart(id, record);
    case Event::Born:
      if (!takes_turn(id, record.slot, record.body[1])) return Step::Blocked;
      born(object_of(record.slot), record);
      return Step::Done;
    case Event::End: {
      if (!takes_turn(id, record.slot, record.body[0])) return Step::Blocked;
      Object& object = object_of(record.slot);
      ++object.instance;
      object.lock = kNone;
      object.writer = kNone;
      object.readers.clear();
      object.released = kNone;
      object.tokens.clear();
      object.taken = 0;
      object.last_take = kNone;
      object.born_at = object.next;
      object.name.clear();
      object.what = format::Described::Lock;
      object.level = -1;
      wake_free(object);
      return Step::Done;
    }
    case Event::Fork: {
      const uint32_t child = facts_.thread_of(record.body[0]);
      if (child >= forked_.size()) forked_.resize(child + 1);
      if (forked_[child] == 0 && child != ring.thread)
        put({.thread = ThreadId{ring.thread},
             .object = child,
             .site = record.body[1],
             .op = TraceOp::Fork});
      forked_[child] = 1;
      if (const auto waiting = waits_fork_.find(child); waiting != waits_fork_.end()) {
        queue(waiting->second);
        waits_fork_.erase(waiting);
      }
      return Step::Done;
    }
    case Event::Join:
      return join(id, record);
    case Event::ThreadEnd:
      end_of_thread(ring, record);
      return Step::Done;
    case Event::Name:
      facts_.threads[ring.thread].name = name_in(record.body);
      return Step::Done;
    case Event::Called:
    case Event::Described:
      annotate(record);
      return Step::Done;
    case Event::Passed:
      return passed(id, record);
    case Event::ReadFrom:
      return read_from(id, record);
    default:
      return Step::Done;
  }
}

bool RecordingMerge::is_exhausted(uint32_t ring) const {
  return ring < rings_.size() && !rings_[ring].closed &&
         rings_[ring].at == rings_[ring].words.size();
}

// Nothing of the thread is recorded, since there was no ring for it.
bool RecordingMerge::is_dropped(uint32_t thread) const {
  return facts_.dropped_threads != 0 && !waits_fork_.contains(thread) &&
         (thread >= ring_of_.size() || ring_of_[thread] == kNone);
}

// At the end of the input: what waits for something that is nowhere recorded, although nothing was
// lost, goes on without it.
bool RecordingMerge::resolve() {
  bool changed = false;
  for (uint32_t id = 0; id < rings_.size(); ++id) {
    Ring& ring = rings_[id];
    if (ring.closed) continue;
    if (ring.waits_free != 0) {
      Object& object = object_of(ring.waits_free);
      const uint32_t holder = object.writer != kNone   ? object.writer
                              : object.readers.empty() ? kNone
                                                       : object.readers.front();
      if (holder != kNone && !is_exhausted(ring_of_[holder])) continue;
      free_by_force(object, ring.waits_free);
      queue(id);
      changed = true;
    } else if (ring.waits_join != kNone) {
      const uint32_t child = ring.waits_join;
      if (is_dropped(child)) {
        ended_[child] = 1;
      } else {
        if (child >= ring_of_.size() || !is_exhausted(ring_of_[child])) continue;
        ended_[child] = 1;
        give_back_robust(rings_[ring_of_[child]]);
      }
      queue(id);
      changed = true;
    } else if (ring.waits_done != 0) {
      free_by_force(object_of(ring.waits_done), ring.waits_done);
      queue(id);
      changed = true;
    }
  }
  return changed;
}

void RecordingMerge::finish() {
  run();
  while (resolve()) run();
  for (Ring& ring : rings_) {
    if (!ring.closed && ring.asks != 0 && ring.thread != kNone && ended_[ring.thread] == 0 &&
        ring.at == ring.words.size() && !facts_.unruly.contains(ring.asks)) {
      Object& object = object_of(ring.asks);
      const bool is_lock = object.writer != kNone || !object.readers.empty();
      if (is_lock)
        put({.thread = ThreadId{ring.thread},
             .object = lock_of(object, ring.asks),
             .site = ring.asks_stack,
             .op = TraceOp::Request,
             .mode =
                 (ring.asks_flags & format::kEventShared) != 0 ? Mode::Shared : Mode::Exclusive});
    }
    close(ring);
  }
  flush();
  if (facts_.knows_read_from) return;
  for (ReadPositions& read : facts_.read_from) {
    std::sort(read.begin(), read.end());
    read.erase(std::unique(read.begin(), read.end()), read.end());
  }
  facts_.knows_read_from = true;
}

}  // namespace gordian::trace
