// SPDX-License-Identifier: Apache-2.0
// gordian::bounded_queue: at most `capacity` items, first in, first out, for any number of threads.
//
//   gordian::bounded_queue<job> jobs{64, "jobs"};
//   if (!jobs.push(std::move(job), stop)) return;   // closed, or asked to stop
//   while (std::optional<job> next = jobs.pop(stop)) run(*next);
//   // nothing: closed and drained, or asked to stop
//
// push() waits while it is full, pop() while it is empty; both end by close(), a stop token, or a
// deadline. try_push() and try_pop() never wait: a token handed over under a lock is tried, not
// pushed.
//
// In checked mode a push() that may block under a lock is compared with what the consumers need: if
// every pop() so far was made under that lock, or if everybody who popped before is blocked by it
// at this moment, it is an error; and the same with the sides swapped. It is certain only after
// consumers_complete() (producers_complete()): else somebody new may still come. `gordian run` is
// told the same: before, any thread that can still run may end the wait. A queue may have a level,
// which a blocking call is checked against like a lock's.
//
// Moving an item happens under the queue's own lock: a move must not use the queue.
#ifndef GORDIAN_BOUNDED_QUEUE_H
#define GORDIAN_BOUNDED_QUEUE_H

#include <gordian/attended.h>

#include <algorithm>
#include <cstddef>
#include <deque>
#include <optional>
#include <unordered_set>
#include <utility>
#include <vector>

namespace gordian {

// Why push() returned. True if it was pushed.
class push_result {
 public:
  enum reason { pushed, full, closed, stopped, timed_out };
  constexpr push_result(reason why) noexcept
      : why_(why) {}  // not explicit: the reasons are results
  constexpr explicit operator bool() const noexcept { return why_ == pushed; }
  constexpr reason why() const noexcept { return why_; }
  friend constexpr bool operator==(push_result a, push_result b) noexcept {
    return a.why_ == b.why_;
  }

 private:
  reason why_;
};

namespace detail {

// One direction of a queue: who waits, and what those who did it before held.
struct queue_side {
  explicit queue_side(std::uint32_t direction) : number(direction) {}

  const std::uint32_t number;
  std::atomic<std::uint32_t> turn{0};
  std::uint32_t waiting = 0;  // under the queue's lock

  // Under `gordian run`, under the registry's lock: who was announced as one who may end a wait of
  // this side, in this announcement.
  std::unordered_set<std::uint32_t> wakers;
  std::uint8_t wakers_told_in = 0;

  // Checked mode, under the registry's lock.
  wait_peers peers;
  bool seen = false;
  std::vector<std::uint32_t> always_held;  // locks, by id, held at every call of this side
  std::vector<std::uint32_t>
      blocked_under;  // locks under which this side made a call that may block
};

// The calling thread may end a wait of this side of the queue.
inline void announce_waker(const lock_identity& queue, queue_side& of) {
  thread_record* me = current_record();
  if (me == nullptr) {
    GORDIAN_WAKES(&of);
    return;
  }
  const std::uint8_t now = announcements.load(std::memory_order_relaxed);
  const std::uint32_t kind = UINT32_MAX - 2 - of.number - 2 * std::uint32_t{now};
  const std::uint64_t known = thread_record::pair_of(kind, queue.id());
  if (queue.known_id() != 0 && me->slot_of(known) == known) return;
  const busy_scope busy(*me);
  const leaf_hold hold(the_registry().lock);
  me->slot_of(known) = known;
  if (of.wakers_told_in != now) of.wakers.clear();
  of.wakers_told_in = now;
  // Under the lock: whoever says that this side is complete says it after us.
  if (of.wakers.insert(me->number).second) GORDIAN_WAKES(&of);
}

class queue_checks {
 public:
  explicit queue_checks(const lock_identity& queue) : queue_(queue) {}

