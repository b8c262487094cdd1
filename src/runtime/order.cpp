// SPDX-License-Identifier: Apache-2.0
#include "runtime/order.h"

#include "runtime/chains.h"
#include "runtime/lock_table.h"
#include "runtime/log.h"
#include "runtime/modules.h"
#include "runtime/recording.h"
#include "runtime/threads.h"

namespace gordian::runtime {

namespace {

constexpr uint32_t kSeveralPosters = 0xffffffff;
constexpr uint32_t kKnown = sizeof(PrivateCard::known_segments) / sizeof(uint64_t);

// A new segment, unless nothing was logged in this one: then it can stand for both.
void cut_segment(format::Card& card) {
  PrivateCard& own = private_part(card);
  if (own.chain_segment == card.segment) set_segment(card, card.segment + 1);
}

// Ends the segment and returns the last one that is over. A segment without chains stays open, and
// what is logged in it later must not count as earlier.
uint32_t close_segment(format::Card& card) {
  const uint32_t segment = card.segment;
  cut_segment(card);
  return card.segment == segment ? segment - 1 : segment;
}

void log_sync(ThreadState& thread, uint32_t from_uid, uint32_t from_segment, format::Kind kind,
              uint32_t lock) {
  if (!is_logged(from_uid)) return;
  log_this_thread(thread);
  cut_segment(*thread.card);
  auto* record = begin_record<format::SyncRecord>(format::RecordType::Sync, thread.uid);
  if (record == nullptr) return;
  record->from_uid = from_uid;
  record->from_segment = from_segment;
  record->to_segment = thread.card->segment;
  record->kind = kind;
  record->lock = lock;
  commit(record);
}

// Does the thread already come after that segment? Remembers it if not. Forgetting is harmless.
bool is_known(format::Card& card, uint32_t uid, uint32_t segment) {
  uint64_t& known = private_part(card).known_segments[uid % kKnown];
  if ((known >> 32) == uid && static_cast<uint32_t>(known) >= segment) return true;
  known = uint64_t{uid} << 32 | segment;
  return false;
}

// Which locks a signaller held: what those who wait for the signal depend on. Once per thread,
// object, set of locks and place: what the thread took on its way there differs from place to
// place.
void log_signal(ThreadState& thread, const Request& request, format::LockEntry* object,
                const CallSite& site) {
  const uint32_t held = thread.card->hold_count;
  uint64_t key = (uint64_t{thread.uid} << 32 | object->id) + site.pc * 0xD6E8FEB86659FD93U;
  for (uint32_t i = 0; i < held; ++i) key += mark_of(*thread.hold_at(i));
  if (!is_news(key)) return;
  if (held > 0) {
    Request signal = request;
    signal.flags |= format::kSpinning;  // tells the giving side of a signal from the waiting one
    log_chain(thread, signal, site, thread.card->segment);
    return;
  }
  if (!is_worth_logging(site.pc)) return;
  note_module_of(site.pc);
  if (auto* mark = begin_record<format::MarkRecord>(format::RecordType::Mark, thread.uid)) {
    mark->mark = format::MarkType::Signalled;
    mark->a = logged_id(object);
    mark->segment = thread.card->segment;
    mark->site = site.pc;
    mark->frame = site.frame;
    commit(mark);
  }
}

}  // namespace

void note_joined(Request request, const CallSite& site) {
  HookScope scope(site);
  if (request.object == 0) request.object = uid_of_joined(request.address);
  if (!scope || request.object == 0) return;
  if (is_recording()) record_thread(*scope.operator->(), format::Event::Join, request, site);
  log_sync(*scope.operator->(), static_cast<uint32_t>(request.object), kWholeLife,
           format::Kind::Join, 0);
}

void note_posted(const Request& request, const CallSite& site, bool to_all) {
  HookScope scope(site);
  if (!scope) return;
  ThreadState& thread = *scope.operator->();
  if (is_recording()) {
    const bool posts = request.kind == format::Kind::Semaphore;
    record_signal(thread, posts ? format::Event::Post : format::Event::Notify, request, site,
                  to_all ? format::kEventAll : 0);
  }
  format::LockEntry* entry = register_lock(request, site.pc);
  if (entry == nullptr) return;
  // A hook that runs while this thread waits runs in a signal handler.
  if ((thread.wait->number & 1) != 0 && site.frame < thread.wait->frame) {
    __atomic_fetch_or(&entry->flags, format::kLockPostedInHandler, __ATOMIC_RELAXED);
  }
  log_signal(thread, request, entry, site);
  const uint32_t segment = close_segment(*thread.card);
  // With several posters nobody can say whose post woke a waiter.
  if (entry->poster_uid == 0 || entry->poster_uid == thread.uid) {
    entry->poster_uid = thread.uid;
    entry->poster_segment = segment;
  } else {
    entry->poster_uid = kSeveralPosters;
  }
}

void forget_posts(const Request& request, const CallSite& site) {
  HookScope scope(site);
  if (!scope) return;
  if (format::LockEntry* const entry = find_lock(key_of(request))) entry->poster_uid = 0;
}

void note_woken(const Request& request, const CallSite& site) {
  HookScope scope(site);
  if (!scope) return;
  ThreadState& thread = *scope.operator->();
  if (is_recording() && request.kind == format::Kind::Semaphore) {
    record_signal(thread, format::Event::Take, request, site,
                  (request.flags & format::kTry) != 0 ? format::kEventTry : 0);
  }
  const format::LockEntry* entry = find_lock(key_of(request));
  if (entry == nullptr) return;
  if (entry->poster_uid == kSeveralPosters) return;
  note_comes_after(thread, entry->poster_uid, entry->poster_segment, request.kind);
}

uint32_t end_segment(ThreadState& thread) { return close_segment(*thread.card); }

void note_comes_after(ThreadState& thread, uint32_t uid, uint32_t segment, format::Kind why) {
  if (uid == 0 || segment == 0 || uid == thread.uid || is_known(*thread.card, uid, segment)) return;
  log_sync(thread, uid, segment, why, 0);
}

}  // namespace gordian::runtime
