// SPDX-License-Identifier: Apache-2.0
// include/gordian/annotate.h finds this table by name.
#include "gordian/annotate.h"
#include "runtime/hook.h"
#include "runtime/log.h"
#include "runtime/recording.h"

#include <string.h>

using namespace gordian::runtime;  // NOLINT(google-build-using-namespace): a file of hooks

namespace {

namespace format = gordian::format;

// Set once somebody who wakes could not be written down: from then on no list of wakers is whole.
constinit uint32_t wakers_lost = 0;

// Set once a lease was announced: those who name a lock only by its address then look it up.
constinit uint32_t any_lease = 0;

using format::Described;
static_assert(static_cast<int>(Described::Lock) == GORDIAN_KIND_LOCK);
static_assert(static_cast<int>(Described::Mutex) == GORDIAN_KIND_MUTEX);
static_assert(static_cast<int>(Described::RwLock) == GORDIAN_KIND_RWLOCK);
static_assert(static_cast<int>(Described::Gate) == GORDIAN_KIND_GATE);
static_assert(static_cast<int>(Described::Worker) == GORDIAN_KIND_WORKER);
static_assert(static_cast<int>(Described::Condition) == GORDIAN_KIND_CONDITION);
static_assert(static_cast<int>(Described::Queue) == GORDIAN_KIND_QUEUE);

bool is_announced(Kind kind) {
  return kind == Kind::Custom || kind == Kind::Lease || kind == Kind::Signal;
}

bool is_signalled(int kind) { return kind == GORDIAN_KIND_CONDITION || kind == GORDIAN_KIND_QUEUE; }

// Where the program says that it called; else `own`, where it called us.
CallSite site_of(const gordian_place* place, const CallSite& own) {
  if (place == nullptr || place->frame == nullptr) return own;
  return {address_of(place->caller), address_of(place->frame)};
}

Kind kind_of(const volatile void* lock) {
  // ORDER: relaxed: whoever releases a lease has announced it, or was told of it by who has.
  if (__atomic_load_n(&any_lease, __ATOMIC_RELAXED) == 0) return Kind::Custom;
  const format::LockEntry* entry = find_lock(address_of(lock));
  return entry != nullptr && entry->kind == Kind::Lease ? Kind::Lease : Kind::Custom;
}

Request request_of(const volatile void* lock, int mode, uint8_t flags = 0) {
  if ((mode & GORDIAN_SHARED) != 0) flags |= kSharedMode;
  Kind kind = Kind::Custom;
  if ((mode & GORDIAN_LEASE) != 0) {
    kind = Kind::Lease;
    // ORDER: see kind_of().
    __atomic_store_n(&any_lease, 1, __ATOMIC_RELAXED);
  }
  return {.address = address_of(lock), .kind = kind, .flags = flags, .recursive = true};
}

// Of a lock whose kind was said before. In a HookScope.
Request request_as_known(const volatile void* lock) {
  const int lease = kind_of(lock) == Kind::Lease ? GORDIAN_LEASE : 0;
  return request_of(lock, GORDIAN_EXCLUSIVE | lease);
}

// An object the annotations speak of may be of any kind; unknown ones become Custom.
format::LockEntry* entry_of(const volatile void* object, const CallSite& site) {
  format::LockEntry* entry = find_lock(address_of(object));
  return entry != nullptr ? entry : register_lock(address_of(object), Kind::Custom, site.pc);
}

void created(const volatile void* lock) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  note_born(Kind::Custom, address_of(lock), 0, 0, site);
}

void destroyed(const volatile void* lock) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  note_destroyed(address_of(lock), site);
}

// In a HookScope.
void write_name(ThreadState& thread, format::LockEntry* entry, const char* name) {
  constexpr size_t kMaxName = 255;
  const size_t size = strnlen(name, kMaxName);
  if (is_recording()) record_called(thread, entry->address, name, static_cast<uint32_t>(size));
  auto* record = begin_record<format::NameRecord>(format::RecordType::Name, thread.uid, size);
  if (record == nullptr) return;
  record->lock = entry->id;
  record->size = static_cast<uint16_t>(size);
  memcpy(record->text, name, size);
  commit(record);
  entry->name = log_offset_of(record);
}

void named(const volatile void* lock, const char* name) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  HookScope log(site);
  if (!log || name == nullptr) return;
  format::LockEntry* entry = entry_of(lock, site);
  if (entry != nullptr) write_name(*log.operator->(), entry, name);
}