  // Before every call. `may_block`: without a time limit.
  void note_call(queue_side& mine, const queue_side& other, bool may_block, bool cancellable,
                 const char* verb, const source_location& where) {
    thread_record* me = current_record();
    if (me == nullptr) return;
    const call_site site{where, __builtin_return_address(0)};
    if (may_block && !me->held.empty()) {
      check_request(*me, {&queue_, mode::exclusive, site, cancellable}, nullptr, cancellable);
    }
    // Known, and holding nothing: the usual call has nothing to add.
    const bool holds_nothing = std::all_of(me->held.begin(), me->held.end(),
                                           [](const held_lock& l) { return l.is_thread; });
    const std::uint64_t known = thread_record::pair_of(UINT32_MAX - mine.number, queue_.id());
    if (holds_nothing && me->slot_of(known) == known) return;
    std::string text;
    {
      const busy_scope busy(*me);
      registry& books = the_registry();
      const leaf_hold hold(books.lock);
      mine.peers.threads.insert(me->number);
      if (holds_nothing) me->slot_of(known) = known;
      std::vector<std::uint32_t> held;
      for (const held_lock& lock : me->held) {
        if (!lock.is_thread) held.push_back(lock.what->id());
      }
      if (!mine.seen) mine.always_held = held;
      mine.seen = true;
      std::erase_if(mine.always_held, [&](std::uint32_t id) {
        return std::find(held.begin(), held.end(), id) == held.end();
      });
      const bool checks = books.check_order.load(std::memory_order_relaxed);
      for (const held_lock& lock : me->held) {
        if (!checks) break;
        if (lock.is_thread) continue;
        const std::uint32_t id = lock.what->known_id();
        const auto has = [id](const std::vector<std::uint32_t>& ids) {
          return std::find(ids.begin(), ids.end(), id) != ids.end();
        };
        const bool blocks_them = may_block && !cancellable && other.seen && has(other.always_held);
        const bool blocks_us = has(mine.always_held) && has(other.blocked_under);
        if (!blocks_them && !blocks_us) continue;
        text = std::string(verb) + " of " + words_of(queue_) + " at " + words_of(site) +
               "\n  while holding " + words_of(lock) +
               "\n  which every other side needed so far: a wait for one would never end";
        break;
      }
      // One that is refused here does not block, so the other side need not fear it.
      if (may_block && !cancellable && text.empty()) {
        for (std::uint32_t id : held) {
          if (std::find(mine.blocked_under.begin(), mine.blocked_under.end(), id) ==
              mine.blocked_under.end()) {
            mine.blocked_under.push_back(id);
          }
        }
      }
    }
    if (!text.empty()) report(deadlock_error(error_kind::queue, false, text));
  }

  // Registers a wait; reports if nobody is left who could end it.
  void begin_wait(wait_record& wait, thread_record& me, const queue_side& others, bool limited,
                  bool (*is_over)(const void*), const void* object, const source_location& where) {
    registry& books = the_registry();
    wait.who = &me;
    wait.what = &queue_;
    wait.site = {where, __builtin_return_address(0)};
    wait.since_ns = now_ns();
    wait.limited = limited;
    wait.peers = &others.peers;
    wait.is_over = is_over;
    wait.object = object;
    deadlock_found found;
    {
      const leaf_hold hold(books.lock);
      add_wait(books, wait);
      if (is_checked() && books.check_waits.load(std::memory_order_relaxed)) {
        const busy_scope busy(me);
        found = find_deadlock(books, wait);
      }
      if (found.found) remove_wait(books, wait);
    }
    if (!found.found) return;
    report(deadlock_of(wait, found));
    const leaf_hold hold(books.lock);
    add_wait(books, wait);
  }
  static void end_wait(wait_record& wait) {
    registry& books = the_registry();
    const leaf_hold hold(books.lock);
    remove_wait(books, wait);
  }

 private:
  const lock_identity& queue_;
};

}  // namespace detail

template <typename T>
class bounded_queue {
 public:
  explicit bounded_queue(std::size_t capacity, const char* name = "")
      : identity_(detail::lock_kind::queue, name), capacity_(capacity) {
    reject_no_room();
  }
  template <detail::level_enum Level>
  bounded_queue(std::size_t capacity, const char* name, Level level, std::uint64_t key = 0)
      : identity_(detail::lock_kind::queue, name, level, key), capacity_(capacity) {
    reject_no_room();
  }
  ~bounded_queue() {
    if (!identity_.was_announced()) return;
    detail::announce_end(&pushes_);
    detail::announce_end(&pops_);
  }
  bounded_queue(const bounded_queue&) = delete;
  bounded_queue& operator=(const bounded_queue&) = delete;

  // The item is moved from only if it was pushed.
  push_result push(T&& item, const source_location& where = source_location::current()) {
    return push_patiently(item, {}, where);
  }
  push_result push(T&& item, const stop_token& stop,
                   const source_location& where = source_location::current()) {
    return push_patiently(item, {{}, &stop}, where);
  }
  template <typename Clock, typename Duration>
  push_result push_until(T&& item, const std::chrono::time_point<Clock, Duration>& when,
                         const stop_token& stop = {},
                         const source_location& where = source_location::current()) {
    return push_patiently(item, {detail::deadline::of(when), &stop}, where);
  }
  template <typename Rep, typename Period>
  push_result push_for(T&& item, const std::chrono::duration<Rep, Period>& time,
                       const stop_token& stop = {},
                       const source_location& where = source_location::current()) {
    return push_patiently(item, {detail::deadline::in(time), &stop}, where);
  }
  push_result try_push(T&& item, const source_location& where = source_location::current()) {
    note(pushes_, pops_, false, false, "a push", where);
    return push_now(item);
  }
  push_result push(const T& item, const source_location& where = source_location::current()) {
    return push(T(item), where);
  }
  push_result push(const T& item, const stop_token& stop,
                   const source_location& where = source_location::current()) {
    return push(T(item), stop, where);
  }
  push_result try_push(const T& item, const source_location& where = source_location::current()) {
    return try_push(T(item), where);
  }
  template <typename Clock, typename Duration>
  push_result push_until(const T& item, const std::chrono::time_point<Clock, Duration>& when,
                         const stop_token& stop = {},
                         const source_location& where = source_location::current()) {
    return push_until(T(item), when, stop, where);
  }
  template <typename Rep, typename Period>
  push_result push_for(const T& item, const std::chrono::duration<Rep, Period>& time,
                       const stop_token& stop = {},
                       const source_location& where = source_location::current()) {
    return push_for(T(item), time, stop, where);
  }

