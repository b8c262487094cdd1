// SPDX-License-Identifier: Apache-2.0
// Checked mode: every blocking request is compared with the order of locks seen so far and with the
// declared levels, before it blocks; and a request that has to wait is compared with who waits for
// whom.
//
//   gordian::enable_checks();
//   // or -DGORDIAN_CHECKED=1, or GORDIAN_CHECKED=1 in the environment
//
// Errors go to the handler of deadlock_error.h. All functions here are thread-safe.
//
// Why the wait-for check is exact: a thread registers, under one lock, before it sleeps, and takes
// what it waited for under the same lock. So a registered thread truly waits; what is in its list
// it truly holds, since it cannot release; and the last thread to register sees the whole circle.
// That one is the victim, and the only one: it never registers.
#ifndef GORDIAN_CHECKS_H
#define GORDIAN_CHECKS_H

#include <gordian/announce.h>
#include <gordian/deadlock_error.h>
#include <gordian/order_graph.h>
#include <gordian/thread_record.h>

#include <cstring>
#include <dlfcn.h>
#include <iterator>
#include <pthread.h>
#include <string>
#include <unordered_map>
#include <unordered_set>

// One for all libraries of the program, also of those that hide their symbols.
#pragma GCC visibility push(default)

namespace gordian {

struct check_options {
  bool order = true;  // orders that could deadlock, levels
  bool waits = true;  // deadlocks at the moment they would happen
};

namespace detail {

// Who can end a wait that is nobody's lock: the other side of a queue.
struct wait_peers {
  std::unordered_set<std::uint32_t> threads;  // by number; those that did it before
  bool complete = false;                      // nobody else ever will
};

struct wait_record {
  thread_record* who = nullptr;
  const lock_identity* what = nullptr;
  mode wanted = mode::exclusive;
  call_site site;
  std::int64_t since_ns = 0;
  bool limited = false;                 // ends by itself, or by a stop: never part of a deadlock
  const shared_word* shared = nullptr;  // readers may wait for waiting writers
  const wait_peers* peers = nullptr;    // any of them ends it; else all holders must release
  bool (*is_over)(const void* object) = nullptr;  // of a wait with peers: it only has to wake up
  const void* object = nullptr;
  bool alarmed = false;  // the watchdog told of it
  bool stuck = false;    // scratch of find_deadlock
  wait_record* next = nullptr;
  wait_record* previous = nullptr;
};

struct order_evidence {
  call_site held;
  call_site wanted;
};

// The books of the program. Never destroyed: other static objects' destructors may lock.
struct registry {
  leaf_lock lock;
  order_graph<order_evidence> graph;
  std::unordered_map<std::uint32_t, std::string> node_names;
  std::unordered_map<std::uint64_t, std::uint32_t> level_nodes;  // (table, level) -> node
  std::uint32_t last_level_node = 0;
  wait_record* waits = nullptr;
  std::unordered_map<std::uint32_t, thread_record*> threads;
  std::uint32_t last_thread = 0;
  std::atomic<bool> check_order{false};
  std::atomic<bool> check_waits{false};
};

inline registry& the_registry();

// A child of fork() has the calling thread alone: the others neither wait nor hold there, and none
// of them may have been in the middle of the books.
inline void lock_books_for_fork() {
  the_registry().lock.lock();
  the_handler().lock.lock();
}
inline void unlock_books_after_fork() {
  the_handler().lock.unlock();
  the_registry().lock.unlock();
}
inline void keep_own_part_after_fork() {
  registry& books = the_registry();
  const busy_scope busy;
  wait_record* waits = books.waits;
  books.waits = nullptr;
  for (wait_record* next = nullptr; waits != nullptr; waits = next) {
    next = waits->next;
    if (waits->who != this_record) continue;  // a signal handler may fork while its thread waits
    waits->previous = nullptr;
    waits->next = books.waits;
    if (books.waits != nullptr) books.waits->previous = waits;
    books.waits = waits;
  }
  for (auto thread = books.threads.begin(); thread != books.threads.end();) {
    thread = thread->second == this_record ? std::next(thread) : books.threads.erase(thread);
  }
  if (announcements.fetch_add(1, std::memory_order_relaxed) == UINT8_MAX) announcements = 1;
  unlock_books_after_fork();
}

inline registry& the_registry() {
  static registry& books = []() -> registry& {
    const busy_scope busy;
    auto* made = new registry;
    pthread_atfork(lock_books_for_fork, unlock_books_after_fork, keep_own_part_after_fork);
    return *made;
  }();
  return books;
}

struct record_holder {
  thread_record* record = nullptr;
  ~record_holder() {
    this_thread_is_ending = true;
    this_record = nullptr;
    {
      const leaf_hold hold(the_registry().lock);
      the_registry().threads.erase(record->number);
    }
    delete record;
  }
};

inline thread_record* new_record() {
  if (this_thread_is_ending || busy_without_record) return nullptr;
  const busy_scope busy;
  thread_local record_holder holder;
  auto* record = new thread_record;
  record->held.reserve(16);
  if (this_running_worker != nullptr) record->name = this_running_worker->name();
  {
    registry& books = the_registry();
    const leaf_hold hold(books.lock);
    record->number = ++books.last_thread;
    books.threads.emplace(record->number, record);
  }
  holder.record = record;
  this_record = record;
  return record;
}

inline void forget(const lock_identity& lock) noexcept {
  if (const std::uint32_t id = lock.known_id(); id != 0) {
    registry& books = the_registry();
    const busy_scope busy;
    const leaf_hold hold(books.lock);
    books.graph.remove(id);
    books.node_names.erase(id);
  }
  if (lock.was_announced()) announce_end(&lock);
}

// --- words -------------------------------------------------------------------------------------

inline const char* word_of(lock_kind kind) {
  switch (kind) {
    case lock_kind::mutex:
      return "mutex";
    case lock_kind::shared_mutex:
      return "shared_mutex";
    case lock_kind::recursive_mutex:
      return "recursive_mutex";
    case lock_kind::worker:
      return "worker";
    case lock_kind::gate:
      return "work_gate";
    case lock_kind::queue:
      return "bounded_queue";
    case lock_kind::condition:
      return "condition_variable";
  }
  return "lock";
}

inline std::string hexadecimal(const void* address) {
  char text[32];
  std::snprintf(text, sizeof text, "%p", address);
  return text;
}

inline std::string words_of(const lock_identity& lock) {
  std::string text;
  if (lock.name() != nullptr && *lock.name() != '\0') {
    text = '"' + std::string(lock.name()) + '"';
  } else {
    text = std::string(word_of(lock.kind())) + " " + hexadecimal(&lock);
  }
  if (lock.has_level()) text += " (level " + std::to_string(lock.level()) + ")";
  return text;
}

inline std::string words_of(const call_site& site) {
  const char* file = site.where.file_name();
  if (file == nullptr || *file == '\0') return "an unknown place";
  std::string text = std::string(file) + ":" + std::to_string(site.where.line());
  if (const char* function = site.where.function_name(); function != nullptr && *function != '\0') {
    text += " (" + std::string(function) + ")";
  }
  const bool in_library = std::strstr(file, "/include/c++/") != nullptr;
  Dl_info info{};
  if (in_library && site.caller != nullptr && dladdr(site.caller, &info) != 0 &&
      info.dli_fname != nullptr) {
    text += ", called in ";
    if (info.dli_sname != nullptr) text += std::string(info.dli_sname) + ", ";
    const char* base = static_cast<const char*>(info.dli_fbase);
    char offset[32];
    std::snprintf(offset, sizeof offset, "+0x%tx", static_cast<const char*>(site.caller) - base);
    text += std::string(info.dli_fname) + offset;
  }
  return text;
}

inline std::string words_of(const thread_record& thread) {
  std::string text = "thread " + std::to_string(thread.number);
  if (thread.name != nullptr && *thread.name != '\0')
    text += " \"" + std::string(thread.name) + '"';
  return text;
}

inline std::string words_of_wish(const lock_identity& what, mode how) {
  if (what.kind() == lock_kind::worker) return "the end of worker " + words_of(what);
  return words_of(what) + (how == mode::shared ? " shared" : "");
}

inline std::string words_of(const held_lock& held) {
  if (held.is_thread) return "being worker " + words_of(*held.what);
  return words_of(*held.what) + (held.how == mode::shared ? " shared" : "") + ", taken at " +
         words_of(held.site);
}

// --- who waits for whom ------------------------------------------------------------------------

inline bool conflicts(mode a, mode b) { return a == mode::exclusive || b == mode::exclusive; }

inline const held_lock* hold_in_the_way(const wait_record& wait, const thread_record& other) {
  for (const held_lock& held : other.held) {
    if (held.what == wait.what && conflicts(held.how, wait.wanted)) return &held;
  }
  return nullptr;
}

inline bool waits_to_write(const wait_record& wait, const lock_identity& lock) {
  return wait.what == &lock && wait.wanted == mode::exclusive && wait.shared != nullptr;
}

inline bool is_in_the_way(const wait_record& wait, const wait_record& other) {
  if (hold_in_the_way(wait, *other.who) != nullptr) return true;
  return wait.shared != nullptr && wait.wanted == mode::shared &&
         waits_to_write(other, *wait.what) && wait.shared->readers_wait_for_writers();
}

// A wait for any of many: stuck only if all who could end it are.
inline bool is_peer_wait_stuck(const registry& books, const wait_record& wait) {
  if (wait.is_over != nullptr && wait.is_over(wait.object)) return false;
  bool known = false;
  for (std::uint32_t number : wait.peers->threads) {
    const auto thread = books.threads.find(number);
    if (thread == books.threads.end() || thread->second == wait.who) continue;
    known = true;
    bool stuck = false;
    for (const wait_record* other = books.waits; other != nullptr && !stuck; other = other->next) {
      stuck = other->who == thread->second && other->stuck;
    }
    if (!stuck) return false;
  }
  return known || wait.peers->complete;
}

struct deadlock_found {
  bool found = false;
  bool certain = true;
  std::string text;
};

inline std::string words_of_circle(const registry& books, wait_record& first) {
  std::string text;
  std::vector<const wait_record*> seen;
  wait_record* here = &first;
  while (here != nullptr && std::find(seen.begin(), seen.end(), here) == seen.end()) {
    seen.push_back(here);
    text += "\n  " + words_of(*here->who) + " wants " + words_of_wish(*here->what, here->wanted) +
            " at " + words_of(here->site);
    for (const held_lock& held : here->who->held) text += "\n    holds " + words_of(held);
    wait_record* next = nullptr;
    for (wait_record* other = books.waits; other != nullptr && next == nullptr;
         other = other->next) {
      if (!other->stuck || other == here) continue;
      if (here->peers != nullptr ? here->peers->threads.count(other->who->number) != 0
                                 : is_in_the_way(*here, *other)) {
        next = other;
      }
    }
    here = next;
  }
  return text;
}

// Is `mine`, already registered, part of a deadlock? By reduction: whoever waits for nobody stuck
// can go on. Under the registry's lock.
inline deadlock_found find_deadlock(const registry& books, wait_record& mine) {
  if (mine.limited) return {};
  bool somebody = mine.peers != nullptr;
  for (const wait_record* other = books.waits; other != nullptr && !somebody; other = other->next) {
    somebody = (other != &mine && is_in_the_way(mine, *other)) ||
               (other->peers != nullptr && other->peers->threads.count(mine.who->number) != 0);
  }
  if (!somebody) return {};
  for (wait_record* wait = books.waits; wait != nullptr; wait = wait->next) {
    wait->stuck = !wait->limited;
  }
  for (bool changed = true; changed && mine.stuck;) {
    changed = false;
    for (wait_record* wait = books.waits; wait != nullptr; wait = wait->next) {
      if (!wait->stuck) continue;
      bool stuck = false;
      if (wait->peers != nullptr) {
        stuck = is_peer_wait_stuck(books, *wait);
      } else {
        for (wait_record* other = books.waits; other != nullptr && !stuck; other = other->next) {
          stuck = other->stuck && other != wait && is_in_the_way(*wait, *other);
        }
      }
      if (!stuck) {
        wait->stuck = false;
        changed = true;
      }
    }
  }
  if (!mine.stuck) return {};
  deadlock_found result{true, true, {}};
  for (const wait_record* wait = books.waits; wait != nullptr; wait = wait->next) {
    if (wait->stuck && wait->peers != nullptr && !wait->peers->complete) result.certain = false;
  }
  result.text = words_of_circle(books, mine);
  return result;
}

inline void add_wait(registry& books, wait_record& wait) {
  wait.previous = nullptr;
  wait.next = books.waits;
  if (books.waits != nullptr) books.waits->previous = &wait;
  books.waits = &wait;
}

inline void remove_wait(registry& books, wait_record& wait) {
  if (wait.previous != nullptr) wait.previous->next = wait.next;
  if (wait.next != nullptr) wait.next->previous = wait.previous;
  if (books.waits == &wait) books.waits = wait.next;
}

// A waiter that leaves without the lock. The mark of the writers stays if another one is
// registered, which needs it: with the mark gone a reader could come in, of which a deadlock had
// been told.
template <typename Word>
void give_up_wait(registry& books, wait_record& mine, Word& word) {
  remove_wait(books, mine);
  const wait_record* other = mine.wanted == mode::exclusive ? books.waits : nullptr;
  while (other != nullptr && !waits_to_write(*other, *mine.what)) other = other->next;
  if (other == nullptr) word.give_up(mine.wanted);
}

inline deadlock_error deadlock_of(const wait_record& mine, const deadlock_found& found) {
  const bool queue = mine.what->kind() == lock_kind::queue;
  return deadlock_error(queue ? error_kind::queue : error_kind::deadlock, found.certain,
                        std::string(found.certain ? "deadlock" : "possible deadlock") +
                            ": waiting for " + words_of_wish(*mine.what, mine.wanted) +
                            " would close this circle:" + found.text);
}

// --- the order ---------------------------------------------------------------------------------

struct request {
  const lock_identity* what;
  mode wanted;
  call_site site;
  bool limited;
};

inline std::string words_of_request(const request& wish, const held_lock& held) {
  return "wants " + words_of_wish(*wish.what, wish.wanted) + " at " + words_of(wish.site) +
         "\n  while holding " + words_of(held);
}

inline std::uint32_t level_node(registry& books, const lock_identity& lock) {
  const std::uint64_t key =
      reinterpret_cast<std::uintptr_t>(lock.table()) << 16 ^ std::uint64_t{lock.level()};
  std::uint32_t& node = books.level_nodes[key];
  if (node == 0) {
    node = UINT32_MAX - books.last_level_node++;
    books.node_names[node] = "level " + std::to_string(lock.level());
  }
  return node;
}

inline std::string words_of_path(const registry& books,
                                 const std::vector<order_graph<order_evidence>::step>& path) {
  std::string text = "\n  the other order was seen before:";
  const auto name = [&](std::uint32_t id) {
    const auto found = books.node_names.find(id);
    return found == books.node_names.end() ? std::string("a lock") : found->second;
  };
  for (const auto& step : path) {
    text += "\n    " + name(step.to) + " wanted at " + words_of(step.evidence->wanted) +
            " while holding " + name(step.from) + ", taken at " + words_of(step.evidence->held);
  }
  return text;
}

// Would the request deadlock at this moment? Then the error says so for certain.
inline deadlock_found is_deadlock_now(registry& books, thread_record& me, const request& wish,
                                      const shared_word* word) {
  if (wish.limited || !books.check_waits.load(std::memory_order_relaxed)) return {};
  wait_record trial{};
  trial.who = &me;
  trial.what = wish.what;
  trial.wanted = wish.wanted;
  trial.site = wish.site;
  trial.shared = word;
  add_wait(books, trial);
  deadlock_found result = find_deadlock(books, trial);
  remove_wait(books, trial);
  return result;
}

// The slow half of the order check: levels, then the graph. Reports.
[[gnu::noinline]] inline void check_pair(thread_record& me, const held_lock& held,
                                         const request& wish, const shared_word* word) {
  const lock_identity& first = *held.what;
  const lock_identity& second = *wish.what;
  std::string complaint;
  error_kind kind = error_kind::level;
  deadlock_found now;
  {
    const busy_scope busy(me);
    registry& books = the_registry();
    const std::uint32_t first_id = first.id();
    const std::uint32_t second_id = second.id();
    const leaf_hold hold(books.lock);
    const bool one_table = first.has_level() && first.table() == second.table();
    bool unordered_levels = first.has_level() && second.has_level() && !one_table;
    if (one_table && first.level() == second.level()) {
      if (!first.comes_before(second)) {
        complaint =
            "against the order of one level: locks of a level are taken in the order of "
            "their keys, then addresses: ";
      }
    } else if (one_table) {
      const bool forwards = first.table()->before(first.level(), second.level());
      if (first.table()->before(second.level(), first.level()) && !forwards) {
        complaint = "against the levels: ";
      }
      unordered_levels = !forwards;
    }
    if (complaint.empty() && first_id != 0 && second_id != 0) {
      const order_evidence evidence{held.site, wish.site};
      books.node_names.try_emplace(first_id, words_of(first));
      books.node_names.try_emplace(second_id, words_of(second));
      auto path = books.graph.add(first_id, second_id, evidence);
      if (path.empty() && unordered_levels) {
        path = books.graph.add(level_node(books, first), level_node(books, second), evidence);
      }
      if (!path.empty()) {
        complaint = "lock order: ";
        kind = error_kind::order;
      }
      if (!path.empty()) now.text = words_of_path(books, path);
    }
    if (!complaint.empty()) {
      complaint += words_of_request(wish, held) + now.text;
      now = is_deadlock_now(books, me, wish, word);
    }
  }
  if (now.found) {
    const wait_record mine{.who = &me, .what = wish.what, .wanted = wish.wanted, .site = wish.site};
    report(deadlock_of(mine, now));
  } else if (!complaint.empty()) {
    report(deadlock_error(kind, false, complaint));
  }
  // In order; or the handler let it pass, and need not hear of it again.
  const std::uint64_t pair = thread_record::pair_of(first.known_id(), second.known_id());
  if (first.known_id() != 0 && second.known_id() != 0) me.slot_of(pair) = pair;
}

[[gnu::noinline]] inline void report_own_conflict(const held_lock& held, const request& wish) {
  const bool was_shared = held.how == mode::shared;
  const bool wants_shared = wish.wanted == mode::shared;
  std::string text = words_of_request(wish, held);
  if (was_shared && wants_shared) {
    report(
        deadlock_error(error_kind::recursive_share, false,
                       "shared twice by one thread, which a writer between the two would block for "
                       "ever: " +
                           text));
  } else if (was_shared) {
    report(deadlock_error(error_kind::upgrade, !wish.limited,
                          "an upgrade waits for its own share: " + text));
  } else {
    report(deadlock_error(error_kind::self, !wish.limited, "the thread holds it already: " + text));
  }
}

// Every pair of this request was found in order before.
inline bool is_in_order(thread_record& me, const lock_identity& wanted) noexcept {
  for (const held_lock& held : me.held) {
    const std::uint64_t pair = thread_record::pair_of(held.what->known_id(), wanted.known_id());
    if (pair == 0 || me.slot_of(pair) != pair) return false;
  }
  return true;
}

// Before every request that may block without a time limit. `cancellable` ones can still be wrong
// in their order, but need not fear the join of the worker that makes them: it asks them to stop
// first.
inline void check_request(thread_record& me, const request& wish, const shared_word* word,
                          bool cancellable) {
  if (!the_registry().check_order.load(std::memory_order_relaxed)) {
    const held_lock* own = me.find(*wish.what);
    if (own != nullptr && the_registry().check_waits.load(std::memory_order_relaxed) &&
        conflicts(own->how, wish.wanted)) {
      report_own_conflict(*own, wish);
    }
    return;
  }
  // By index: a handler that returns may have locked and unlocked in between.
  for (std::size_t i = 0; i < me.held.size(); ++i) {
    const held_lock& held = me.held[i];
    if (held.what == wish.what) {
      const held_lock copy = held;
      report_own_conflict(copy, wish);
      continue;
    }
    if (held.is_thread && cancellable) continue;
    const std::uint64_t pair = thread_record::pair_of(held.what->known_id(), wish.what->known_id());
    if (me.slot_of(pair) == pair && pair != 0) continue;
    const held_lock copy = held;
    check_pair(me, copy, wish, word);
  }
}

inline bool is_checked() noexcept {
  return (attention.load(std::memory_order_relaxed) & attention_checks) != 0;
}

}  // namespace detail

// Begins with nothing learned. What is held already is not known, and therefore not checked.
inline void enable_checks(check_options options = {}) {
  detail::registry& books = detail::the_registry();
  const detail::busy_scope busy;
  const detail::leaf_hold hold(books.lock);
  books.graph.clear();
  books.node_names.clear();
  books.level_nodes.clear();
  books.check_order.store(options.order, std::memory_order_relaxed);
  books.check_waits.store(options.waits, std::memory_order_relaxed);
  detail::current_epoch.fetch_add(1, std::memory_order_relaxed);
  detail::attention.fetch_or(detail::attention_checks, std::memory_order_relaxed);
}

inline void disable_checks() noexcept {
  detail::attention.fetch_and(~detail::attention_checks, std::memory_order_relaxed);
}

inline bool checks_enabled() noexcept { return detail::is_checked(); }

}  // namespace gordian

#pragma GCC visibility pop

#endif