// The wait stays published after we return: it is the caller who blocks, in a frame of its own.
__attribute__((always_inline)) inline void begin_want(const Request& request,
                                                      const CallSite& site) {
  if (HookScope log(site); log) {
    format::Registers registers;
    capture_registers(registers);
    log->check_chain(request, site);
    log->begin_wait(request, site, registers);
  }
}

void wants(const volatile void* lock, int mode, int gives_up_by_itself) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  const Request request = request_of(lock, mode, gives_up_by_itself != 0 ? kTimed : 0);
  begin_want(request, site);
}

// Ends a wait that `wants` began, if it is the current one.
void end_want(ThreadState& thread, uint64_t address) {
  const format::WaitWord* wait = thread.wait;
  if (wait != nullptr && (wait->number & 1) != 0 && is_announced(wait->kind) &&
      wait->address == address) {
    thread.end_wait();
  }
}

void abandoned(const volatile void* lock) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  if (HookScope log(site); log) end_want(*log.operator->(), address_of(lock));
}

void acquired(const volatile void* lock, int mode, int by_try) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  if (HookScope log(site); log) end_want(*log.operator->(), address_of(lock));
  note_acquired(request_of(lock, mode, by_try != 0 ? kTry : 0), site);
}

void released(const volatile void* lock) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  Request request = request_of(lock, GORDIAN_EXCLUSIVE);
  if (HookScope log(site); log) request = request_as_known(lock);
  note_released(request, site);
}

void kept_at(const volatile void* lock, const volatile void* object) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  HookScope log(site);
  if (!log) return;
  const format::Card& card = *log->card;
  const uint64_t at = address_of(object);
  const bool is_own = at >= card.stack_low && at < card.stack_high;
  if (format::Hold* hold = log->find_hold(address_of(lock)); hold != nullptr) {
    if (!is_own) hold->flags |= format::kUncertain;
  } else {
    note_released_by_other(*log.operator->(), request_as_known(lock), site);
  }
}

void wakes(const volatile void* object) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  HookScope log(site);
  format::LockEntry* const entry = log ? entry_of(object, site) : find_lock(address_of(object));
  auto* const record = log && entry != nullptr
                           ? begin_record<format::WakerRecord>(format::RecordType::Waker, log->uid)
                           : nullptr;
  if (record == nullptr) {
    // ORDER: pairs with the other side in wakers_complete(): one of the two sees the other.
    __atomic_store_n(&wakers_lost, 1, __ATOMIC_SEQ_CST);
    if (entry != nullptr) {
      __atomic_fetch_and(&entry->flags, static_cast<uint8_t>(~format::kLockClosedWakers),
                         __ATOMIC_SEQ_CST);
    }
    return;
  }
  record->lock = entry->id;
  record->waker_uid = log->uid;
  commit(record);
}

void wakers_complete(const volatile void* object) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  HookScope log(site);
  if (!log) return;
  format::LockEntry* entry = entry_of(object, site);
  if (entry == nullptr) return;
  // ORDER: at least release: who sees the flag sees the WakerRecords that this thread wrote or
  // waited for.
  __atomic_fetch_or(&entry->flags, format::kLockClosedWakers, __ATOMIC_SEQ_CST);
  // ORDER: see wakes().
  if (__atomic_load_n(&wakers_lost, __ATOMIC_SEQ_CST) != 0) {
    __atomic_fetch_and(&entry->flags, static_cast<uint8_t>(~format::kLockClosedWakers),
                       __ATOMIC_RELAXED);
  }
}

void write_mark(ThreadState& thread, format::MarkType mark, uint32_t a, uint32_t b,
                const CallSite& site) {
  auto* record = begin_record<format::MarkRecord>(format::RecordType::Mark, thread.uid);
  if (record == nullptr) return;
  record->mark = mark;
  record->a = a;
  record->b = b;
  record->site = site.pc;
  commit(record);
}

void never_report(const volatile void* a, const volatile void* b) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  HookScope log(site);
  if (!log) return;
  const format::LockEntry* first = entry_of(a, site);
  const format::LockEntry* second = entry_of(b, site);
  if (first == nullptr || second == nullptr) return;
  write_mark(*log.operator->(), format::MarkType::NeverReportPair, first->id, second->id, site);
}