  // Empty: closed and drained, or the wait ended first.
  std::optional<T> pop(const source_location& where = source_location::current()) {
    return pop_patiently({}, where);
  }
  std::optional<T> pop(const stop_token& stop,
                       const source_location& where = source_location::current()) {
    return pop_patiently({{}, &stop}, where);
  }
  template <typename Clock, typename Duration>
  std::optional<T> pop_until(const std::chrono::time_point<Clock, Duration>& when,
                             const stop_token& stop = {},
                             const source_location& where = source_location::current()) {
    return pop_patiently({detail::deadline::of(when), &stop}, where);
  }
  template <typename Rep, typename Period>
  std::optional<T> pop_for(const std::chrono::duration<Rep, Period>& time,
                           const stop_token& stop = {},
                           const source_location& where = source_location::current()) {
    return pop_patiently({detail::deadline::in(time), &stop}, where);
  }
  std::optional<T> try_pop(const source_location& where = source_location::current()) {
    note(pops_, pushes_, false, false, "a pop", where);
    std::optional<T> item;
    (void)pop_now(item);
    return item;
  }

  // Pushes fail from now on; what is in it can still be popped. Wakes everybody who waits.
  void close() {
    {
      const detail::leaf_hold hold(lock_);
      closed_ = true;
      if (detail::is_announced()) {
        detail::announce_signal(&pushes_, true);
        detail::announce_signal(&pops_, true);
      }
      pushes_.turn.fetch_add(1, std::memory_order_relaxed);
      pops_.turn.fetch_add(1, std::memory_order_relaxed);
      detail::futex_wake(&pushes_.turn, INT_MAX);
      detail::futex_wake(&pops_.turn, INT_MAX);
    }
  }
  bool closed() const {
    const detail::leaf_hold hold(lock_);
    return closed_;
  }
  std::size_t size() const {
    const detail::leaf_hold hold(lock_);
    return items_.size();
  }
  bool empty() const { return size() == 0; }
  std::size_t capacity() const noexcept { return capacity_; }
  const char* name() const noexcept { return identity_.name(); }

  // Nobody will pop (push) who has not done so before, nor will anybody else close it: what checked
  // mode and `gordian run` find is then certain.
  void consumers_complete() { complete(pops_, pushes_); }
  void producers_complete() { complete(pushes_, pops_); }

 private:
  using side = detail::queue_side;

  void reject_no_room() const {
    if (capacity_ != 0) return;
    detail::report(lock_error(
        error_kind::misuse, std::errc::invalid_argument,
        detail::words_of(identity_) + " has room for nothing: every push would wait for ever"));
  }

  [[gnu::noinline]] void complete(side& which, const side& waits_for_it) {
    const gordian_place place = GORDIAN_PLACE_();
    if (detail::is_announced()) detail::announce_name(identity_, place, &pushes_, &pops_);
    const detail::leaf_hold hold(detail::the_registry().lock);
    which.peers.complete = true;
    if (detail::is_announced()) GORDIAN_WAKERS_COMPLETE(&waits_for_it);
  }

  void note(side& mine, side& other, bool may_block, bool cancellable, const char* verb,
            const source_location& where) {
    if (detail::is_announced()) [[unlikely]]
      announce(mine, other, may_block);
    if (!detail::is_checked()) return;
    detail::queue_checks(identity_).note_call(mine, other, may_block, cancellable, verb, where);
  }

  // What a call of this side waits for, it waits for at `mine`.
  [[gnu::noinline]] void announce(const side& mine, side& other, bool may_block) {
    const gordian_place place = GORDIAN_PLACE_();
    detail::announce_name(identity_, place, &pushes_, &pops_);
    detail::announce_waker(identity_, other);
    if (may_block) detail::announce_approach(identity_, &mine, detail::mode::exclusive, place);
  }

