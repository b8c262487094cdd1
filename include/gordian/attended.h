// SPDX-License-Identifier: Apache-2.0
// Taking and releasing a lock while somebody looks on: checks, watching, `gordian run`. Not meant
// for direct use. The path without anybody is in the locks themselves.
#ifndef GORDIAN_ATTENDED_H
#define GORDIAN_ATTENDED_H

#include <gordian/announce.h>
#include <gordian/checks.h>
#include <gordian/thread_safety.h>

#include <chrono>
#include <cstddef>
#include <type_traits>

// One for all libraries of the program, also of those that hide their symbols.
#pragma GCC visibility push(default)

namespace gordian::detail {

inline std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// What watch.h puts here while it is on.
struct watch_sink {
  void (*waited)(const lock_identity& lock, std::int64_t ns);
  void (*held)(const lock_identity& lock, std::int64_t ns);
  std::uint32_t sample_every;
};
inline constinit std::atomic<const watch_sink*> the_watch{nullptr};

// ORDER: acquire pairs with the release store of watch.h: the sink is complete.
inline const watch_sink* active_watch() { return the_watch.load(std::memory_order_acquire); }

inline const shared_word* as_shared(const shared_word& word) { return &word; }
template <typename Word>
const shared_word* as_shared(const Word&) {
  return nullptr;
}

// The thread owns the lock now.
inline void note_taken(thread_record& me, const lock_identity& lock, mode how,
                       const call_site& site, bool waited) {
  std::int64_t since = 0;
  if (const watch_sink* watch = active_watch(); watch != nullptr && me.until_sample-- == 0) {
    me.until_sample = watch->sample_every;
    since = now_ns();
    const busy_scope busy(me);
    if (!waited) watch->waited(lock, 0);
  }
  if (me.held.size() == me.held.capacity()) {
    const busy_scope busy(me);
    me.held.reserve(me.held.size() * 2);
  }
  me.held.push_back({&lock, site, since, 1, how, false});
  if (how == mode::exclusive) lock.set_owner(stamp_of(me));
}

// Registered from the check to the moment the lock is taken, both under the registry's lock: see
// checks.h. False: patience ended. Throws what the handler throws, not registered.
template <typename Word>
bool wait_registered(thread_record& me, const lock_identity& lock, Word& word, mode wanted,
                     const patience& how, const call_site& site) {
  registry& books = the_registry();
  wait_record mine{};
  mine.who = &me;
  mine.what = &lock;
  mine.wanted = wanted;
  mine.site = site;
  mine.since_ns = now_ns();
  mine.limited = how.is_limited();
  mine.shared = as_shared(word);
  const bool check = is_checked() && books.check_waits.load(std::memory_order_relaxed);
  bool told = false;

  const stop_watch<Word> watch(word, wanted, how);
  books.lock.lock();
  add_wait(books, mine);
  for (;;) {
    if (word.retake(wanted)) {
      remove_wait(books, mine);
      books.lock.unlock();
      return true;
    }
    const std::optional<sleep_on> place = word.prepare(wanted);
    if (!place) continue;
    if (how.is_over()) {
      give_up_wait(books, mine, word);
      books.lock.unlock();
      return false;
    }
    if (check && !told) {
      deadlock_found found;
      {
        const busy_scope busy(me);
        found = find_deadlock(books, mine);
      }
      if (found.found) {
        // The victim never waits. If the handler lets it, it goes on into the deadlock.
        give_up_wait(books, mine, word);
        books.lock.unlock();
        told = true;
        report(deadlock_of(mine, found));
        books.lock.lock();
        add_wait(books, mine);
        continue;
      }
    }
    books.lock.unlock();
    futex_wait(place->word, place->expected, how.until, place->mask | how.mask());
    // Whoever has the books may sleep on this word too: they allocate, and an allocator of the
    // program may take this lock. What woke us may have been the only wake-up: it is passed on
    // before we wait for the books.
    if (!books.lock.try_lock()) {
      futex_wake(place->word, 1, place->mask);
      books.lock.lock();
    }
  }
}

// The record of a thread of which only checks or watching want to know, else null.
inline thread_record* quick_record(std::uint32_t who) noexcept {
  return (who & attention_announce) == 0 ? ready_record() : nullptr;
}

// This acquisition is not the one in so many that is timed.
inline bool is_unsampled(const thread_record& me, std::uint32_t who) noexcept {
  return (who & attention_watch) == 0 || me.until_sample != 0;
}

// A thread past its thread-local objects has no record any more, but what it took as a thread may
// end only now: `gordian run` still hears of it.
inline bool is_announced_late() noexcept { return this_thread_is_ending && is_announced(); }

template <typename Word>
bool take_without_record(const lock_identity& lock, Word& word, mode wanted, const patience& how,
                         const gordian_place& place) {
  const bool announced = is_announced_late();
  if (announced) announce_name(lock, place);
  if (!word.try_take(wanted)) {
    if (announced) announce_wait(lock, wanted, how.is_limited(), place);
    if (!wait_for_word(word, wanted, how)) {
      if (announced) announce_abandoned(lock);
      return false;
    }
  }
  if (announced) announce_taken(lock, wanted, how.is_limited(), place);
  return true;
}

template <typename Word>
[[gnu::noinline]] bool attended_lock_slowly(const lock_identity& lock, Word& word, mode wanted,
                                            const patience& how, const call_site& site,
                                            const gordian_place& place) {
  thread_record* me = current_record();
  if (me == nullptr) return take_without_record(lock, word, wanted, how, place);
  const bool announced = is_announced();
  if (announced) {
    announce_name(lock, place);
    if (!how.until.set) announce_approach(lock, &lock, wanted, place);
  }
  if (is_checked() && !how.until.set && !(me->held.empty())) {
    check_request(*me, {&lock, wanted, site, how.is_limited()}, as_shared(word), how.can_stop());
  }
  const bool waits = !word.try_take(wanted);
  if (waits) {
    if (announced) announce_wait(lock, wanted, how.is_limited(), place);
    const std::int64_t since = active_watch() != nullptr ? now_ns() : 0;
    bool taken = false;
#if GORDIAN_EXCEPTIONS
    try {
      taken = wait_registered(*me, lock, word, wanted, how, site);
    } catch (...) {
      if (announced) announce_abandoned(lock);
      throw;
    }
#else
    taken = wait_registered(*me, lock, word, wanted, how, site);
#endif
    if (const watch_sink* watch = active_watch(); watch != nullptr && since != 0) {
      const busy_scope busy(*me);
      watch->waited(lock, now_ns() - since);
    }
    if (!taken) {
      if (announced) announce_abandoned(lock);
      return false;
    }
  }
  // One that could be cancelled is no order: like a try, it cannot hang for ever.
  if (announced) announce_taken(lock, wanted, how.is_limited(), place);
  note_taken(*me, lock, wanted, site, waits);
  return true;
}

// False: patience ended first. The caller holds nothing of `lock` unless it returned true. What is
// in order and free is taken here, in a frame that keeps no registers.
template <typename Word>
[[gnu::noinline]] bool attended_lock(const lock_identity& lock, Word& word, mode wanted,
                                     const patience& how, const source_location& where) {
  const call_site site{where, __builtin_return_address(0)};
  const std::uint32_t who = attention.load(std::memory_order_relaxed);
  thread_record* const me = quick_record(who);
  if (me != nullptr && is_unsampled(*me, who) && me->held.size() < me->held.capacity() &&
      ((who & attention_checks) == 0 || is_in_order(*me, lock)) && word.try_take(wanted))
      [[likely]] {
    if ((who & attention_watch) != 0) --me->until_sample;
    me->held.push_back({&lock, site, 0, 1, wanted, false});
    if (wanted == mode::exclusive) lock.set_owner(stamp_of(*me));
    return true;
  }
  return attended_lock_slowly(lock, word, wanted, how, site, GORDIAN_PLACE_());
}

template <typename Word>
[[gnu::noinline]] bool attended_try_lock(const lock_identity& lock, Word& word, mode wanted,
                                         const source_location& where) {
  if (!word.try_take(wanted)) return false;
  thread_record* me = current_record();
  if (me != nullptr ? is_announced() : is_announced_late()) {
    const gordian_place place = GORDIAN_PLACE_();
    announce_name(lock, place);
    announce_taken(lock, wanted, true, place);
  }
  if (me == nullptr) return true;
  note_taken(*me, lock, wanted, {where, __builtin_return_address(0)}, false);
  return true;
}

// An exclusive owner is known to be another thread: only then is an unlock called misuse. (Locks
// taken before checks were switched on have no owner.)
inline bool belongs_to_another(const thread_record& me, const lock_identity& lock) {
  const std::uint32_t owner = lock.owner();
  return owner != 0 && (owner & 0xff) == (me.epoch & 0xff) && owner != stamp_of(me);
}

template <typename Word>
[[gnu::noinline]] void attended_unlock_slowly(const lock_identity& lock, Word& word, mode how) {
  if (thread_record* me = current_record(); me != nullptr) {
    if (const held_lock* held = me->find(lock); held != nullptr && held->how != how) {
      if (is_checked()) {
        report(lock_error(error_kind::misuse, std::errc::operation_not_permitted,
                          "unlock of " + words_of(lock) + " in the other way than " +
                              words_of(*me) + " holds it: " + words_of(*held)));
      }
      how = how == mode::shared ? mode::exclusive : mode::shared;
    }
    if (held_lock* held = me->find(lock); held != nullptr) {
      if (const watch_sink* watch = active_watch(); watch != nullptr && held->since_ns != 0) {
        const busy_scope busy(*me);
        watch->held(lock, now_ns() - held->since_ns);
      }
      me->held.erase(me->held.begin() + (held - me->held.data()));
    } else if (is_checked()) {
      if (!word.is_held()) {
        report(lock_error(error_kind::misuse, std::errc::operation_not_permitted,
                          "unlock of " + words_of(lock) + ", which nobody holds"));
        return;
      }
      if (how == mode::exclusive && belongs_to_another(*me, lock)) {
        report(lock_error(
            error_kind::misuse, std::errc::operation_not_permitted,
            "unlock of " + words_of(lock) + " by " + words_of(*me) + ", which does not hold it"));
      }
    }
    if (is_announced()) announce_released(lock);
  } else if (is_announced_late()) {
    announce_released(lock);
  }
  if (how == mode::exclusive) lock.set_owner(0);
  word.release(how);
}

// As attended_lock(): the lock taken last, which is not timed.
template <typename Word>
[[gnu::noinline]] void attended_unlock(const lock_identity& lock, Word& word, mode how) {
  thread_record* const me = quick_record(attention.load(std::memory_order_relaxed));
  if (me == nullptr || me->held.empty() || me->held.back().what != &lock ||
      me->held.back().how != how || me->held.back().since_ns != 0) [[unlikely]]
    return attended_unlock_slowly(lock, word, how);
  me->held.pop_back();
  if (how == mode::exclusive) lock.set_owner(0);
  word.release(how);
}

// The end of a lock. Held by anybody that is misuse, and the caller must not keep it in its list.
// Whoever has no record never locked, or is past its thread-local objects: it is exit() then that
// ends the static locks, and what is held then harms nobody.
template <typename Word>
[[gnu::noinline]] void attended_end(const lock_identity& lock, const Word& word) noexcept {
  thread_record* const me = this_record != nullptr ? current_record() : nullptr;
  if (me == nullptr || !word.is_held()) return;
  std::string holder = "another thread holds";
  if (const held_lock* held = me->find(lock); held != nullptr) {
    holder = words_of(*me) + " holds, taken at " + words_of(held->site);
    std::erase_if(me->held, [&](const held_lock& one) { return one.what == &lock; });
  }
  if (!is_checked()) return;
  report_unthrown(lock_error(error_kind::misuse, std::errc::device_or_resource_busy,
                             "the end of " + words_of(lock) + ", which " + holder));
}

// The one way from a lock to its identity and word.
struct lock_access {
  template <typename Lock>
  static auto identity(const Lock& lock) -> decltype((lock.identity())) {
    return lock.identity();
  }
  template <typename Lock>
  static auto& word(Lock& lock) {
    return lock.word_;
  }
};

template <typename Lock>
concept has_identity = requires(const Lock& lock) {
  lock_access::identity(lock);
};

// -DGORDIAN_CHECKED=1 in any translation unit, or GORDIAN_CHECKED=1, log or abort in the
// environment.
inline void begin_attention(bool checked) {
  static constinit std::atomic<bool> read_environment{false};
  if (!read_environment.exchange(true)) {
    // An older runtime would hear half of it.
    if (gordian_annotations_in_use != nullptr &&
        gordian_annotations_in_use->size > offsetof(gordian_annotations, signals)) {
      attention.fetch_or(attention_announce);
    }
    if (const char* wish = secure_getenv("GORDIAN_CHECKED"); wish != nullptr && *wish != '\0') {
      if (std::strcmp(wish, "log") == 0) set_error_handler(log_on_error);
      if (std::strcmp(wish, "abort") == 0) set_error_handler(abort_on_error);
      checked = checked || std::strcmp(wish, "0") != 0;
    }
  }
  if (checked && !is_checked()) enable_checks();
}

}  // namespace gordian::detail