void assert_none_held(const volatile void* /*where*/) {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  HookScope log(site);
  if (!log || log->card->hold_count == 0) return;
  const format::Hold* innermost = log->hold_at(log->card->hold_count - 1);
  const format::LockEntry* entry =
      innermost == nullptr ? nullptr
                           : register_lock(innermost->address, innermost->kind, innermost->site);
  write_mark(*log.operator->(), format::MarkType::AssertedNothingHeld,
             entry == nullptr ? 0 : entry->id, 0, site);
}

void described(const volatile void* object, int kind, int level, const char* name,
               const gordian_place* first_use) {
  const CallSite site = site_of(first_use, GORDIAN_CALL_SITE());
  ensure_started();
  HookScope log(site);
  if (!log) return;
  format::LockEntry* entry =
      register_lock(address_of(object), is_signalled(kind) ? Kind::Signal : Kind::Custom, site.pc);
  if (entry == nullptr) return;
  if (kind == GORDIAN_KIND_RWLOCK || kind == GORDIAN_KIND_GATE) {
    // ORDER: relaxed: a flag of its own, read from outside.
    __atomic_fetch_or(&entry->flags, format::kLockPrefersWriters, __ATOMIC_RELAXED);
  }
  if (name != nullptr && *name != '\0') write_name(*log.operator->(), entry, name);
  if (is_recording()) {
    const Request use{.address = address_of(object), .kind = entry->kind};
    record_described(*log.operator->(), use, site, static_cast<Described>(kind), level);
  }
  auto* record = begin_record<format::DescriptionRecord>(format::RecordType::Description, log->uid);
  if (record == nullptr) return;
  record->lock = entry->id;
  record->what = static_cast<Described>(kind);
  record->level = level;
  commit(record);
}

Request signal_of(const volatile void* object, int gives_up_by_itself = 0) {
  return {.address = address_of(object),
          .kind = Kind::Signal,
          .flags = gives_up_by_itself != 0 ? kTimed : uint8_t{0}};
}

void approaches(const volatile void* object, int kind, int mode, const gordian_place* place) {
  const CallSite site = site_of(place, GORDIAN_CALL_SITE());
  ensure_started();
  pass_gate(is_signalled(kind) ? signal_of(object) : request_of(object, mode), site);
}

void wants_at(const volatile void* lock, int mode, int gives_up_by_itself,
              const gordian_place* place) {
  const CallSite site = site_of(place, GORDIAN_CALL_SITE());
  ensure_started();
  begin_want(request_of(lock, mode, gives_up_by_itself != 0 ? kTimed : 0), site);
}

void acquired_at(const volatile void* lock, int mode, int by_try, const gordian_place* place) {
  const CallSite site = site_of(place, GORDIAN_CALL_SITE());
  ensure_started();
  if (HookScope log(site); log) end_want(*log.operator->(), address_of(lock));
  note_acquired(request_of(lock, mode, by_try != 0 ? kTry : 0), site);
}

void awaits(const volatile void* object, int gives_up_by_itself, const gordian_place* place) {
  const CallSite site = site_of(place, GORDIAN_CALL_SITE());
  ensure_started();
  begin_want(signal_of(object, gives_up_by_itself), site);
}

void woken(const volatile void* object, int by_signal, const gordian_place* place) {
  const CallSite site = site_of(place, GORDIAN_CALL_SITE());
  ensure_started();
  if (HookScope log(site); log) end_want(*log.operator->(), address_of(object));
  const Request request = signal_of(object);
  pass_gate(request, site, format::GatePhase::Woken);
  if (by_signal != 0) note_woken(request, site);
}

void signals(const volatile void* object, int to_all, const gordian_place* place) {
  const CallSite site = site_of(place, GORDIAN_CALL_SITE());
  ensure_started();
  note_posted(signal_of(object), site, to_all != 0);
}

}  // namespace

extern "C" __attribute__((
    visibility("default"))) constinit const gordian_annotations gordian_annotations_v1 = {
    .size = sizeof(gordian_annotations),
    .created = created,
    .destroyed = destroyed,
    .named = named,
    .wants = wants,
    .abandoned = abandoned,
    .acquired = acquired,
    .released = released,
    .wakes = wakes,
    .wakers_complete = wakers_complete,
    .never_report = never_report,
    .assert_none_held = assert_none_held,
    .kept_at = kept_at,
    .described = described,
    .approaches = approaches,
    .wants_at = wants_at,
    .acquired_at = acquired_at,
    .awaits = awaits,
    .woken = woken,
    .signals = signals,
};