  // Under the queue's lock.
  static void wake_one(side& which) {
    if (detail::is_announced()) [[unlikely]]
      detail::announce_signal(&which, false);
    if (which.waiting == 0) return;
    which.turn.fetch_add(1, std::memory_order_relaxed);
    // Under the lock: after it the queue may be gone.
    detail::futex_wake(&which.turn, 1);
  }

  push_result push_now(T& item) {
    const detail::leaf_hold hold(lock_);
    if (closed_) return push_result::closed;
    if (items_.size() >= capacity_) return push_result::full;
    items_.push_back(std::move(item));
    wake_one(pops_);
    return push_result::pushed;
  }
  // True: nothing to wait for.
  bool pop_now(std::optional<T>& item) {
    const detail::leaf_hold hold(lock_);
    if (items_.empty()) return closed_;
    item.emplace(std::move(items_.front()));
    items_.pop_front();
    wake_one(pushes_);
    return true;
  }

  push_result push_patiently(T& item, const detail::patience& how, const source_location& where) {
    note(pushes_, pops_, !how.until.set, how.can_stop(), "a push", where);
    push_result result = push_now(item);
    if (result.why() != push_result::full) return result;
    const bool ended = wait(pushes_, pops_, how, where, &can_push, [&] {
      result = push_now(item);
      return result.why() != push_result::full;
    });
    if (ended) return result;
    return how.stop != nullptr && how.stop->stop_requested() ? push_result::stopped
                                                             : push_result::timed_out;
  }

  std::optional<T> pop_patiently(const detail::patience& how, const source_location& where) {
    note(pops_, pushes_, !how.until.set, how.can_stop(), "a pop", where);
    std::optional<T> item;
    if (!pop_now(item)) wait(pops_, pushes_, how, where, &can_pop, [&] { return pop_now(item); });
    return item;
  }

  static bool can_push(const void* object) {
    const auto& self = *static_cast<const bounded_queue*>(object);
    const detail::leaf_hold hold(self.lock_);
    return self.closed_ || self.items_.size() < self.capacity_;
  }
  static bool can_pop(const void* object) {
    const auto& self = *static_cast<const bounded_queue*>(object);
    const detail::leaf_hold hold(self.lock_);
    return self.closed_ || !self.items_.empty();
  }

  struct wake_all {
    side* which;
    void operator()() const noexcept {
      // ORDER: release pairs with the acquire of wait(): it sees that it was asked to stop.
      which->turn.fetch_add(1, std::memory_order_release);
      detail::futex_wake(&which->turn, INT_MAX);
    }
  };

  // Until attempt() is true, or patience ends. One who leaves passes on a wake-up it may have used
  // up.
  template <typename Attempt>
  bool wait(side& mine, const side& other, const detail::patience& how,
            const source_location& where, bool (*is_over)(const void*), Attempt attempt) {
    const stop_callback<wake_all> on_stop(how.token(), wake_all{&mine});
    detail::thread_record* me = detail::is_attended() ? detail::current_record() : nullptr;
    const waiting_scope waiting{*this, mine};
    for (;;) {
      const std::uint32_t turn = mine.turn.load(std::memory_order_acquire);
      if (attempt()) return true;
      if (how.is_over()) return false;
      if (me == nullptr) {
        detail::futex_wait(&mine.turn, turn, how.until);
      } else {
        detail::wait_record record{};
        detail::queue_checks(identity_).begin_wait(record, *me, other, how.is_limited(), is_over,
                                                   this, where);
        if (detail::is_announced()) {
          detail::announced_sleep(&mine, how.is_limited(), &mine.turn, turn, how.until);
        } else {
          detail::futex_wait(&mine.turn, turn, how.until);
        }
        detail::queue_checks::end_wait(record);
      }
    }
  }
  // Counted before it looks and until it leaves. It may have been woken and leave for another
  // reason: then the next one is.
  struct waiting_scope {
    bounded_queue& queue;
    side& which;
    waiting_scope(bounded_queue& q, side& s) : queue(q), which(s) {
      const detail::leaf_hold hold(queue.lock_);
      ++which.waiting;
    }
    ~waiting_scope() {
      const detail::leaf_hold hold(queue.lock_);
      --which.waiting;
      const bool may_go_on =
          queue.closed_ ||
          (&which == &queue.pops_ ? !queue.items_.empty() : queue.items_.size() < queue.capacity_);
      if (may_go_on) wake_one(which);
    }
    waiting_scope(const waiting_scope&) = delete;
    waiting_scope& operator=(const waiting_scope&) = delete;
  };

  detail::lock_identity identity_;
  mutable detail::leaf_lock lock_;
  std::deque<T> items_;
  std::size_t capacity_;
  bool closed_ = false;
  side pushes_{0};
  side pops_{1};
};

}  // namespace gordian

#endif