#if defined(GORDIAN_CHECKED) && GORDIAN_CHECKED
#define GORDIAN_CHECKED_HERE_ true
#else
#define GORDIAN_CHECKED_HERE_ false
#endif

// After annotate.h's, before every other object of the program is made.
__attribute__((constructor(102), unused)) static void gordian_begin_attention(void) {
  gordian::detail::begin_attention(GORDIAN_CHECKED_HERE_);
}

namespace gordian {

// The calling thread must hold this lock here. Without checked mode only a lock that nobody holds
// at all is noticed.
template <typename Lock>
void assert_held(const Lock& lock, source_location where = source_location::current())
    GORDIAN_ASSERT_CAPABILITY(lock) {
  lock.assert_held(where);
}

// The calling thread must hold no lock of Gordian's here: before a callback, a join, a co_await.
// Checked mode only; under `gordian run` a report says where it did.
inline void assert_none_held(source_location where = source_location::current()) {
  if (!detail::is_attended()) return;
  if (detail::is_announced()) GORDIAN_ASSERT_NONE_HELD();
  detail::thread_record* me = detail::current_record();
  if (!detail::is_checked() || me == nullptr) return;
  std::string text;
  for (const detail::held_lock& held : me->held) {
    if (!held.is_thread) text += "\n  holds " + detail::words_of(held);
  }
  if (text.empty()) return;
  detail::report(
      deadlock_error(error_kind::not_none_held, false,
                     "no lock may be held at " + detail::words_of({where, nullptr}) + ":" + text));
}

namespace detail {

inline void check_held(const lock_identity& lock, bool is_held_by_anybody,
                       const source_location& where) {
  bool wrong = !is_held_by_anybody;
  if (!wrong && is_checked()) {
    thread_record* me = current_record();
    wrong = me != nullptr && me->find(lock) == nullptr;
  }
  if (wrong) {
    report(lock_error(error_kind::misuse, std::errc::operation_not_permitted,
                      words_of(lock) + " must be held at " + words_of({where, nullptr})));
  }
}

}  // namespace detail
}  // namespace gordian

#pragma GCC visibility pop

#endif
